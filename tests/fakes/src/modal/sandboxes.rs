//! A sandbox: a folder, processes, a name and tags. One task watches over each: it ends with its first process, its lifetime, a call
//! or what a test orders, and then nothing of it runs.

use super::commands::Command;
use super::images::{Image, Settings};
use super::process::{self, Exit, Order, Process, ProcessInput};
use super::service::{Service, copy_folder, random_id, remove_folder, variables};
use super::view;
use modal_api::{
    GenericResult, GenericStatus, NetworkAccess, NetworkAccessType, Sandbox as Definition,
    SandboxCreateV2Request, SandboxTag, SecretSource,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;

const ARGUMENT_BYTES_MAX: usize = 65_536;
const LIFE_SECONDS_MAX: u32 = 24 * 60 * 60;
const LIFE_SECONDS: u32 = 300;
/// What keeps a sandbox of an image without a command.
const DEFAULT_COMMAND: [&str; 2] = ["sleep", "172800"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One sandbox that runs, or ran.
pub(super) struct Sandbox {
    pub(super) id: String,
    pub(super) task_id: String,
    pub(super) app_id: String,
    /// Unix seconds; no two sandboxes have the same.
    pub(super) created_at: f64,
    pub(super) definition: Definition,
    pub(super) folder: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) workdir: String,
    pub(super) image: Settings,
    /// Image id by snapshot id; held while one is taken.
    pub(super) snapshots: tokio::sync::Mutex<BTreeMap<String, String>>,
    pub(super) exit_snapshot: Mutex<Option<Result<String, String>>>,
    labels: Mutex<Labels>,
    commands: Mutex<BTreeMap<String, Arc<Command>>>,
    first: Mutex<Option<(Arc<Process>, ProcessInput)>>,
    running_commands: watch::Sender<usize>,
    /// Whether the start is over, well or not.
    started: watch::Sender<bool>,
    ordered_end: watch::Sender<Option<GenericResult>>,
    result: watch::Sender<Option<GenericResult>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    pub(super) name: String,
    pub(super) tags: Vec<SandboxTag>,
    pub(super) network: NetworkAccess,
}

/// Counts as activity until it is dropped.
pub(super) struct Active<'a>(&'a watch::Sender<usize>);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Sandbox {
    pub(super) fn result(&self) -> Option<GenericResult> {
        self.result.borrow().clone()
    }

    /// Nothing runs inside before the start is over; whoever comes early waits.
    pub(super) async fn until_started(&self) {
        // The sender is the sandbox's own.
        drop(self.started.subscribe().wait_for(|is_over| *is_over).await);
    }

    pub(super) fn labels(&self) -> MutexGuard<'_, Labels> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn commands(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Command>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn first_process(&self) -> Option<Arc<Process>> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map(|(process, _)| Arc::clone(process))
    }

    pub(super) fn active(&self) -> Active<'_> {
        self.running_commands.send_modify(|count| *count += 1);
        Active(&self.running_commands)
    }

    /// Waits for its end; `None` when it still runs by then.
    pub(super) async fn wait(&self, timeout: Duration) -> Option<GenericResult> {
        let mut result = self.result.subscribe();
        let ended = tokio::time::timeout(timeout, result.wait_for(Option::is_some)).await;
        ended.ok()?.ok()?.clone()
    }

    /// Ends it with that result, and waits until nothing of it runs. What has ended keeps its result.
    pub(super) async fn end(&self, result: GenericResult) {
        self.ordered_end.send_if_modified(|ordered| {
            let is_first = ordered.is_none();
            ordered.get_or_insert(result);
            is_first
        });
        let _ = self.result.subscribe().wait_for(Option::is_some).await;
    }

    async fn is_idle_for(&self, service: &Service, seconds: Option<u32>) {
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else {
            return std::future::pending().await;
        };
        let mut running = self.running_commands.subscribe();
        loop {
            let _ = running.wait_for(|count| *count == 0).await;
            let until = service.clock.now() + Duration::from_secs(seconds.into());
            tokio::select! {
                () = service.clock.sleep_until(until) => return,
                _ = running.changed() => {}
            }
        }
    }
}

fn ended(status: GenericStatus, exception: &str) -> GenericResult {
    GenericResult { status: status.into(), exception: exception.to_owned(), ..GenericResult::default() }
}

/// The end that a call to terminate leads to.
pub(super) fn terminated() -> GenericResult {
    GenericResult { exitcode: 137, ..ended(GenericStatus::Terminated, "Sandbox was terminated") }
}

fn of_exit(exit: Exit) -> GenericResult {
    match exit {
        Exit::Code(0) => ended(GenericStatus::Success, ""),
        Exit::Code(code) => GenericResult { exitcode: code, ..ended(GenericStatus::Failure, "") },
        Exit::Signal(signal) => GenericResult { exitcode: 128 + signal, ..ended(GenericStatus::Failure, "") },
    }
}

impl Service {
    pub(super) fn sandbox(&self, sandbox_id: &str) -> Result<Arc<Sandbox>, Status> {
        let found = self.lock().sandboxes.get(sandbox_id).cloned();
        found.ok_or_else(|| Status::not_found(format!("Sandbox {sandbox_id} not found")))
    }

    /// The running sandbox that a task is.
    pub(super) fn task(&self, task_id: &str) -> Result<Arc<Sandbox>, Status> {
        let state = self.lock();
        let found = state.sandboxes.values().find(|sandbox| sandbox.task_id == task_id);
        found
            .filter(|sandbox| sandbox.result().is_none())
            .cloned()
            .ok_or_else(|| Status::not_found(format!("Task {task_id} not found")))
    }

    /// Creates a sandbox, having claimed its name before anything else is done.
    pub(super) async fn create_sandbox(
        self: &Arc<Self>,
        request: SandboxCreateV2Request,
    ) -> Result<Arc<Sandbox>, Status> {
        let definition =
            request.definition.ok_or_else(|| Status::invalid_argument("the sandbox has no definition"))?;
        check(&definition)?;
        let image = self.usable_image(&definition.image_id)?;
        let settings = image.settings();
        let id = format!("{}V", random_id("sb-"));
        let task_id = format!("{}V", random_id("ta-"));
        let environment = self.environment(&task_id, &settings, &request.secret_sources)?;
        for secret_id in &definition.secret_ids {
            self.secret(secret_id)?;
        }
        let workdir =
            definition.workdir.clone().or(settings.workdir.clone()).unwrap_or_else(|| "/".to_owned());
        let sandbox = Sandbox {
            folder: self.folder.join(&id),
            id,
            task_id,
            app_id: request.app_id,
            created_at: self.next_timestamp(),
            labels: Mutex::new(Labels {
                name: definition.name.clone().unwrap_or_default(),
                tags: request.tags,
                network: definition.network_access.clone().unwrap_or_default(),
            }),
            definition,
            environment,
            workdir,
            image: settings,
            snapshots: tokio::sync::Mutex::default(),
            exit_snapshot: Mutex::default(),
            commands: Mutex::default(),
            first: Mutex::default(),
            running_commands: watch::channel(0).0,
            started: watch::channel(false).0,
            ordered_end: watch::channel(None).0,
            result: watch::channel(None).0,
        };
        let sandbox = self.claim(sandbox)?;
        // A caller that hangs up does not stop what has begun.
        let starting = Arc::clone(self).start_sandbox(Arc::clone(&sandbox), image);
        tokio::spawn(starting).await.map_err(|error| Status::internal(error.to_string()))?;
        Ok(sandbox)
    }

    async fn start_sandbox(self: Arc<Self>, sandbox: Arc<Sandbox>, image: Arc<Image>) {
        let booted = match copy_folder(&image.folder, &sandbox.folder).await {
            Ok(()) => self.boot(&sandbox),
            Err(error) => Err(error),
        };
        match booted {
            Ok(first) => {
                sandbox.started.send_replace(true);
                tokio::spawn(async move { self.watch_over(&sandbox, &first).await });
            }
            Err(error) => {
                let result = ended(GenericStatus::InitFailure, &error.to_string());
                sandbox.result.send_replace(Some(result));
                sandbox.started.send_replace(true);
            }
        }
    }

    /// Later ones win: what every sandbox has, the image's, what the caller gives.
    fn environment(
        &self,
        task_id: &str,
        image: &Settings,
        sources: &[SecretSource],
    ) -> Result<BTreeMap<String, String>, Status> {
        let usual = [("PATH", PATH), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("MODAL_TASK_ID", task_id)];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut environment = BTreeMap::from(usual);
        environment.extend(image.environment.clone());
        environment.extend(variables(self, sources)?);
        Ok(environment)
    }

    fn claim(&self, sandbox: Sandbox) -> Result<Arc<Sandbox>, Status> {
        let mut state = self.lock();
        if !state.apps.values().any(|app| app.id == sandbox.app_id) {
            return Err(Status::not_found(format!("App {} not found", sandbox.app_id)));
        }
        let name = sandbox.labels().name.clone();
        if !name.is_empty() && state.named(&sandbox.app_id, &name).is_some() {
            let message = format!("Sandbox with name '{name}' already exists");
            return Err(Status::already_exists(message));
        }
        let sandbox = Arc::new(sandbox);
        state.sandboxes.insert(sandbox.id.clone(), Arc::clone(&sandbox));
        Ok(sandbox)
    }

    /// Gives a sandbox without name one: the claim that only one caller wins.
    pub(super) fn set_name(&self, sandbox_id: &str, name: &str) -> Result<(), Status> {
        let sandbox = self.sandbox(sandbox_id)?;
        let state = self.lock();
        if sandbox.result().is_some() {
            return Err(Status::failed_precondition(format!("Sandbox {sandbox_id} has ended")));
        }
        let current = sandbox.labels().name.clone();
        if current == name {
            return Ok(());
        }
        if !current.is_empty() {
            return Err(Status::failed_precondition(format!(
                "Sandbox {sandbox_id} has the name '{current}'"
            )));
        }
        if state.named(&sandbox.app_id, name).is_some() {
            return Err(Status::already_exists(format!("Sandbox with name '{name}' already exists")));
        }
        name.clone_into(&mut sandbox.labels().name);
        Ok(())
    }

    fn boot(&self, sandbox: &Sandbox) -> Result<Arc<Process>, std::io::Error> {
        view::prepare(&sandbox.folder).map_err(std::io::Error::other)?;
        std::fs::create_dir_all(sandbox.folder.join(sandbox.workdir.trim_start_matches('/')))?;
        let given = [&sandbox.definition.entrypoint_args, &sandbox.image.command];
        let given = given.into_iter().find(|arguments| !arguments.is_empty());
        let arguments = given.cloned().unwrap_or_else(|| DEFAULT_COMMAND.map(str::to_owned).to_vec());
        let order = Order {
            sandbox_id: &sandbox.id,
            root: &sandbox.folder,
            machine_folders: &self.options.machine_folders,
            arguments: &arguments,
            environment: &sandbox.environment,
            workdir: &sandbox.workdir,
            terminal: None,
            ports: &self.options.ports,
        };
        let (process, input) = self.start_process(&order, self.options.kept_output_bytes)?;
        let process = Arc::new(process);
        let mut first = sandbox.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some((Arc::clone(&process), input));
        Ok(process)
    }

    async fn watch_over(&self, sandbox: &Sandbox, first: &Process) {
        let definition = &sandbox.definition;
        let life = if definition.timeout_secs == 0 { LIFE_SECONDS } else { definition.timeout_secs };
        // From its creation, however late this task begins.
        let end = Duration::from_secs_f64(sandbox.created_at) + Duration::from_secs(life.into());
        let mut ordered = sandbox.ordered_end.subscribe();
        let result = tokio::select! {
            exit = first.ended() => of_exit(exit),
            () = self.clock.sleep_until(end) => ended(GenericStatus::Timeout, "Sandbox timed out"),
            () = sandbox.is_idle_for(self, definition.idle_timeout_secs) => {
                ended(GenericStatus::IdleTimeout, "Sandbox was idle for too long")
            }
            result = ordered.wait_for(Option::is_some) => {
                result.ok().and_then(|result| result.clone()).unwrap_or_else(terminated)
            }
        };
        first.kill();
        for command in sandbox.commands().values() {
            command.process.kill();
        }
        process::sweep(&sandbox.id);
        let wants_snapshot = definition.experimental_options_v2.get("enable_exit_snapshot");
        if wants_snapshot.is_some_and(|value| value == "True") {
            let saved = self.save_image(&sandbox.folder, sandbox.image.clone(), None).await;
            let saved = saved.map(|image| image.id.clone()).map_err(|status| status.message().to_owned());
            *sandbox.exit_snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
        }
        remove_folder(&sandbox.folder);
        sandbox.result.send_replace(Some(result));
    }
}

fn check(definition: &Definition) -> Result<(), Status> {
    let refuse = |message: &str| Err(Status::invalid_argument(message));
    if definition.entrypoint_args.iter().map(String::len).sum::<usize>() > ARGUMENT_BYTES_MAX {
        return refuse("the arguments are too long");
    }
    if definition.timeout_secs > LIFE_SECONDS_MAX {
        return refuse("timeout must be at most 24 hours");
    }
    if definition.workdir.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return refuse("workdir must be absolute");
    }
    let name = definition.name.as_deref().unwrap_or_default();
    if name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return refuse("a name has at most 64 of [a-zA-Z0-9-_.]");
    }
    let Some(network) = &definition.network_access else { return refuse("network_access is missing") };
    if network.network_access_type() == NetworkAccessType::Unspecified {
        return refuse("network_access has no type");
    }
    let resources = definition.resources.unwrap_or_default();
    let is_below = |max: u32, request: u32| max != 0 && max < request;
    if is_below(resources.memory_mb_max, resources.memory_mb)
        || is_below(resources.milli_cpu_max, resources.milli_cpu)
    {
        return refuse("a limit is below what is requested");
    }
    Ok(())
}
