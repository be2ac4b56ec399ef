//! What a session does when nothing happens: it sends again, gives up waiting, or takes a silent sandbox for lost.

use super::limit::{
    ATTACH_MS_MAX, AWAY_MS_MIN, CONFIRM_MS_MAX, SETUP_SILENCE_MS_MAX, SILENCE_MS_MAX, SNAPSHOT_MS_MAX,
    STOP_MS_MAX, STOP_REPEAT_MS,
};
use super::sandbox::SandboxPhase;
use super::session::Session;
use super::step::Step;
use super::turn::StopState;
use protocol::time::Timestamp;
use protocol::timeline::SandboxStatus;

/// Why a session wants to be called at a certain moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineReason {
    /// The runner has not confirmed the turn.
    TurnUnconfirmed,
    /// The stop has not been carried out: send it again.
    StopUnanswered,
    /// The stop has not been carried out: enforce it.
    StopEnforced,
    /// The turn's runner says nothing.
    RunnerSilent,
    /// The sandbox's runner has not dialled in.
    AttachMissing,
    /// The runner does not come to an end with its set-up.
    SetupSilent,
    /// The snapshot does not come to an end.
    SnapshotMissing,
}

impl DeadlineReason {
    /// Whether it judges a runner by its silence, which also our own absence can explain.
    fn judges_silence(self) -> bool {
        match self {
            Self::RunnerSilent | Self::AttachMissing | Self::SetupSilent => true,
            Self::TurnUnconfirmed | Self::StopUnanswered | Self::StopEnforced | Self::SnapshotMissing => {
                false
            }
        }
    }
}

impl Session {
    /// The next moment at which [`super::Input::DeadlineReached`] is due, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Timestamp, DeadlineReason)> {
        let saving = self
            .saving
            .as_ref()
            .map(|saving| (saving.since.plus_ms(SNAPSHOT_MS_MAX), DeadlineReason::SnapshotMissing));
        [saving, self.sandbox_deadline(), self.confirm_deadline(), self.stop_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn sandbox_deadline(&self) -> Option<(Timestamp, DeadlineReason)> {
        let sandbox = self.sandbox.as_ref()?;
        match (sandbox.phase, &self.turn) {
            // The outbox tries for as long as the prompt waits; people see that and can cancel.
            (SandboxPhase::Ordered, _) => None,
            (SandboxPhase::Created, _) => {
                Some((sandbox.heard_at.plus_ms(ATTACH_MS_MAX), DeadlineReason::AttachMissing))
            }
            (SandboxPhase::Attached, _) => {
                Some((sandbox.heard_at.plus_ms(SETUP_SILENCE_MS_MAX), DeadlineReason::SetupSilent))
            }
            (SandboxPhase::Ready, Some(turn)) => {
                let since = sandbox.heard_at.max(turn.started_at);
                Some((since.plus_ms(SILENCE_MS_MAX), DeadlineReason::RunnerSilent))
            }
            (SandboxPhase::Ready, None) => None,
        }
    }

    fn confirm_deadline(&self) -> Option<(Timestamp, DeadlineReason)> {
        let turn = self.turn.as_ref().filter(|turn| !turn.received)?;
        Some((turn.ordered_at.plus_ms(CONFIRM_MS_MAX), DeadlineReason::TurnUnconfirmed))
    }

    fn stop_deadline(&self) -> Option<(Timestamp, DeadlineReason)> {
        match self.turn.as_ref()?.stop {
            StopState::None => None,
            StopState::Requested { at } => Some((at.plus_ms(STOP_REPEAT_MS), DeadlineReason::StopUnanswered)),
            StopState::Repeated { at } => Some((at.plus_ms(STOP_MS_MAX), DeadlineReason::StopEnforced)),
        }
    }
}

impl Step<'_> {
    pub(super) fn reach_deadlines(&mut self) {
        let now = self.now();
        // Each round ends or moves one deadline; several can be due at once.
        for _ in 0..8 {
            match self.session.next_deadline() {
                Some((at, reason)) if at <= now => self.reach(reason, now.ms_since(at)),
                Some(_) | None => return,
            }
        }
    }

    fn reach(&mut self, reason: DeadlineReason, late_ms: u64) {
        let now = self.now();
        if reason.judges_silence() && late_ms >= AWAY_MS_MIN {
            // The session itself was away, and could not have heard anything: the runner gets its time once more.
            if let Some(sandbox) = &mut self.session.sandbox {
                sandbox.heard_at = now;
            }
            return;
        }
        match reason {
            DeadlineReason::TurnUnconfirmed => self.repeat_turn_order(),
            DeadlineReason::StopUnanswered => {
                if let Some(work) = self.stop_order() {
                    self.enqueue(work);
                }
                if let Some(turn) = &mut self.session.turn
                    && let StopState::Requested { at } = turn.stop
                {
                    turn.stop = StopState::Repeated { at };
                }
            }
            DeadlineReason::StopEnforced => {
                self.lose_turn("the agent did not stop");
                self.retire_sandbox();
                let snapshot_id = self.session.snapshot.clone();
                self.set_status(SandboxStatus::Stopped { snapshot_id });
            }
            DeadlineReason::RunnerSilent => {
                self.lose_sandbox("the sandbox has not been heard of for a minute");
            }
            DeadlineReason::AttachMissing => {
                self.lose_sandbox(
                    "the sandbox was created, but its runner has not connected within two minutes",
                );
            }
            DeadlineReason::SetupSilent => {
                self.lose_sandbox("setting up the sandbox has not moved for 15 minutes");
            }
            DeadlineReason::SnapshotMissing => {
                self.give_up_snapshot("the bridge has not answered within two minutes".to_owned());
            }
        }
    }
}
