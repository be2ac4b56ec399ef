//! What the database says of the deployment as a whole: its own migrations, how many sessions do what, and which are worth asking.

use platform::d1::{Database, Value};
use protocol::id::{RepositoryId, SessionId};
use worker::Env;

/// Name of the newest file of `migrations/d1`, as wrangler writes it down when it has applied it.
const NEWEST_MIGRATION: &str = env!("NEWEST_MIGRATION");

/// Sessions that are not archived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Whose turn runs.
    pub(crate) running: u64,
    /// Whose last turn failed.
    pub(crate) failed: u64,
    /// All others.
    pub(crate) idle: u64,
}

/// What is worth asking.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// All sessions.
    pub(crate) counts: Counts,
    /// Some of them.
    pub(crate) sessions: Vec<SessionId>,
    /// Where they work.
    pub(crate) repositories: Vec<RepositoryId>,
}

/// Asks the database of this deployment.
pub(crate) struct Overview(Database);

impl Overview {
    pub(crate) fn new(env: &Env) -> worker::Result<Self> {
        Database::new(env).map(Self)
    }

    /// Whether the newest migration was applied; an error where nothing answers.
    pub(crate) async fn is_migrated(&self) -> worker::Result<bool> {
        const TABLE: &str = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'd1_migrations'";
        const SQL: &str = "SELECT 1 FROM d1_migrations WHERE name = ?1";
        // Asking for a table that is missing would look as if the database were away.
        if self.0.rows(TABLE, &[]).await?.is_empty() {
            return Ok(false);
        }
        Ok(!self.0.rows(SQL, &[Value::Text(NEWEST_MIGRATION)]).await?.is_empty())
    }

    /// How many sessions do what; the running ones and those that changed last; and repositories, those with the newest sessions first.
    pub(crate) async fn list(&self, sessions_max: u64, repositories_max: u64) -> worker::Result<Listed> {
        const SQL: &str = "SELECT COUNT(*) FILTER (WHERE activity = 'running'), COUNT(*) FILTER (WHERE activity = 'failed'),
            COUNT(*) FILTER (WHERE activity = 'idle'),
            (SELECT group_concat(session_id, ' ') FROM (SELECT session_id FROM sessions WHERE archived = 0
                ORDER BY activity <> 'running', updated_at DESC LIMIT ?1)),
            (SELECT group_concat(repository, ' ') FROM (SELECT repository FROM sessions GROUP BY repository
                ORDER BY MAX(updated_at) DESC LIMIT ?2))
            FROM sessions WHERE archived = 0";
        let rows = self.0.rows(SQL, &[Value::Number(sessions_max), Value::Number(repositories_max)]).await?;
        let Some(row) = rows.first() else { return Ok(Listed::default()) };
        let count = |column| row.number(column).unwrap_or_default();
        Ok(Listed {
            counts: Counts { running: count(0), failed: count(1), idle: count(2) },
            sessions: row.text(3).split(' ').filter_map(|id| SessionId::parse(id).ok()).collect(),
            repositories: row.text(4).split(' ').filter_map(|id| RepositoryId::parse(id).ok()).collect(),
        })
    }
}
