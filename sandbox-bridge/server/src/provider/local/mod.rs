//! The local provider: sandboxes on this machine, in namespaces of their own, as an account without privileges.
//!
//! Keeps nothing in memory that the state directory and the running processes cannot give back: a new bridge adopts the
//! sandboxes of the one before. Where the kernel has no namespaces it refuses, unless plain processes were asked for.

mod adopt;
pub mod archive;
mod blocked;
mod boot;
mod cgroup;
mod content;
mod copy;
mod disk;
mod earlier;
mod exec;
mod flatten;
mod idle;
mod inner;
mod layers;
mod layout;
mod merge;
mod meta;
mod preflight;
mod process;
mod publish;
mod remove;
mod room;
mod sandbox;
mod settings;
mod socket;
mod state;
mod structure;
#[cfg(test)]
mod testing;
mod usage;

pub use crate::launcher::Account;
pub(crate) use blocked::stand_in;
pub use blocked::{DEFAULT_BLOCKED, is_command_name};
pub use meta::SnapshotDriver;
pub use preflight::{Check, Preflight, Strength, preflight};
pub(crate) use process::Membership;
pub use settings::{DEFAULT_ACCOUNT, LocalConfig, StartError, ToolMount};

use super::exec::{self as supervisor, ExecStream, SandboxStream};
use super::slots::{Slots, lock};
use super::{
    BootSecrets, ImageRecord, ProviderError, SandboxExit, SandboxOrder, SandboxProvider, SandboxRecord,
    SavedImage, SessionOwner, same_owner,
};
use crate::launcher::Landlock;
use axum::{Extension, Router};
use cgroup::Cgroups;
use idle::Background;
use inner::{Inner, unavailable};
use layers::ChainError;
use layout::Layout;
use meta::LayerOwner;
use protocol::bridge::{Capabilities, SnapshotTaken};
use protocol::id::{ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::status::{Reason, ReasonCode};
use protocol::supervisor::{ExecCommand, SupervisorStats};
use protocol::timeline::Isolation;
use room::Room;
use sandbox::{Ending, GiveError};
use settings::{Tier, choose_driver, choose_tier, install_tools};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Ends that wait for the hub to take them.
const EXITS_MAX: usize = 1024;
/// How long a used-up id is refused.
const ENDED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sandboxes on this machine.
#[derive(Clone)]
pub struct LocalProvider {
    inner: Arc<Inner>,
    exits: Arc<Mutex<Option<mpsc::Receiver<SandboxExit>>>>,
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
        let driver = choose_driver(&config, &tier, &preflight);
        let (exits, received) = mpsc::channel(EXITS_MAX);
        let inner = Arc::new_cyclic(|own: &Weak<Inner>| Inner {
            config,
            layout,
            tier,
            driver,
            preflight,
            cgroups,
            inside: inside.layer(Extension(inner::memory_source(own.clone()))),
            sandboxes: Slots::default(),
            exits,
            layers: Mutex::default(),
            background: Background::default(),
            emptying: AtomicBool::default(),
        });
        adopt::adopt_all(&inner).map_err(in_state)?;
        let cleaner = Arc::clone(&inner);
        tokio::spawn(async move { cleaner.empty_trash().await });
        if inner.config.watch_disk {
            tokio::spawn(disk::watch(Arc::downgrade(&inner)));
        }
        Ok(Self { inner, exits: Arc::new(Mutex::new(Some(received))) })
    }

    /// What was tried at the start, and how it went.
    #[must_use]
    pub fn preflight(&self) -> &Preflight {
        &self.inner.preflight
    }
}

impl LocalProvider {
    /// A stream to the supervisor of a sandbox that runs.
    async fn reach(&self, sandbox_id: &SandboxId) -> Result<SandboxStream, ProviderError> {
        let running = self.inner.sandboxes.find(sandbox_id);
        let running = running.ok_or_else(|| ProviderError::NotFound(sandbox_id.to_string()))?;
        let directory = self.inner.layout.sandbox(&running.state.sandbox_id);
        match exec::connect(&directory).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(unavailable("could not reach into the sandbox", error)),
        }
    }
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
    async fn check(&self) -> Vec<Reason> {
        let refusal = Room::look(self.inner.layout.root()).refusal();
        refusal.map(|message| Reason { code: ReasonCode::Room, message }).into_iter().collect()
    }

    fn capabilities(&self) -> Capabilities {
        let mut missing = self.inner.preflight.missing();
        let isolation = match &self.inner.tier {
            Tier::Namespaces { landlock: Landlock::Required, .. } => Isolation::Namespaces,
            // Why is among what is missing.
            Tier::Namespaces { landlock: Landlock::IfThere, .. } => Isolation::Weak,
            Tier::Weak { account, .. } => {
                missing.push(
                    "sandboxes are plain processes: nothing keeps them from this machine's files and network"
                        .to_owned(),
                );
                if account.uid == 0 {
                    missing.push(format!(
                        "sandboxes run as root, because the bridge cannot become uid {1} here or {0} is closed to it; use a state directory that it can enter",
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
        let mut limits: Vec<&str> =
            ["cpu", "memory", "pids"].into_iter().filter(|name| self.inner.preflight.limits(name)).collect();
        let is_plain = matches!(self.inner.tier, Tier::Weak { .. } | Tier::Refused { .. });
        if is_plain || !self.inner.config.watch_disk {
            missing.push("disk: nothing keeps a sandbox as a whole from taking more than it may".to_owned());
        } else {
            limits.push("disk");
            missing.push(
                "disk: a sandbox is looked at while it writes, so it may be over its limit for a moment before it is ended"
                    .to_owned(),
            );
        }
        limits.push("life");
        Capabilities {
            provider: "local".to_owned(),
            isolation,
            missing,
            limits: limits.into_iter().map(str::to_owned).collect(),
        }
    }

    async fn create(
        &self,
        sandbox_id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> Result<SandboxRecord, ProviderError> {
        let (inner, id, order) = (Arc::clone(&self.inner), sandbox_id.clone(), order.clone());
        let secrets = secrets.clone();
        to_the_end("could not create the sandbox", async move {
            let slot = inner.sandboxes.slot(&id);
            let _gate = slot.gate.lock().await;
            if let Some(running) = slot.running() {
                return same_owner(running.record(), &order.owner);
            }
            if inner.layout.is_used_up(id.as_str()) {
                return Err(ProviderError::Rejected(format!(
                    "the sandbox {id} has ended; order one with a new id"
                )));
            }
            if let Tier::Refused { reason } = &inner.tier {
                return Err(ProviderError::Rejected(reason.clone()));
            }
            let maker = Arc::clone(&inner);
            let running =
                blocking("could not create the sandbox", move || maker.create(&id, &order, &secrets)).await?;
            let record = running.record();
            inner.add(running);
            Ok(record)
        })
        .await
    }

    async fn give(
        &self,
        sandbox_id: &SandboxId,
        session: &SessionOwner,
    ) -> Result<SandboxRecord, ProviderError> {
        let (inner, id, session) = (Arc::clone(&self.inner), sandbox_id.clone(), session.clone());
        to_the_end("could not give the sandbox", async move {
            let slot = inner.sandboxes.slot(&id);
            let _gate = slot.gate.lock().await;
            let running = slot.running().ok_or_else(|| ProviderError::NotFound(id.to_string()))?;
            blocking("could not give the sandbox", move || {
                match running.give(&inner.layout.sandbox(&id), &session) {
                    Ok(()) => Ok(running.record()),
                    Err(GiveError::NotWarm) => {
                        Err(ProviderError::Taken(format!("{id} is not of a warm pool")))
                    }
                    Err(GiveError::Taken(other)) => {
                        Err(ProviderError::Taken(format!("{id} was given to {other}")))
                    }
                    Err(GiveError::Write(error)) => {
                        Err(unavailable("could not write down whose it is", error))
                    }
                }
            })
            .await
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
            let running = inner.sandboxes.find(&id);
            let runtime = tokio::runtime::Handle::current();
            blocking("could not save the sandbox", move || {
                if inner.layout.is_used_up(snapshot_id.as_str()) {
                    return Err(ProviderError::Rejected(format!(
                        "the snapshot {snapshot_id} was deleted; take one with a new id"
                    )));
                }
                let name = layers::name_of(&inner.layout, snapshot_id.as_str());
                let meta = match (meta::read_meta(&inner.layout, &name), running) {
                    (Ok(meta), _) => meta,
                    (Err(_), None) => return Err(ProviderError::NotFound(id.to_string())),
                    (Err(_), Some(running)) => {
                        let record = running.record();
                        let session = record.session().ok_or_else(|| {
                            ProviderError::Rejected(format!(
                                "{id} has no session that a snapshot could be of"
                            ))
                        })?;
                        let owner = LayerOwner::Session { session_id: session.session_id.clone() };
                        let saved = running.save(&inner, snapshot_id.as_str(), owner);
                        let tidy = Arc::clone(&inner);
                        let id = snapshot_id.clone();
                        match &saved {
                            Ok(_) => drop(runtime.spawn(async move { tidy.flatten(id).await })),
                            Err(_) => drop(runtime.spawn(async move { tidy.empty_trash().await })),
                        }
                        saved.map_err(|error| unavailable("could not save the sandbox", error))?
                    }
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
            let slot = inner.sandboxes.slot(&id);
            let _gate = slot.gate.lock().await;
            let Some(running) = slot.running() else {
                // A create that is still on its way must not bring it back.
                let marked = inner.layout.use_up(id.as_str());
                inner.sandboxes.remove(&id);
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

    async fn delete_snapshot(
        &self,
        snapshot_id: &SnapshotId,
        session_id: &SessionId,
    ) -> Result<(), ProviderError> {
        let (inner, id, session) = (Arc::clone(&self.inner), snapshot_id.clone(), session_id.clone());
        let deleted = Arc::clone(&self.inner);
        blocking("could not delete the snapshot", move || {
            let _layers = inner.layers_lock();
            layers::delete(&inner.layout, &id, &session).map_err(not_deleted)
        })
        .await?;
        tokio::spawn(async move { deleted.empty_trash().await });
        Ok(())
    }

    async fn save_image(
        &self,
        sandbox_id: &SandboxId,
        image: &ImageRecord,
    ) -> Result<SavedImage, ProviderError> {
        let (inner, id, image) = (Arc::clone(&self.inner), sandbox_id.clone(), image.clone());
        to_the_end("could not save the image", async move {
            let running = inner.sandboxes.find(&id);
            blocking("could not save the image", move || {
                let image_id = image.image_id.as_str();
                if inner.layout.is_used_up(image_id) {
                    return Err(ProviderError::Rejected(format!("the image {image_id} was deleted")));
                }
                let meta = match (meta::read_meta(&inner.layout, image_id), running) {
                    (Ok(meta), _) => meta,
                    (Err(_), None) => return Err(ProviderError::NotFound(id.to_string())),
                    (Err(_), Some(running)) => {
                        if running.state.order.repository.id != image.repository {
                            return Err(ProviderError::Rejected(format!("{id} is another repository's")));
                        }
                        let owner = LayerOwner::Repository { image: Box::new(image.clone()) };
                        let saved = running.save(&inner, image_id, owner);
                        saved.map_err(|error| unavailable("could not save the image", error))?
                    }
                };
                match meta.owner {
                    LayerOwner::Repository { image: record } if record.repository == image.repository => {
                        Ok(SavedImage { record: *record, size_bytes: meta.bytes })
                    }
                    LayerOwner::Repository { .. } | LayerOwner::Session { .. } => {
                        Err(ProviderError::Rejected(format!("the image {image_id} is another repository's")))
                    }
                }
            })
            .await
        })
        .await
    }

    async fn images(&self, repository: &RepositoryId) -> Result<Vec<SavedImage>, ProviderError> {
        let (inner, repository) = (Arc::clone(&self.inner), repository.clone());
        blocking("could not list the images", move || {
            layers::images(&inner.layout, &repository)
                .map_err(|error| unavailable("could not list the images", error))
        })
        .await
    }

    async fn delete_image(&self, image_id: &ImageId, repository: &RepositoryId) -> Result<(), ProviderError> {
        let (inner, id, repository) = (Arc::clone(&self.inner), image_id.clone(), repository.clone());
        let deleted = Arc::clone(&self.inner);
        blocking("could not delete the image", move || {
            let _layers = inner.layers_lock();
            layers::delete_image(&inner.layout, &id, &repository).map_err(not_deleted)
        })
        .await?;
        tokio::spawn(async move { deleted.empty_trash().await });
        Ok(())
    }

    async fn exec(&self, sandbox_id: &SandboxId, command: ExecCommand) -> Result<ExecStream, ProviderError> {
        supervisor::exec(self.reach(sandbox_id).await?, command).await
    }

    async fn dial(&self, sandbox_id: &SandboxId, port: u16) -> Result<SandboxStream, ProviderError> {
        supervisor::dial(self.reach(sandbox_id).await?, port).await
    }

    async fn stats(&self, sandbox_id: &SandboxId) -> Result<SupervisorStats, ProviderError> {
        supervisor::stats(self.reach(sandbox_id).await?).await
    }

    fn folder(&self, sandbox_id: &SandboxId) -> Option<PathBuf> {
        Some(self.inner.layout.sandbox(sandbox_id))
    }

    fn list(&self) -> Vec<SandboxRecord> {
        self.inner.sandboxes.all().iter().map(|running| running.record()).collect()
    }

    fn exits(&self) -> Option<mpsc::Receiver<SandboxExit>> {
        lock(&self.exits).take()
    }
}

fn not_deleted(error: ChainError) -> ProviderError {
    match error {
        ChainError::Foreign(_)
        | ChainError::Missing(_)
        | ChainError::Broken { .. }
        | ChainError::Damaged(..) => ProviderError::Rejected(error.to_string()),
        ChainError::Unreadable(what, source) => unavailable(&format!("could not delete the {what}"), source),
    }
}
