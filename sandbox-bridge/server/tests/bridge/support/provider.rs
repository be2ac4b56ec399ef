//! A provider whose sandboxes are nothing but an address of the sandbox-facing router.

use axum::{Extension, Router};
use protocol::bridge::{Capabilities, SnapshotTaken};
use protocol::id::{ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::runner::SandboxMemory;
use protocol::status::{Reason, ReasonCode};
use protocol::timeline::Isolation;
use sandbox_bridge::clock;
use sandbox_bridge::config::Keys;
use sandbox_bridge::gateway::listen;
use sandbox_bridge::provider::{
    BootSecrets, ImageRecord, MemorySource, OnlyThisSandbox, ProviderError, SandboxExit, SandboxOrder,
    SandboxProvider, SandboxRecord, SavedImage, SessionOwner, SocketSandbox,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Where a sandbox reaches the bridge, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) token: String,
    /// Environment of the sandbox, as far as it is about secrets.
    pub(crate) stand_ins: BTreeMap<String, String>,
    pub(crate) record: SandboxRecord,
}

pub(crate) struct FakeProvider {
    inside: Router,
    /// What is seen of every sandbox's memory.
    pub(crate) memory: Arc<Mutex<Option<SandboxMemory>>>,
    /// Where the sandboxes' folders are.
    folders: Option<PathBuf>,
    /// Whether the doors count as open to nobody else, as a socket in a sandbox's own folder is.
    doors_are_private: bool,
    pub(crate) places: Mutex<BTreeMap<SandboxId, Place>>,
    pub(crate) images: Mutex<BTreeMap<ImageId, SavedImage>>,
    /// Every call that did something, as text.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Answered by the next creation or deletion.
    pub(crate) refusal: Mutex<Option<ProviderError>>,
    lacking: Mutex<Option<Reason>>,
    pub(crate) exits: mpsc::Sender<SandboxExit>,
    exits_taken: Mutex<Option<mpsc::Receiver<SandboxExit>>>,
}

impl FakeProvider {
    pub(crate) async fn start(
        inside: Router,
        adopted: Vec<SandboxId>,
        doors_are_private: bool,
        folders: Option<PathBuf>,
    ) -> Result<Self, ProviderError> {
        let (exits, receiver) = mpsc::channel(8);
        let provider = Self {
            inside,
            memory: Arc::default(),
            folders,
            doors_are_private,
            places: Mutex::default(),
            images: Mutex::default(),
            calls: Mutex::default(),
            refusal: Mutex::default(),
            lacking: Mutex::default(),
            exits,
            exits_taken: Mutex::new(Some(receiver)),
        };
        for sandbox_id in adopted {
            let order = SandboxOrder::of_session(&super::order("1", 1));
            let secrets = BootSecrets { sandbox_token: token(&sandbox_id), ..BootSecrets::default() };
            provider.create(&sandbox_id, &order, &secrets).await?;
        }
        Ok(provider)
    }

    pub(crate) fn place(&self, sandbox_id: &SandboxId) -> Place {
        self.places.lock().unwrap()[sandbox_id].clone()
    }

    /// From here on it has no room.
    pub(crate) fn lack(&self, message: &str) {
        let reason = Reason { code: ReasonCode::Room, message: message.to_owned() };
        *self.lacking.lock().unwrap() = Some(reason);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn list_ids(&self) -> Vec<String> {
        self.places.lock().unwrap().keys().map(ToString::to_string).collect()
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

/// A token as an earlier life of the bridge signed it.
fn token(sandbox_id: &SandboxId) -> String {
    let keys = Keys::from_secret(super::BRIDGE_SECRET).unwrap();
    let claims = protocol::sign::SandboxClaims { sandbox_id: sandbox_id.clone() };
    let now = clock::now();
    protocol::sign::sign(&keys.gateway, protocol::sign::Audience::Gateway, claims, now, now.plus_ms(600_000))
}

impl SandboxProvider for FakeProvider {
    async fn check(&self) -> Vec<Reason> {
        self.lacking.lock().unwrap().iter().cloned().collect()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: "fake".to_owned(),
            isolation: Isolation::Weak,
            missing: Vec::new(),
            limits: Vec::new(),
        }
    }

    async fn create(
        &self,
        sandbox_id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> Result<SandboxRecord, ProviderError> {
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        if let Some(place) = self.places.lock().unwrap().get(sandbox_id) {
            return Ok(place.record.clone());
        }
        self.note(format!("create {sandbox_id}"));
        if let Some(folder) = self.folder(sandbox_id) {
            std::fs::create_dir_all(folder).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let router = self.inside.clone().layer(Extension(SocketSandbox(sandbox_id.clone())));
        let router = if self.doors_are_private { router.layer(Extension(OnlyThisSandbox)) } else { router };
        let memory = self.memory.clone();
        let source = MemorySource(Arc::new(move |_| *memory.lock().unwrap()));
        tokio::spawn(listen::serve(listener, router.layer(Extension(source))));
        let record = SandboxRecord::new(sandbox_id.clone(), order.clone());
        let place = Place {
            url,
            token: secrets.sandbox_token.clone(),
            stand_ins: secrets.stand_ins.clone(),
            record: record.clone(),
        };
        self.places.lock().unwrap().insert(sandbox_id.clone(), place);
        Ok(record)
    }

    async fn snapshot(
        &self,
        sandbox_id: &SandboxId,
        snapshot_id: &SnapshotId,
    ) -> Result<SnapshotTaken, ProviderError> {
        self.note(format!("snapshot {sandbox_id} {snapshot_id}"));
        Ok(SnapshotTaken { snapshot_id: snapshot_id.clone(), size_bytes: 7 })
    }

    async fn terminate(&self, sandbox_id: &SandboxId) -> Result<(), ProviderError> {
        if self.places.lock().unwrap().remove(sandbox_id).is_some() {
            self.note(format!("terminate {sandbox_id}"));
        }
        Ok(())
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId, session: &SessionId) -> Result<(), ProviderError> {
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        self.note(format!("delete {snapshot} of {session}"));
        Ok(())
    }

    async fn give(&self, id: &SandboxId, session: &SessionOwner) -> Result<SandboxRecord, ProviderError> {
        let mut places = self.places.lock().unwrap();
        let place = places.get_mut(id).ok_or_else(|| ProviderError::NotFound(id.to_string()))?;
        let given = place.record.given.get_or_insert_with(|| session.clone());
        if given != session {
            return Err(ProviderError::Taken(format!("{id} was given to {}", given.session_id)));
        }
        self.note(format!("give {id} {}", session.session_id));
        Ok(place.record.clone())
    }

    async fn save_image(&self, id: &SandboxId, image: &ImageRecord) -> Result<SavedImage, ProviderError> {
        self.note(format!("save {id} {}", image.image_id));
        let saved = SavedImage { record: image.clone(), size_bytes: 11 };
        let mut images = self.images.lock().unwrap();
        Ok(images.entry(image.image_id.clone()).or_insert(saved).clone())
    }

    async fn images(&self, repository: &RepositoryId) -> Result<Vec<SavedImage>, ProviderError> {
        let images = self.images.lock().unwrap();
        Ok(images.values().filter(|image| image.record.repository == *repository).cloned().collect())
    }

    async fn delete_image(&self, id: &ImageId, repository: &RepositoryId) -> Result<(), ProviderError> {
        let mut images = self.images.lock().unwrap();
        if images.get(id).is_some_and(|image| image.record.repository != *repository) {
            return Err(ProviderError::Rejected(format!("{id} is another repository's")));
        }
        images.remove(id);
        self.note(format!("delete {id} of {repository}"));
        Ok(())
    }

    fn folder(&self, sandbox_id: &SandboxId) -> Option<PathBuf> {
        Some(self.folders.as_ref()?.join(sandbox_id.as_str()))
    }

    fn list(&self) -> Vec<SandboxRecord> {
        self.places.lock().unwrap().values().map(|place| place.record.clone()).collect()
    }

    fn exits(&self) -> Option<mpsc::Receiver<SandboxExit>> {
        self.exits_taken.lock().unwrap().take()
    }
}
