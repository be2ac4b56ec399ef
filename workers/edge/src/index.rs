//! The index in D1: repositories, who sees them, and one row per session for lists. The schema is in
//! `migrations/d1`.

use crate::answer::OrInternal as _;
use github::repository::Repository;
use identity::policy::RepositoryAccess;
use platform::d1::{Database, Row, Value};
use protocol::client::{SessionList, SessionSummary};
use protocol::error::ErrorBody;
use protocol::id::{RepositoryId, SessionId, UserId};
use protocol::time::Timestamp;
use protocol::timeline::User;
use worker::Env;

/// The platform allows a thousand requests to objects for one event.
const REPOSITORIES_MAX: u64 = 400;

/// GitHub delivers again what is up to three days old.
const DELIVERIES_KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// Behind every moment: the largest number that is exact in D1.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The index.
pub(crate) struct Index(Database);

/// A new session as lists show it until its object writes the row itself.
pub(crate) struct NewSession<'a> {
    /// Which.
    pub(crate) session_id: &'a SessionId,
    /// Empty until there is a prompt.
    pub(crate) title: &'a str,
    /// About which repository.
    pub(crate) repository: &'a Repository,
    /// By whom.
    pub(crate) created_by: &'a User,
    /// `idle`, or `running` with a first prompt.
    pub(crate) activity: &'static str,
}

/// For whom a list is made.
pub(crate) struct Viewer<'a> {
    /// Who.
    pub(crate) user: &'a UserId,
    /// Since when the code host's word about a repository counts.
    pub(crate) since: Timestamp,
}

/// Which sessions a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// Those that take prompts.
    Current,
    /// Those that do not.
    Archived,
}

impl Index {
    /// Opens it.
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).or_internal("finding the database").map(Self)
    }

    /// Writes down a repository that was just checked.
    pub(crate) async fn save_repository(
        &self,
        repository: &Repository,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str = "INSERT INTO repositories (repository, description, default_branch, clone_url, created_at, checked_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?5)
            ON CONFLICT (repository) DO UPDATE SET description = ?2, default_branch = ?3, clone_url = ?4, checked_at = ?5";
        let Repository { id, description, default_branch, clone_url, .. } = repository;
        let values =
            [text(id.as_str()), text(description), text(default_branch), text(clone_url), number(now.0)];
        self.run(SQL, &values).await
    }

    /// Lists a new session. What its object wrote in the meantime is newer and stays.
    pub(crate) async fn insert_session(
        &self,
        session: &NewSession<'_>,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str = "INSERT INTO sessions
            (session_id, title, repository, created_by, created_by_name, created_at, updated_at, activity, seq)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, 0) ON CONFLICT (session_id) DO NOTHING";
        let values = [
            text(session.session_id.as_str()),
            text(session.title),
            text(session.repository.id.as_str()),
            text(session.created_by.id.as_str()),
            text(&session.created_by.name),
            number(now.0),
            text(session.activity),
        ];
        self.run(SQL, &values).await
    }

    /// Takes a session off the lists.
    pub(crate) async fn remove_session(&self, session_id: &SessionId) -> Result<(), ErrorBody> {
        self.run("DELETE FROM sessions WHERE session_id = ?1", &[text(session_id.as_str())]).await
    }

    /// Sessions by their last activity, newest first. A page ends with all sessions of its last moment, so that the next page,
    /// which begins before that moment, misses none.
    pub(crate) async fn list_sessions(
        &self,
        viewer: &Viewer<'_>,
        shelf: Shelf,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<SessionList, ErrorBody> {
        const SQL: &str = "WITH seen AS (SELECT s.* FROM sessions s JOIN repository_access a
                ON a.repository = s.repository AND a.user_id = ?4 AND a.access <> 'none' AND a.checked_at > ?5
                WHERE s.archived = ?3 AND s.updated_at < ?1)
            SELECT json_object('sessionId', session_id, 'title', title, 'repository', repository,
                'createdBy', created_by, 'createdByName', created_by_name, 'createdAt', created_at, 'updatedAt', updated_at,
                'activity', activity, 'pullRequestNumber', pull_request_number, 'additions', additions, 'deletions', deletions)
            FROM seen WHERE updated_at >= coalesce(
                (SELECT updated_at FROM seen ORDER BY updated_at DESC LIMIT 1 OFFSET ?2 - 1), 0)
            ORDER BY updated_at DESC, session_id";
        let before = before.map_or(NUMBER_MAX, |before| before.0);
        let archived = shelf == Shelf::Archived;
        let values = [
            number(before),
            number(u64::from(limit)),
            number(u64::from(archived)),
            text(viewer.user.as_str()),
            number(viewer.since.0),
        ];
        let mut sessions = Vec::new();
        for row in self.rows(SQL, &values).await? {
            // One column of text: the module has one reader for JSON and none for JavaScript's values.
            let mut session: SessionSummary =
                serde_json::from_str(&row.text(0)).or_internal("reading the session index")?;
            session.archived = archived;
            sessions.push(session);
        }
        Ok(SessionList { sessions })
    }

    /// The repository of a session, and what the code host last said about this user's access to it, and when.
    pub(crate) async fn find_access(
        &self,
        user: &UserId,
        id: &SessionId,
    ) -> Result<Option<(RepositoryId, Option<(RepositoryAccess, Timestamp)>)>, ErrorBody> {
        const SQL: &str = "SELECT s.repository, a.access, coalesce(a.checked_at, 0) FROM sessions s LEFT JOIN repository_access a
            ON a.repository = s.repository AND a.user_id = ?1 WHERE s.session_id = ?2";
        let rows = self.rows(SQL, &[text(user.as_str()), text(id.as_str())]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let repository = RepositoryId::parse(&row.text(0)).or_internal("reading the session index")?;
        let checked_at = Timestamp(row.number(2).unwrap_or_default());
        let access = row.text_or_null(1).map(|access| (RepositoryAccess::parse(&access), checked_at));
        Ok(Some((repository, access)))
    }

    /// Repositories that a user sees.
    pub(crate) async fn seen_repositories(&self, viewer: &Viewer<'_>) -> Result<Vec<String>, ErrorBody> {
        const SQL: &str = "SELECT repository FROM repository_access WHERE user_id = ?1 AND access <> 'none' AND checked_at > ?2";
        let rows = self.rows(SQL, &[text(viewer.user.as_str()), number(viewer.since.0)]).await?;
        Ok(rows.iter().map(|row| row.text(0)).collect())
    }

    /// Keeps what the code host said about a user's access to repositories.
    pub(crate) async fn save_access(
        &self,
        user: &UserId,
        found: &[(RepositoryId, RepositoryAccess)],
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str =
            "INSERT INTO repository_access (user_id, repository, access, checked_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (user_id, repository) DO UPDATE SET access = ?3, checked_at = ?4";
        if found.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = found
            .iter()
            .map(|(repository, access)| {
                [text(user.as_str()), text(repository.as_str()), text(access.as_str()), number(now.0)]
            })
            .collect();
        let statements: Vec<_> = rows.iter().map(|row| (SQL, row.as_slice())).collect();
        self.0.together(&statements).await.or_unavailable("the database")
    }

    /// Repositories that sessions are about and of which the code host's word about this user is older than `since`, latest ones first.
    pub(crate) async fn stale_repositories(
        &self,
        user: &UserId,
        since: Timestamp,
    ) -> Result<Vec<RepositoryId>, ErrorBody> {
        const SQL: &str =
            "SELECT r.repository FROM repositories r WHERE NOT EXISTS (SELECT 1 FROM repository_access a
                WHERE a.user_id = ?1 AND a.repository = r.repository AND a.checked_at > ?2)
            ORDER BY r.checked_at DESC LIMIT ?3";
        let values = [text(user.as_str()), number(since.0), number(REPOSITORIES_MAX)];
        let rows = self.rows(SQL, &values).await?;
        Ok(rows.iter().filter_map(|row| RepositoryId::parse(&row.text(0)).ok()).collect())
    }

    /// Repositories that sessions were about, those of the latest ones first; each with the call that configures it, as JSON.
    pub(crate) async fn list_repositories(&self) -> Result<Vec<(RepositoryId, String)>, ErrorBody> {
        const SQL: &str = "SELECT repository, json_object('repository',
                json_object('id', repository, 'cloneUrl', clone_url, 'defaultBranch', default_branch))
            FROM repositories ORDER BY checked_at DESC LIMIT ?1";
        let values = [number(REPOSITORIES_MAX)];
        let mut repositories = Vec::new();
        for row in self.rows(SQL, &values).await? {
            let id = RepositoryId::parse(&row.text(0)).or_internal("reading a repository")?;
            repositories.push((id, row.text(1)));
        }
        Ok(repositories)
    }

    /// Sessions of this pull request, each with its number.
    pub(crate) async fn find_pulls_by_number(
        &self,
        repository: &RepositoryId,
        pull: u64,
    ) -> Result<Vec<(SessionId, u64)>, ErrorBody> {
        const SQL: &str =
            "SELECT session_id, number FROM pull_requests WHERE repository = ?1 AND number = ?2";
        self.find_pulls(SQL, [text(repository.as_str()), number(pull)]).await
    }

    /// Sessions of this branch, each with the number of its pull request.
    pub(crate) async fn find_pulls_by_branch(
        &self,
        repository: &RepositoryId,
        branch: &str,
    ) -> Result<Vec<(SessionId, u64)>, ErrorBody> {
        const SQL: &str = "SELECT session_id, number FROM pull_requests WHERE repository = ?1 AND branch = ?2
            ORDER BY number DESC LIMIT 10";
        self.find_pulls(SQL, [text(repository.as_str()), text(branch)]).await
    }

    async fn find_pulls(
        &self,
        sql: &str,
        values: [Value<'_>; 2],
    ) -> Result<Vec<(SessionId, u64)>, ErrorBody> {
        let mut pulls = Vec::new();
        for row in self.rows(sql, &values).await? {
            let id = SessionId::parse(&row.text(0)).or_internal("reading a pull request")?;
            pulls.push((id, row.number(1).unwrap_or_default()));
        }
        Ok(pulls)
    }

    /// Whether a delivery of the code host was taken before.
    pub(crate) async fn has_delivery(&self, delivery: &str) -> Result<bool, ErrorBody> {
        const SQL: &str = "SELECT 1 FROM deliveries WHERE delivery_id = ?1";
        Ok(!self.rows(SQL, &[text(delivery)]).await?.is_empty())
    }

    /// Remembers that a delivery was taken.
    pub(crate) async fn save_delivery(&self, delivery: &str, now: Timestamp) -> Result<(), ErrorBody> {
        const SQL: &str =
            "INSERT INTO deliveries (delivery_id, received_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.run(SQL, &[text(delivery), number(now.0)]).await
    }

    /// Forgets deliveries that GitHub does not repeat any more.
    pub(crate) async fn prune_deliveries(&self, now: Timestamp) -> Result<(), ErrorBody> {
        let before = number(now.0.saturating_sub(DELIVERIES_KEPT_MS));
        self.run("DELETE FROM deliveries WHERE received_at < ?1", &[before]).await
    }

    async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database")
    }

    async fn run(&self, sql: &str, values: &[Value<'_>]) -> Result<(), ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database").map(|_| ())
    }
}

fn text(value: &str) -> Value<'_> {
    Value::Text(value)
}

fn number(value: u64) -> Value<'static> {
    Value::Number(value)
}
