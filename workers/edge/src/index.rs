//! The index in D1: people, repositories, and one row per session for lists. The only SQL of the edge; the schema is in `migrations/d1`.

use crate::answer::OrInternal as _;
use github::repository::Repository;
use protocol::client::{SessionList, SessionSummary};
use protocol::error::ErrorBody;
use protocol::id::SessionId;
use protocol::time::Timestamp;
use protocol::timeline::User;
use wasm_bindgen::JsValue;
use worker::{D1Database, Env};

/// The index.
pub(crate) struct Index(D1Database);

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
        env.d1("DB").or_internal("finding the database").map(Self)
    }

    /// Writes down somebody who signed in.
    pub(crate) async fn save_user(&self, user: &User, now: Timestamp) -> Result<(), ErrorBody> {
        const SQL: &str = "INSERT INTO users (user_id, login, name, email, created_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
            ON CONFLICT (user_id) DO UPDATE SET login = ?2, name = ?3, email = ?4, seen_at = ?5";
        let values =
            [text(user.id.as_str()), text(&user.login), text(&user.name), text(&user.email), number(now.0)];
        self.run(SQL, &values).await
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
        shelf: Shelf,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<SessionList, ErrorBody> {
        const SQL: &str = "SELECT json_object('sessionId', session_id, 'title', title, 'repository', repository,
                'createdBy', created_by, 'createdByName', created_by_name, 'createdAt', created_at, 'updatedAt', updated_at,
                'activity', activity, 'pullRequestNumber', pull_request_number, 'additions', additions, 'deletions', deletions)
            FROM sessions
            WHERE archived = ?3 AND updated_at < ?1 AND updated_at >= coalesce(
                (SELECT updated_at FROM sessions WHERE archived = ?3 AND updated_at < ?1
                    ORDER BY updated_at DESC LIMIT 1 OFFSET ?2 - 1), 0)
            ORDER BY updated_at DESC, session_id";
        let before = before.map_or(JsValue::from_f64(f64::MAX), |before| number(before.0));
        let archived = shelf == Shelf::Archived;
        let values = [before, number(u64::from(limit)), number(u64::from(archived))];
        let statement = self.0.prepare(SQL).bind(&values).or_internal("binding values")?;
        let rows = statement.raw_js_value().await.or_unavailable("the session index")?;
        let mut sessions = Vec::new();
        for row in rows {
            // One column of text: the module has one reader for JSON and none for JavaScript's values.
            let text = js_sys::Array::from(&row).get(0).as_string().unwrap_or_default();
            let mut session: SessionSummary =
                serde_json::from_str(&text).or_internal("reading the session index")?;
            session.archived = archived;
            sessions.push(session);
        }
        Ok(SessionList { sessions })
    }

    async fn run(&self, sql: &str, values: &[JsValue]) -> Result<(), ErrorBody> {
        let statement = self.0.prepare(sql).bind(values).or_internal("binding values")?;
        statement.run().await.or_unavailable("the database").map(|_| ())
    }
}

fn text(value: &str) -> JsValue {
    JsValue::from_str(value)
}

/// Times and counts stay below 2^53, where every number is exact.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}
