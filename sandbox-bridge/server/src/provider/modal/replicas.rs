//! What one replica of the bridge does about the sandboxes of the others: finds them when it is asked for them, says which of several
//! tells of an end, and ends what no replica needs.
//!
//! A sandbox is looked after by whoever was asked for it first, and by every replica that its runner was connected to since. Its end
//! is told by the last of these, which stands among the facts.

use super::facts::Given;
use super::inner::{Inner, REPOSITORY_TAG, SANDBOX_TAG};
use super::names::sandbox_name;
use super::sandbox::Running;
use super::{Created, ModalError, Tags};
use crate::provider::slots::lock;
use crate::provider::{Owner, ProviderError, SandboxExit, SandboxRecord};
use futures::{StreamExt, TryStreamExt};
use modal_api::SandboxInfo;
use protocol::id::{RepositoryId, SandboxId};
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often what runs at Modal is compared with the facts.
const REAP_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How often a replica says that it lives.
const BEAT_INTERVAL: Duration = Duration::from_secs(60);
/// A replica that has not said so for this long is gone, and its builds with it.
const BEAT_SILENCE: Duration = Duration::from_secs(4 * 60);
/// How often what was saved is read, so that Modal keeps its entries, which it does for seven days.
const REFRESH_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Questions about sandboxes that are asked at the same time.
const AT_ONCE: usize = 8;

/// What a replica said when it was looked at, and since when it has said nothing else.
pub(super) struct Beat {
    said: Option<u64>,
    since: Instant,
}

impl Beat {
    /// Takes in what a replica says now; answers whether it lives.
    fn look(&mut self, said: Option<u64>, now: Instant) -> bool {
        if self.said != said {
            *self = Self { said, since: now };
        }
        now.saturating_duration_since(self.since) < BEAT_SILENCE
    }
}

/// Beats, compares and refreshes for as long as there is a provider.
pub(super) async fn keep_order(inner: Weak<Inner>) {
    let (mut beat, mut reaped, mut refreshed) = (0, Instant::now(), None::<Instant>);
    loop {
        let Some(alive) = inner.upgrade() else { return };
        beat += 1;
        let now = crate::clock::now().0.wrapping_add(beat);
        if let Err(error) = alive.facts.beat(&alive.state.replica, now).await {
            tracing::warn!(%error, "could not say that this replica lives");
        }
        if reaped.elapsed() >= REAP_INTERVAL {
            reaped = Instant::now();
            if let Err(error) = alive.reap().await {
                tracing::warn!(%error, "could not compare the sandboxes at Modal with those that are needed");
            }
        }
        if refreshed.is_none_or(|at| at.elapsed() >= REFRESH_INTERVAL) {
            match alive.refresh_saved().await {
                Ok(()) => refreshed = Some(Instant::now()),
                Err(error) => tracing::warn!(%error, "could not read what was saved; trying again"),
            }
        }
        drop(alive);
        tokio::time::sleep(BEAT_INTERVAL).await;
    }
}

impl Inner {
    /// The sandbox, also when another replica made it, with whom it was given to.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        id: &SandboxId,
    ) -> Result<Option<Arc<Running>>, ModalError> {
        if let Some(running) = self.sandboxes.find(id) {
            self.refresh(&running).await?;
            return Ok(Some(running));
        }
        let slot = self.sandboxes.slot(id);
        let _gate = slot.gate.lock().await;
        if let Some(running) = slot.running() {
            return Ok(Some(running));
        }
        let found = match self.facts.order(id).await? {
            Some(_) => self.find_again(&sandbox_name(id.as_str())).await?,
            None => None,
        };
        let running = match found {
            Some(created) => self.adopt(id, created).await?,
            None => None,
        };
        match &running {
            Some(running) => self.add(Arc::clone(running)),
            None => self.forget(id),
        }
        Ok(running)
    }

    /// A running sandbox as the facts have it; `None` when there was no order for it, or it is to end.
    pub(super) async fn adopt(
        &self,
        id: &SandboxId,
        created: Created,
    ) -> Result<Option<Arc<Running>>, ModalError> {
        let (ordered, is_used_up) = tokio::try_join!(self.facts.order(id), self.facts.is_used_up(id))?;
        let Some(ordered) = ordered.filter(|_| !is_used_up) else { return Ok(None) };
        let record = SandboxRecord::new(id.clone(), ordered.order);
        let running = Running::new(self.client.clone(), record, created, ordered.runner);
        self.refresh(&running).await?;
        Ok(Some(running))
    }

    /// Reads whom a warm sandbox was given to, unless that is known: it never changes.
    async fn refresh(&self, running: &Running) -> Result<(), ModalError> {
        let record = running.record();
        if matches!(record.order.owner, Owner::Warm { .. })
            && record.given.is_none()
            && let Some(Given::Session(session)) = self.facts.given(&running.id).await?
        {
            running.give(&session);
        }
        Ok(())
    }

    /// The sandboxes of a repository, whoever made them.
    pub(super) async fn survey(
        self: &Arc<Self>,
        repository: &RepositoryId,
    ) -> Result<Vec<SandboxRecord>, ModalError> {
        let its = Tags::from([(REPOSITORY_TAG.to_owned(), repository.to_string())]);
        let mut records = self.survey_tagged(&its).await?;
        records.retain(|record| record.order.repository.id == *repository);
        Ok(records)
    }

    /// All sandboxes, whoever made them.
    pub(super) async fn survey_all(self: &Arc<Self>) -> Result<Vec<SandboxRecord>, ModalError> {
        self.survey_tagged(&Tags::new()).await
    }

    async fn survey_tagged(self: &Arc<Self>, tags: &Tags) -> Result<Vec<SandboxRecord>, ModalError> {
        let listed = self.client.list_sandboxes(&self.app_id, tags).await?;
        let ids: Vec<SandboxId> = listed.iter().filter_map(our_id).collect();
        let found: Vec<Option<Arc<Running>>> = futures::stream::iter(ids)
            .map(|id| async move { self.look_up(&id).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().map(|running| running.record()).collect())
    }

    /// The runner is connected here: this replica looks after the sandbox, and tells of its end.
    pub(super) fn attached(self: &Arc<Self>, id: &SandboxId) {
        let (inner, id) = (Arc::clone(self), id.clone());
        tokio::spawn(async move {
            if let Err(error) = inner.facts.set_host(&id, &inner.state.replica).await {
                tracing::warn!(sandbox = %id, %error, "the end of a sandbox may be told by nobody, and found by its silence");
            }
            if let Some(running) = inner.sandboxes.find(&id) {
                inner.watch(&running);
            }
        });
    }

    /// A sandbox has ended without having been told to from here; answers whether this replica tells of it.
    pub(super) async fn drop_ended(&self, running: &Running) -> bool {
        let id = &running.id;
        let slot = self.sandboxes.slot(id);
        let _gate = slot.gate.lock().await;
        let told_here = self.is_told_here(id).await.unwrap_or_else(|error| {
            tracing::warn!(sandbox = %id, %error, "whether another replica tells of an end is not known");
            true
        });
        // Only by who tells of it: for the others the mark means that it was ended on purpose, or told already.
        if told_here && let Err(error) = self.facts.use_up(id).await {
            tracing::warn!(sandbox = %id, %error, "the id of an ended sandbox is not used up");
        }
        self.forget(id);
        told_here
    }

    /// Whether this replica is the one that tells of the end of a sandbox: nobody ended it on purpose, and its runner was connected
    /// here last, or nowhere and this replica was asked for it.
    pub(super) async fn is_told_here(&self, id: &SandboxId) -> Result<bool, ModalError> {
        if self.facts.is_used_up(id).await? {
            return Ok(false);
        }
        let own = &self.state.replica;
        Ok(match self.facts.host(id).await? {
            Some(host) => host == *own,
            None => self.facts.order(id).await?.is_some_and(|ordered| ordered.replica == *own),
        })
    }

    /// Ends what no replica needs, and forgets what has ended elsewhere; answers how many were ended.
    pub(super) async fn reap(&self) -> Result<usize, ModalError> {
        let begun = Instant::now();
        let listed = self.client.list_sandboxes(&self.app_id, &Tags::new()).await?;
        let mut ended = 0;
        for sandbox in &listed {
            let Some(id) = our_id(sandbox) else { continue };
            let slot = self.sandboxes.slot(&id);
            // Whoever holds it is making or ending it.
            let Ok(_gate) = slot.gate.try_lock() else { continue };
            if self.is_needed(&id, sandbox).await? {
                continue;
            }
            tracing::warn!(sandbox = %id, modal_id = sandbox.id, "ending a sandbox that nobody needs");
            self.client.terminate_sandbox(&sandbox.id).await?;
            ended += 1;
        }
        let running: HashSet<&str> = listed.iter().map(|sandbox| sandbox.id.as_str()).collect();
        for known in self.sandboxes.all() {
            if !known.is_watched() && known.known_at < begun && !running.contains(known.modal_id.as_str()) {
                self.forget(&known.id);
                let reason = "it has ended at another replica".to_owned();
                // The hub forgets it; should there be no room, it does so the next time.
                let _ = self.exits.try_send(SandboxExit { record: known.record(), reason, told_here: false });
            }
        }
        self.sandboxes.sweep();
        Ok(ended)
    }

    async fn is_needed(&self, id: &SandboxId, listed: &SandboxInfo) -> Result<bool, ModalError> {
        // Its name is what makes it the one of its id.
        if listed.name != sandbox_name(id.as_str()) || self.facts.is_used_up(id).await? {
            return Ok(false);
        }
        let Some(ordered) = self.facts.order(id).await? else { return Ok(false) };
        match ordered.order.owner {
            // Nobody goes on with a build of a replica that is gone.
            Owner::Build { .. } if ordered.replica != self.state.replica => {
                self.lives(&ordered.replica).await
            }
            Owner::Build { .. } | Owner::Session(_) | Owner::Warm { .. } => Ok(true),
        }
    }

    /// Whether another replica has said that it lives, as far as this one's clock can tell.
    async fn lives(&self, replica: &str) -> Result<bool, ModalError> {
        let said = self.facts.last_beat(replica).await?;
        let (mut beats, now) = (lock(&self.beats), Instant::now());
        let beat = beats.entry(replica.to_owned()).or_insert(Beat { said, since: now });
        Ok(beat.look(said, now))
    }

    /// No session gets this warm sandbox from here on.
    pub(super) async fn withhold(&self, id: &SandboxId) -> Result<(), ProviderError> {
        match self.facts.give(id, &Given::Nobody).await? {
            Given::Nobody => Ok(()),
            Given::Session(session) => {
                if let Some(running) = self.sandboxes.find(id) {
                    running.give(&session);
                }
                Err(ProviderError::Taken(format!("{id} was given to {}", session.session_id)))
            }
        }
    }
}

/// Our id of a sandbox in a list, if it is one of ours.
pub(super) fn our_id(listed: &SandboxInfo) -> Option<SandboxId> {
    let tag = listed.tags.iter().find(|tag| tag.tag_name == SANDBOX_TAG)?;
    SandboxId::parse(&tag.tag_value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_gone_when_it_has_said_nothing_new_for_long() {
        let begun = Instant::now();
        let mut beat = Beat { said: Some(1), since: begun };
        assert!(beat.look(Some(1), begun + BEAT_SILENCE - Duration::from_secs(1)));
        assert!(beat.look(Some(2), begun + BEAT_SILENCE));
        assert!(beat.look(Some(2), begun + 2 * BEAT_SILENCE - Duration::from_secs(1)));
        assert!(!beat.look(Some(2), begun + 2 * BEAT_SILENCE));
        assert!(beat.look(Some(3), begun + 3 * BEAT_SILENCE), "it stood still, and goes on");
    }
}
