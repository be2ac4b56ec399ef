//! The provider's shared state: which sandboxes there are, and how one is made and forgotten. All of it blocks but the spawning.

use super::boot;
use super::cgroup::{Cgroups, Group, GroupLimits};
use super::flatten::{self, MOUNT_MAX};
use super::idle::Background;
use super::layers::{self, Chain, ChainError};
use super::layout::{BASE_LAYER, Layout};
use super::meta::{SnapshotDriver, read_meta};
use super::preflight::Preflight;
use super::room::Room;
use super::sandbox::Running;
use super::settings::{LocalConfig, Tier};
use super::socket::{self, Door};
use super::state::{self, SandboxState};
use crate::launcher::LaunchReport;
use crate::provider::slots::{Slots, lock};
use crate::provider::{BootSecrets, MemorySource, Owner, ProviderError, SandboxExit, SandboxOrder};
use axum::Router;
use protocol::bridge::SandboxSource;
use protocol::id::{SandboxId, SnapshotId};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::mpsc;

/// What every part of the provider works on.
pub(crate) struct Inner {
    pub(super) config: LocalConfig,
    pub(super) layout: Layout,
    pub(super) tier: Tier,
    pub(super) driver: SnapshotDriver,
    pub(super) preflight: Preflight,
    pub(super) cgroups: Cgroups,
    pub(super) inside: Router,
    pub(super) sandboxes: Slots<Running>,
    pub(super) exits: mpsc::Sender<SandboxExit>,
    pub(super) layers: Mutex<()>,
    pub(super) background: Background,
    /// Whether the trash is to be emptied by somebody who has not begun.
    pub(super) emptying: AtomicBool,
}

impl Inner {
    pub(super) fn layers_lock(&self) -> MutexGuard<'_, ()> {
        lock(&self.layers)
    }

    /// Whom every process of a sandbox belongs to on the host.
    pub(super) fn sandbox_uid(&self) -> u32 {
        self.tier.account(self.layout.account()).uid
    }

    /// Drops an id from memory and disk; its directory goes to the trash.
    pub(super) fn forget(&self, id: &SandboxId) {
        let outcome = self.layout.use_up(id.as_str()).and_then(|()| {
            self.layout.keep_log(id);
            self.layout.discard(&self.layout.sandbox(id))
        });
        if let Err(error) = outcome {
            tracing::error!(sandbox_id = %id, %error, "could not clean up behind a sandbox");
        }
        self.sandboxes.remove(id);
        let _layers = self.layers_lock();
        if let Err(error) = layers::sweep(&self.layout) {
            tracing::warn!(%error, "could not sweep unused snapshots");
        }
    }

    /// Deletes what was discarded, behind all other work.
    pub(super) async fn empty_trash(self: &Arc<Self>) {
        // Whoever has not begun takes this along.
        if self.emptying.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::clone(self);
        let emptied = self.background.run(move || {
            inner.emptying.store(false, Ordering::SeqCst);
            inner.layout.empty_trash()
        });
        let emptied = emptied.await;
        if emptied.is_err() {
            // It may not have begun.
            self.emptying.store(false, Ordering::SeqCst);
        }
        if let Err(error) = emptied.flatten() {
            tracing::warn!(%error, "could not empty the trash; it is tried again later");
        }
    }

    /// Joins a new snapshot with what it stands on, when that is worth it, behind all other work.
    pub(super) async fn flatten(self: &Arc<Self>, id: SnapshotId) {
        let inner = Arc::clone(self);
        let joined = self
            .background
            .run(move || flatten::flatten_if_worth(&inner.layout, &id, || inner.layers_lock()));
        match joined.await.flatten() {
            Ok(None) => return,
            Ok(Some(meta)) => tracing::info!(layer = meta.name, bytes = meta.bytes, "joined a snapshot"),
            Err(error) => tracing::warn!(%error, "could not join a snapshot; it works as it is"),
        }
        self.empty_trash().await;
    }

    pub(super) fn add(self: &Arc<Self>, running: Arc<Running>) {
        self.sandboxes.put(&running.state.sandbox_id, Arc::clone(&running));
        tokio::spawn(running.watch(Arc::clone(self)));
    }

    /// Opens the bridge's door of a sandbox; answers the port where it is one.
    pub(super) fn open_door(&self, id: &SandboxId, port: Option<u16>) -> io::Result<(Door, Option<u16>)> {
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
    pub(super) fn create(
        self: &Arc<Self>,
        id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> Result<Arc<Running>, ProviderError> {
        let created = self.try_create(id, order, secrets);
        if created.is_err() {
            let _ = self.layout.discard(&self.layout.sandbox(id));
            self.cgroups.remove_group(&self.cgroups.find_group(id.as_str()));
        }
        created
    }

    fn try_create(
        self: &Arc<Self>,
        id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> Result<Arc<Running>, ProviderError> {
        let failed = |error: io::Error| unavailable("could not create the sandbox", error);
        if let Some(refusal) = Room::look(self.layout.root()).refusal() {
            return Err(unavailable(
                "this machine has no room for another sandbox",
                io::Error::other(refusal),
            ));
        }
        self.check_base(order)?;
        let directory = self.layout.make_sandbox(id).map_err(failed)?;
        let (door, weak_port) = self.open_door(id, None).map_err(failed)?;
        self.shorten_chain(order);
        // Nobody sweeps what is leased; others need not wait for the check of this snapshot.
        let (lowers, leases) = self.lowers(order)?;
        let state = SandboxState {
            sandbox_id: id.clone(),
            order: order.clone(),
            lowers,
            created_at: state::now_ms(),
            weak_port,
            driver: self.driver,
            tools: self.tools(order, leases.as_ref())?,
        };
        {
            // A sweep is either over, and met the leases, or still to come, and finds the layers in use.
            let _layers = self.layers_lock();
            state::write(&directory, &state).map_err(failed)?;
        }
        if self.driver == SnapshotDriver::Copy {
            let account = self.tier.account(self.layout.account());
            layers::materialise(&self.layout, &state.lowers, &directory.join("upper"), account)
                .map_err(failed)?;
        }
        let group =
            self.cgroups.make_group(id.as_str(), GroupLimits::of(&order.limits)).unwrap_or_else(|error| {
                tracing::warn!(sandbox_id = %id, %error, "could not limit the sandbox as a whole");
                Group::default()
            });
        let spec = boot::spec(&self.config, &self.layout, &self.tier, &state, &group, secrets);
        match boot::launch(self.layout.root(), &self.config.launcher, &spec).map_err(failed)?.report {
            LaunchReport::Started { process } => {
                Running::new(state, None, process, group, door, self.sandbox_uid()).map_err(failed)
            }
            LaunchReport::Refused { refusal } => {
                Err(unavailable("could not start the sandbox", io::Error::other(refusal.message)))
            }
            LaunchReport::Probed { .. } | LaunchReport::Limited { .. } => {
                Err(unavailable("could not start the sandbox", io::Error::other("the launcher only tried")))
            }
        }
    }

    /// The layers to start from, and what keeps them there until the sandbox's state says that they are used.
    fn lowers(&self, order: &SandboxOrder) -> Result<(Vec<String>, Option<Chain>), ProviderError> {
        let chain = match (&order.source, &order.owner) {
            (SandboxSource::Base, _) => return Ok((vec![BASE_LAYER.to_owned()], None)),
            (SandboxSource::Snapshot { snapshot_id }, Owner::Session(session)) => {
                layers::chain(&self.layout, snapshot_id, Some(&session.session_id))
            }
            (SandboxSource::Snapshot { snapshot_id }, Owner::Warm { .. } | Owner::Build { .. }) => {
                let text = format!("{snapshot_id} is a session's; only its sandboxes start from it");
                return Err(ProviderError::Rejected(text));
            }
            (SandboxSource::Image { image_id }, _) => {
                layers::image_chain(&self.layout, image_id, &order.repository.id)
            }
        };
        let chain = chain.map_err(ChainError::for_restore)?;
        Ok((chain.names.clone(), Some(chain)))
    }

    /// This machine has one base: its own files, under the names that the operator gave them.
    fn check_base(&self, order: &SandboxOrder) -> Result<(), ProviderError> {
        let Some(name) = &order.base_image else { return Ok(()) };
        let known = &self.config.base_images;
        if known.contains(name) {
            return Ok(());
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(ProviderError::Rejected(format!(
            "there is no base image {name:?} here: local sandboxes have this machine's own programs. Leave base_image out of the \
             recipe, or let the operator give it with --base-image where they are the same (given: {known})"
        )))
    }

    /// The tools that a sandbox needs, by name.
    fn tools(&self, order: &SandboxOrder, chain: Option<&Chain>) -> Result<Vec<String>, ProviderError> {
        let below = chain.and_then(|chain| chain.metas.first()).map(|meta| meta.tools.clone());
        let mut tools = [below.unwrap_or_default(), order.tools.clone()].concat();
        tools.sort();
        tools.dedup();
        let names: Vec<_> = self.config.tool_mounts.iter().filter_map(|mount| mount.name.clone()).collect();
        if let Some(unknown) = order.tools.iter().find(|tool| !names.contains(tool)) {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(ProviderError::Rejected(format!(
                "this machine has no tool {unknown:?}; the operator gives one with --tool {unknown}:HOST=INSIDE (given: {known})"
            )));
        }
        Ok(tools)
    }

    /// Joins a chain that is longer than what can be mounted: so many snapshots came that the background was left behind.
    fn shorten_chain(&self, order: &SandboxOrder) {
        let SandboxSource::Snapshot { snapshot_id } = &order.source else { return };
        let name = layers::name_of(&self.layout, snapshot_id.as_str());
        if read_meta(&self.layout, &name).is_ok_and(|meta| meta.lowers.len() >= MOUNT_MAX)
            && let Err(error) = flatten::flatten_if_worth(&self.layout, snapshot_id, || self.layers_lock())
        {
            tracing::warn!(%error, "could not join a snapshot of many layers");
        }
    }
}

/// What sandboxes are told of their own memory while they run.
pub(super) fn memory_source(inner: Weak<Inner>) -> MemorySource {
    MemorySource(Arc::new(move |id| {
        let inner = inner.upgrade()?;
        if !inner.tier.group_limits_memory() {
            return None;
        }
        inner.sandboxes.find(id)?.memory()
    }))
}

/// The machine's failure, with its text for people who see only the first line.
pub(super) fn unavailable(what: &str, error: io::Error) -> ProviderError {
    ProviderError::Unavailable { what: format!("{what}: {error}"), source: error.into() }
}
