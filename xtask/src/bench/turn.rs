//! One prompt on a session's socket, with the times that its events tell. Used by `overhead` and `starts`.
//!
//! The runner has the turn at the time of the first words less its own measure of how long they took; in whole milliseconds, as both
//! clocks write them.

use anyhow::{Context as _, ensure};
use protocol::client::{ClientMessage, ServerMessage};
use protocol::id::PromptId;
use protocol::timeline::{ItemContent, SandboxStatus, SessionEvent, ToolState, TurnOutcome};
use stack::{Client, SessionSocket, StackError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The session is quiet when nothing came for this long.
const QUIET: Duration = Duration::from_millis(100);

/// The time.
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
}

/// A time of the wire.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
pub(super) fn as_ms(number: u64) -> f64 {
    number as f64
}

/// What one prompt took.
pub(super) struct Sample {
    /// The session accepts it → the runner has the turn.
    pub(super) accepted_to_agent_ms: f64,
    /// The session accepts it → the agent's first words.
    pub(super) accepted_to_words_ms: f64,
    /// The agent's first words → read here.
    pub(super) first_delta_ms: f64,
    /// How each command of the agent ended.
    pub(super) exit_codes: Vec<i32>,
    /// What its sandbox did before it was ready.
    pub(super) steps: Vec<String>,
}

/// Sends a prompt.
pub(super) async fn submit(socket: &mut SessionSocket, text: &str) -> anyhow::Result<PromptId> {
    let request = Client::prompt(text);
    let id = request.id.clone();
    socket.send(&ClientMessage::Prompt { prompt: request }).await?;
    Ok(id)
}

/// Sends a prompt, and waits for the end of its turn, each message at most `timeout`.
pub(super) async fn prompt(
    socket: &mut SessionSocket,
    text: &str,
    timeout: Duration,
) -> anyhow::Result<Sample> {
    let id = submit(socket, text).await?;
    let (mut submitted, mut seen) = (None, None);
    let (mut steps, mut exit_codes) = (Vec::new(), Vec::new());
    loop {
        let message = socket.next(timeout).await?;
        let ServerMessage::Event { event, .. } = message else { continue };
        match event {
            SessionEvent::PromptQueued { prompt } if prompt.id == id => submitted = Some(prompt.submitted_at),
            SessionEvent::ItemChanged { item }
                if seen.is_none() && matches!(item.content, ItemContent::Text { .. }) =>
            {
                seen = Some((item.started_at, now_ms()));
            }
            SessionEvent::ItemChanged { item } | SessionEvent::ItemRevised { item } => {
                if let ItemContent::Tool { state: ToolState::Completed { exit_code, .. }, .. } = item.content
                {
                    exit_codes.extend(exit_code);
                }
            }
            SessionEvent::SandboxChanged { status: SandboxStatus::Starting { step, .. } } => steps.push(step),
            SessionEvent::TurnEnded { end, .. } => {
                ensure!(end.outcome == TurnOutcome::Completed, "a turn ended as {:?}", end.outcome);
                let (seen_at, read_at) = seen.context("the turn said nothing")?;
                let first_token = end.first_token_ms.context("the runner measured no first token")?;
                let submitted = submitted.context("the prompt was not queued")?;
                let received = as_ms(seen_at.0) - as_ms(first_token);
                return Ok(Sample {
                    accepted_to_agent_ms: (received - as_ms(submitted.0)).max(0.0),
                    accepted_to_words_ms: (as_ms(seen_at.0) - as_ms(submitted.0)).max(0.0),
                    exit_codes,
                    steps,
                    first_delta_ms: (read_at - as_ms(seen_at.0)).max(0.0),
                });
            }
            SessionEvent::SessionCreated { .. }
            | SessionEvent::TitleChanged { .. }
            | SessionEvent::ParticipantJoined { .. }
            | SessionEvent::PromptQueued { .. }
            | SessionEvent::PromptCancelled { .. }
            | SessionEvent::PromptEdited { .. }
            | SessionEvent::PromptMoved { .. }
            | SessionEvent::PromptSteered { .. }
            | SessionEvent::RoleChanged { .. }
            | SessionEvent::TurnStarted { .. }
            | SessionEvent::StopRequested { .. }
            | SessionEvent::ItemAppended { .. }
            | SessionEvent::ConversationRestored { .. }
            | SessionEvent::SessionArchived { .. }
            | SessionEvent::SessionUnarchived { .. }
            | SessionEvent::SandboxChanged { .. }
            | SessionEvent::SnapshotTaken { .. }
            | SessionEvent::ArtifactChanged { .. }
            | SessionEvent::EffectFailed { .. }
            | SessionEvent::EgressDenied { .. }
            | SessionEvent::PullRequestChanged { .. }
            | SessionEvent::ReviewAdded { .. }
            | SessionEvent::BudgetChanged(_)
            | SessionEvent::Unknown => {}
        }
    }
}

/// Waits until nothing comes any more: snapshots of the last turn are done.
pub(super) async fn quiet(socket: &mut SessionSocket) -> anyhow::Result<()> {
    loop {
        match socket.next(QUIET).await {
            Ok(_) => {}
            Err(StackError::Timeout { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
