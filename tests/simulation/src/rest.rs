//! What must hold when everything has come to rest: nothing waits, nothing is left behind, everybody shows the same.

use crate::bridge::WARM;
use crate::world::World;
use protocol::timeline::{ArtifactContent, ItemContent, PromptState};
use session::core::PullRequestState;
use std::collections::BTreeSet;

impl World {
    /// Whether nothing is left to be done.
    pub(crate) fn is_at_rest(&self) -> bool {
        if !self.bridge.is_quiet() || self.road.blocked {
            return false;
        }
        let outbox_empty = self.shell.tables.load_schedule().is_ok_and(|rows| rows.is_empty());
        if self.observer.is_deleted {
            return self.shell.is_gone && self.provider.live.is_empty();
        }
        let newest = self.observer.log.len() as u64;
        outbox_empty
            && self.provider.live.is_empty()
            && self.observer.reference.as_ref().is_some_and(|reference| {
                reference
                    .prompts
                    .iter()
                    .all(|prompt| !matches!(prompt.state, PromptState::Queued | PromptState::Running))
            })
            && self.clients.iter().all(|client| client.is_settled(newest))
    }

    /// What must hold then.
    pub(crate) fn check_rest(&mut self) {
        if self.observer.is_deleted {
            return self.check_deleted();
        }
        let stored = self.shell.tables.load();
        let Ok(Some(session)) = stored else {
            return self.scene.fail("store", "the session cannot be loaded at rest");
        };
        self.observer.check_usage(&mut self.scene);
        for client in &self.clients {
            if let Some(snapshot) = &client.snapshot {
                self.observer.compare(&mut self.scene, client.applied, snapshot, "a client at rest");
            }
        }
        match self.shell.tables.load_snapshot() {
            Ok((seq, snapshot)) => {
                self.observer.compare(&mut self.scene, seq, &snapshot, "a snapshot at rest");
            }
            Err(error) => self.scene.fail("store", &error),
        }
        let kept: BTreeSet<_> = session.snapshots.iter().map(|saved| saved.snapshot_id.clone()).collect();
        let left: Vec<_> = self.provider.snapshots.keys().filter(|id| !kept.contains(*id)).cloned().collect();
        self.scene.hold("I6", left.is_empty(), || format!("snapshots are left behind: {left:?}"));
        let has = |id: &&_| self.provider.snapshots.contains_key(*id) || self.provider.lost.contains(*id);
        let gone: Vec<_> = kept.iter().filter(|id| !has(id)).cloned().collect();
        self.scene.hold("I4", gone.is_empty(), || format!("snapshots are counted on and gone: {gone:?}"));
        self.scene.hold("I6", session.saving.is_none(), || "a snapshot is still on its way".to_owned());
        let entry = self.shell.tables.load_index_entry();
        let shown = self.elsewhere.index.clone();
        let current = shown.as_ref().is_some_and(|shown| {
            entry.as_ref().is_ok_and(|entry| {
                (&shown.title, shown.working, shown.archived) == (&entry.title, entry.working, entry.archived)
            })
        });
        self.scene.hold("I4", current, || format!("the index has {shown:?}, the session {entry:?}"));
        self.check_pull_request(session.pull_request);
        self.check_artifacts();
    }

    fn check_pull_request(&mut self, state: PullRequestState) {
        let count = self.elsewhere.pull_requests.len();
        self.scene.hold("I4", count <= 1, || format!("{count} pull requests were opened"));
        let reference = self.observer.reference.as_ref();
        let recorded = reference.is_some_and(|reference| {
            let mut artifacts = reference.artifacts.iter();
            artifacts.any(|artifact| matches!(artifact.content, ArtifactContent::PullRequest { .. }))
        });
        self.scene.hold("I4", recorded == (state == PullRequestState::Open), || {
            format!("the pull request is {state:?}, recorded: {recorded}")
        });
        self.scene
            .hold("I4", !recorded || count == 1, || "a pull request is recorded and not there".to_owned());
        self.scene.hold("I4", state != PullRequestState::Ordered, || {
            "the pull request was ordered and never came to an end".to_owned()
        });
    }

    fn check_artifacts(&mut self) {
        let Some(reference) = &self.observer.reference else { return };
        let mut missing = Vec::new();
        for item in &reference.items {
            if let ItemContent::Tool { artifact_id: Some(id), .. } = &item.content
                && !self.elsewhere.artifacts.contains_key(id)
            {
                missing.push(id.clone());
            }
        }
        for artifact in &reference.artifacts {
            if let ArtifactContent::File { content_id, .. } = &artifact.content
                && !self.elsewhere.artifacts.contains_key(content_id)
            {
                missing.push(content_id.clone());
            }
        }
        self.scene.hold("I4", missing.is_empty(), || format!("outputs are not stored: {missing:?}"));
    }

    fn check_deleted(&mut self) {
        let left: Vec<_> = self.provider.snapshots.keys().cloned().collect();
        self.scene.hold("I6", left.is_empty(), || format!("deleted, and snapshots are left: {left:?}"));
        let left = self.elsewhere.index.clone();
        self.scene.hold("I6", left.is_none(), || format!("deleted, and in the index: {left:?}"));
        let left: Vec<_> = self.elsewhere.artifacts.keys().cloned().collect();
        self.scene.hold("I6", left.is_empty(), || format!("deleted, and artifacts are left: {left:?}"));
    }

    /// What was recorded as saved was saved while no agent worked, and sandboxes have generations of their own.
    pub(crate) fn check_snapshots(&mut self) {
        for snapshot_id in std::mem::take(&mut self.observer.taken) {
            let saved = self.provider.snapshots.get(&snapshot_id);
            let whole = saved.is_some_and(|saved| !saved.half_a_thought);
            self.scene
                .hold("I3", whole, || format!("{snapshot_id} counts as saved; the provider has {saved:?}"));
        }
        let generations: BTreeSet<_> =
            self.provider.live.values().map(|sandbox| sandbox.generation).collect();
        let warm = self.provider.live.values().filter(|sandbox| sandbox.generation == WARM).count();
        let owned = self.provider.live.len() - warm.saturating_sub(1);
        self.scene
            .hold("I5", generations.len() == owned, || "two sandboxes of one generation run".to_owned());
    }

    /// The state of everything, for a run that does not come to rest.
    pub(crate) fn describe(&self) -> String {
        let session = self.shell.tables.load().ok().flatten();
        let session = session.map(|session| {
            (session.turn.is_some(), session.queue.len(), session.saving, session.sandbox, session.deleted)
        });
        let newest = self.observer.log.len() as u64;
        let unsettled: Vec<_> = self.clients.iter().filter(|client| !client.is_settled(newest)).collect();
        format!(
            "session {session:?}; alarm {:?} at {:?}; live {:?}; bridge quiet: {}; clients not settled: {}",
            self.shell.alarm,
            self.scene.clock(),
            self.provider.live.keys().collect::<Vec<_>>(),
            self.bridge.is_quiet(),
            unsettled
                .iter()
                .map(|client| format!("{client:?}").chars().take(300).collect::<String>())
                .collect::<String>(),
        )
    }
}
