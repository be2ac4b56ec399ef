//! Snapshots: taken between turns, kept to fall back to, and what the next sandbox starts from.

use super::input::{Work, WorkOutcome};
use super::limit::SNAPSHOTS_KEPT;
use super::sandbox::failure;
use super::session::{Saved, Saving};
use super::step::Step;
use protocol::id::SnapshotId;
use protocol::timeline::{SandboxStatus, SessionEvent};

impl Step<'_> {
    /// Saves the sandbox; the next turn waits for it, because a snapshot of a working agent is a snapshot of half a thought.
    pub(super) fn order_snapshot(&mut self) {
        let is_ready = self.session.sandbox.as_ref().is_some_and(|sandbox| sandbox.is_ready());
        if !is_ready || self.session.turn.is_some() || self.session.saving.is_some() {
            return;
        }
        let snapshot_id = SnapshotId::from_random(self.draw());
        self.session.saving = Some(Saving { snapshot_id, since: self.now() });
        if let Some(work) = self.snapshot_order() {
            self.enqueue(work);
        }
    }

    /// The order for the snapshot on its way.
    pub(super) fn snapshot_order(&self) -> Option<Work> {
        let (sandbox, saving) = (self.session.sandbox.as_ref()?, self.session.saving.as_ref()?);
        Some(Work::TakeSnapshot {
            sandbox_id: sandbox.id.clone(),
            generation: self.session.generation,
            snapshot_id: saving.snapshot_id.clone(),
        })
    }

    pub(super) fn take_snapshot_outcome(&mut self, snapshot_id: SnapshotId, outcome: &WorkOutcome) {
        if self.session.saving.as_ref().is_none_or(|saving| saving.snapshot_id != snapshot_id) {
            return;
        }
        if *outcome == WorkOutcome::Done {
            self.session.saving = None;
            let turns = self.remembered_turns();
            self.session.snapshots.insert(0, Saved { snapshot_id: snapshot_id.clone(), turns });
            let kept = SNAPSHOTS_KEPT.min(self.session.snapshots.len());
            for saved in self.session.snapshots.split_off(kept) {
                self.enqueue(Work::DeleteSnapshot { snapshot_id: saved.snapshot_id });
            }
            self.record(SessionEvent::SnapshotTaken { snapshot_id });
        } else if let Some(reason) = failure(outcome) {
            let reason = reason.to_owned();
            self.give_up_snapshot(reason);
        }
    }

    pub(super) fn give_up_snapshot(&mut self, reason: String) {
        if self.drop_saving() {
            self.record(SessionEvent::EffectFailed { what: "saving the sandbox".to_owned(), reason });
        }
    }

    /// Stops waiting for a snapshot. It may come to exist all the same, so its removal is ordered.
    pub(super) fn drop_saving(&mut self) -> bool {
        let Some(work) = self.snapshot_order() else { return false };
        self.withdraw(&work);
        if let Some(saving) = self.session.saving.take() {
            self.enqueue(Work::DeleteSnapshot { snapshot_id: saving.snapshot_id });
        }
        true
    }

    /// A snapshot that no sandbox starts from: an older one is next, then none.
    pub(super) fn drop_snapshot(&mut self, snapshot_id: &SnapshotId, reason: &str) {
        self.session.snapshots.retain(|saved| saved.snapshot_id != *snapshot_id);
        self.enqueue(Work::DeleteSnapshot { snapshot_id: snapshot_id.clone() });
        let next = if self.session.snapshots.is_empty() { "afresh" } else { "from an older one" };
        self.record(SessionEvent::EffectFailed {
            what: format!("restoring the snapshot; the next sandbox starts {next}"),
            reason: reason.to_owned(),
        });
    }

    /// Saves the sandbox unless that was done, and ends it then; the conversation goes on from the snapshot. No turn runs.
    pub(super) fn leave_sandbox(&mut self) {
        let turns = self.remembered_turns();
        let Some(sandbox) = &mut self.session.sandbox else { return };
        sandbox.leaving = true;
        let is_saved = self.session.snapshots.first().is_some_and(|saved| saved.turns == turns);
        if !is_saved && turns > 0 {
            self.order_snapshot();
        }
        self.finish_leaving();
    }

    /// Ended turns that the sandbox's agent remembers: not those that it is to be told of with its next turn.
    fn remembered_turns(&self) -> u32 {
        let forgotten = self.session.sandbox.as_ref().map_or(0, |sandbox| sandbox.forgotten);
        self.session.turns_ended.saturating_sub(forgotten)
    }

    /// Ends the sandbox that is to be left, when nothing is on its way in it any more.
    pub(super) fn finish_leaving(&mut self) {
        let waits = self.session.has_waiting();
        let session = &mut *self.session;
        let Some(sandbox) = session.sandbox.as_mut().filter(|sandbox| sandbox.leaving) else { return };
        if session.turn.is_some() {
            return;
        }
        // There is work again, and life enough for it.
        if waits && self.context.now < self.context.timing.handover_at(sandbox.created_at) {
            sandbox.leaving = false;
            return;
        }
        if session.saving.is_none() {
            self.retire_sandbox();
            self.set_stopped();
        }
    }

    pub(super) fn set_stopped(&mut self) {
        let snapshot_id = self.session.snapshots.first().map(|saved| saved.snapshot_id.clone());
        self.set_status(SandboxStatus::Stopped { snapshot_id });
    }
}
