//! A stand-in for Modal: both gRPC services on loopback, sandboxes that are folders and processes of this machine.
//!
//! It does what is known of Modal: names as claims, lifetimes, snapshots with an end, commands with resumable output, builds with
//! logs. Networks are recorded, not held, but see [`ModalOptions::ports`]; image builds run nothing. A test scripts faults, moves the
//! clock, and reads the calls.

mod calls;
mod clock;
mod commands;
mod control;
mod dicts;
mod dockerfile;
mod images;
mod network;
mod output;
mod process;
mod router;
mod sandboxes;
mod service;
mod state;
mod token;
mod view;

pub use calls::{Call, Fault};
pub use clock::Clock;

use crate::FakesError;
use calls::Calls;
use modal_api::{
    GenericResult, GenericStatus, NetworkAccess, SandboxTag, command_router, control as control_plane,
};
use sandboxes::terminated;
use service::Service;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use token::Tokens;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::server::TcpIncoming;

const MESSAGE_BYTES_MAX: usize = 100 * 1024 * 1024;
const REMOVALS_MAX: usize = 100;
const BASE_IMAGES: [&str; 8] = ["alpine", "debian", "golang", "node", "python", "ruby", "rust", "ubuntu"];

/// How the stand-in differs from its usual ways.
#[derive(Clone, Debug)]
pub struct ModalOptions {
    /// Life of the tokens that clients get.
    pub auth_token_life: Duration,
    /// Life of the tokens for command routers.
    pub router_token_life: Duration,
    /// Sandboxes in one answer to a list.
    pub page_size: usize,
    /// How much is kept of what a sandbox's first process writes.
    pub kept_output_bytes: usize,
    /// Images of public registries, without tag, that exist.
    pub base_images: Vec<String>,
    /// Folders of this machine, beside the usual ones, that sandboxes see at the same place, read-only.
    pub machine_folders: Vec<PathBuf>,
    /// Ports of this machine's loopback. Where any are given, the first process of each sandbox, and what that starts, has a network of
    /// its own, from which these are all that it reaches; else all sandboxes share the machine's network and its ports.
    pub ports: Vec<u16>,
    /// How long each command of a build takes.
    pub build_step: Duration,
    /// How much later calls begin, by method; such as what was measured of the real service.
    pub latencies: BTreeMap<&'static str, Duration>,
    /// Each call begins up to so much later, a random part of it: callers meet in ever new orders.
    pub jitter: Duration,
}

impl Default for ModalOptions {
    fn default() -> Self {
        Self {
            auth_token_life: Duration::from_secs(20 * 60),
            router_token_life: Duration::from_secs(60 * 60),
            page_size: 100,
            kept_output_bytes: 1024 * 1024,
            base_images: BASE_IMAGES.map(str::to_owned).to_vec(),
            machine_folders: Vec::new(),
            ports: Vec::new(),
            build_step: Duration::ZERO,
            latencies: BTreeMap::new(),
            jitter: Duration::ZERO,
        }
    }
}

/// A sandbox, as the stand-in knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeSandbox {
    /// `sb-…`.
    pub sandbox_id: String,
    /// Empty when it has none.
    pub name: String,
    /// In the order of the call that set them.
    pub tags: Vec<SandboxTag>,
    /// What it may reach; not held.
    pub network: NetworkAccess,
    /// How it ended, if it has.
    pub result: Option<GenericResult>,
    /// Its files on this machine, while it runs.
    pub folder: PathBuf,
    /// As its first process got it.
    pub environment: BTreeMap<String, String>,
}

/// A running stand-in. Everything in it ends with it.
pub struct ModalFake {
    service: Arc<Service>,
    url: String,
    _stop: [oneshot::Sender<()>; 2],
    _folder: TempDir,
}

impl std::fmt::Debug for ModalFake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModalFake").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for ModalFake {
    fn drop(&mut self) {
        // Nothing starts while the lock is held, nor afterwards.
        let mut state = self.service.lock();
        state.is_closed = true;
        for sandbox in state.sandboxes.values().filter(|sandbox| sandbox.result().is_none()) {
            process::sweep(&sandbox.id);
        }
        drop(state);
        // Tasks that look after sandboxes remove folders at the same moment, and a removal that meets another one stops half-way.
        for _ in 0..REMOVALS_MAX {
            if !self.service.folder.exists() || std::fs::remove_dir_all(&self.service.folder).is_ok() {
                break;
            }
        }
    }
}

impl ModalFake {
    /// Starts both services with their usual ways.
    pub async fn start() -> Result<Self, FakesError> {
        Self::start_with(ModalOptions::default()).await
    }

    /// Starts both services.
    pub async fn start_with(options: ModalOptions) -> Result<Self, FakesError> {
        let failed = |source| FakesError::File { path: std::env::temp_dir(), source };
        let folder = tempfile::Builder::new().prefix("modal-fake-").tempdir().map_err(failed)?;
        view::probe(folder.path()).await?;
        let (control, url) = crate::server::listen(0).await?;
        let (router, router_url) = crate::server::listen(0).await?;
        let service = Arc::new(Service {
            folder: folder.path().to_owned(),
            clock: Clock::new(),
            calls: Calls::new(options.latencies.clone(), options.jitter),
            tokens: Tokens::new(),
            state: Mutex::default(),
            router_url,
            options,
        });
        let plane = control_plane::Server::new(control::Control(Arc::clone(&service)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let workers = command_router::Server::new(router::Router(Arc::clone(&service)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let stop = [
            serve(tonic::transport::Server::builder().add_service(plane), control),
            serve(tonic::transport::Server::builder().add_service(workers), router),
        ];
        Ok(Self { service, url, _stop: stop, _folder: folder })
    }

    /// The control plane, such as for `MODAL_SERVER_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The command router of all sandboxes.
    #[must_use]
    pub fn router_url(&self) -> &str {
        &self.service.router_url
    }

    /// `ak-…`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.service.tokens.token_id
    }

    /// `as-…`.
    #[must_use]
    pub fn token_secret(&self) -> &str {
        &self.service.tokens.token_secret
    }

    /// Its time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.service.clock
    }

    /// Lets the next `times` calls of a method go wrong, after those that were scripted before.
    pub fn script(&self, method: &str, times: usize, fault: &Fault) {
        self.service.calls.script(method, times, fault);
    }

    /// All calls so far, refused ones too.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.service.calls.recorded()
    }

    /// The calls of one method.
    #[must_use]
    pub fn calls_of(&self, method: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.method == method).collect()
    }

    /// Names of the methods that were called, in order.
    #[must_use]
    pub fn methods(&self) -> Vec<&'static str> {
        self.calls().iter().map(|call| call.method).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.service.calls.forget();
    }

    /// All sandboxes that ever were, in the order of their creation.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<FakeSandbox> {
        let mut all: Vec<_> = self.service.lock().sandboxes.values().cloned().collect();
        all.sort_by(|one, other| one.created_at.total_cmp(&other.created_at));
        all.iter().map(|sandbox| describe(sandbox)).collect()
    }

    /// Those that run.
    #[must_use]
    pub fn running(&self) -> Vec<FakeSandbox> {
        self.sandboxes().into_iter().filter(|sandbox| sandbox.result.is_none()).collect()
    }

    /// One of them.
    #[must_use]
    pub fn sandbox(&self, sandbox_id: &str) -> Option<FakeSandbox> {
        self.service.sandbox(sandbox_id).ok().map(|sandbox| describe(&sandbox))
    }

    /// Ends a sandbox as the service would, such as with `KernelOomKill`. Does nothing when it has ended.
    pub async fn end(&self, sandbox_id: &str, status: GenericStatus, exception: &str) {
        if let Ok(sandbox) = self.service.sandbox(sandbox_id) {
            let result =
                GenericResult { status: status.into(), exception: exception.to_owned(), ..terminated() };
            sandbox.end(result).await;
        }
    }

    /// Takes a sandbox's machine away.
    pub async fn preempt(&self, sandbox_id: &str) {
        self.end(sandbox_id, GenericStatus::Terminated, "Sandbox was preempted").await;
    }

    /// Ids of the images and snapshots that are there.
    #[must_use]
    pub fn images(&self) -> Vec<String> {
        let ids: Vec<String> = self.service.lock().images.keys().cloned().collect();
        ids.into_iter().filter(|id| self.service.image(id).is_ok()).collect()
    }

    /// When a snapshot ends, by the clock; `None` for never.
    #[must_use]
    pub fn expires_at(&self, image_id: &str) -> Option<Duration> {
        self.service.lock().images.get(image_id).and_then(|image| image.expires_at)
    }

    /// Removes an image or a snapshot, as the end of its time does.
    pub fn expire_image(&self, image_id: &str) {
        // One that is not there has expired already.
        let _ = self.service.remove_image(image_id);
    }

    /// Lets every `RUN` of coming builds that contains `part` print `output` and fail.
    pub fn fail_command(&self, part: &str, output: &str) {
        self.service.lock().failing.push((part.to_owned(), output.to_owned()));
    }

    /// Makes all tokens worthless that clients and command routers were given.
    pub fn revoke_tokens(&self) {
        self.service.tokens.revoke();
    }
}

fn describe(sandbox: &sandboxes::Sandbox) -> FakeSandbox {
    let sandboxes::Labels { name, tags, network } = sandbox.labels().clone();
    FakeSandbox {
        sandbox_id: sandbox.id.clone(),
        name,
        tags,
        network,
        result: sandbox.result(),
        folder: sandbox.folder.clone(),
        environment: sandbox.environment.clone(),
    }
}

/// Serves until the answer is dropped.
fn serve(router: tonic::transport::server::Router, listener: TcpListener) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::select! {
            _ = router.serve_with_incoming(incoming) => {}
            _ = stopped => {}
        }
    });
    stop
}
