//! Images: folders with what a sandbox of them begins with, the builds that make them, and snapshots, which are images with an end.

use super::dockerfile::{self, Step};
use super::service::{Service, copy_folder, random_id, remove_folder};
use super::view;
use modal_api::{
    FileDescriptor, GenericResult, GenericStatus, Image as Definition, ImageContextFile,
    ImageGetOrCreateRequest, ImageJoinStreamingResponse, ImageMetadata, TaskLogs,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;

/// What the environment says about its builder: this one adds nothing to images.
pub(super) const BUILDER_VERSION: &str = "2025.06";

/// What a sandbox gets from its image beside files.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) workdir: Option<String>,
}

/// One image, built, being built, or failed.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) folder: PathBuf,
    /// By the clock; `None` for never.
    pub(super) expires_at: Option<Duration>,
    state: Mutex<Settings>,
    log: Mutex<Vec<String>>,
    changed: watch::Sender<Option<GenericResult>>,
}

impl Image {
    fn new(folders: &Path, expires_at: Option<Duration>) -> Self {
        let id = random_id("im-");
        Self {
            folder: folders.join(&id),
            id,
            expires_at,
            state: Mutex::default(),
            log: Mutex::default(),
            changed: watch::channel(None).0,
        }
    }

    pub(super) fn settings(&self) -> Settings {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn result(&self) -> Option<GenericResult> {
        self.changed.borrow().clone()
    }

    pub(super) fn metadata(&self) -> ImageMetadata {
        ImageMetadata {
            workdir: self.settings().workdir,
            image_builder_version: Some(BUILDER_VERSION.to_owned()),
        }
    }

    fn is_built(&self) -> bool {
        self.result().is_some_and(|result| result.status() == GenericStatus::Success)
    }

    fn say(&self, line: &str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{line}\n"));
        self.changed.send_modify(|_| {});
    }

    fn finish(&self, result: GenericResult) {
        self.changed.send_replace(Some(result));
    }

    /// The answers of a join from an entry on. The last one has the result; without it the time was over.
    pub(super) async fn next_answer(
        &self,
        entry: usize,
        until: tokio::time::Instant,
    ) -> Option<ImageJoinStreamingResponse> {
        let mut changed = self.changed.subscribe();
        loop {
            let result = changed.borrow_and_update().clone();
            let line = self.log.lock().unwrap_or_else(PoisonError::into_inner).get(entry).cloned();
            if let Some(data) = line {
                let log = TaskLogs { data, timestamp: 0.0, file_descriptor: FileDescriptor::Stdout.into() };
                return Some(ImageJoinStreamingResponse {
                    task_logs: vec![log],
                    entry_id: entry_id(entry),
                    ..ImageJoinStreamingResponse::default()
                });
            }
            if let Some(result) = result {
                return Some(ImageJoinStreamingResponse {
                    result: Some(result),
                    entry_id: entry_id(entry),
                    eof: true,
                    metadata: Some(self.metadata()),
                    ..ImageJoinStreamingResponse::default()
                });
            }
            match tokio::time::timeout_at(until, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }
}

fn entry_id(entry: usize) -> String {
    format!("{entry}-0")
}

/// The entry after the one that a caller has read.
pub(super) fn next_entry(last_entry_id: &str) -> usize {
    last_entry_id.split('-').next().and_then(|entry| entry.parse().ok()).map_or(0, |entry: usize| entry + 1)
}

fn success() -> GenericResult {
    GenericResult { status: GenericStatus::Success.into(), ..GenericResult::default() }
}

impl Service {
    /// An image that a sandbox can be made of.
    pub(super) fn usable_image(&self, image_id: &str) -> Result<Arc<Image>, Status> {
        let image = self.image(image_id)?;
        if image.is_built() {
            return Ok(image);
        }
        Err(Status::failed_precondition(format!("Image {image_id} is not built")))
    }

    /// An image that is there.
    pub(super) fn image(&self, image_id: &str) -> Result<Arc<Image>, Status> {
        let state = self.lock();
        let image = state.images.get(image_id);
        let there = |image: &&Arc<Image>| image.expires_at.is_none_or(|end| self.clock.now() < end);
        image.filter(there).cloned().ok_or_else(|| Status::not_found(format!("Image {image_id} not found")))
    }

    pub(super) fn remove_image(&self, image_id: &str) -> Result<(), Status> {
        let image = self.image(image_id)?;
        self.lock().images.remove(image_id);
        remove_folder(&image.folder);
        Ok(())
    }

    /// Finds the layer by its definition, or begins to build it. A failed one is tried again.
    pub(super) fn build_image(
        self: &Arc<Self>,
        request: ImageGetOrCreateRequest,
    ) -> Result<Arc<Image>, Status> {
        let definition =
            request.image.ok_or_else(|| Status::invalid_argument("the image has no definition"))?;
        let key = format!("{definition:?}");
        let mut state = self.lock();
        if !state.apps.values().any(|app| app.id == request.app_id) {
            return Err(Status::not_found(format!("App {} not found", request.app_id)));
        }
        if !request.force_build && !request.ignore_cache {
            let known = state.layers.get(&key).and_then(|id| state.images.get(id));
            let is_good = |image: &&Arc<Image>| {
                image.result().is_none_or(|result| result.status() == GenericStatus::Success)
            };
            if let Some(image) = known.filter(is_good) {
                return Ok(Arc::clone(image));
            }
        }
        let image = Arc::new(Image::new(&self.folder, None));
        state.images.insert(image.id.clone(), Arc::clone(&image));
        if !request.ignore_cache {
            state.layers.insert(key, image.id.clone());
        }
        drop(state);
        let (service, building) = (Arc::clone(self), Arc::clone(&image));
        tokio::spawn(async move {
            let result = match service.build(&building, &definition).await {
                Ok(()) => success(),
                Err(exception) => {
                    building.say(&exception);
                    GenericResult {
                        status: GenericStatus::Failure.into(),
                        exception,
                        ..GenericResult::default()
                    }
                }
            };
            building.finish(result);
        });
        Ok(image)
    }

    async fn build(&self, image: &Image, definition: &Definition) -> Result<(), String> {
        let machine = |error: &dyn std::fmt::Display| format!("the stand-in failed: {error}");
        let count = definition.dockerfile_commands.len();
        for (index, command) in definition.dockerfile_commands.iter().enumerate() {
            image.say(&format!("=> Step {index}/{count}: {command}"));
            tokio::time::sleep(self.options.build_step).await;
            match dockerfile::parse(command)? {
                Step::From(reference) => match self.base(definition, &reference)? {
                    Some(base) => {
                        copy_folder(&base.folder, &image.folder).await.map_err(|error| machine(&error))?;
                        *image.state.lock().unwrap_or_else(PoisonError::into_inner) = base.settings();
                    }
                    None => view::prepare(&image.folder).map_err(|error| machine(&error))?,
                },
                _ if !image.folder.exists() => return Err("the first command must be FROM".to_owned()),
                Step::Run(run) => self.pretend(image, &run)?,
                step @ (Step::Workdir(_)
                | Step::Copy { .. }
                | Step::Env(_)
                | Step::Command(_)
                | Step::Entrypoint(_)
                | Step::Other) => {
                    image.apply(step, &definition.context_files)?;
                }
            }
        }
        if image.folder.exists() { Ok(()) } else { Err("the image has no FROM".to_owned()) }
    }

    /// The image that `FROM` names, or `None` for one of a registry.
    fn base(&self, definition: &Definition, reference: &str) -> Result<Option<Arc<Image>>, String> {
        if let Some(base) = definition.base_images.iter().find(|base| base.docker_tag == reference) {
            return self.usable_image(&base.image_id).map(Some).map_err(|status| status.message().to_owned());
        }
        let repository = reference.split(['@', ':']).next().unwrap_or_default();
        if self.options.base_images.iter().any(|known| known == repository) {
            return Ok(None);
        }
        let missing = || format!("{reference}: manifest unknown: no such image in the registry");
        let config = definition.image_registry_config.as_ref().ok_or_else(missing)?;
        let keys = self.secret(&config.secret_id).map_err(|status| status.message().to_owned())?;
        let has = |key| keys.contains_key(key);
        if has("REGISTRY_USERNAME") && has("REGISTRY_PASSWORD") { Ok(None) } else { Err(missing()) }
    }

    fn pretend(&self, image: &Image, run: &str) -> Result<(), String> {
        let failing = self.lock().failing.iter().find(|(part, _)| run.contains(part.as_str())).cloned();
        if let Some((_, output)) = failing {
            image.say(&output);
            return Err(format!("the command '{run}' returned a non-zero code: 1"));
        }
        match dockerfile::literal_failure(run) {
            Some(code) => Err(format!("the command '{run}' returned a non-zero code: {code}")),
            None => Ok(()),
        }
    }

    /// A copy of a folder as an image.
    pub(super) async fn save_image(
        &self,
        folder: &Path,
        settings: Settings,
        life: Option<Duration>,
    ) -> Result<Arc<Image>, Status> {
        let expires_at = life.map(|life| self.clock.now() + life);
        let image = Image::new(&self.folder, expires_at);
        *image.state.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        copy_folder(folder, &image.folder).await.map_err(|error| Status::internal(error.to_string()))?;
        image.finish(success());
        let image = Arc::new(image);
        self.lock().images.insert(image.id.clone(), Arc::clone(&image));
        Ok(image)
    }
}

impl Image {
    fn apply(&self, step: Step, context: &[ImageContextFile]) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the stand-in failed: {error}");
        let mut settings = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::Workdir(path) => {
                std::fs::create_dir_all(self.inside(&path)).map_err(failed)?;
                settings.workdir = Some(path);
            }
            Step::Copy { source, target } => {
                let name = source.trim_start_matches("./");
                let file = context.iter().find(|file| file.filename.trim_start_matches("./") == name);
                let file = file.ok_or_else(|| format!("COPY failed: {source} is not in the context"))?;
                let mut path = self.inside(&target);
                if target.ends_with('/') || path.is_dir() {
                    path.push(Path::new(name).file_name().unwrap_or_default());
                }
                std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(failed)?;
                std::fs::write(path, &file.data).map_err(failed)?;
            }
            Step::Env(variables) => settings.environment.extend(variables),
            Step::Command(command) | Step::Entrypoint(command) => settings.command = command,
            Step::From(_) | Step::Run(_) | Step::Other => {}
        }
        Ok(())
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }
}
