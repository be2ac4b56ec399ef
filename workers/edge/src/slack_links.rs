//! Which user a Slack user is, and the codes under way by which people say so: the tables of `migrations/d1/0006_slack.sql`.
//!
//! A code is stored as its digest and counts once. It decides nothing; the handlers of Slack and the object of a thread call it.

use crate::accounts::{Account, account};
use crate::answer::OrInternal as _;
use platform::d1::{Database, Row, Value};
use protocol::error::ErrorBody;
use protocol::id::UserId;
use protocol::sign::sha256_hex;
use protocol::time::Timestamp;
use worker::Env;

/// Columns of a code, as [`claimant`] reads them.
const CLAIMANT: &str = "team_id, slack_user_id, slack_name, thread";

/// The tables.
pub(crate) struct SlackLinks(Database);

/// The Slack user to whom a code was shown.
pub(crate) struct Claimant {
    pub(crate) team: String,
    pub(crate) slack_user: String,
    /// As Slack shows it.
    pub(crate) name: String,
    /// Name of the object that waits for the link.
    pub(crate) thread: String,
}

impl SlackLinks {
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).map(Self).or_internal("finding the database")
    }

    async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database")
    }

    /// Keeps a code until it is too old, in place of an earlier one of the same Slack user.
    pub(crate) async fn save_code(
        &self,
        code: &str,
        claimant: &Claimant,
        (now, until): (Timestamp, Timestamp),
    ) -> Result<(), ErrorBody> {
        const SAVE: &str =
            "INSERT INTO slack_link_codes (team_id, slack_user_id, slack_name, thread, code_hash, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        const FORGET: &str =
            "DELETE FROM slack_link_codes WHERE expires_at < ?1 OR (team_id = ?2 AND slack_user_id = ?3)";
        let hash = sha256_hex(code.as_bytes());
        let (team, slack_user) = (Value::Text(&claimant.team), Value::Text(&claimant.slack_user));
        let forget = [Value::Number(now.0), team, slack_user];
        let (name, thread) = (Value::Text(&claimant.name), Value::Text(&claimant.thread));
        let save = [team, slack_user, name, thread, Value::Text(&hash), Value::Number(until.0)];
        self.0.together(&[(FORGET, &forget), (SAVE, &save)]).await.or_unavailable("the database")
    }

    /// Whose a code is that still counts.
    pub(crate) async fn look_up(&self, code: &str, now: Timestamp) -> Result<Option<Claimant>, ErrorBody> {
        let sql = format!("SELECT {CLAIMANT} FROM slack_link_codes WHERE code_hash = ?1 AND expires_at > ?2");
        self.claimant(&sql, code, now).await
    }

    /// The same, and spends it.
    pub(crate) async fn take(&self, code: &str, now: Timestamp) -> Result<Option<Claimant>, ErrorBody> {
        let sql = format!(
            "DELETE FROM slack_link_codes WHERE code_hash = ?1 AND expires_at > ?2 RETURNING {CLAIMANT}"
        );
        self.claimant(&sql, code, now).await
    }

    async fn claimant(&self, sql: &str, code: &str, now: Timestamp) -> Result<Option<Claimant>, ErrorBody> {
        let hash = sha256_hex(code.as_bytes());
        let rows = self.rows(sql, &[Value::Text(&hash), Value::Number(now.0)]).await?;
        Ok(rows.first().map(claimant))
    }

    /// Makes a Slack user somebody here; an earlier link of that Slack user ends.
    pub(crate) async fn link(
        &self,
        claimant: &Claimant,
        user: &UserId,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str =
            "INSERT INTO slack_links (team_id, slack_user_id, user_id, linked_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (team_id, slack_user_id) DO UPDATE SET user_id = ?3, linked_at = ?4";
        let (team, slack_user) = (Value::Text(&claimant.team), Value::Text(&claimant.slack_user));
        self.rows(SQL, &[team, slack_user, Value::Text(user.as_str()), Value::Number(now.0)]).await?;
        Ok(())
    }

    /// Ends all links of a user; how many there were.
    pub(crate) async fn unlink(&self, user: &UserId) -> Result<usize, ErrorBody> {
        const SQL: &str = "DELETE FROM slack_links WHERE user_id = ?1 RETURNING team_id";
        Ok(self.rows(SQL, &[Value::Text(user.as_str())]).await?.len())
    }

    /// The account that a Slack user was linked with, unless the code host refuses it.
    pub(crate) async fn find(&self, team: &str, slack_user: &str) -> Result<Option<Account>, ErrorBody> {
        // A user of the local list may have no row of their own yet.
        const SQL: &str = "SELECT l.user_id, u.login, u.name, u.email, u.checked_at, u.removed_at
            FROM slack_links l LEFT JOIN users u USING (user_id)
            WHERE l.team_id = ?1 AND l.slack_user_id = ?2 AND u.refused_at IS NULL";
        let rows = self.rows(SQL, &[Value::Text(team), Value::Text(slack_user)]).await?;
        rows.first().map(account).transpose()
    }
}

fn claimant(row: &Row) -> Claimant {
    Claimant { team: row.text(0), slack_user: row.text(1), name: row.text(2), thread: row.text(3) }
}
