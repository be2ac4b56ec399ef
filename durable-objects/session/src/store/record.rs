//! One event into the history and into the tables that the events add up to. The counterpart in SQL of `core::apply_event`.

use super::Store;
use super::row::{json, word};
use super::sql::{Sql, StoreError, Value};
use crate::core::prompt_digest;
use protocol::time::Timestamp;
use protocol::timeline::{
    Artifact, ArtifactContent, Item, ItemContent, Prompt, PromptState, Seq, SessionEvent, Turn, TurnEnd,
    TurnOutcome,
};

impl<S: Sql> Store<S> {
    pub(super) fn record(
        &self,
        seq: Seq,
        at: Timestamp,
        event: &SessionEvent,
        data: &str,
    ) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO events (seq, type, data, at) VALUES (?1, ?2, ?3, ?4)",
            &[seq.into(), event_type(event).into(), data.into(), at.into()],
        )?;
        match event {
            SessionEvent::TitleChanged { title } => {
                self.sql.exec("UPDATE session SET title = ?1", &[title.as_str().into()])?;
            }
            SessionEvent::PromptQueued { prompt } => self.record_prompt(seq, prompt)?,
            SessionEvent::PromptCancelled { prompt_id, .. } => {
                self.set_prompt_state(prompt_id.as_str(), PromptState::Cancelled)?;
            }
            SessionEvent::TurnStarted { turn } => self.record_turn(seq, turn)?,
            SessionEvent::TurnEnded { turn_id, end, prompt_state } => {
                self.record_turn_end(turn_id.as_str(), end, *prompt_state)?;
            }
            SessionEvent::ItemChanged { item } => self.record_item(seq, item)?,
            SessionEvent::ItemAppended { item_id, text, .. } => {
                self.sql.exec(
                    "UPDATE items SET text = text || ?2 WHERE item_id = ?1",
                    &[item_id.as_str().into(), text.as_str().into()],
                )?;
            }
            SessionEvent::ArtifactChanged { artifact } => self.record_artifact(seq, artifact)?,
            SessionEvent::SessionCreated { .. }
            | SessionEvent::ParticipantJoined { .. }
            | SessionEvent::StopRequested { .. }
            | SessionEvent::SandboxChanged { .. }
            | SessionEvent::SnapshotTaken { .. }
            | SessionEvent::EffectFailed { .. }
            | SessionEvent::Unknown => {}
        }
        Ok(())
    }

    fn record_prompt(&self, seq: Seq, prompt: &Prompt) -> Result<(), StoreError> {
        let id = Value::from(prompt.id.as_str());
        self.sql.exec(
            "INSERT INTO prompts (prompt_id, author_id, origin, model, state, digest, seq, submitted_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &[
                id.clone(),
                prompt.author.as_str().into(),
                word(&prompt.origin)?.into(),
                prompt.model.clone().into(),
                word(&prompt.state)?.into(),
                prompt_digest(prompt).into(),
                seq.into(),
                prompt.submitted_at.into(),
            ],
        )?;
        self.sql.exec(
            "INSERT INTO messages (role, prompt_id, content, author_id, author_name, at) \
             VALUES ('user', ?1, ?2, ?3, (SELECT name FROM participants WHERE user_id = ?3), ?4)",
            &[
                id.clone(),
                prompt.text.as_str().into(),
                prompt.author.as_str().into(),
                prompt.submitted_at.into(),
            ],
        )?;
        self.sql.exec("INSERT INTO queue (prompt_id, position) VALUES (?1, ?2)", &[id, seq.into()])?;
        Ok(())
    }

    /// A state in which a prompt does not wait any more takes it out of the queue.
    fn set_prompt_state(&self, prompt_id: &str, state: PromptState) -> Result<(), StoreError> {
        self.sql.exec(
            "UPDATE prompts SET state = ?2 WHERE prompt_id = ?1",
            &[prompt_id.into(), word(&state)?.into()],
        )?;
        match state {
            PromptState::Queued | PromptState::Running => {}
            PromptState::Done | PromptState::Cancelled | PromptState::Failed => {
                self.sql.exec("DELETE FROM queue WHERE prompt_id = ?1", &[prompt_id.into()])?;
            }
        }
        Ok(())
    }

    fn record_turn(&self, seq: Seq, turn: &Turn) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO turns (turn_id, position, prompt_id, attempt, started_at, outcome) \
             VALUES (?1, ?2, ?3, ?4, ?5, 'running')",
            &[
                turn.id.as_str().into(),
                seq.into(),
                turn.prompt_id.as_str().into(),
                turn.attempt.into(),
                turn.started_at.into(),
            ],
        )?;
        self.sql.exec(
            "UPDATE queue SET attempts = ?2 WHERE prompt_id = ?1",
            &[turn.prompt_id.as_str().into(), turn.attempt.into()],
        )?;
        self.set_prompt_state(turn.prompt_id.as_str(), PromptState::Running)
    }

    fn record_turn_end(
        &self,
        turn_id: &str,
        end: &TurnEnd,
        prompt_state: PromptState,
    ) -> Result<(), StoreError> {
        let outcome = match end.outcome {
            TurnOutcome::Completed => "completed",
            TurnOutcome::Stopped => "stopped",
            TurnOutcome::Failed { .. } => "failed",
        };
        let rows = self.sql.exec(
            "UPDATE turns SET outcome = ?2, turn_end = ?3 WHERE turn_id = ?1 RETURNING prompt_id",
            &[turn_id.into(), outcome.into(), json(end)?.into()],
        )?;
        let row =
            rows.first().ok_or_else(|| StoreError::Corrupt("the turn that ended is not there".to_owned()))?;
        let prompt_id = row.text(0)?;
        self.set_prompt_state(prompt_id, prompt_state)?;
        self.sql.exec(
            "UPDATE session SET input_tokens = input_tokens + ?1, output_tokens = output_tokens + ?2, \
             cached_tokens = cached_tokens + ?3, cost_usd = cost_usd + ?4",
            &[
                end.usage.input_tokens.into(),
                end.usage.output_tokens.into(),
                end.usage.cached_tokens.into(),
                Value::Real(end.usage.cost_usd),
            ],
        )?;
        if prompt_state != PromptState::Queued {
            // The answer is the last thing that the agent wrote in this turn.
            self.sql.exec(
                "INSERT INTO messages (role, prompt_id, content, author_name, at) \
                 SELECT 'agent', ?2, text, COALESCE((SELECT agent FROM sandbox), 'agent'), ?3 FROM items \
                 WHERE turn_id = ?1 AND type = 'text' AND text <> '' ORDER BY position DESC LIMIT 1",
                &[turn_id.into(), prompt_id.into(), end.ended_at.into()],
            )?;
        }
        Ok(())
    }

    fn record_item(&self, seq: Seq, item: &Item) -> Result<(), StoreError> {
        let (content, text) = split_text(&item.content);
        self.sql.exec(
            "INSERT INTO items (item_id, position, turn_id, type, started_at, content, text) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (item_id) DO UPDATE SET turn_id = excluded.turn_id, \
             type = excluded.type, started_at = excluded.started_at, content = excluded.content, text = excluded.text",
            &[
                item.id.as_str().into(),
                seq.into(),
                item.turn_id.as_str().into(),
                item_type(&item.content).into(),
                item.started_at.into(),
                json(&content)?.into(),
                text.into(),
            ],
        )?;
        Ok(())
    }

    fn record_artifact(&self, seq: Seq, artifact: &Artifact) -> Result<(), StoreError> {
        let (kind, path) = match &artifact.content {
            ArtifactContent::Branch { change } => ("branch", change.branch.as_str()),
            ArtifactContent::Diff { .. } => ("diff", ""),
            ArtifactContent::PullRequest { url, .. } => ("pull_request", url.as_str()),
            ArtifactContent::Unknown => ("unknown", ""),
        };
        self.sql.exec(
            "INSERT INTO artifacts (artifact_id, position, type, path, turn_id, content, changed_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (artifact_id) DO UPDATE SET type = excluded.type, \
             path = excluded.path, turn_id = excluded.turn_id, content = excluded.content, \
             changed_at = excluded.changed_at",
            &[
                artifact.id.as_str().into(),
                seq.into(),
                kind.into(),
                path.into(),
                artifact.turn_id.as_str().into(),
                json(&artifact.content)?.into(),
                artifact.changed_at.into(),
            ],
        )?;
        Ok(())
    }
}

/// An item's content without the text that grows, and that text.
pub(super) fn split_text(content: &ItemContent) -> (ItemContent, String) {
    let mut content = content.clone();
    let text = growing_text(&mut content).map(std::mem::take).unwrap_or_default();
    (content, text)
}

/// The text of an item that grows.
pub(super) fn growing_text(content: &mut ItemContent) -> Option<&mut String> {
    match content {
        ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => Some(text),
        ItemContent::Tool { output, .. } => Some(output),
        ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => None,
    }
}

fn item_type(content: &ItemContent) -> &'static str {
    match content {
        ItemContent::Text { .. } => "text",
        ItemContent::Reasoning { .. } => "reasoning",
        ItemContent::Tool { .. } => "tool",
        ItemContent::Plan { .. } => "plan",
        ItemContent::Notice { .. } => "notice",
        ItemContent::Unknown => "unknown",
    }
}

fn event_type(event: &SessionEvent) -> &'static str {
    match event {
        SessionEvent::SessionCreated { .. } => "session_created",
        SessionEvent::TitleChanged { .. } => "title_changed",
        SessionEvent::ParticipantJoined { .. } => "participant_joined",
        SessionEvent::PromptQueued { .. } => "prompt_queued",
        SessionEvent::PromptCancelled { .. } => "prompt_cancelled",
        SessionEvent::TurnStarted { .. } => "turn_started",
        SessionEvent::StopRequested { .. } => "stop_requested",
        SessionEvent::ItemChanged { .. } => "item_changed",
        SessionEvent::ItemAppended { .. } => "item_appended",
        SessionEvent::TurnEnded { .. } => "turn_ended",
        SessionEvent::SandboxChanged { .. } => "sandbox_changed",
        SessionEvent::SnapshotTaken { .. } => "snapshot_taken",
        SessionEvent::ArtifactChanged { .. } => "artifact_changed",
        SessionEvent::EffectFailed { .. } => "effect_failed",
        SessionEvent::Unknown => "unknown",
    }
}
