//! Rebuilds the session's machine from its tables, after the object was evicted or its process ended.

use super::Store;
use super::row::{from_word, id, small};
use super::sql::{Row, Sql, StoreError, Value};
use super::watch::TurnWatch;
use crate::core::{Accepted, Person, QueuedPrompt, RunningTurn, Session, Steering};
use platform::map::Map;
use protocol::client::SessionInfo;
use protocol::id::{ArtifactId, PromptId, RepositoryId, SessionId, TurnId, UserId};
use protocol::time::Timestamp;
use protocol::timeline::{Seq, User};
use std::collections::VecDeque;

impl<S: Sql> Store<S> {
    /// The session as of the last commit; `None` when there is none yet.
    ///
    /// Two numbers may be lower than they were: the moment of the last activity by less than a minute, and a running turn's size by
    /// the text that was replaced.
    pub fn load(&self) -> Result<Option<Session>, StoreError> {
        let Some((info, clone_url)) = self.load_info()? else { return Ok(None) };
        let watch = self.load_watch()?;
        let turn = watch.turn.map(|turn| self.load_turn(&turn)).transpose()?.flatten();
        Ok(Some(Session {
            info,
            clone_url,
            seq: self.load_seq()?,
            kept_from: watch.kept_from,
            participants: self.load_people()?,
            accepted: self.load_accepted()?,
            queue: self.load_queue()?,
            turn,
            turns_ended: watch.turns_ended,
            sandbox: watch.sandbox,
            generation: watch.generation,
            snapshots: watch.snapshots,
            saving: watch.saving,
            active_at: watch.active_at,
            warmed_at: watch.warmed_at,
            reservation: watch.reservation,
            false_starts: watch.false_starts,
            status: watch.status,
            pull_request: watch.pull_request,
            pull: watch.pull,
            files: self.load_files()?,
            milestones: watch.milestones,
            account: watch.account,
            deleted: watch.deleted,
        }))
    }

    pub(super) fn load_info(&self) -> Result<Option<(SessionInfo, String)>, StoreError> {
        let row = self.first_row(
            "SELECT session_id, title, repository, default_branch, branch, model, created_by, created_at, archived_at, \
             clone_url FROM session",
            &[],
        )?;
        let Some(row) = row else { return Ok(None) };
        let info = SessionInfo {
            id: id(SessionId::parse(row.text(0)?))?,
            title: row.text(1)?.to_owned(),
            repository: id(RepositoryId::parse(row.text(2)?))?,
            default_branch: row.text(3)?.to_owned(),
            branch: row.text(4)?.to_owned(),
            model: row.text(5)?.to_owned(),
            created_by: id(UserId::parse(row.text(6)?))?,
            created_at: row.timestamp(7)?,
            archived_at: row.number_or_null(8)?.map(Timestamp),
        };
        Ok(Some((info, row.text(9)?.to_owned())))
    }

    pub(super) fn require_info(&self) -> Result<SessionInfo, StoreError> {
        let info = self.load_info()?;
        info.map(|(info, _)| info).ok_or_else(|| StoreError::Corrupt("there is no session".to_owned()))
    }

    /// Number of the newest event, also when it was removed.
    pub(super) fn load_seq(&self) -> Result<Seq, StoreError> {
        let row = self.first_row(
            "SELECT MAX(COALESCE((SELECT MAX(seq) FROM events), 0), COALESCE((SELECT seq FROM sandbox), 0))",
            &[],
        )?;
        row.map_or(Ok(0), |row| row.number(0))
    }

    fn load_people(&self) -> Result<Map<UserId, Person>, StoreError> {
        let rows =
            self.sql.exec("SELECT user_id, login, name, email, joined_at, role FROM participants", &[])?;
        let mut people = Map::new();
        for row in &rows {
            let user = User {
                id: id(UserId::parse(row.text(0)?))?,
                login: row.text(1)?.to_owned(),
                name: row.text(2)?.to_owned(),
                email: row.text(3)?.to_owned(),
            };
            let person = Person { user, joined_at: row.timestamp(4)?, role: from_word(row.text(5)?)? };
            people.insert(person.user.id.clone(), person);
        }
        Ok(people)
    }

    fn load_accepted(&self) -> Result<Map<PromptId, Accepted>, StoreError> {
        let rows = self.sql.exec("SELECT prompt_id, digest, seq FROM prompts", &[])?;
        let mut accepted = Map::new();
        for row in &rows {
            let entry = Accepted { digest: row.text(1)?.to_owned(), seq: row.number(2)? };
            accepted.insert(id(PromptId::parse(row.text(0)?))?, entry);
        }
        Ok(accepted)
    }

    fn load_files(&self) -> Result<Map<ArtifactId, TurnId>, StoreError> {
        let rows = self.sql.exec("SELECT artifact_id, turn_id FROM artifacts WHERE type = 'file'", &[])?;
        let mut files = Map::new();
        for row in &rows {
            files.insert(id(ArtifactId::parse(row.text(0)?))?, id(TurnId::parse(row.text(1)?))?);
        }
        Ok(files)
    }

    fn load_queue(&self) -> Result<VecDeque<QueuedPrompt>, StoreError> {
        let rows = self.sql.exec(
            "SELECT prompt_id, author_id, attempts, steering FROM queue JOIN prompts USING (prompt_id) ORDER BY position",
            &[],
        )?;
        let mut queue = VecDeque::new();
        for row in &rows {
            queue.push_back(QueuedPrompt {
                id: id(PromptId::parse(row.text(0)?))?,
                author: id(UserId::parse(row.text(1)?))?,
                attempts: small(row.number(2)?),
                steering: match row.text(3)? {
                    "wanted" => Steering::Wanted,
                    "ordered" => Steering::Ordered,
                    "taken" => Steering::Taken,
                    _ => Steering::None,
                },
            });
        }
        Ok(queue)
    }

    fn load_turn(&self, watch: &TurnWatch) -> Result<Option<RunningTurn>, StoreError> {
        let row = self.first_row(
            "SELECT turn_id, prompt_id, author_id, attempt, started_at FROM turns JOIN prompts USING (prompt_id) \
             WHERE outcome = 'running'",
            &[],
        )?;
        let Some(row) = row else { return Ok(None) };
        let turn_id = id(TurnId::parse(row.text(0)?))?;
        let (items, bytes) = self.load_turn_items(&turn_id)?;
        Ok(Some(RunningTurn {
            id: turn_id,
            prompt_id: id(PromptId::parse(row.text(1)?))?,
            author: id(UserId::parse(row.text(2)?))?,
            attempt: small(row.number(3)?),
            started_at: row.timestamp(4)?,
            ordered_at: watch.ordered_at,
            received: watch.received,
            stop: watch.stop,
            cause: watch.cause,
            digest_turns: watch.digest_turns,
            items,
            bytes,
        }))
    }

    pub(super) fn first_row(&self, query: &str, params: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.sql.exec(query, params)?.into_iter().next())
    }
}
