//! What a session watches besides its events: kept as one row, written only when it differs.

use super::sandbox::LiveSandbox;
use super::session::{PullRequestState, Saved, Saving, Session};
use super::turn::{StopCause, StopState};
use protocol::id::{ReservationId, TurnId};
use protocol::time::Timestamp;
use protocol::timeline::{SandboxStatus, Seq};

/// A copy to compare with.
#[derive(PartialEq)]
pub(super) struct Watch {
    generation: u64,
    status: SandboxStatus,
    snapshots: Vec<Saved>,
    saving: Option<Saving>,
    pull_request: PullRequestState,
    pull_changes: u64,
    milestone_changes: u64,
    account_changes: u64,
    sandbox: Option<LiveSandbox>,
    turn: Option<(TurnId, Timestamp, bool, StopState, StopCause, u32)>,
    turns_ended: u32,
    kept_from: Seq,
    active_minute: u64,
    warmed_at: Timestamp,
    reservation: Option<ReservationId>,
    false_starts: u32,
    archived_at: Option<Timestamp>,
    deleted: bool,
}

/// Idleness is measured in minutes, so the moment of the last activity need not be exact on disk.
const MINUTE_MS: u64 = 60_000;

impl Watch {
    pub(super) fn of(session: &Session) -> Self {
        let turn = session.turn.as_ref();
        let mut sandbox = session.sandbox.clone();
        if let Some(sandbox) = &mut sandbox {
            (sandbox.runner_seq, sandbox.heard_at) = (0, Timestamp(0));
        }
        Self {
            generation: session.generation,
            status: session.status.clone(),
            snapshots: session.snapshots.clone(),
            saving: session.saving.clone(),
            pull_request: session.pull_request,
            pull_changes: session.pull.changes,
            milestone_changes: session.milestones.changes,
            account_changes: session.account.changes,
            sandbox,
            turn: turn.map(|turn| {
                (turn.id.clone(), turn.ordered_at, turn.received, turn.stop, turn.cause, turn.digest_turns)
            }),
            turns_ended: session.turns_ended,
            kept_from: session.kept_from,
            active_minute: session.active_at.0 / MINUTE_MS,
            warmed_at: session.warmed_at,
            reservation: session.reservation.clone(),
            false_starts: session.false_starts,
            archived_at: session.info.archived_at,
            deleted: session.deleted,
        }
    }
}

impl Session {
    /// How far the runner's events were taken, and when it was last heard of.
    pub(super) fn cursor(&self) -> Option<(Seq, Timestamp)> {
        self.sandbox.as_ref().map(|sandbox| (sandbox.runner_seq, sandbox.heard_at))
    }
}
