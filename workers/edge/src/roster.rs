//! Lists for people out of the database: where a user is signed in, who was let in, and what tells repositories apart.
//!
//! Lists come as JSON that SQLite wrote; `protocol::account` has their types. It decides nothing.

use crate::answer::OrInternal as _;
use platform::d1::{Database, Row, Value};
use protocol::error::ErrorBody;
use protocol::id::{RepositoryId, UserId};
use protocol::time::Timestamp;
use worker::Env;

/// People who are listed.
const PEOPLE_MAX: u64 = 500;

/// The tables.
pub(crate) struct Roster(Database);

/// What a repository is told from others by.
pub(crate) struct Hints<'a> {
    pub(crate) description: &'a str,
    pub(crate) hints: &'a str,
    pub(crate) channels: &'a [&'a str],
}

impl Roster {
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).map(Self).or_internal("finding the database")
    }

    async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database")
    }

    async fn one_text(&self, sql: &str, values: &[Value<'_>]) -> Result<String, ErrorBody> {
        Ok(self.rows(sql, values).await?.first().map(|row| row.text(0)).unwrap_or_default())
    }

    /// A user's sign-ins that count, what was used last first, as a JSON array.
    pub(crate) async fn list_sign_ins(
        &self,
        user: &UserId,
        current: Option<&str>,
        now: Timestamp,
    ) -> Result<String, ErrorBody> {
        const SQL: &str = "SELECT json_group_array(json(row)) FROM (SELECT json_object('id', s.family, 'browser', s.browser,
                'createdAt', s.created_at, 'usedAt', max(t.created_at), 'expiresAt', s.expires_at,
                'current', json(iif(s.family = ?3, 'true', 'false'))) AS row
            FROM sign_ins s JOIN refresh_tokens t ON t.family = s.family
            WHERE s.user_id = ?1 AND s.revoked_at IS NULL AND s.expires_at > ?2
            GROUP BY s.family HAVING max(t.expires_at) > ?2 ORDER BY max(t.created_at) DESC)";
        let values =
            [Value::Text(user.as_str()), Value::Number(now.0), Value::Text(current.unwrap_or_default())];
        self.one_text(SQL, &values).await
    }

    /// Whether it is one of this user's sign-ins, and has not ended.
    pub(crate) async fn has_sign_in(&self, user: &UserId, id: &str) -> Result<bool, ErrorBody> {
        const SQL: &str = "SELECT 1 FROM sign_ins WHERE family = ?1 AND user_id = ?2 AND revoked_at IS NULL";
        Ok(!self.rows(SQL, &[Value::Text(id), Value::Text(user.as_str())]).await?.is_empty())
    }

    /// Everybody who was ever let in, those who were here last first: the elements of a JSON array.
    pub(crate) async fn list_people(
        &self,
        is_operator: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<String, ErrorBody> {
        // The last field is written here, because who runs the deployment is a setting.
        const SQL: &str = "SELECT login, json_object('id', user_id, 'login', login, 'name', name, 'createdAt', created_at,
                'seenAt', seen_at, 'refusedAt', coalesce(refused_at, removed_at),
                'signIns', (SELECT count(*) FROM sign_ins s WHERE s.user_id = u.user_id AND s.revoked_at IS NULL AND s.expires_at > ?1),
                'keys', (SELECT count(*) FROM api_keys k WHERE k.user_id = u.user_id AND k.revoked_at IS NULL AND k.expires_at > ?1))
            FROM users u ORDER BY seen_at DESC, user_id LIMIT ?2";
        let rows = self.rows(SQL, &[Value::Number(now.0), Value::Number(PEOPLE_MAX)]).await?;
        let people: Vec<String> = rows
            .iter()
            .map(|row| {
                let person = row.text(1);
                let fields = person.strip_suffix('}').unwrap_or(&person);
                format!("{fields},\"operator\":{}}}", is_operator(&row.text(0)))
            })
            .collect();
        Ok(people.join(","))
    }

    /// What a repository is told from others by, as a JSON object.
    pub(crate) async fn read_hints(&self, repository: &RepositoryId) -> Result<String, ErrorBody> {
        const SQL: &str = "SELECT json_object('description', coalesce(max(hint_description), ''), 'hints', coalesce(max(hints), ''),
                'channels', json((SELECT json_group_array(channel) FROM
                    (SELECT channel FROM channel_repositories WHERE repository = ?1 ORDER BY channel))))
            FROM repositories WHERE repository = ?1";
        self.one_text(SQL, &[Value::Text(repository.as_str())]).await
    }

    /// Every repository that people have said something about: its id, description, words (one to a line) and channels, as JSON texts.
    pub(crate) async fn list_hints(&self) -> Result<Vec<Row>, ErrorBody> {
        const SQL: &str = "SELECT r.repository, r.hint_description, r.hints,
                (SELECT json_group_array(c.channel) FROM channel_repositories c WHERE c.repository = r.repository)
            FROM repositories r
            WHERE r.hint_description <> '' OR r.hints <> ''
                OR EXISTS (SELECT 1 FROM channel_repositories c WHERE c.repository = r.repository)";
        self.rows(SQL, &[]).await
    }

    /// Writes other hints for a repository that is known. A channel that was another repository's is this one's from here on.
    pub(crate) async fn save_hints(
        &self,
        repository: &RepositoryId,
        hints: &Hints<'_>,
        by: &UserId,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const HINTS: &str = "UPDATE repositories SET hint_description = ?2, hints = ?3 WHERE repository = ?1";
        const CLEAR: &str = "DELETE FROM channel_repositories WHERE repository = ?1";
        const CHANNEL: &str =
            "INSERT INTO channel_repositories (channel, repository, set_by, set_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (channel) DO UPDATE SET repository = ?2, set_by = ?3, set_at = ?4";
        let id = Value::Text(repository.as_str());
        let words = [id, Value::Text(hints.description), Value::Text(hints.hints)];
        let channels: Vec<_> = hints
            .channels
            .iter()
            .map(|channel| [Value::Text(channel), id, Value::Text(by.as_str()), Value::Number(now.0)])
            .collect();
        let cleared = [id];
        let mut statements: Vec<(&str, &[Value<'_>])> = vec![(HINTS, &words), (CLEAR, &cleared)];
        statements.extend(channels.iter().map(|values| (CHANNEL, values.as_slice())));
        self.0.together(&statements).await.or_unavailable("the database")
    }
}
