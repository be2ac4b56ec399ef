//! What runners say of themselves, in the bridge's log, with the ids that the bridge knows them by. Their words are untrusted: they are
//! cut, kept to one line, and few enough not to bury others.

use crate::provider::SessionOwner;
use protocol::id::{SandboxId, TurnId};
use protocol::limit::RUNNER_LOG_BYTES_MAX;
use protocol::runner::LogLevel;
use protocol::trace::TraceParent;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lines of one sandbox in [`WINDOW`]; what comes beyond is left out.
const LINES_MAX: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// Lines of one sandbox.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
}

/// Whose line it is.
pub(super) struct Speaker<'a> {
    pub(super) sandbox: &'a SandboxId,
    pub(super) session: Option<&'a SessionOwner>,
    pub(super) turn: Option<&'a TurnId>,
    pub(super) trace: Option<TraceParent>,
}

impl Lines {
    /// Writes a line, unless there were too many.
    pub(super) fn write(&self, speaker: &Speaker<'_>, level: LogLevel, text: &str) {
        let lines = self.count(Instant::now());
        if lines > LINES_MAX {
            return;
        }
        let text = one_line(text);
        let (session, generation) =
            speaker.session.map(|its| (its.session_id.as_str(), its.generation)).unzip();
        let (sandbox, turn) = (speaker.sandbox.as_str(), speaker.turn.map(TurnId::as_str));
        let trace_id = speaker.trace.map(TraceParent::trace_id);
        let is_last = lines == LINES_MAX;
        match level {
            LogLevel::Info | LogLevel::Unknown => {
                tracing::info!(target: "runner", sandbox, session, generation, turn, trace_id, is_last, "{text}");
            }
            // An error of a runner is no defect of the bridge.
            LogLevel::Warn | LogLevel::Error => {
                tracing::warn!(target: "runner", sandbox, session, generation, turn, trace_id, is_last, "{text}");
            }
        }
    }

    fn count(&self, now: Instant) -> u32 {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match window.as_mut() {
            Some(window) if now.duration_since(window.since) < WINDOW => window,
            Some(_) | None => window.insert(Window { since: now, lines: 0 }),
        };
        window.lines = window.lines.saturating_add(1);
        window.lines
    }
}

fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.len() > RUNNER_LOG_BYTES_MAX {
        let end = (0..=RUNNER_LOG_BYTES_MAX).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or_default());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_not_long() {
        assert_eq!(one_line("a\nb\u{1b}[31mc"), "a b [31mc");
        let long = one_line(&"é".repeat(RUNNER_LOG_BYTES_MAX));
        assert!(long.len() <= RUNNER_LOG_BYTES_MAX && long.chars().all(|letter| letter == 'é'));
    }

    #[test]
    fn a_runner_that_says_much_is_heard_again_a_minute_later() {
        let (lines, begun) = (Lines::default(), Instant::now());
        for said in 1..=2 * LINES_MAX {
            assert_eq!(lines.count(begun), said);
        }
        assert_eq!(lines.count(begun + WINDOW), 1);
    }
}
