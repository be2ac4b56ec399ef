//! What a run has reached, by name, so that a simulator that has stopped to reach something is noticed.

use protocol::timeline::{
    ArtifactContent, PromptState, Restoration, SandboxStatus, SessionEvent, TurnOutcome,
};

/// Everything that enough seeds must reach, besides every kind of fault.
pub const MILESTONES: &[&str] = &[
    "turn-completed",
    "turn-stopped",
    "turn-failed",
    "turn-handed-over",
    "prompt-failed",
    "prompt-cancelled",
    "prompt-edited",
    "prompt-moved",
    "prompt-steered",
    "stop-requested",
    "role-changed",
    "archived",
    "unarchived",
    "sandbox-stopped",
    "sandbox-failed",
    "warm-handed-out",
    "warm-bound",
    "claim-released",
    "prompt-begun",
    "snapshot-taken",
    "effect-failed",
    "restored-from-snapshot",
    "restored-from-earlier-snapshot",
    "restored-by-digest",
    "pull-request",
    "file",
    "deleted",
    "rebuilt",
    "stale-words-refused",
    "event-gap",
    "events-missed",
];

/// The milestone that an event is.
pub(crate) fn milestone(event: &SessionEvent) -> Option<&'static str> {
    Some(match event {
        SessionEvent::TurnEnded { end, prompt_state, .. } => match (&end.outcome, prompt_state) {
            (_, PromptState::Failed) => "prompt-failed",
            (TurnOutcome::Stopped, PromptState::Queued) => "turn-handed-over",
            (TurnOutcome::Completed, _) => "turn-completed",
            (TurnOutcome::Stopped, _) => "turn-stopped",
            (TurnOutcome::Failed { .. }, _) => "turn-failed",
        },
        SessionEvent::PromptCancelled { .. } => "prompt-cancelled",
        SessionEvent::PromptEdited { .. } => "prompt-edited",
        SessionEvent::PromptMoved { .. } => "prompt-moved",
        SessionEvent::PromptSteered { .. } => "prompt-steered",
        SessionEvent::StopRequested { .. } => "stop-requested",
        SessionEvent::RoleChanged { .. } => "role-changed",
        SessionEvent::SessionArchived { .. } => "archived",
        SessionEvent::SessionUnarchived { .. } => "unarchived",
        SessionEvent::SandboxChanged { status } => match status {
            SandboxStatus::Stopped { .. } => "sandbox-stopped",
            SandboxStatus::Failed { .. } => "sandbox-failed",
            SandboxStatus::None | SandboxStatus::Starting { .. } | SandboxStatus::Ready { .. } => {
                return None;
            }
        },
        SessionEvent::SnapshotTaken { .. } => "snapshot-taken",
        SessionEvent::EffectFailed { .. } => "effect-failed",
        SessionEvent::EgressDenied { .. } => "egress-denied",
        SessionEvent::PullRequestChanged { .. } => "pull-request-changed",
        SessionEvent::ReviewAdded { .. } => "review-added",
        SessionEvent::ConversationRestored { from, .. } => match from {
            Restoration::Snapshot { .. } => "restored-from-snapshot",
            Restoration::EarlierSnapshot { .. } => "restored-from-earlier-snapshot",
            Restoration::Digest { .. } => "restored-by-digest",
            Restoration::Unknown => return None,
        },
        SessionEvent::ArtifactChanged { artifact } => match artifact.content {
            ArtifactContent::PullRequest { .. } => "pull-request",
            ArtifactContent::File { .. } => "file",
            ArtifactContent::Branch { .. } | ArtifactContent::Diff { .. } | ArtifactContent::Unknown => {
                return None;
            }
        },
        SessionEvent::SessionCreated { .. }
        | SessionEvent::TitleChanged { .. }
        | SessionEvent::ParticipantJoined { .. }
        | SessionEvent::PromptQueued { .. }
        | SessionEvent::TurnStarted { .. }
        | SessionEvent::ItemChanged { .. }
        | SessionEvent::ItemRevised { .. }
        | SessionEvent::ItemAppended { .. }
        | SessionEvent::BudgetChanged(_)
        | SessionEvent::Unknown => return None,
    })
}
