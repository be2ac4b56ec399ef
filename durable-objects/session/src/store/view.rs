//! What others ask of the tables: the status, the index row, the material of a pull request.

use super::Store;
use super::row::{from_json, id, small};
use super::sql::{Row, Sql, StoreError};
use github::pull_request::flag::is_check;
use protocol::client::{Activity, SessionInfo, SessionStatus, SessionSummary};
use protocol::id::{ArtifactId, TurnId, UserId};
use protocol::time::Timestamp;
use protocol::timeline::{
    Artifact, ArtifactContent, Change, FileDiff, ItemContent, SandboxStatus, Seq, ToolState, Usage, User,
};

/// A row of the session index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// What lists show.
    pub summary: SessionSummary,
    /// Number of the newest event: an older row never replaces a newer one.
    pub seq: Seq,
}

/// What a pull request's text is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestText {
    /// The agent's last answer; may be empty.
    pub summary: String,
    /// Name of the author and text of each prompt that ran, in order.
    pub prompts: Vec<(String, String)>,
    /// Authors of these prompts, in the order of their first one.
    pub authors: Vec<User>,
    /// Commands of the agent that checked its work, in order, and whether they succeeded the last time.
    pub commands: Vec<(String, bool)>,
    /// What the branch changes.
    pub files: Vec<FileDiff>,
}

/// Tool calls that are searched for commands; a session of a long life has thousands.
const CALLS_MAX: u64 = 500;

impl<S: Sql> Store<S> {
    /// What `GET /status` answers. The diff is there without its hunks.
    pub fn load_session_status(&self) -> Result<SessionStatus, StoreError> {
        let mut artifacts = self.load_artifacts()?;
        for artifact in &mut artifacts {
            if let ArtifactContent::Diff { files } = &mut artifact.content {
                for file in files {
                    file.hunks.clear();
                }
            }
        }
        Ok(SessionStatus {
            session: self.require_info()?,
            seq: self.load_seq()?,
            activity: self.load_activity()?,
            queued_prompts: self.count_queued()?,
            sandbox: self.load_status()?,
            artifacts,
            usage: self.load_usage()?,
        })
    }

    fn count_queued(&self) -> Result<u32, StoreError> {
        let row = self.first_row(
            "SELECT COUNT(*) FROM queue JOIN prompts USING (prompt_id) WHERE state = 'queued'",
            &[],
        )?;
        Ok(small(row.map_or(Ok(0), |row| row.number(0))?))
    }

    fn load_activity(&self) -> Result<Activity, StoreError> {
        if self.first_row("SELECT 1 FROM queue LIMIT 1", &[])?.is_some() {
            return Ok(Activity::Running);
        }
        let last = self.first_row("SELECT outcome FROM turns ORDER BY position DESC LIMIT 1", &[])?;
        match last {
            Some(row) if row.text(0)? == "failed" => Ok(Activity::Failed),
            Some(_) | None => Ok(Activity::Idle),
        }
    }

    /// The session's row in the index, as it should be now.
    pub fn load_index_row(&self) -> Result<IndexRow, StoreError> {
        let info = self.require_info()?;
        let newest =
            self.first_row("SELECT seq, at FROM events WHERE seq = (SELECT MAX(seq) FROM events)", &[])?;
        let (seq, updated_at) = match newest {
            Some(row) => (row.number(0)?, row.timestamp(1)?),
            None => (0, info.created_at),
        };
        let artifacts = self.load_artifacts()?;
        let change = artifacts.iter().find_map(change_of);
        let pull_request_number = artifacts.iter().find_map(number_of);
        let name = self.first_row(
            "SELECT name FROM participants WHERE user_id = ?1",
            &[info.created_by.as_str().into()],
        )?;
        let created_by_name = name.map(|row| row.text(0).map(str::to_owned)).transpose()?.unwrap_or_default();
        let summary = SessionSummary {
            activity: self.load_activity()?,
            pull_request_number,
            additions: change.map_or(0, |change| change.additions),
            deletions: change.map_or(0, |change| change.deletions),
            created_by_name,
            updated_at,
            ..summary_of(info)
        };
        Ok(IndexRow { summary, seq })
    }

    /// What the text of the session's pull request is made from.
    pub fn load_pull_request_text(&self) -> Result<PullRequestText, StoreError> {
        let summary = self.first_row(
            "SELECT content FROM messages WHERE role = 'agent' ORDER BY message_id DESC LIMIT 1",
            &[],
        )?;
        let rows = self.sql.exec(
            "SELECT author_name, content FROM messages JOIN prompts USING (prompt_id) \
             WHERE role = 'user' AND state IN ('running', 'done') ORDER BY seq",
            &[],
        )?;
        let mut prompts = Vec::new();
        for row in &rows {
            prompts.push((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
        }
        let summary = summary.map(|row| row.text(0).map(str::to_owned)).transpose()?.unwrap_or_default();
        let files = self.load_artifacts()?.into_iter().find_map(files_of).unwrap_or_default();
        let (authors, commands) = (self.load_authors()?, self.load_checks()?);
        Ok(PullRequestText { summary, prompts, authors, commands, files })
    }

    fn load_authors(&self) -> Result<Vec<User>, StoreError> {
        let rows = self.sql.exec(
            "SELECT user_id, login, name, email FROM participants JOIN (SELECT author_id, MIN(seq) AS first FROM prompts \
             WHERE state IN ('running', 'done') GROUP BY author_id) ON author_id = user_id ORDER BY first",
            &[],
        )?;
        let read = |row: &Row| {
            let text = |column| row.text(column).map(str::to_owned);
            Ok(User {
                id: id(UserId::parse(row.text(0)?))?,
                login: text(1)?,
                name: text(2)?,
                email: text(3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    pub(super) fn load_checks(&self) -> Result<Vec<(String, bool)>, StoreError> {
        let rows = self.sql.exec(
            "SELECT content FROM (SELECT content, position FROM items WHERE type = 'tool' ORDER BY position DESC LIMIT ?1) \
             ORDER BY position",
            &[CALLS_MAX.into()],
        )?;
        let mut commands: Vec<(String, bool)> = Vec::new();
        for row in &rows {
            let ItemContent::Tool { title, state, .. } = from_json(row.text(0)?)? else { continue };
            let passed = match state {
                ToolState::Completed { exit_code, .. } => exit_code.is_none_or(|code| code == 0),
                ToolState::Failed { .. } => false,
                ToolState::Running => continue,
            };
            if is_check(&title) {
                commands.retain(|(known, _)| *known != title);
                commands.push((title, passed));
            }
        }
        Ok(commands)
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

    fn load_status(&self) -> Result<SandboxStatus, StoreError> {
        let row = self.first_row("SELECT status FROM sandbox", &[])?;
        row.map_or(Ok(SandboxStatus::None), |row| from_json(row.text(0)?))
    }

    pub(super) fn load_usage(&self) -> Result<Usage, StoreError> {
        let row =
            self.first_row("SELECT input_tokens, output_tokens, cached_tokens, cost_usd FROM session", &[])?;
        let Some(row) = row else { return Ok(Usage::default()) };
        Ok(Usage {
            input_tokens: row.number(0)?,
            output_tokens: row.number(1)?,
            cached_tokens: row.number(2)?,
            cost_usd: row.real(3)?,
        })
    }
}

fn change_of(artifact: &Artifact) -> Option<&Change> {
    match &artifact.content {
        ArtifactContent::Branch { change } => Some(change),
        ArtifactContent::Diff { .. }
        | ArtifactContent::PullRequest { .. }
        | ArtifactContent::File { .. }
        | ArtifactContent::Unknown => None,
    }
}

fn files_of(artifact: Artifact) -> Option<Vec<FileDiff>> {
    match artifact.content {
        ArtifactContent::Diff { files } => Some(files),
        ArtifactContent::Branch { .. }
        | ArtifactContent::PullRequest { .. }
        | ArtifactContent::File { .. }
        | ArtifactContent::Unknown => None,
    }
}

fn number_of(artifact: &Artifact) -> Option<u64> {
    match &artifact.content {
        ArtifactContent::PullRequest { number, .. } => Some(*number),
        ArtifactContent::Branch { .. }
        | ArtifactContent::Diff { .. }
        | ArtifactContent::File { .. }
        | ArtifactContent::Unknown => None,
    }
}

fn summary_of(info: SessionInfo) -> SessionSummary {
    SessionSummary {
        session_id: info.id,
        title: info.title,
        repository: info.repository,
        created_by: info.created_by,
        created_by_name: String::new(),
        created_at: info.created_at,
        archived: info.archived_at.is_some(),
        updated_at: Timestamp(0),
        activity: Activity::Idle,
        pull_request_number: None,
        additions: 0,
        deletions: 0,
    }
}
