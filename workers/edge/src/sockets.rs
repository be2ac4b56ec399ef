//! Open sockets, and tickets that may still open one: whose they are, and by which credential. When somebody's access ends, the sessions
//! are told which of them end with it.
//!
//! A row is there before its ticket is handed out, so that whoever ends an access finds it; it goes when its socket is closed. What
//! ends a socket is one condition over the tables, asked by those who change them and by the cron trigger.

use crate::answer::{OrInternal as _, log};
use crate::context::Context;
use crate::handlers::access;
use crate::settings::SignIn;
use crate::standing::check_standing;
use crate::{accounts, session_object};
use futures::future::join_all;
use identity::refresh::CHECK_MS;
use identity::ticket::Ticket;
use platform::d1::{Database, Row, Value};
use protocol::error::ErrorBody;
use protocol::id::{RepositoryId, SessionId, UserId};
use protocol::limit::TICKET_MS_MAX;
use protocol::time::Timestamp;
use session::call::Call;
use worker::Env;

/// A socket `k` ends: its sign-in or key is over, its user is out, its repository is hidden or read-only by now or nobody could say so for
/// an hour, or it is a day old and comes back with a new ticket.
const ENDED: &str = "(k.opened_at < ?1 - 86400000
    OR k.credential <> ''
        AND NOT EXISTS (SELECT 1 FROM sign_ins s WHERE s.family = k.credential AND s.revoked_at IS NULL AND s.expires_at > ?1)
        AND NOT EXISTS (SELECT 1 FROM api_keys a WHERE a.key_id = k.credential AND a.revoked_at IS NULL AND a.expires_at > ?1)
    OR EXISTS (SELECT 1 FROM users u WHERE u.user_id = k.user_id AND coalesce(u.refused_at, u.removed_at) IS NOT NULL)
    OR EXISTS (SELECT 1 FROM repository_access r WHERE r.user_id = k.user_id AND r.repository = k.repository
        AND (r.access = 'none' OR r.access = 'read' AND k.read_only = 0 OR r.checked_at < ?1 - 3660000)))";
/// Sessions that are told at once; the platform allows a thousand calls for one event.
const SESSIONS_MAX: u64 = 200;
/// Users, and repositories of users, about whom the code host is asked at once.
const ASKED_MAX: u64 = 100;

/// The table.
pub(crate) struct Sockets(Database);

impl Sockets {
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).map(Self).or_internal("finding the database")
    }

    /// Writes down a ticket before it is handed out; `false` when its holder's access has just ended.
    pub(crate) async fn insert(
        &self,
        ticket: &Ticket,
        repository: &RepositoryId,
        credential: &str,
        now: Timestamp,
    ) -> Result<bool, ErrorBody> {
        let sql = format!(
            "INSERT INTO sockets (ticket_id, session_id, user_id, repository, credential, read_only, opened_at)
             SELECT * FROM (SELECT ?2 AS ticket_id, ?3 AS session_id, ?4 AS user_id, ?5 AS repository,
                ?6 AS credential, ?7 AS read_only, ?1 AS opened_at) k
             WHERE NOT {ENDED} RETURNING 1"
        );
        let text = Value::Text;
        let values = [
            Value::Number(now.0),
            text(&ticket.id),
            text(ticket.session_id.as_str()),
            text(ticket.principal.user.id.as_str()),
            text(repository.as_str()),
            text(credential),
            Value::Number(ticket.read_only.into()),
        ];
        Ok(!self.rows(&sql, &values).await?.is_empty())
    }

    /// What the code host said about a user, about everybody's access to a repository, or about one in the other, counts as old.
    pub(crate) async fn doubt(
        &self,
        user: Option<&UserId>,
        repository: Option<&RepositoryId>,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const USER: &str = "UPDATE users SET checked_at = min(checked_at, ?1) WHERE user_id = ?2";
        const ACCESS: &str = "UPDATE repository_access SET checked_at = min(checked_at, ?1)
            WHERE (?2 = '' OR user_id = ?2) AND (?3 = '' OR repository = ?3 COLLATE NOCASE)";
        let old = Value::Number(now.0.saturating_sub(CHECK_MS));
        let user = Value::Text(user.map(UserId::as_str).unwrap_or_default());
        let repository = Value::Text(repository.map(RepositoryId::as_str).unwrap_or_default());
        let changes: [(&str, &[Value<'_>]); 2] = [(USER, &[old, user]), (ACCESS, &[old, user, repository])];
        self.0.together(&changes).await.or_unavailable("the database")
    }

    /// Users with sockets about whom the code host's word is old.
    async fn stale_users(&self, now: Timestamp) -> Result<Vec<accounts::Account>, ErrorBody> {
        let sql = format!(
            "SELECT {} FROM users u WHERE u.checked_at <= ?1 AND EXISTS (SELECT 1 FROM sockets k WHERE k.user_id = u.user_id)
             ORDER BY u.checked_at LIMIT ?2",
            accounts::USER
        );
        let before = now.0.saturating_sub(CHECK_MS);
        let rows = self.rows(&sql, &[Value::Number(before), Value::Number(ASKED_MAX)]).await?;
        rows.iter().map(accounts::account).collect()
    }

    /// Users with sockets of repositories about which the code host's word is old.
    async fn stale_access(&self, before: Timestamp) -> Result<Vec<(UserId, RepositoryId)>, ErrorBody> {
        const SQL: &str =
            "SELECT DISTINCT k.user_id, k.repository, coalesce(r.checked_at, 0) AS at FROM sockets k
            LEFT JOIN repository_access r ON r.user_id = k.user_id AND r.repository = k.repository
            WHERE coalesce(r.checked_at, 0) <= ?1 ORDER BY at LIMIT ?2";
        let rows = self.rows(SQL, &[Value::Number(before.0), Value::Number(ASKED_MAX)]).await?;
        let read = |row: &Row| {
            let user = UserId::parse(&row.text(0)).or_internal("reading a user")?;
            Ok((user, RepositoryId::parse(&row.text(1)).or_internal("reading a repository")?))
        };
        rows.iter().map(read).collect()
    }

    /// Sessions with sockets that end, of one user or of all, each with the tickets as a JSON array.
    async fn ended(
        &self,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<Vec<(SessionId, String)>, ErrorBody> {
        let whose = if user.is_some() { "k.user_id = ?3 AND" } else { "?3 = '' AND" };
        let sql = format!(
            "SELECT k.session_id, json_group_array(k.ticket_id) FROM sockets k WHERE {whose} {ENDED}
             GROUP BY k.session_id LIMIT ?2"
        );
        let user = Value::Text(user.map(UserId::as_str).unwrap_or_default());
        let rows = self.rows(&sql, &[Value::Number(now.0), Value::Number(SESSIONS_MAX), user]).await?;
        let read =
            |row: &Row| Ok((SessionId::parse(&row.text(0)).or_internal("reading a session")?, row.text(1)));
        rows.iter().map(read).collect()
    }

    async fn remove(&self, tickets: &str) -> Result<(), ErrorBody> {
        const SQL: &str = "DELETE FROM sockets WHERE ticket_id IN (SELECT value FROM json_each(?1))";
        self.rows(SQL, &[Value::Text(tickets)]).await.map(|_| ())
    }

    async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database")
    }
}

/// Has the sockets closed that end, of one user or of all. What fails is in the log, and done by the cron trigger.
pub(crate) async fn close_ended(env: &Env, user: Option<&UserId>, now: Timestamp) {
    let closed = async {
        let sockets = Sockets::new(env)?;
        let sessions = sockets.ended(user, now).await?;
        let told = sessions.iter().map(|(id, tickets)| dismiss(env, &sockets, id, tickets, now));
        join_all(told).await.into_iter().collect::<Result<Vec<()>, ErrorBody>>()
    };
    if let Err(error) = closed.await {
        log("closing sockets", &error);
    }
}

async fn dismiss(
    env: &Env,
    sockets: &Sockets,
    id: &SessionId,
    tickets: &str,
    now: Timestamp,
) -> Result<(), ErrorBody> {
    // By then no such ticket opens anything, however the clocks of the machines differ.
    let until = now.plus_ms(2 * TICKET_MS_MAX).0;
    let body = format!("{{\"tickets\":{tickets},\"until\":{until}}}");
    let mut answer = session_object::post_bytes(env, id, Call::Dismiss, body.as_bytes()).await?;
    let status = answer.status_code();
    answer.bytes().await.or_unavailable("the session")?;
    match status {
        200 | 404 => sockets.remove(tickets).await,
        status => {
            Err(format!("the session answers with status {status}")).or_unavailable("a session's sockets")
        }
    }
}

/// Asks the code host anew about everybody who has a socket and of whom its word is old, and has the sockets closed that end by it.
pub(crate) async fn recheck(context: &Context) {
    let asked = async {
        let sockets = Sockets::new(&context.env)?;
        if let SignIn::Github = context.settings.sign_in {
            for account in sockets.stale_users(context.now).await? {
                if let Err(error) = check_standing(context, account).await {
                    log("asking whether somebody may be here", &error);
                }
            }
        }
        for (user, repository) in sockets.stale_access(access::stale_at(context.now)).await? {
            access::recheck(context, &user, &repository).await;
        }
        Ok::<(), ErrorBody>(())
    };
    if let Err(error) = asked.await {
        log("asking about those who have sockets", &error);
    }
    close_ended(&context.env, None, context.now).await;
}
