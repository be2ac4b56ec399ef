//! The Modal provider: sandboxes at Modal, driven over its gRPC interface, with the same runner and the same gateway as local ones.
//!
//! Modal knows what runs; what was ordered and whose it is stands in dictionaries at Modal, so that any replica of the bridge serves
//! any sandbox of the app. Inside a sandbox is its own token and no other credential. `main` starts it.

mod adopt;
mod calls;
mod client;
mod definition;
mod dictionary;
mod error;
mod exec;
mod exit;
mod facts;
mod image;
mod inner;
mod kit;
mod names;
mod rate;
mod reach;
mod replicas;
mod retry;
mod router;
mod sandbox;
mod saved;
mod settings;
mod source;
mod state;
mod token;

pub use calls::{Created, Tags};
pub use client::ModalClient;
pub use error::{ErrorKind, ModalError};
pub use exec::{Exec, ExecEnd, ExecFile, ExecOrder, ExecReader, ExecWriter};
pub use image::ImageRecipe;
pub use router::CommandRouter;
pub use settings::{BASE_IMAGE, BaseImage, Credentials, Inside, ModalConfig, SERVER_URL, SettingsError};

use super::exec::{self as supervisor, ExecStream, SandboxStream};
use super::slots::{Slots, lock};
use super::{
    BootSecrets, ImageRecord, ProviderError, SandboxExit, SandboxOrder, SandboxProvider, SandboxRecord,
    SavedImage, SessionOwner, same_owner,
};
use facts::Facts;
use inner::{Inner, unavailable};
use kit::Kit;
use protocol::bridge::{Capabilities, SnapshotTaken};
use protocol::id::{BuildId, ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::status::{Reason, ReasonCode};
use protocol::supervisor::{ExecCommand, SupervisorStats};
use protocol::timeline::Isolation;
use rate::Bucket;
use sandbox::Running;
use saved::{SavedId, SavedOwner};
use state::State;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{OnceCell, mpsc};

/// Ends that wait for the hub to take them.
const EXITS_MAX: usize = 1024;

/// Sandboxes at Modal.
#[derive(Clone)]
pub struct ModalProvider {
    inner: Arc<Inner>,
    exits: Arc<Mutex<Option<mpsc::Receiver<SandboxExit>>>>,
}

impl ModalProvider {
    /// Signs in, finds the sandboxes of this replica's earlier life again, and begins to build the base image.
    pub async fn start(config: ModalConfig, credentials: Credentials) -> Result<Self, SettingsError> {
        settings::check(&config)?;
        let in_state = |source| SettingsError::State { path: config.state_dir.clone(), source };
        let state = State::open(&config.state_dir).map_err(in_state)?;
        let kit = Kit::read(&config)?;
        let client = ModalClient::new(credentials)?;
        let app_id = client.app(&config.app).await?;
        let facts = Facts::open(client.clone(), &config.app).await?;
        let (exits, received) = mpsc::channel(EXITS_MAX);
        let inner = Arc::new(Inner {
            bucket: Mutex::new(Bucket::new(config.creations_per_second)),
            config,
            client,
            app_id,
            state,
            facts,
            kit,
            exits,
            base_image: OnceCell::new(),
            sandboxes: Slots::default(),
            beats: Mutex::default(),
        });
        adopt::adopt_all(&inner).await?;
        tokio::spawn(replicas::keep_order(Arc::downgrade(&inner)));
        let building = inner.clone();
        tokio::spawn(async move {
            if let Err(error) = building.base_image().await {
                tracing::error!(%error, "the base image is not built; creating a sandbox from it tries again");
            }
        });
        Ok(Self { inner, exits: Arc::new(Mutex::new(Some(received))) })
    }

    /// The client, for what the trait does not offer.
    #[must_use]
    pub fn client(&self) -> &ModalClient {
        &self.inner.client
    }

    /// Ends what runs in the app and no replica needs; answers how many. It also happens by itself.
    pub async fn reap(&self) -> Result<usize, ModalError> {
        self.inner.reap().await
    }

    async fn reach(&self, sandbox_id: &SandboxId) -> Result<SandboxStream, ProviderError> {
        let running = self.known(sandbox_id).await?;
        Ok(reach::supervisor(running.router.clone(), &running.runner).await?)
    }

    /// The sandbox, whichever replica made it.
    async fn known(&self, sandbox_id: &SandboxId) -> Result<Arc<Running>, ProviderError> {
        if let Some(running) = self.inner.sandboxes.find(sandbox_id) {
            return Ok(running);
        }
        let found = self.inner.look_up(sandbox_id).await?;
        found.ok_or_else(|| ProviderError::NotFound(sandbox_id.to_string()))
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

impl SandboxProvider for ModalProvider {
    async fn check(&self) -> Vec<Reason> {
        match self.inner.client.app(&self.inner.config.app).await {
            Ok(_) => Vec::new(),
            Err(error) => vec![Reason { code: ReasonCode::Provider, message: error.to_string() }],
        }
    }

    fn capabilities(&self) -> Capabilities {
        let missing = [
            "disk: Modal has no limit for a sandbox's files",
            "pids: Modal has no limit for a sandbox's processes",
            "snapshots and images: how much they take is not known; each is gone after its time, used or not",
        ];
        Capabilities {
            provider: "modal".to_owned(),
            isolation: Isolation::Vm,
            missing: missing.map(str::to_owned).to_vec(),
            limits: ["cpu", "memory", "life"].map(str::to_owned).to_vec(),
        }
    }

    async fn create(
        &self,
        sandbox_id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> Result<SandboxRecord, ProviderError> {
        let (inner, id) = (self.inner.clone(), sandbox_id.clone());
        let (order, secrets) = (order.clone(), secrets.clone());
        to_the_end("could not create the sandbox", async move {
            let slot = inner.sandboxes.slot(&id);
            let _gate = slot.gate.lock().await;
            if let Some(running) = slot.running() {
                let record = same_owner(running.record(), &order.owner)?;
                if inner.facts.is_used_up(&id).await? {
                    return Err(inner::ended(&id));
                }
                inner.equip(&running).await?;
                inner.watch(&running);
                return Ok(record);
            }
            inner.create(&id, &order, &secrets).await
        })
        .await
    }

    async fn give(
        &self,
        sandbox_id: &SandboxId,
        session: &SessionOwner,
    ) -> Result<SandboxRecord, ProviderError> {
        let (inner, id, session) = (self.inner.clone(), sandbox_id.clone(), session.clone());
        to_the_end("could not give the sandbox", async move {
            let found = inner.look_up(&id).await?;
            let running = found.ok_or_else(|| ProviderError::NotFound(id.to_string()))?;
            let slot = inner.sandboxes.slot(&id);
            let _gate = slot.gate.lock().await;
            inner.give(&running, &session).await
        })
        .await
    }

    async fn withhold(&self, sandbox_id: &SandboxId) -> Result<(), ProviderError> {
        self.inner.withhold(sandbox_id).await
    }

    async fn look_up(&self, sandbox_id: &SandboxId) -> Result<Option<SandboxRecord>, ProviderError> {
        Ok(self.inner.look_up(sandbox_id).await?.map(|running| running.record()))
    }

    async fn survey(&self, repository: &RepositoryId) -> Result<Vec<SandboxRecord>, ProviderError> {
        Ok(self.inner.survey(repository).await?)
    }

    async fn survey_all(&self) -> Result<Vec<SandboxRecord>, ProviderError> {
        Ok(self.inner.survey_all().await?)
    }

    fn attached(&self, sandbox_id: &SandboxId) {
        self.inner.attached(sandbox_id);
    }

    async fn hold_build(&self, build_id: &BuildId) -> Result<bool, ProviderError> {
        let replica = &self.inner.state.replica;
        Ok(self.inner.facts.hold_build(build_id, replica).await? == *replica)
    }

    async fn snapshot(
        &self,
        sandbox_id: &SandboxId,
        snapshot_id: &SnapshotId,
    ) -> Result<SnapshotTaken, ProviderError> {
        if let Some(taken) = self.inner.saved_snapshot(snapshot_id).await? {
            return Ok(taken);
        }
        let running = self.known(sandbox_id).await?;
        let (inner, snapshot_id) = (self.inner.clone(), snapshot_id.clone());
        to_the_end(
            "could not save the sandbox",
            async move { inner.save_snapshot(&running, &snapshot_id).await },
        )
        .await
    }

    async fn terminate(&self, sandbox_id: &SandboxId) -> Result<(), ProviderError> {
        let (inner, id) = (self.inner.clone(), sandbox_id.clone());
        to_the_end("could not end the sandbox", async move {
            let slot = inner.sandboxes.slot(&id);
            let _gate = slot.gate.lock().await;
            inner.end(&id, &slot).await
        })
        .await
    }

    async fn delete_snapshot(
        &self,
        snapshot_id: &SnapshotId,
        session_id: &SessionId,
    ) -> Result<(), ProviderError> {
        let (inner, id) = (self.inner.clone(), snapshot_id.clone());
        let owner = SavedOwner::Session(session_id.clone());
        to_the_end("could not delete the snapshot", async move {
            inner.delete_saved(SavedId::Snapshot(&id), owner).await
        })
        .await
    }

    async fn save_image(
        &self,
        sandbox_id: &SandboxId,
        image: &ImageRecord,
    ) -> Result<SavedImage, ProviderError> {
        let (inner, id, image) = (self.inner.clone(), sandbox_id.clone(), image.clone());
        to_the_end("could not save the image", async move { inner.save_image(&id, &image).await }).await
    }

    async fn images(&self, repository: &RepositoryId) -> Result<Vec<SavedImage>, ProviderError> {
        self.inner.images(repository).await
    }

    async fn delete_image(&self, image_id: &ImageId, repository: &RepositoryId) -> Result<(), ProviderError> {
        let (inner, id) = (self.inner.clone(), image_id.clone());
        let owner = SavedOwner::Repository(repository.clone());
        to_the_end("could not delete the image", async move {
            inner.delete_saved(SavedId::Image(&id), owner).await
        })
        .await
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
        Some(self.inner.state.folder(sandbox_id))
    }

    fn list(&self) -> Vec<SandboxRecord> {
        let looked_after = |running: &&Arc<Running>| running.is_watched();
        self.inner.sandboxes.all().iter().filter(looked_after).map(|running| running.record()).collect()
    }

    fn exits(&self) -> Option<mpsc::Receiver<SandboxExit>> {
        lock(&self.exits).take()
    }
}
