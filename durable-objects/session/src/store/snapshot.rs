//! The whole present state for a client that knows nothing yet. The oldest turns are left out when it would become too large.

use super::Store;
use super::load::small;
use super::record::growing_text;
use super::row::{from_json, from_word, id};
use super::sql::{Row, Sql, StoreError, Value};
use protocol::client::{SessionInfo, SessionSnapshot};
use protocol::id::{ArtifactId, ItemId, PromptId, TurnId, UserId};
use protocol::timeline::{Artifact, Item, Participant, Prompt, SandboxStatus, Seq, Turn, Usage};

/// Items of the shown turns, roughly; the newest turn is shown however large it is.
const ITEMS_BYTES_MAX: u64 = 2 * 1024 * 1024;

impl<S: Sql> Store<S> {
    /// The present state, and the number of the newest event in it.
    pub fn load_snapshot(&self) -> Result<(Seq, SessionSnapshot), StoreError> {
        let (session, _) = self
            .load_info()?
            .ok_or_else(|| StoreError::Corrupt("there is no session to take a snapshot of".to_owned()))?;
        let first = self.first_shown_turn()?;
        let snapshot = SessionSnapshot {
            participants: self.load_participants()?,
            prompts: self.load_prompts(first)?,
            turns: self.load_turns(first)?,
            items: self.load_items(first)?,
            artifacts: self.load_artifacts()?,
            sandbox: self.load_status()?,
            usage: self.load_usage()?,
            session,
        };
        Ok((self.load_seq()?, snapshot))
    }

    /// Position of the oldest turn that is shown.
    fn first_shown_turn(&self) -> Result<u64, StoreError> {
        let rows = self.sql.exec(
            "SELECT position, (SELECT COALESCE(SUM(length(content) + length(text)), 0) FROM items \
             WHERE items.turn_id = turns.turn_id) FROM turns ORDER BY position DESC",
            &[],
        )?;
        let mut bytes = 0;
        let mut first = None;
        for row in &rows {
            bytes += row.number(1)?;
            if first.is_some() && bytes > ITEMS_BYTES_MAX {
                return Ok(first.unwrap_or(0));
            }
            first = Some(row.number(0)?);
        }
        Ok(0)
    }

    fn load_participants(&self) -> Result<Vec<Participant>, StoreError> {
        let rows =
            self.sql.exec("SELECT user_id, login, name, joined_at FROM participants ORDER BY rowid", &[])?;
        rows.iter()
            .map(|row| {
                Ok(Participant {
                    user_id: id(UserId::parse(row.text(0)?))?,
                    login: row.text(1)?.to_owned(),
                    name: row.text(2)?.to_owned(),
                    joined_at: row.timestamp(3)?,
                })
            })
            .collect()
    }

    fn load_prompts(&self, first: u64) -> Result<Vec<Prompt>, StoreError> {
        let rows = self.sql.exec(
            "SELECT prompt_id, prompts.author_id, origin, content, model, submitted_at, state FROM prompts \
             JOIN messages USING (prompt_id) WHERE role = 'user' AND seq >= COALESCE((SELECT MIN(p.seq) FROM prompts p \
             JOIN turns USING (prompt_id) WHERE ?1 > 0 AND position >= ?1), 0) ORDER BY seq",
            &[first.into()],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Prompt {
                    id: id(PromptId::parse(row.text(0)?))?,
                    author: id(UserId::parse(row.text(1)?))?,
                    origin: from_word(row.text(2)?)?,
                    text: row.text(3)?.to_owned(),
                    model: row.text_or_null(4)?.map(str::to_owned),
                    submitted_at: row.timestamp(5)?,
                    state: from_word(row.text(6)?)?,
                })
            })
            .collect()
    }

    fn load_turns(&self, first: u64) -> Result<Vec<Turn>, StoreError> {
        let rows = self.sql.exec(
            "SELECT turn_id, prompt_id, attempt, started_at, turn_end FROM turns WHERE position >= ?1 ORDER BY position",
            &[first.into()],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Turn {
                    id: id(TurnId::parse(row.text(0)?))?,
                    prompt_id: id(PromptId::parse(row.text(1)?))?,
                    attempt: small(row.number(2)?),
                    started_at: row.timestamp(3)?,
                    end: row.text_or_null(4)?.map(from_json).transpose()?,
                })
            })
            .collect()
    }

    fn load_items(&self, first: u64) -> Result<Vec<Item>, StoreError> {
        let rows = self.sql.exec(
            "SELECT item_id, items.turn_id, items.started_at, content, text FROM items JOIN turns USING (turn_id) \
             WHERE turns.position >= ?1 ORDER BY items.position",
            &[first.into()],
        )?;
        rows.iter().map(read_item).collect()
    }

    pub(super) fn load_artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        let rows = self
            .sql
            .exec("SELECT artifact_id, turn_id, changed_at, content FROM artifacts ORDER BY position", &[])?;
        rows.iter()
            .map(|row| {
                Ok(Artifact {
                    id: id(ArtifactId::parse(row.text(0)?))?,
                    turn_id: id(TurnId::parse(row.text(1)?))?,
                    changed_at: row.timestamp(2)?,
                    content: from_json(row.text(3)?)?,
                })
            })
            .collect()
    }

    pub(super) fn load_status(&self) -> Result<SandboxStatus, StoreError> {
        let rows = self.sql.exec("SELECT status FROM sandbox", &[])?;
        rows.first().map_or(Ok(SandboxStatus::None), |row| from_json(row.text(0)?))
    }

    pub(super) fn load_usage(&self) -> Result<Usage, StoreError> {
        let rows =
            self.sql.exec("SELECT input_tokens, output_tokens, cached_tokens, cost_usd FROM session", &[])?;
        let Some(row) = rows.first() else { return Ok(Usage::default()) };
        Ok(Usage {
            input_tokens: row.number(0)?,
            output_tokens: row.number(1)?,
            cached_tokens: row.number(2)?,
            cost_usd: row.real(3)?,
        })
    }

    pub(super) fn require_info(&self) -> Result<SessionInfo, StoreError> {
        let info = self.load_info()?;
        info.map(|(info, _)| info).ok_or_else(|| StoreError::Corrupt("there is no session".to_owned()))
    }

    pub(super) fn first_row(&self, query: &str, params: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.sql.exec(query, params)?.into_iter().next())
    }
}

/// Reads `item_id, turn_id, started_at, content, text`.
pub(super) fn read_item(row: &Row) -> Result<Item, StoreError> {
    let mut item = Item {
        id: id(ItemId::parse(row.text(0)?))?,
        turn_id: id(TurnId::parse(row.text(1)?))?,
        started_at: row.timestamp(2)?,
        content: from_json(row.text(3)?)?,
    };
    if let Some(text) = growing_text(&mut item.content) {
        row.text(4)?.clone_into(text);
    }
    Ok(item)
}
