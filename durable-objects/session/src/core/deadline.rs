//! What a session does when nothing happens: it sends again, gives up waiting, or takes a silent sandbox for lost.

use super::input::Timing;
use super::limit::{
    ATTACH_MS_MAX, AWAY_MS_MIN, BIND_MS_MAX, CLAIM_MS_MAX, CONFIRM_MS_MAX, FIRST_WORD_MS_MAX,
    LEASE_MARGIN_MS, LEASE_MS, SETUP_SILENCE_MS_MAX, SNAPSHOT_MS_MAX, STOP_MS_MAX, STOP_REPEAT_MS,
    WARM_ATTACH_MS_MAX, WARM_SETUP_MS_MAX,
};
use super::sandbox::{LiveSandbox, SandboxPhase};
use super::session::Session;
use super::step::Step;
use super::turn::{StopCause, StopState};
use protocol::time::Timestamp;

/// Why a session wants to be called at a certain moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineReason {
    /// The runner has not confirmed the turn.
    TurnUnconfirmed,
    /// The stop has not been carried out: send it again.
    StopUnanswered,
    /// The stop has not been carried out: enforce it.
    StopEnforced,
    /// The turn's lease has run out: its runner says nothing.
    RunnerSilent,
    /// The repository has not answered the claim of a warm sandbox.
    ClaimUnanswered,
    /// The bridge has not confirmed the claimed sandbox.
    BindUnanswered,
    /// The sandbox's runner has not dialled in.
    AttachMissing,
    /// The runner does not come to an end with its set-up.
    SetupSilent,
    /// The snapshot does not come to an end.
    SnapshotMissing,
    /// The sandbox's life comes to its end: hand its work over.
    LifeEnding,
    /// The sandbox has had nothing to do for a while: save and stop it.
    Idle,
    /// The turn has taken as long as turns may.
    TurnOvertime,
    /// What the turn may spend, or what holds prompts back, is to be asked about.
    LedgerUnasked,
    /// Nothing was heard of the pull request for a while: look at it.
    PullRequestQuiet,
}

impl DeadlineReason {
    /// Whether it judges others by their silence, which also our own absence can explain.
    fn judges_silence(self) -> bool {
        match self {
            Self::RunnerSilent
            | Self::ClaimUnanswered
            | Self::BindUnanswered
            | Self::AttachMissing
            | Self::SetupSilent => true,
            Self::TurnUnconfirmed
            | Self::StopUnanswered
            | Self::StopEnforced
            | Self::SnapshotMissing
            | Self::LifeEnding
            | Self::Idle
            | Self::TurnOvertime
            | Self::LedgerUnasked
            | Self::PullRequestQuiet => false,
        }
    }
}

impl Session {
    /// The next moment at which [`super::Input::DeadlineReached`] is due, and why.
    #[must_use]
    pub fn next_deadline(&self, timing: Timing) -> Option<(Timestamp, DeadlineReason)> {
        let saving = self
            .saving
            .as_ref()
            .map(|saving| (saving.since.plus_ms(SNAPSHOT_MS_MAX), DeadlineReason::SnapshotMissing));
        let sandbox = self.sandbox.as_ref();
        let account = self.account_deadlines();
        [
            saving,
            sandbox.and_then(|sandbox| self.sandbox_deadline(sandbox)),
            sandbox.and_then(|sandbox| self.leave_deadline(sandbox, timing)),
            self.confirm_deadline(),
            self.stop_deadline(),
            account.overtime.map(|at| (at, DeadlineReason::TurnOvertime)),
            account.ask.map(|at| (at, DeadlineReason::LedgerUnasked)),
            self.look_at(timing).map(|at| (at, DeadlineReason::PullRequestQuiet)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn sandbox_deadline(&self, sandbox: &LiveSandbox) -> Option<(Timestamp, DeadlineReason)> {
        match (sandbox.phase, &self.turn) {
            // The outbox tries for as long as the prompt waits; people see that and can cancel.
            (SandboxPhase::Ordered, _) => None,
            (SandboxPhase::Claiming, _) => {
                Some((sandbox.heard_at.plus_ms(CLAIM_MS_MAX), DeadlineReason::ClaimUnanswered))
            }
            (SandboxPhase::Binding, _) => {
                Some((sandbox.heard_at.plus_ms(BIND_MS_MAX), DeadlineReason::BindUnanswered))
            }
            (SandboxPhase::Created, _) => {
                let ms = if sandbox.warm { WARM_ATTACH_MS_MAX } else { ATTACH_MS_MAX };
                Some((sandbox.heard_at.plus_ms(ms), DeadlineReason::AttachMissing))
            }
            (SandboxPhase::Attached, _) => {
                Some((sandbox.heard_at.plus_ms(setup_silence_ms(sandbox)), DeadlineReason::SetupSilent))
            }
            (SandboxPhase::Ready, Some(turn)) => {
                let since = sandbox.heard_at.max(turn.started_at);
                Some((since.plus_ms(LEASE_MS + LEASE_MARGIN_MS), DeadlineReason::RunnerSilent))
            }
            (SandboxPhase::Ready, None) => None,
        }
    }

    fn leave_deadline(&self, sandbox: &LiveSandbox, timing: Timing) -> Option<(Timestamp, DeadlineReason)> {
        if sandbox.leaving {
            return None;
        }
        let works = self.turn.is_some() || self.saving.is_some() || self.has_waiting();
        let handover = (timing.handover_at(sandbox.created_at), DeadlineReason::LifeEnding);
        let idle = (self.active_at.plus_ms(timing.idle_ms), DeadlineReason::Idle);
        match (sandbox.phase == SandboxPhase::Ready, works) {
            (true, true) => Some(handover),
            (true, false) => Some(handover.min(idle)),
            (false, true) => None,
            // Nobody waits any more for what it was ordered for.
            (false, false) => Some(idle),
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

/// How long its runner may say nothing before the sandbox is ready.
fn setup_silence_ms(sandbox: &LiveSandbox) -> u64 {
    if sandbox.warm {
        return WARM_SETUP_MS_MAX;
    }
    match (sandbox.beats, sandbox.runner_seq) {
        (true, _) => LEASE_MS + LEASE_MARGIN_MS,
        (false, 0) => FIRST_WORD_MS_MAX,
        (false, _) => SETUP_SILENCE_MS_MAX,
    }
}

impl Step<'_> {
    pub(super) fn reach_deadlines(&mut self) {
        let now = self.now();
        // Each round ends or moves one deadline; several can be due at once.
        for _ in 0..8 {
            match self.session.next_deadline(self.context.timing) {
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
                self.set_stopped();
            }
            DeadlineReason::RunnerSilent => {
                let seconds = (LEASE_MS + LEASE_MARGIN_MS) / 1000;
                self.lose_sandbox(&format!("the sandbox has not been heard of for {seconds} seconds"));
            }
            DeadlineReason::LifeEnding if self.session.turn.is_some() => self.hand_over(),
            DeadlineReason::LifeEnding | DeadlineReason::Idle => self.leave_sandbox(),
            DeadlineReason::TurnOvertime => self.stop_overtime(),
            DeadlineReason::LedgerUnasked => self.ask_ledger(),
            DeadlineReason::PullRequestQuiet => self.order_look(),
            DeadlineReason::ClaimUnanswered => self.give_up_claim(),
            DeadlineReason::BindUnanswered => self.give_up_binding(),
            DeadlineReason::AttachMissing => {
                self.lose_sandbox(
                    "the sandbox was created, but its runner has not connected within two minutes",
                );
            }
            DeadlineReason::SetupSilent => {
                let seconds = self.session.sandbox.as_ref().map_or(0, setup_silence_ms) / 1000;
                self.lose_sandbox(&format!(
                    "the sandbox has not been heard of for {seconds} seconds while it was set up"
                ));
            }
            DeadlineReason::SnapshotMissing => {
                self.give_up_snapshot("the bridge has not answered within two minutes".to_owned());
            }
        }
    }

    /// The running turn stops, and its prompt goes on in another sandbox.
    fn hand_over(&mut self) {
        if let Some(sandbox) = &mut self.session.sandbox {
            sandbox.leaving = true;
        }
        if let Some(turn) = self.session.turn.as_mut().filter(|turn| turn.stop == StopState::None) {
            turn.cause = StopCause::Handover;
        }
        self.order_stop();
    }
}
