//! The provider's shared state: which sandboxes are known here, and how one is made, found again, given away and ended at Modal.
//!
//! A name is held by one running sandbox, so a creation whose answer was lost is found by it and never made twice, by whichever
//! replica the order is repeated at. Whoever changes a sandbox here holds its slot's gate; replicas agree by `facts`.

use super::definition;
use super::facts::{Facts, Given, Ordered};
use super::kit::Kit;
use super::names::sandbox_name;
use super::rate::Bucket;
use super::sandbox::{self, Running};
use super::settings::ModalConfig;
use super::state::{State, StoredSandbox};
use super::{Created, ModalClient, ModalError, Tags};
use crate::provider::slots::{Slot, Slots, lock};
use crate::provider::{
    BootSecrets, Owner, ProviderError, SandboxExit, SandboxOrder, SandboxRecord, SessionOwner, same_owner,
};
use protocol::bridge::SandboxSource;
use protocol::id::SandboxId;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{OnceCell, mpsc};
use tonic::Code;

/// Tag with the replica that was asked for the sandbox.
pub(super) const REPLICA_TAG: &str = "farhand-bridge";
/// Tag with our id of the sandbox; what has none is not ours.
pub(super) const SANDBOX_TAG: &str = "farhand-sandbox";
/// Tags with whom it is for.
pub(super) const REPOSITORY_TAG: &str = "farhand-repository";
pub(super) const SESSION_TAG: &str = "farhand-session";
pub(super) const GENERATION_TAG: &str = "farhand-generation";
const BUILD_TAG: &str = "farhand-build";

/// What every part of the provider works on.
pub(super) struct Inner {
    pub(super) config: ModalConfig,
    pub(super) client: ModalClient,
    pub(super) app_id: String,
    pub(super) state: State,
    pub(super) facts: Facts,
    pub(super) kit: Kit,
    pub(super) exits: mpsc::Sender<SandboxExit>,
    pub(super) base_image: OnceCell<String>,
    pub(super) bucket: Mutex<Bucket>,
    pub(super) sandboxes: Slots<Running>,
    /// What other replicas' beats were when they were looked at last.
    pub(super) beats: Mutex<HashMap<String, super::replicas::Beat>>,
}

pub(super) fn unavailable(what: &str, error: io::Error) -> ProviderError {
    ProviderError::Unavailable { what: what.to_owned(), source: error.into() }
}

impl Inner {
    /// Takes a sandbox in that another replica may look after.
    pub(super) fn add(&self, running: Arc<Running>) {
        self.sandboxes.put(&running.id.clone(), running);
    }

    /// Looks after a sandbox from here on, and writes down that it does.
    pub(super) fn watch(self: &Arc<Self>, running: &Arc<Running>) {
        if !running.begin_watch() {
            return;
        }
        let stored = StoredSandbox {
            sandbox_id: running.id.clone(),
            order: running.order.clone(),
            modal_id: running.modal_id.clone(),
        };
        if let Err(error) = self.state.keep_sandbox(&stored) {
            tracing::warn!(sandbox = %running.id, %error, "should this bridge end, nobody will hear how this sandbox ended");
        }
        tokio::spawn(sandbox::watch(Arc::downgrade(self), Arc::clone(running)));
    }

    /// Creates a sandbox or finds the one that was made by the same order, by this replica or another. The caller holds the gate.
    pub(super) async fn create(
        self: &Arc<Self>,
        id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> Result<SandboxRecord, ProviderError> {
        let record = SandboxRecord::new(id.clone(), order.clone());
        let image = self.image(order).await?;
        let name = sandbox_name(id.as_str());
        let refused = |error: definition::OrderError| ProviderError::Rejected(error.to_string());
        let definition =
            definition::definition(&self.config, &self.kit, &name, &image, &record, &secrets.direct_hosts)
                .map_err(refused)?;
        let variables = definition::variables(&self.config, &self.kit, &record, secrets).map_err(refused)?;
        let ordered = Ordered {
            order: order.clone(),
            ordered_at: crate::clock::now(),
            runner: self.kit.file("bin/runner"),
            replica: self.state.replica.clone(),
        };
        // Written first: whatever becomes of the call, every replica knows whose the sandbox is.
        let (stands, is_new) = self.facts.keep_order(id, &ordered).await?;
        let record = same_owner(SandboxRecord::new(id.clone(), stands.order.clone()), &order.owner)?;
        let (is_used_up, is_stale) =
            tokio::try_join!(self.facts.is_used_up(id), self.check_generation(record.session()))?;
        if is_used_up {
            return Err(ended(id));
        }
        is_stale?;
        let found = if is_new { None } else { self.find_again(&name).await? };
        let created = match found {
            Some(created) => created,
            None => self
                .make(&name, definition, &self.tags(&record), variables)
                .await
                .map_err(|error| not_made(id, &order.source, error))?,
        };
        let running = Running::new(self.client.clone(), record, created, stands.runner);
        // Another replica may have been told to end it while it was made: the one or the other sees what both have done.
        if self.facts.is_used_up(id).await? {
            self.give_up(&running).await;
            return Err(ended(id));
        }
        self.equip(&running).await?;
        self.add(Arc::clone(&running));
        self.watch(&running);
        Ok(running.record())
    }

    /// Makes sure that a sandbox has what its first process waits for. One that does not get it is ended.
    pub(super) async fn equip(&self, running: &Arc<Running>) -> Result<(), ProviderError> {
        // One that waits for another kit got it from the bridge that made it, or ends by itself.
        if running.is_equipped() || running.runner != self.kit.file("bin/runner") {
            return Ok(());
        }
        match self.kit.send(running.router.clone()).await {
            Ok(()) => {
                running.note_equipped();
                Ok(())
            }
            Err(error) => {
                self.give_up(running).await;
                // Not found would be understood as the snapshot's fault.
                Err(match ProviderError::from(error) {
                    ProviderError::NotFound(why) => {
                        let what = format!("the sandbox ended while it was started: {why}");
                        ProviderError::Unavailable { source: anyhow::Error::msg(what.clone()), what }
                    }
                    error @ (ProviderError::Rejected(_)
                    | ProviderError::SnapshotUnusable(_)
                    | ProviderError::Taken(_)
                    | ProviderError::Unavailable { .. }) => error,
                })
            }
        }
    }

    /// Gives a warm sandbox to a session, for ever. The caller holds the gate.
    pub(super) async fn give(
        self: &Arc<Self>,
        running: &Arc<Running>,
        session: &SessionOwner,
    ) -> Result<SandboxRecord, ProviderError> {
        let id = &running.id;
        let Owner::Warm { .. } = &running.order.owner else {
            return Err(ProviderError::Taken(format!("{id} is not of a warm pool")));
        };
        if running.record().given.is_none() {
            self.check_generation(Some(session)).await??;
            match self.facts.give(id, &Given::Session(session.clone())).await? {
                Given::Session(owner) => running.give(&owner),
                Given::Nobody => return Err(ProviderError::Taken(format!("{id} is being thrown away"))),
            }
        }
        let record = running.record();
        match &record.given {
            Some(owner) if owner == session => {}
            Some(owner) => {
                return Err(ProviderError::Taken(format!("{id} was given to {}", owner.session_id)));
            }
            None => return Err(ProviderError::NotFound(id.to_string())),
        }
        // For lists, and people who look at them: nobody waits for it.
        let (inner, running, tags) = (self.clone(), running.clone(), self.tags(&record));
        tokio::spawn(async move {
            if let Err(error) = inner.client.set_tags(&running.modal_id, &tags).await {
                tracing::warn!(sandbox = %running.id, %error, "a given sandbox keeps its old tags at Modal");
            }
        });
        Ok(record)
    }

    /// Whether a session has a sandbox of a newer generation, wherever it was made: whoever comes with the older one comes too late.
    async fn check_generation(
        &self,
        session: Option<&SessionOwner>,
    ) -> Result<Result<(), ProviderError>, ModalError> {
        let Some(session) = session else { return Ok(Ok(())) };
        let its = Tags::from([(SESSION_TAG.to_owned(), session.session_id.to_string())]);
        let listed = self.client.list_sandboxes(&self.app_id, &its).await?;
        let tags = listed.iter().flat_map(|sandbox| &sandbox.tags);
        let generations = tags.filter(|tag| tag.tag_name == GENERATION_TAG);
        let newest = generations.filter_map(|tag| tag.tag_value.parse::<u64>().ok()).max();
        Ok(match newest {
            Some(newest) if newest > session.generation => Err(ProviderError::Rejected(format!(
                "the session has a sandbox of generation {newest}, and this is of {}",
                session.generation
            ))),
            Some(_) | None => Ok(()),
        })
    }

    /// A sandbox that did not come up; the same order may be given again.
    async fn give_up(&self, running: &Running) {
        let id = &running.id;
        running.expect_end();
        if let Err(error) = self.client.terminate_sandbox(&running.modal_id).await {
            tracing::warn!(sandbox = %id, %error, "a sandbox that did not start is ended later");
        }
        self.forget(id);
    }

    async fn make(
        &self,
        name: &str,
        definition: modal_api::Sandbox,
        tags: &Tags,
        variables: std::collections::BTreeMap<String, String>,
    ) -> Result<Created, ModalError> {
        const WHAT: &str = "create the sandbox";
        let Some(wait) = lock(&self.bucket).take(Instant::now()) else {
            let text = "too many sandboxes are being made at the moment";
            return Err(ModalError::reported(WHAT, Code::Unavailable, text));
        };
        tokio::time::sleep(wait).await;
        let error = match self.client.create_sandbox(&self.app_id, definition, tags, variables).await {
            Ok(created) => return Ok(created),
            Err(error) if error.is_ambiguous() || error.code == Code::AlreadyExists => error,
            Err(error) => return Err(error),
        };
        match self.find_again(name).await {
            Ok(Some(created)) => {
                tracing::info!(name, %error, "a sandbox was made although its creation failed; it is taken over");
                Ok(created)
            }
            Ok(None) => Err(error),
            Err(unknown) => {
                tracing::warn!(name, %unknown, "whether a sandbox was made is not known yet");
                Err(error)
            }
        }
    }

    /// The running sandbox of this name.
    pub(super) async fn find_again(&self, name: &str) -> Result<Option<Created>, ModalError> {
        let Some(modal_id) = self.client.find_sandbox(&self.config.app, name).await? else { return Ok(None) };
        if self.client.poll_end(&modal_id).await?.is_some() {
            return Ok(None);
        }
        let task_id = self.client.task_id(&modal_id).await?;
        Ok(Some(Created { modal_id, task_id, access: None }))
    }

    fn tags(&self, record: &SandboxRecord) -> Tags {
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut tags = Tags::from([
            tag(REPLICA_TAG, &self.state.replica),
            tag(SANDBOX_TAG, record.sandbox_id.as_str()),
            tag(REPOSITORY_TAG, record.order.repository.id.as_str()),
        ]);
        if let Some(session) = record.session() {
            tags.extend([
                tag(SESSION_TAG, session.session_id.as_str()),
                tag(GENERATION_TAG, &session.generation.to_string()),
            ]);
        }
        if let Owner::Build { build_id } = &record.order.owner {
            tags.extend([tag(BUILD_TAG, build_id.as_str())]);
        }
        tags
    }

    /// Ends a sandbox, known or not, and uses its id up. The caller holds the gate.
    pub(super) async fn end(&self, id: &SandboxId, slot: &Slot<Running>) -> Result<(), ProviderError> {
        // First, so that a creation that is still on its way, at any replica, does not bring it back.
        self.facts.use_up(id).await?;
        let running = slot.running();
        let modal_id = match &running {
            Some(running) => Some(running.modal_id.clone()),
            None => self.client.find_sandbox(&self.config.app, &sandbox_name(id.as_str())).await?,
        };
        if let Some(modal_id) = modal_id {
            if let Some(running) = &running {
                running.expect_end();
            }
            if let Err(error) = self.client.terminate_sandbox(&modal_id).await {
                if let Some(running) = &running {
                    running.unexpect_end();
                }
                return Err(error.into());
            }
            match self.client.wait_for_end(&modal_id).await {
                Ok(Some(_)) => {}
                Ok(None) => tracing::warn!(sandbox = %id, "a sandbox takes long to end at Modal"),
                Err(error) if error.is_not_found() => {}
                Err(error) => tracing::warn!(sandbox = %id, %error, "a sandbox was told to end"),
            }
        }
        self.forget(id);
        Ok(())
    }

    pub(super) fn forget(&self, id: &SandboxId) {
        if let Err(error) = self.state.forget_sandbox(id) {
            tracing::error!(sandbox = %id, %error, "could not clean up behind a sandbox");
        }
        self.sandboxes.remove(id);
    }
}

/// What whoever orders an id again is told that is used up.
pub(super) fn ended(id: &SandboxId) -> ProviderError {
    ProviderError::Rejected(format!("the sandbox {id} has ended; order one with a new id"))
}

fn not_made(id: &SandboxId, source: &SandboxSource, error: ModalError) -> ProviderError {
    match (source, error.is_not_found()) {
        (SandboxSource::Snapshot { .. } | SandboxSource::Image { .. }, true) => {
            let text = format!("what {id} starts from is gone at Modal: {}", error.reason);
            ProviderError::SnapshotUnusable(text)
        }
        (SandboxSource::Snapshot { .. } | SandboxSource::Image { .. } | SandboxSource::Base, _) => {
            error.into()
        }
    }
}
