//! What a runner is told about a turn, and what its agent must be told of the turns that it does not remember.

use super::Store;
use super::row::{id, small};
use super::sql::{Row, Sql, StoreError};
use protocol::effort::Effort;
use protocol::id::{PromptId, TurnId};
use protocol::runner::{Author, RunnerCommand, TurnOrder};
use protocol::trace::TraceParent;

/// A digest as a whole, roughly: the newest turns that fit …
const DIGEST_BYTES_MAX: usize = 32 * 1024;
/// … and one text in it, without what is cut out of its middle.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Messages that are looked at.
const MESSAGES_MAX: u64 = 500;

/// `said(prompt_id, place)`: prompts of turns that are over, from the place `?1` on, and those that were steered into them; without the
/// prompt `?2`.
const SAID: &str = "ended AS (SELECT prompt_id, turn_id, position FROM turns WHERE position >= ?1 AND outcome <> 'running'), \
    said AS (SELECT prompt_id, MAX(position) AS place FROM (SELECT prompt_id, position FROM ended \
    UNION ALL SELECT prompts.prompt_id, position FROM ended JOIN prompts ON steered_into = ended.turn_id) \
    WHERE prompt_id <> ?2 GROUP BY prompt_id)";

/// The names of what went along with a prompt; nothing behind an answer.
const ATTACHED: &str = "CASE WHEN role = 'user' AND attachments <> '[]' THEN char(10) || '(attached: ' \
    || (SELECT group_concat(value ->> '$.name', ', ') FROM json_each(attachments)) || ')' ELSE '' END";

impl<S: Sql> Store<S> {
    /// What the runner is told about a turn; `None` when the turn does not run any more.
    pub fn load_turn_order(&self, turn_id: &TurnId) -> Result<Option<TurnOrder>, StoreError> {
        let row = self.first_row(
            "SELECT attempt, content, participants.name, email, COALESCE(prompts.model, session.model), prompt_id, \
             (SELECT COALESCE(digest_turns, 0) FROM sandbox), effort \
             FROM turns JOIN prompts USING (prompt_id) JOIN messages USING (prompt_id) \
             JOIN participants ON participants.user_id = prompts.author_id JOIN session \
             WHERE turn_id = ?1 AND messages.role = 'user' AND outcome = 'running'",
            &[turn_id.as_str().into()],
        )?;
        let Some(row) = row else { return Ok(None) };
        let prompt_id = id(PromptId::parse(row.text(5)?))?;
        let digest = match row.number(6)? {
            0 => None,
            turns => self.load_digest(turns, &prompt_id)?,
        };
        Ok(Some(TurnOrder {
            turn_id: turn_id.clone(),
            attempt: small(row.number(0)?),
            prompt: row.text(1)?.to_owned(),
            author: Author { name: row.text(2)?.to_owned(), email: row.text(3)?.to_owned() },
            model: row.text(4)?.to_owned(),
            effort: row.text_or_null(7)?.and_then(Effort::parse),
            digest,
            attachments: self.load_attachments(&prompt_id)?,
            traceparent: self.load_trace()?,
            means: None,
        }))
    }

    /// The span that the present work goes back to: of the prompt whose turn runs, or is next, or ran last.
    pub fn load_trace(&self) -> Result<Option<TraceParent>, StoreError> {
        let row = self.first_row(
            "SELECT traceparent FROM prompts WHERE prompt_id = COALESCE(\
             (SELECT prompt_id FROM queue ORDER BY position LIMIT 1), \
             (SELECT prompt_id FROM turns ORDER BY position DESC LIMIT 1))",
            &[],
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(row.text_or_null(0)?.and_then(TraceParent::parse))
    }

    /// What the runner is told of a prompt that the running turn is to take up.
    pub fn load_steering(
        &self,
        turn_id: &TurnId,
        prompt_id: &PromptId,
    ) -> Result<Option<RunnerCommand>, StoreError> {
        let row = self.first_row(
            "SELECT content, participants.name, email FROM prompts JOIN messages USING (prompt_id) \
             JOIN participants ON participants.user_id = prompts.author_id \
             WHERE prompt_id = ?1 AND messages.role = 'user'",
            &[prompt_id.as_str().into()],
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RunnerCommand::SteerTurn {
            turn_id: turn_id.clone(),
            prompt_id: prompt_id.clone(),
            prompt: row.text(0)?.to_owned(),
            author: Author { name: row.text(1)?.to_owned(), email: row.text(2)?.to_owned() },
            attachments: self.load_attachments(prompt_id)?,
        }))
    }

    /// What was asked and answered in the newest turns of that many that an agent worked on, oldest first.
    fn load_digest(&self, turns: u64, prompt_id: &PromptId) -> Result<Option<String>, StoreError> {
        // Turns whose sandbox was lost before a word came back do not count, but what they were about is told, too.
        let first = self.first_row(
            "SELECT position FROM turns WHERE outcome <> 'running' AND (outcome = 'completed' \
             OR turn_end ->> '$.usage.outputTokens' > 0 OR turn_end ->> '$.usage.inputTokens' > 0 \
             OR turn_end ->> '$.firstTokenMs' IS NOT NULL OR turn_end ->> '$.change' IS NOT NULL) \
             ORDER BY position DESC LIMIT 1 OFFSET ?1",
            &[(turns - 1).into()],
        )?;
        let first = first.map_or(Ok(0), |row| row.number(0))?;
        let params = [first.into(), prompt_id.as_str().into()];
        let count =
            self.first_row(&format!("WITH {SAID} SELECT COUNT(DISTINCT place) FROM said"), &params)?;
        let count = count.map_or(Ok(0), |row| row.number(0))?;
        let messages = self.sql.exec(
            &format!(
                "WITH {SAID} SELECT place, author_name, role, content || {ATTACHED} FROM said \
                 JOIN messages USING (prompt_id) JOIN prompts USING (prompt_id) \
                 ORDER BY place DESC, role = 'user', message_id DESC LIMIT {MESSAGES_MAX}"
            ),
            &params,
        )?;
        render_digest(&messages, count)
    }
}

/// Takes `place, author_name, role, content`, newest first; `count` turns are to be told of.
fn render_digest(messages: &[Row], count: u64) -> Result<Option<String>, StoreError> {
    let mut turns: Vec<(u64, String)> = Vec::new();
    for message in messages {
        let (place, text) = (message.number(0)?, shorten(message.text(3)?));
        let said = match message.text(2)? {
            "agent" => format!("The agent answered:\n{text}\n"),
            _ => format!("{} wrote:\n{text}\n", message.text(1)?),
        };
        match turns.last_mut() {
            Some((newest, turn)) if *newest == place => turn.insert_str(0, &format!("{said}\n")),
            Some(_) | None => turns.push((place, said)),
        }
    }
    let mut bytes = 0;
    let shown = turns.iter().take_while(|(_, turn)| {
        bytes += turn.len();
        bytes <= DIGEST_BYTES_MAX || bytes == turn.len()
    });
    let mut parts: Vec<&str> = shown.map(|(_, turn)| turn.as_str()).collect();
    let omitted = count.saturating_sub(parts.len() as u64);
    let note = format!("({omitted} earlier turns are left out.)\n");
    if omitted > 0 {
        parts.push(&note);
    }
    parts.reverse();
    Ok((!parts.is_empty()).then(|| parts.join("\n")))
}

/// Without the middle of what is too long.
fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(TEXT_BYTES_MAX / 2);
    let tail = text.ceil_char_boundary(text.len() - TEXT_BYTES_MAX / 2);
    let part = |range: Option<&str>| range.unwrap_or_default().to_owned();
    format!("{}\n…\n{}", part(text.get(..head)).trim_end(), part(text.get(tail..)).trim_start())
}
