//! What a session's lines in the log are about, and those that follow a prompt on its way.

use super::failure::Failure;
use super::host::new_span;
use super::shell::Shell;
use crate::core::{Effect, WorkOutcome};
use crate::store::OutboxRow;
use platform::log::{self, About, Level};
use protocol::timeline::{SessionEvent, TurnOutcome};
use protocol::trace::TraceParent;

impl Shell {
    /// The session, and what it is at.
    pub(super) fn about(&self) -> About {
        let ids = self.with_session(|session| {
            let about = About::default()
                .with("session", session.info.id.as_str())
                .number("generation", session.generation);
            match &session.turn {
                Some(turn) => about.with("turn", turn.id.as_str()),
                None => about,
            }
        });
        ids.unwrap_or_default()
    }

    /// A span in the trace of the present work.
    pub(super) fn span(&self) -> Option<TraceParent> {
        let cause = self.store.load_trace().ok().flatten()?;
        Some(new_span(Some(cause)))
    }

    /// What a failure of ours makes of a try; the log has it.
    pub(super) fn failed(&self, failure: Failure) -> WorkOutcome {
        WorkOutcome::Failed { reason: failure.into_body(&self.about()).message }
    }

    /// Says what became of prompts and turns.
    pub(super) fn log_progress(&self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Record { event, .. } = effect else { continue };
            if let SessionEvent::PromptQueued { prompt } = event {
                let about = self.about().with("prompt", prompt.id.as_str()).traced(prompt.traceparent);
                log::write(Level::Info, "prompt accepted", &about);
            } else if let SessionEvent::TurnStarted { turn } = event {
                let about = self.about().traced(self.span()).number("attempt", u64::from(turn.attempt));
                log::write(Level::Info, "turn started", &about);
            } else if let SessionEvent::TurnEnded { turn_id, end, .. } = event {
                let outcome = match end.outcome {
                    TurnOutcome::Completed => "completed",
                    TurnOutcome::Stopped => "stopped",
                    TurnOutcome::Failed { .. } => "failed",
                };
                let about = self.about().with("turn", turn_id.as_str()).with("outcome", outcome);
                log::write(Level::Info, "turn ended", &about.traced(self.span()));
            }
        }
    }

    /// Says what came of a try, where that is worth a line: copies for lists are brought up to date all the time.
    pub(super) fn log_try(&self, row: &OutboxRow, trace: Option<TraceParent>, outcome: &WorkOutcome) {
        let kind = row.work.kind();
        let (level, message, reason) = match outcome {
            WorkOutcome::Delayed { reason } => (Level::Warn, "comes later", Some(reason)),
            WorkOutcome::Failed { reason } | WorkOutcome::Rejected { reason } => {
                (Level::Warn, "failed", Some(reason))
            }
            WorkOutcome::SignInNeeded { reason } => (Level::Info, "waits for a sign-in", Some(reason)),
            WorkOutcome::Done if kind == "update_index" => return,
            WorkOutcome::Done
            | WorkOutcome::SandboxCreated { .. }
            | WorkOutcome::SandboxClaimed { .. }
            | WorkOutcome::NoWarmSandbox { .. }
            | WorkOutcome::PullRequestOpened { .. } => (Level::Info, "done", None),
        };
        let about =
            self.about().traced(trace).with("work", kind).number("tries", u64::from(row.attempts) + 1);
        let about = match reason {
            Some(reason) => about.with("reason", reason),
            None => about,
        };
        log::write(level, message, &about);
    }
}
