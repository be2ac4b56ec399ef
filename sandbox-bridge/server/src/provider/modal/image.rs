//! Builds images at Modal, layer by layer, with their logs as they come.
//!
//! A layer that Modal has already is found and not built. The stream of logs may be cut at any place: it goes on after the last
//! entry that was read, so nothing is lost and nothing comes twice.

use super::ModalError;
use super::client::{CALL_TIMEOUT, Control, ModalClient};
use super::exit;
use super::retry::{Cursor, ROUTER};
use modal_api::status;
use modal_api::{
    BaseImage, DeploymentNamespace, EnvironmentGetOrCreateRequest, GenericResult, GenericStatus, Image,
    ImageGetOrCreateRequest, ImageJoinStreamingRequest, ImageJoinStreamingResponse,
};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};

const WHAT: &str = "build the image";
/// From here on Modal adds nothing of its own to images.
const BUILDER_VERSION_MIN: &str = "2025.06";
/// How long one look at a build lasts, as in Modal's own clients.
const JOIN_SECONDS: f32 = 55.0;
/// A stream that says nothing for so long is opened again.
const JOIN_SILENCE: Duration = Duration::from_secs(70);
/// What a layer's commands are called by those above it.
const BASE_TAG: &str = "base";

/// An image to build.
#[derive(Clone, Debug, Default)]
pub struct ImageRecipe {
    /// Dockerfile commands, one layer each; the first one is `FROM …`.
    pub commands: Vec<String>,
    /// Stored secrets that the layers above the first see while they are built.
    pub secret_ids: Vec<String>,
    /// Builds also what was built before.
    pub force: bool,
    /// Longest time for all of it.
    pub timeout: Duration,
}

impl ModalClient {
    /// Builds an image and answers its id. `log` gets every piece of the logs once, in order.
    pub async fn build_image(
        &self,
        app_id: &str,
        recipe: &ImageRecipe,
        mut log: impl FnMut(&str) + Send,
    ) -> Result<String, ModalError> {
        let builder_version = self.builder_version().await?;
        let deadline = Instant::now() + recipe.timeout;
        let mut base: Option<String> = None;
        for layer in layers(&recipe.commands) {
            let image = match base.take() {
                None => Image { dockerfile_commands: layer, ..Image::default() },
                Some(image_id) => Image {
                    base_images: vec![BaseImage { image_id, docker_tag: BASE_TAG.to_owned() }],
                    dockerfile_commands: [vec![format!("FROM {BASE_TAG}")], layer].concat(),
                    secret_ids: recipe.secret_ids.clone(),
                    ..Image::default()
                },
            };
            let request = ImageGetOrCreateRequest {
                image: Some(image),
                app_id: app_id.to_owned(),
                force_build: recipe.force,
                namespace: DeploymentNamespace::Workspace.into(),
                builder_version: builder_version.clone(),
                ignore_cache: false,
            };
            let call = async |mut control: Control, request| control.image_get_or_create(request).await;
            let begun = self.unary(WHAT, request, CALL_TIMEOUT, call).await?;
            let result = match begun.result.filter(is_over) {
                Some(result) => result,
                None => self.follow_build(&begun.image_id, deadline, &mut log).await?,
            };
            check(&result)?;
            base = Some(begun.image_id);
        }
        base.ok_or_else(|| ModalError::reported(WHAT, Code::InvalidArgument, "its recipe is empty"))
    }

    async fn builder_version(&self) -> Result<String, ModalError> {
        let request = EnvironmentGetOrCreateRequest {
            deployment_name: self.environment().to_owned(),
            ..EnvironmentGetOrCreateRequest::default()
        };
        let call = async |mut control: Control, request| control.environment_get_or_create(request).await;
        let answer = self.unary("read the environment", request, CALL_TIMEOUT, call).await?;
        let own =
            answer.metadata.and_then(|data| data.settings).map(|settings| settings.image_builder_version);
        Ok(usable_version(own.as_deref().unwrap_or_default()))
    }

    /// Reads the logs of one layer to its result.
    async fn follow_build(
        &self,
        image_id: &str,
        deadline: Instant,
        log: &mut (impl FnMut(&str) + Send),
    ) -> Result<GenericResult, ModalError> {
        let mut place = Place::default();
        loop {
            if Instant::now() >= deadline {
                let text = "it took longer than it may; raise the limit, or make the recipe do less";
                return Err(ModalError::reported(WHAT, Code::Aborted, text));
            }
            let request = ImageJoinStreamingRequest {
                image_id: image_id.to_owned(),
                timeout: JOIN_SECONDS,
                last_entry_id: place.last_entry.clone(),
                include_logs_for_finished: place.reopened,
            };
            let call = async |mut control: Control, request| control.image_join_streaming(request).await;
            let outcome = match self.streaming(WHAT, request, call).await {
                Ok(stream) => read_logs(stream, deadline, &mut place, log).await,
                Err(status) => Err(status),
            };
            match outcome {
                Ok(()) => {}
                Err(status) => {
                    let retry_after = status::retry_after(&status);
                    match place.cursor.reopen_after(&ROUTER, status.code(), retry_after) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(ModalError::new(WHAT, &status, retry_after)),
                    }
                    place.reopened = true;
                    continue;
                }
            }
            if let Some(result) = place.result.take() {
                return Ok(result);
            }
        }
    }
}

/// How far a build's logs were read.
#[derive(Default)]
struct Place {
    last_entry: String,
    /// Cut before: what was missed is wanted also of a build that has ended meanwhile.
    reopened: bool,
    result: Option<GenericResult>,
    cursor: Cursor,
}

async fn read_logs(
    mut stream: tonic::Streaming<ImageJoinStreamingResponse>,
    deadline: Instant,
    place: &mut Place,
    log: &mut (impl FnMut(&str) + Send),
) -> Result<(), Status> {
    loop {
        let silence = JOIN_SILENCE.min(deadline.saturating_duration_since(Instant::now()));
        let Ok(message) = tokio::time::timeout(silence, stream.message()).await else { return Ok(()) };
        let Some(message) = message? else { return Ok(()) };
        place.cursor.advance(0);
        for piece in &message.task_logs {
            if !piece.data.is_empty() {
                log(&piece.data);
            }
        }
        if !message.entry_id.is_empty() {
            place.last_entry = message.entry_id;
        }
        // Logs may follow the result, so the stream is read to its end.
        if let Some(result) = message.result.filter(is_over) {
            place.result = Some(result);
        }
        if message.eof {
            return Ok(());
        }
    }
}

/// The base by itself, and everything above it as a second layer: the base is shared by all recipes that begin with it.
fn layers(commands: &[String]) -> Vec<Vec<String>> {
    match commands.split_first() {
        None => Vec::new(),
        Some((base, [])) => vec![vec![base.clone()]],
        Some((base, rest)) => vec![vec![base.clone()], rest.to_vec()],
    }
}

fn is_over(result: &GenericResult) -> bool {
    result.status != i32::from(GenericStatus::Unspecified)
}

fn check(result: &GenericResult) -> Result<(), ModalError> {
    let why = match GenericStatus::try_from(result.status) {
        Ok(GenericStatus::Success) => return Ok(()),
        Ok(GenericStatus::Failure) if !result.exception.is_empty() => result.exception.clone(),
        Ok(GenericStatus::Failure) => "a command failed; its log says more".to_owned(),
        Ok(GenericStatus::Timeout) => "it took longer than Modal allows".to_owned(),
        Ok(
            GenericStatus::Unspecified
            | GenericStatus::Terminated
            | GenericStatus::InitFailure
            | GenericStatus::InternalFailure
            | GenericStatus::IdleTimeout
            | GenericStatus::MemoryManagerEviction
            | GenericStatus::MemoryThrashingEviction
            | GenericStatus::KernelOomKill,
        )
        | Err(_) => exit::describe(result),
    };
    Err(ModalError::reported(WHAT, Code::Aborted, why))
}

/// Versions are years with months, so they sort as text; the preview is newer than all.
fn usable_version(own: &str) -> String {
    let usable = own == "PREVIEW" || (own.starts_with("20") && own >= BUILDER_VERSION_MIN);
    if usable { own.to_owned() } else { BUILDER_VERSION_MIN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_a_layer_of_its_own() {
        let commands = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(layers(&[]).is_empty());
        assert_eq!(layers(&commands(&["FROM a"])), [commands(&["FROM a"])]);
        let two = layers(&commands(&["FROM a", "RUN b", "WORKDIR /c"]));
        assert_eq!(two, [commands(&["FROM a"]), commands(&["RUN b", "WORKDIR /c"])]);
    }

    #[test]
    fn an_old_builder_is_not_used() {
        for (own, used) in [
            ("", "2025.06"),
            ("2024.10", "2025.06"),
            ("2025.06", "2025.06"),
            ("2026.10", "2026.10"),
            ("PREVIEW", "PREVIEW"),
            ("x", "2025.06"),
        ] {
            assert_eq!(usable_version(own), used, "{own}");
        }
    }

    #[test]
    fn a_failed_build_says_why() {
        let result = |status, exception: &str| GenericResult {
            status,
            exception: exception.to_owned(),
            ..GenericResult::default()
        };
        assert!(check(&result(1, "")).is_ok());
        let said = check(&result(2, "RUN false: exit code 1")).unwrap_err().to_string();
        assert_eq!(said, "could not build the image at Modal: RUN false: exit code 1");
        assert!(check(&result(8, "")).unwrap_err().to_string().contains("no memory left"));
    }
}
