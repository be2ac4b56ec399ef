//! The Slack thread of a session, where it was begun in one: its name, and the session as the thread shows it.

use super::Store;
use super::row::from_json;
use super::sql::{Sql, StoreError};
use protocol::timeline::{ArtifactContent, TurnEnd, TurnOutcome};
use serde_json::{Value, json};

/// The last turn with its prompt and its answer. One that failed while its prompt waits again is still being worked on.
const LAST_TURN: &str = "SELECT turn_id, CASE state WHEN 'queued' THEN 'running' ELSE outcome END, turn_end, \
    (SELECT content FROM messages m WHERE m.prompt_id = t.prompt_id AND role = 'user' LIMIT 1), \
    (SELECT content FROM messages m WHERE m.prompt_id = t.prompt_id AND role = 'agent' ORDER BY message_id DESC LIMIT 1), \
    (SELECT content FROM items i WHERE i.turn_id = t.turn_id AND type = 'plan' ORDER BY position DESC LIMIT 1), t.prompt_id \
    FROM turns t JOIN prompts USING (prompt_id) ORDER BY t.position DESC LIMIT 1";

impl<S: Sql> Store<S> {
    /// Keeps the name of the thread's object.
    pub fn save_thread(&self, name: &str) -> Result<(), StoreError> {
        self.sql.exec("INSERT OR REPLACE INTO thread (one, name) VALUES (1, ?1)", &[name.into()]).map(|_| ())
    }

    /// The name of the thread's object and what it is told; `None` where the session has no thread.
    pub fn load_thread_view(&self) -> Result<Option<(String, Value)>, StoreError> {
        let Some(row) = self.first_row("SELECT name FROM thread", &[])? else { return Ok(None) };
        let thread = row.text(0)?.to_owned();
        let status = self.load_session_status()?;
        let (mut files, mut pull) = (Vec::new(), Value::Null);
        for artifact in self.load_artifacts()? {
            match artifact.content {
                ArtifactContent::Diff { files: changed } => files = changed,
                ArtifactContent::PullRequest { number, url, title, progress, .. } => {
                    pull = json!({"number": number, "url": url, "title": title, "state": progress.state});
                }
                ArtifactContent::Branch { .. } | ArtifactContent::File { .. } | ArtifactContent::Unknown => {}
            }
        }
        let files = files
            .iter()
            .map(|file| json!({"path": file.path, "additions": file.additions, "deletions": file.deletions}));
        let checks = self.load_checks()?;
        let checks = checks.iter().map(|(name, passed)| json!({"name": name, "passed": passed}));
        let (turn, plan) = self.load_last_turn()?;
        let view = json!({
            "sessionId": status.session.id, "seq": status.seq, "title": status.session.title, "repository": status.session.repository,
            "queued": status.queued_prompts, "costUsd": status.usage.cost_usd, "turn": turn, "plan": plan,
            "files": files.collect::<Vec<_>>(), "checks": checks.collect::<Vec<_>>(), "pull": pull,
        });
        Ok(Some((thread, view)))
    }

    fn load_last_turn(&self) -> Result<(Value, Value), StoreError> {
        let Some(row) = self.first_row(LAST_TURN, &[])? else { return Ok((Value::Null, json!([]))) };
        let end: Option<TurnEnd> = row.text_or_null(2)?.map(from_json).transpose()?;
        let reason = end.and_then(|end| match end.outcome {
            TurnOutcome::Failed { reason } => Some(reason),
            TurnOutcome::Completed | TurnOutcome::Stopped => None,
        });
        let turn = json!({
            "id": row.text(0)?, "promptId": row.text(6)?, "state": row.text(1)?, "reason": reason, "prompt": row.text_or_null(3)?, "summary": row.text_or_null(4)?,
        });
        let plan: Option<Value> = row.text_or_null(5)?.map(from_json).transpose()?;
        Ok((turn, plan.map_or_else(|| json!([]), |plan| plan.get("steps").cloned().unwrap_or_default())))
    }
}
