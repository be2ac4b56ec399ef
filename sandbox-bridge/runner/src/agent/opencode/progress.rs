//! How far a turn in OpenCode is, apart from what it shows: stopping, idle, retrying, failed. Used by `drive`.

use super::view::TurnView;
use super::wire::AgentError;
use crate::output::Output;
use crate::random;
use protocol::timeline::{NoticeLevel, TurnOutcome};
use serde_json::Value;
use std::time::Instant;

/// What the loop knows apart from the view.
pub(super) struct Progress {
    pub(super) posted: Instant,
    pub(super) stopping: Option<Instant>,
    /// Since when OpenCode looks idle.
    pub(super) idle: Option<Instant>,
    /// When the state was last asked for; `None` asks at once.
    pub(super) looked: Option<Instant>,
    pub(super) error: Option<AgentError>,
    pub(super) retrying: Option<(Instant, String)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { posted: now, stopping: None, idle: None, looked: Some(now), error: None, retrying: None }
    }

    pub(super) async fn take_status(&mut self, status: Option<&Value>, output: &mut Output) {
        let text = |key| status.and_then(|status| status.get(key)).and_then(Value::as_str);
        match text("type") {
            Some("idle") => {
                self.idle.get_or_insert_with(Instant::now);
            }
            Some("busy") => (self.idle, self.retrying) = (None, None),
            Some("retry") => {
                let message = text("message").unwrap_or("no reason given").to_owned();
                let next =
                    status.and_then(|status| status.get("next")).and_then(Value::as_u64).unwrap_or_default();
                let seconds = next.saturating_sub(random::now().0).div_ceil(1000);
                let line = format!("The model provider refused: {message}. The next try is in {seconds} s.");
                output.replace_notice("retry", NoticeLevel::Warning, &line).await;
                let since = self.retrying.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                (self.idle, self.retrying) = (None, Some((since, message)));
            }
            Some(_) | None => {}
        }
    }

    pub(super) fn outcome(&self, view: &TurnView) -> TurnOutcome {
        if self.stopping.is_some() {
            return TurnOutcome::Stopped;
        }
        match (view.settled(), &self.error) {
            (Some(message), _) => match &message.error {
                Some(error) => TurnOutcome::Failed { reason: error.describe() },
                None => TurnOutcome::Completed,
            },
            (None, Some(error)) => TurnOutcome::Failed { reason: error.describe() },
            (None, None) if view.has_begun() => {
                TurnOutcome::Failed { reason: "OpenCode became idle in the middle of an answer".to_owned() }
            }
            (None, None) => {
                TurnOutcome::Failed { reason: "OpenCode did not begin to work on the prompt".to_owned() }
            }
        }
    }
}
