//! The local provider: sandboxes on this machine, in namespaces of their own, as an account without privileges.
//!
//! Keeps nothing in memory that the state directory and the running processes cannot give back: a new bridge adopts the
//! sandboxes of the one before. Where the kernel has no namespaces it refuses, unless plain processes were asked for.

mod adopt;
mod boot;
mod cgroup;
mod copy;
mod layers;
mod layout;
mod preflight;
mod process;
mod remove;
mod sandbox;
mod socket;
mod state;

pub use crate::launcher::Account;
pub use preflight::{Check, Preflight, preflight};

use super::{BootSecrets, ProviderError, SandboxExit, SandboxProvider, SandboxRecord};
use crate::launcher::LaunchReport;
use axum::Router;
use cgroup::{Cgroups, Group};
use layers::ChainError;
use layout::{BASE_LAYER, Layout};
use protocol::bridge::{Capabilities, CreateSandboxRequest, SandboxSource, SnapshotTaken};
use protocol::id::{SandboxId, SnapshotId};
use protocol::timeline::Isolation;
use sandbox::{Ending, Running};
use socket::Door;
use state::SandboxState;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// The account of sandboxes where the bridge is root, unless configured otherwise.
pub const DEFAULT_ACCOUNT: Account = Account { uid: 61184, gid: 61184 };
/// Ends that wait for the hub to take them.
const EXITS_MAX: usize = 1024;
/// How long a used-up id is refused.
const ENDED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the local provider needs to know.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Sandboxes and snapshots; on a file system with `user.*` attributes.
    pub state_dir: PathBuf,
    /// The static runner binary.
    pub runner: PathBuf,
    /// OpenCode, where the agent is used.
    pub opencode: Option<PathBuf>,
    /// Plain processes are accepted where namespaces are missing.
    pub weak_sandbox: bool,
    /// Plain processes even where namespaces are there; for tests of that tier.
    pub force_weak: bool,
    /// Whom sandboxes run as when the bridge is root; otherwise they run as the bridge's own account.
    pub account: Account,
    /// More of the host inside every sandbox, read-only.
    pub tool_mounts: Vec<ToolMount>,
    /// What is started as the launcher: this very binary.
    pub launcher: PathBuf,
    /// What PID 1 executes, by its path inside.
    pub command: Vec<String>,
    /// What runs in place of the runner in the weak tier.
    pub weak_command: Option<Vec<String>>,
}

impl LocalConfig {
    /// The usual settings around a state directory and a runner.
    #[must_use]
    pub fn new(state_dir: PathBuf, runner: PathBuf) -> Self {
        Self {
            state_dir,
            runner,
            opencode: None,
            weak_sandbox: false,
            force_weak: false,
            account: DEFAULT_ACCOUNT,
            tool_mounts: Vec::new(),
            launcher: PathBuf::from("/proc/self/exe"),
            command: vec!["/opt/farhand/bin/runner".to_owned(), "init".to_owned()],
            weak_command: None,
        }
    }
}

/// A directory or file of the host that every sandbox sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolMount {
    /// On the host; symbolic links are followed once, at the start.
    pub host: PathBuf,
    /// Inside, absolute; not within a place that the sandbox can write.
    pub inside: PathBuf,
}

/// Why the provider could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory is not usable.
    #[error("could not use the state directory {path}")]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A binary that sandboxes need is not usable.
    #[error("could not provide {what} to sandboxes")]
    Tool {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How sandboxes are kept apart on this machine.
#[derive(Clone, Debug)]
pub(crate) enum Tier {
    /// As they should be.
    Namespaces {
        /// Whether memory is limited for a sandbox as a whole.
        group_memory: bool,
    },
    /// As plain processes of this account.
    Weak {
        /// Whom they run as; the bridge itself where its state directory is closed to others.
        account: Account,
        /// Whether memory is limited for a sandbox as a whole.
        group_memory: bool,
    },
    /// Not at all, for this reason.
    Refused {
        /// For humans, with the remedy.
        reason: String,
    },
}

impl Tier {
    fn group_limits_memory(&self) -> bool {
        match self {
            Self::Namespaces { group_memory } | Self::Weak { group_memory, .. } => *group_memory,
            Self::Refused { .. } => false,
        }
    }

    fn account(&self, usual: Account) -> Account {
        match self {
            Self::Weak { account, .. } => *account,
            Self::Namespaces { .. } | Self::Refused { .. } => usual,
        }
    }
}

/// Sandboxes on this machine.
#[derive(Clone)]
pub struct LocalProvider {
    inner: Arc<Inner>,
    exits: Arc<Mutex<Option<mpsc::Receiver<SandboxExit>>>>,
}

pub(crate) struct Inner {
    config: LocalConfig,
    layout: Layout,
    tier: Tier,
    preflight: Preflight,
    cgroups: Cgroups,
    inside: Router,
    sandboxes: Mutex<HashMap<SandboxId, Arc<Slot>>>,
    exits: mpsc::Sender<SandboxExit>,
    layers: Mutex<()>,
    trash: Mutex<()>,
}

/// The place of one id: whoever changes it holds the gate.
#[derive(Default)]
struct Slot {
    gate: tokio::sync::Mutex<()>,
    running: Mutex<Option<Arc<Running>>>,
}

impl Slot {
    fn running(&self) -> Option<Arc<Running>> {
        lock(&self.running).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalProvider {
    /// Opens the state directory, tries what this machine can do, adopts the sandboxes of an earlier bridge, and cleans up
    /// behind those that are gone. `inside` is what sandboxes reach as their bridge. Blocks for some milliseconds.
    pub fn start(mut config: LocalConfig, inside: Router) -> Result<Self, StartError> {
        let own = Account {
            uid: nix::unistd::Uid::effective().as_raw(),
            gid: nix::unistd::Gid::effective().as_raw(),
        };
        if own.uid != 0 {
            config.account = own;
        }
        let path = config.state_dir.clone();
        let in_state = |source| StartError::State { path: path.clone(), source };
        let layout = Layout::open(&config.state_dir, config.account).map_err(in_state)?;
        install_tools(&mut config, &layout)?;
        let cgroups = Cgroups::open(layout.root());
        let preflight = preflight(layout.root(), &config.launcher, config.account).map_err(in_state)?;
        let tier = choose_tier(&config, &layout, &preflight, own);
        let (exits, received) = mpsc::channel(EXITS_MAX);
        let inner = Arc::new(Inner {
            config,
            layout,
            tier,
            preflight,
            cgroups,
            inside,
            sandboxes: Mutex::default(),
            exits,
            layers: Mutex::default(),
            trash: Mutex::default(),
        });
        adopt::adopt_all(&inner).map_err(in_state)?;
        let cleaner = Arc::clone(&inner);
        tokio::spawn(async move { cleaner.empty_trash().await });
        Ok(Self { inner, exits: Arc::new(Mutex::new(Some(received))) })
    }

    /// What was tried at the start, and how it went.
    #[must_use]
    pub fn preflight(&self) -> &Preflight {
        &self.inner.preflight
    }
}

fn install_tools(config: &mut LocalConfig, layout: &Layout) -> Result<(), StartError> {
    let install = |path: &PathBuf, name: &str| {
        layout.install_tool(path, name).map_err(|source| StartError::Tool { what: name.to_owned(), source })
    };
    install(&config.runner, "runner")?;
    if let Some(opencode) = &config.opencode {
        install(opencode, "opencode")?;
    }
    for mount in &mut config.tool_mounts {
        let what = mount.host.display().to_string();
        mount.host =
            std::fs::canonicalize(&mount.host).map_err(|source| StartError::Tool { what, source })?;
    }
    Ok(())
}

fn choose_tier(config: &LocalConfig, layout: &Layout, preflight: &Preflight, own: Account) -> Tier {
    let group_memory = preflight.group_limits.iter().any(|name| name == "memory");
    if preflight.namespaces && !config.force_weak {
        return Tier::Namespaces { group_memory };
    }
    if config.weak_sandbox || config.force_weak {
        let account = if boot::can_enter(layout.root(), config.account) { config.account } else { own };
        return Tier::Weak { account, group_memory };
    }
    let reason = preflight.missing().first().cloned().unwrap_or_default();
    Tier::Refused {
        reason: format!(
            "This machine cannot isolate sandboxes: {reason} Or accept plain processes, which can read what the bridge's \
             account can read, with --weak-sandbox."
        ),
    }
}

impl Inner {
    fn layers_lock(&self) -> MutexGuard<'_, ()> {
        lock(&self.layers)
    }

    fn slot(&self, id: &SandboxId) -> Arc<Slot> {
        Arc::clone(lock(&self.sandboxes).entry(id.clone()).or_default())
    }

    /// Drops an id from memory and disk; its directory goes to the trash.
    fn forget(&self, id: &SandboxId) {
        let outcome = self.layout.mark_ended(id).and_then(|()| {
            self.layout.keep_log(id);
            self.layout.discard(&self.layout.sandbox(id))
        });
        if let Err(error) = outcome {
            tracing::error!(sandbox_id = %id, %error, "could not clean up behind a sandbox");
        }
        lock(&self.sandboxes).remove(id);
        let _layers = self.layers_lock();
        if let Err(error) = layers::sweep(&self.layout) {
            tracing::warn!(%error, "could not sweep unused snapshots");
        }
    }

    /// Deletes what was discarded, on a thread of its own.
    async fn empty_trash(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let emptied = tokio::task::spawn_blocking(move || {
            let _one = lock(&inner.trash);
            inner.layout.empty_trash()
        });
        if let Ok(Err(error)) = emptied.await {
            tracing::warn!(%error, "could not empty the trash; it is tried again later");
        }
    }

    fn add(self: &Arc<Self>, running: Arc<Running>) {
        let slot = self.slot(&running.state.sandbox_id);
        *lock(&slot.running) = Some(Arc::clone(&running));
        tokio::spawn(running.watch(Arc::clone(self)));
    }

    /// Opens the bridge's door of a sandbox; answers the port where it is one.
    fn open_door(&self, id: &SandboxId, port: Option<u16>) -> io::Result<(Door, Option<u16>)> {
        match self.tier {
            Tier::Weak { .. } => {
                socket::open_loopback(port, id, &self.inside).map(|(door, port)| (door, Some(port)))
            }
            Tier::Namespaces { .. } | Tier::Refused { .. } => {
                let directory = self.layout.sandbox(id).join("socket");
                Ok((socket::open_unix(&directory, self.layout.owner(), id, &self.inside)?, None))
            }
        }
    }

    /// Makes and boots a sandbox. Blocks; leaves nothing when it fails.
    fn create(
        self: &Arc<Self>,
        id: &SandboxId,
        request: &CreateSandboxRequest,
        token: &str,
    ) -> Result<Arc<Running>, ProviderError> {
        let created = self.try_create(id, request, token);
        if created.is_err() {
            let _ = self.layout.discard(&self.layout.sandbox(id));
            self.cgroups.find_group(id.as_str()).remove();
        }
        created
    }

    fn try_create(
        self: &Arc<Self>,
        id: &SandboxId,
        request: &CreateSandboxRequest,
        token: &str,
    ) -> Result<Arc<Running>, ProviderError> {
        let failed = |error: io::Error| unavailable("could not create the sandbox", error);
        let directory = self.layout.make_sandbox(id).map_err(failed)?;
        let (door, weak_port) = self.open_door(id, None).map_err(failed)?;
        let state = {
            let _layers = self.layers_lock();
            let lowers = self.lowers(request)?;
            let state = SandboxState {
                sandbox_id: id.clone(),
                request: request.clone(),
                lowers,
                created_at: state::now_ms(),
                weak_port,
            };
            // From here on the layers are known to be in use.
            state::write(&directory, &state).map_err(failed)?;
            state
        };
        if let Tier::Weak { account, .. } = &self.tier {
            layers::materialise(&self.layout, &state.lowers, &directory.join("upper"), *account)
                .map_err(failed)?;
        }
        let group = self.cgroups.make_group(id.as_str(), &request.limits).unwrap_or_else(|error| {
            tracing::warn!(sandbox_id = %id, %error, "could not limit the sandbox as a whole");
            Group::default()
        });
        let spec = boot::spec(&self.config, &self.layout, &self.tier, &state, &group, token);
        match boot::launch(self.layout.root(), &self.config.launcher, &spec).map_err(failed)?.report {
            LaunchReport::Started { process } => Running::new(state, process, group, door).map_err(failed),
            LaunchReport::Refused { refusal } => {
                Err(unavailable("could not start the sandbox", io::Error::other(refusal.message)))
            }
            LaunchReport::Probed { .. } => {
                Err(unavailable("could not start the sandbox", io::Error::other("the launcher only tried")))
            }
        }
    }

    fn lowers(&self, request: &CreateSandboxRequest) -> Result<Vec<String>, ProviderError> {
        match &request.source {
            SandboxSource::Base => Ok(vec![BASE_LAYER.to_owned()]),
            SandboxSource::Snapshot { snapshot_id } => {
                layers::chain(&self.layout, snapshot_id, &request.session_id).map_err(|error| match error {
                    ChainError::Missing(_) | ChainError::ForeignSession(_) | ChainError::Broken { .. } => {
                        ProviderError::Rejected(error.to_string())
                    }
                    ChainError::Unreadable(what, source) => {
                        unavailable(&format!("could not read the snapshot {what}"), source)
                    }
                })
            }
        }
    }
}

fn unavailable(what: &str, error: io::Error) -> ProviderError {
    ProviderError::Unavailable { what: format!("{what}: {error}"), source: error.into() }
}

/// Runs something to its end even when the caller goes away in the middle.
async fn to_the_end<T: Send + 'static>(
    what: &str,
    work: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
) -> Result<T, ProviderError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(unavailable(what, io::Error::other(error))),
    }
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(unavailable(what, io::Error::other(error))),
    }
}

impl SandboxProvider for LocalProvider {
    fn capabilities(&self) -> Capabilities {
        let mut missing = self.inner.preflight.missing();
        let isolation = match &self.inner.tier {
            Tier::Namespaces { .. } => Isolation::Namespaces,
            Tier::Weak { account, .. } => {
                missing.push(
                    "sandboxes are plain processes: nothing keeps them from this machine's files and network"
                        .to_owned(),
                );
                if account.uid == 0 {
                    missing.push(format!(
                        "sandboxes run as root, because {} is closed to other accounts; use a state directory that uid {} can enter",
                        self.inner.layout.root().display(),
                        self.inner.config.account.uid
                    ));
                }
                Isolation::Weak
            }
            Tier::Refused { reason } => {
                missing.push(reason.clone());
                Isolation::Weak
            }
        };
        missing.push("disk: single files are limited, a sandbox as a whole only when it is saved".to_owned());
        let limits =
            ["cpu", "memory"].into_iter().filter(|name| self.inner.cgroups.limits(name)).chain(["life"]);
        Capabilities {
            provider: "local".to_owned(),
            isolation,
            missing,
            limits: limits.map(str::to_owned).collect(),
        }
    }

    async fn create(
        &self,
        sandbox_id: &SandboxId,
        request: &CreateSandboxRequest,
        secrets: &BootSecrets,
    ) -> Result<SandboxRecord, ProviderError> {
        let (inner, id, request) = (Arc::clone(&self.inner), sandbox_id.clone(), request.clone());
        let token = secrets.sandbox_token.clone();
        to_the_end("could not create the sandbox", async move {
            let slot = inner.slot(&id);
            let _gate = slot.gate.lock().await;
            if let Some(running) = slot.running() {
                return same_generation(&running, request.generation);
            }
            if inner.layout.has_ended(&id) {
                return Err(ProviderError::Rejected(format!(
                    "the sandbox {id} has ended; order one with a new id"
                )));
            }
            if let Tier::Refused { reason } = &inner.tier {
                return Err(ProviderError::Rejected(reason.clone()));
            }
            let maker = Arc::clone(&inner);
            let running =
                blocking("could not create the sandbox", move || maker.create(&id, &request, &token)).await?;
            let record = running.state.record();
            inner.add(running);
            Ok(record)
        })
        .await
    }

    async fn snapshot(
        &self,
        sandbox_id: &SandboxId,
        snapshot_id: &SnapshotId,
    ) -> Result<SnapshotTaken, ProviderError> {
        let (inner, id, snapshot_id) = (Arc::clone(&self.inner), sandbox_id.clone(), snapshot_id.clone());
        to_the_end("could not save the sandbox", async move {
            let running = inner.slot(&id).running();
            blocking("could not save the sandbox", move || {
                let meta = match (layers::read_meta(&inner.layout, snapshot_id.as_str()), running) {
                    (Ok(meta), _) => meta,
                    (Err(_), None) => return Err(ProviderError::NotFound(id.to_string())),
                    (Err(_), Some(running)) => running
                        .save(&inner, &snapshot_id)
                        .map_err(|error| unavailable("could not save the sandbox", error))?,
                };
                Ok(SnapshotTaken { snapshot_id, size_bytes: meta.bytes })
            })
            .await
        })
        .await
    }

    async fn terminate(&self, sandbox_id: &SandboxId) -> Result<(), ProviderError> {
        let (inner, id) = (Arc::clone(&self.inner), sandbox_id.clone());
        to_the_end("could not end the sandbox", async move {
            let slot = inner.slot(&id);
            let _gate = slot.gate.lock().await;
            let Some(running) = slot.running() else {
                // A create that is still on its way must not bring it back.
                let marked = inner.layout.mark_ended(&id);
                lock(&inner.sandboxes).remove(&id);
                return marked.map_err(|error| unavailable("could not end the sandbox", error));
            };
            running.kill(Ending::Asked);
            if running.has_ended().await {
                return Ok(());
            }
            Err(unavailable("could not end the sandbox", io::Error::other("its processes do not go away")))
        })
        .await
    }

    async fn delete_snapshot(&self, snapshot_id: &SnapshotId) -> Result<(), ProviderError> {
        let (inner, id) = (Arc::clone(&self.inner), snapshot_id.clone());
        let deleted = Arc::clone(&self.inner);
        blocking("could not delete the snapshot", move || {
            let _layers = inner.layers_lock();
            layers::delete(&inner.layout, &id)
                .map_err(|error| unavailable("could not delete the snapshot", error))
        })
        .await?;
        tokio::spawn(async move { deleted.empty_trash().await });
        Ok(())
    }

    fn list(&self) -> Vec<SandboxRecord> {
        let slots: Vec<Arc<Slot>> = lock(&self.inner.sandboxes).values().cloned().collect();
        slots.iter().filter_map(|slot| slot.running()).map(|running| running.state.record()).collect()
    }

    fn exits(&self) -> Option<mpsc::Receiver<SandboxExit>> {
        lock(&self.exits).take()
    }
}

fn same_generation(running: &Running, generation: u64) -> Result<SandboxRecord, ProviderError> {
    let record = running.state.record();
    if record.generation == generation {
        return Ok(record);
    }
    Err(ProviderError::Rejected(format!(
        "the sandbox {} has generation {}, not {generation}",
        record.sandbox_id, record.generation
    )))
}
