//! One event into the tables that the events add up to. The counterpart in SQL of `core::apply_event`; called by `commit`.

use super::Store;
use super::item_writes::ItemWrites;
use super::row::{json, word};
use super::sql::{Sql, StoreError, Value};
use crate::core::prompt_digest;
use protocol::effort::Effort;
use protocol::id::{PromptId, UserId};
use protocol::limit::NOTICES_MAX;
use protocol::time::Timestamp;
use protocol::timeline::{
    Artifact, ArtifactContent, Delivery, Prompt, PromptState, Seq, SessionEvent, Turn, TurnEnd, TurnOutcome,
};

impl<S: Sql> Store<S> {
    /// Everything but the event's own row; what it does to items goes into `writes`.
    pub(super) fn record(
        &self,
        seq: Seq,
        at: Timestamp,
        event: &SessionEvent,
        writes: &mut ItemWrites,
    ) -> Result<(), StoreError> {
        match event {
            SessionEvent::TitleChanged { title, .. } => {
                self.run("UPDATE session SET title = ?1", &[title.as_str().into()])
            }
            SessionEvent::SessionArchived { .. } => {
                self.run("UPDATE session SET archived_at = ?1", &[at.into()])
            }
            SessionEvent::SessionUnarchived { .. } => self.run("UPDATE session SET archived_at = NULL", &[]),
            SessionEvent::PromptQueued { prompt } => self.record_prompt(seq, prompt),
            SessionEvent::PromptEdited { prompt_id, text, by } => self.record_edit(prompt_id, text, by),
            SessionEvent::PromptCancelled { prompt_id, by } => self.run(
                "UPDATE prompts SET state = 'cancelled', cancelled_by = ?2 WHERE prompt_id = ?1",
                &[prompt_id.as_str().into(), by.as_str().into()],
            ),
            SessionEvent::PromptMoved { prompt_id, delivery: Some(delivery), .. } => self.run(
                "UPDATE prompts SET delivery = ?2 WHERE prompt_id = ?1",
                &[prompt_id.as_str().into(), delivery_word(*delivery).into()],
            ),
            SessionEvent::PromptSteered { prompt_id, turn_id } => self.run(
                "UPDATE prompts SET state = 'running', steered_into = ?2 WHERE prompt_id = ?1",
                &[prompt_id.as_str().into(), turn_id.as_str().into()],
            ),
            SessionEvent::TurnStarted { turn } => self.record_turn(seq, turn),
            SessionEvent::StopRequested { turn_id, by } => self.run(
                "UPDATE turns SET stop_requested_by = ?2 WHERE turn_id = ?1",
                &[turn_id.as_str().into(), by.as_str().into()],
            ),
            SessionEvent::TurnEnded { turn_id, end, prompt_state } => {
                // The turn's answer is read from its items.
                self.write_items(writes)?;
                self.record_turn_end(turn_id.as_str(), end, *prompt_state)
            }
            SessionEvent::ItemChanged { item } => writes.change(seq, item),
            SessionEvent::ItemRevised { item } => writes.revise(item),
            SessionEvent::ArtifactChanged { artifact } => self.record_artifact(seq, artifact),
            SessionEvent::EffectFailed { .. }
            | SessionEvent::ConversationRestored { .. }
            | SessionEvent::EgressDenied { .. }
            | SessionEvent::PullRequestChanged { .. }
            | SessionEvent::ReviewAdded { .. } => self.record_notice(seq, at, event),
            // Pieces of text are in the events until `save_text`; people, queue and sandbox have effects of their own.
            SessionEvent::ItemAppended { .. }
            | SessionEvent::SessionCreated { .. }
            | SessionEvent::ParticipantJoined { .. }
            | SessionEvent::RoleChanged { .. }
            | SessionEvent::PromptMoved { delivery: None, .. }
            | SessionEvent::SandboxChanged { .. }
            | SessionEvent::SnapshotTaken { .. }
            | SessionEvent::BudgetChanged(_)
            | SessionEvent::Unknown => Ok(()),
        }
    }

    fn run(&self, statement: &str, params: &[Value]) -> Result<(), StoreError> {
        self.sql.exec(statement, params).map(|_| ())
    }

    fn record_prompt(&self, seq: Seq, prompt: &Prompt) -> Result<(), StoreError> {
        let id = Value::from(prompt.id.as_str());
        let delivery = delivery_word(prompt.delivery);
        self.run(
            "INSERT INTO prompts (prompt_id, author_id, origin, model, state, digest, seq, submitted_at, delivery, \
             attachments, effort, traceparent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            &[
                id.clone(),
                prompt.author.as_str().into(),
                word(&prompt.origin)?.into(),
                prompt.model.clone().into(),
                word(&prompt.state)?.into(),
                prompt_digest(prompt).into(),
                seq.into(),
                prompt.submitted_at.into(),
                delivery.into(),
                json(&prompt.attachments)?.into(),
                prompt.effort.map(Effort::word).into(),
                prompt.traceparent.map(|parent| parent.to_string()).into(),
            ],
        )?;
        self.run(
            "INSERT INTO messages (role, prompt_id, content, author_id, author_name, at) \
             VALUES ('user', ?1, ?2, ?3, (SELECT name FROM participants WHERE user_id = ?3), ?4)",
            &[id, prompt.text.as_str().into(), prompt.author.as_str().into(), prompt.submitted_at.into()],
        )
    }

    fn record_edit(&self, prompt_id: &PromptId, text: &str, by: &UserId) -> Result<(), StoreError> {
        self.run(
            "UPDATE prompts SET edited_by = ?2 WHERE prompt_id = ?1",
            &[prompt_id.as_str().into(), by.as_str().into()],
        )?;
        self.run(
            "UPDATE messages SET content = ?2 WHERE prompt_id = ?1 AND role = 'user'",
            &[prompt_id.as_str().into(), text.into()],
        )
    }

    fn set_prompt_state(&self, prompt_id: &str, state: PromptState) -> Result<(), StoreError> {
        self.run(
            "UPDATE prompts SET state = ?2 WHERE prompt_id = ?1",
            &[prompt_id.into(), word(&state)?.into()],
        )
    }

    fn record_turn(&self, seq: Seq, turn: &Turn) -> Result<(), StoreError> {
        self.run(
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
        // What went into the turn shares its end; when that is none, it waits again.
        self.run(
            if prompt_state == PromptState::Done {
                "UPDATE prompts SET state = 'done' WHERE steered_into = ?1"
            } else {
                "UPDATE prompts SET state = 'queued', steered_into = NULL WHERE steered_into = ?1"
            },
            &[turn_id.into()],
        )?;
        self.run(
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
            self.run(
                "INSERT INTO messages (role, prompt_id, content, author_name, at) \
                 SELECT 'agent', ?2, text, COALESCE((SELECT agent FROM sandbox), 'agent'), ?3 FROM items \
                 WHERE turn_id = ?1 AND type = 'text' AND text <> '' ORDER BY position DESC LIMIT 1",
                &[turn_id.into(), prompt_id.into(), end.ended_at.into()],
            )?;
        }
        Ok(())
    }

    fn record_artifact(&self, seq: Seq, artifact: &Artifact) -> Result<(), StoreError> {
        let (kind, path) = match &artifact.content {
            ArtifactContent::Branch { change } => ("branch", change.branch.as_str()),
            ArtifactContent::Diff { .. } => ("diff", ""),
            ArtifactContent::PullRequest { url, .. } => ("pull_request", url.as_str()),
            ArtifactContent::File { name, .. } => ("file", name.as_str()),
            ArtifactContent::Unknown => ("unknown", ""),
        };
        self.run(
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
        )
    }

    fn record_notice(&self, seq: Seq, at: Timestamp, event: &SessionEvent) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO notices (seq, at, data) VALUES (?1, ?2, ?3)",
            &[seq.into(), at.into(), json(event)?.into()],
        )?;
        self.run(
            "DELETE FROM notices WHERE seq <= (SELECT seq FROM notices ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
            &[(NOTICES_MAX as u64).into()],
        )
    }
}

fn delivery_word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Queue => "queue",
        Delivery::Steer => "steer",
    }
}
