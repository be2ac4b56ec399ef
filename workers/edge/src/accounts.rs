//! Users, their sign-ins and keys, what they did, and how often: the tables of `migrations/d1/0003_identity.sql` but the sealed
//! tokens; lists of them for people are [`crate::roster`]'s.
//!
//! What changes somebody's standing is written together with its line of the audit log. Tokens and keys come in as digests. It decides nothing.

use crate::answer::OrInternal as _;
use identity::api_key::PresentedKey;
use identity::policy::Scope;
use identity::refresh::{FAMILY_MS_MAX, REFRESH_MS_MAX, RefreshFacts};
use identity::signed_in::Issuer;
use platform::d1::{Database, Row, Value};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::UserId;
use protocol::time::Timestamp;
use protocol::timeline::User;
use worker::Env;

/// Adds a line to the audit log: when, who, what, to what, more.
const AUDIT: &str = "INSERT INTO audit (at, actor, action, target, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
/// Columns of a user, as [`user`] reads them.
pub(crate) const USER: &str = "u.user_id, u.login, u.name, u.email, u.checked_at, u.removed_at";
/// What a browser calls itself is kept so far.
const BROWSER_BYTES_MAX: usize = 200;
/// Lines of the audit log that are read at once.
const AUDIT_LINES_MAX: u64 = 200;

/// The tables.
pub(crate) struct Accounts(Database);

/// A user with the moment at which the code host last confirmed that it may be here.
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) checked_at: Timestamp,
    /// Whether an operator has removed it.
    pub(crate) removed: bool,
}

/// What is known of a refresh token.
pub(crate) struct KnownRefresh {
    pub(crate) facts: RefreshFacts,
    pub(crate) family: String,
    pub(crate) account: Account,
}

/// Something for the audit log.
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a UserId,
    pub(crate) action: &'a str,
    pub(crate) target: &'a str,
    pub(crate) detail: &'a str,
}

impl<'a> Deed<'a> {
    pub(crate) fn new(actor: &'a UserId, action: &'a str, target: &'a str) -> Self {
        Self { actor, action, target, detail: "" }
    }

    fn values(&self, now: Timestamp) -> [Value<'a>; 5] {
        let text = Value::Text;
        [
            Value::Number(now.0),
            text(self.actor.as_str()),
            text(self.action),
            text(self.target),
            text(self.detail),
        ]
    }
}

impl Accounts {
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).map(Self).or_internal("finding the database")
    }

    async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ErrorBody> {
        self.0.rows(sql, values).await.or_unavailable("the database")
    }

    async fn together(&self, statements: &[(&str, &[Value<'_>])]) -> Result<(), ErrorBody> {
        self.0.together(statements).await.or_unavailable("the database")
    }

    /// Runs a change and writes its line, together.
    async fn change(
        &self,
        sql: &str,
        values: &[Value<'_>],
        deed: &Deed<'_>,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        self.together(&[(sql, values), (AUDIT, &deed.values(now))]).await
    }

    /// Writes a line about something that another store did.
    pub(crate) async fn audit(&self, deed: &Deed<'_>, now: Timestamp) -> Result<(), ErrorBody> {
        self.together(&[(AUDIT, &deed.values(now))]).await
    }

    /// Writes down somebody who may be here, as the issuer describes them.
    pub(crate) async fn save_user(&self, user: &User, now: Timestamp) -> Result<(), ErrorBody> {
        const SQL: &str = "INSERT INTO users (user_id, login, name, email, created_at, seen_at, checked_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5) ON CONFLICT (user_id)
            DO UPDATE SET login = ?2, name = ?3, email = ?4, seen_at = ?5, checked_at = ?5, refused_at = NULL";
        let text = Value::Text;
        let values = [text(user.id.as_str()), text(&user.login), text(&user.name), text(&user.email)];
        let values = [values.as_slice(), &[Value::Number(now.0)]].concat();
        self.rows(SQL, &values).await.map(|_| ())
    }

    /// Ends all sign-ins of a user. With `refused`, because the user may not be here any more.
    pub(crate) async fn end_sign_ins(
        &self,
        user: &UserId,
        refused: bool,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const END: &str = "UPDATE sign_ins SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL";
        const REFUSE: &str = "UPDATE users SET refused_at = ?2, checked_at = 0 WHERE user_id = ?1 AND ?3";
        let (id, at) = (Value::Text(user.as_str()), Value::Number(now.0));
        let action = if refused { "sign_in.refused" } else { "sign_out.everywhere" };
        let deed = Deed::new(user, action, user.as_str());
        self.together(&[
            (END, &[id, at]),
            (REFUSE, &[id, at, Value::Number(refused.into())]),
            (AUDIT, &deed.values(now)),
        ])
        .await
    }

    /// Writes down that somebody signed in with this browser, and the digest of the first refresh token.
    pub(crate) async fn begin_sign_in(
        &self,
        user: &UserId,
        (issuer, browser): (Issuer, &str),
        family: &str,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SIGN_IN: &str =
            "INSERT INTO sign_ins (family, user_id, issuer, created_at, expires_at, browser)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let issuer = issuer_text(issuer);
        let text = Value::Text;
        let end = Value::Number(now.plus_ms(FAMILY_MS_MAX).0);
        let browser = text(browser.get(..browser.floor_char_boundary(BROWSER_BYTES_MAX)).unwrap_or_default());
        let sign_in = [text(family), text(user.as_str()), text(issuer), Value::Number(now.0), end, browser];
        let deed = Deed { actor: user, action: "sign_in", target: family, detail: issuer };
        self.together(&[
            (SIGN_IN, &sign_in),
            (NEW_REFRESH, &refresh_values(family, token_hash, now)),
            (AUDIT, &deed.values(now)),
        ])
        .await
    }

    /// Looks a refresh token up by its digest.
    pub(crate) async fn find_refresh(&self, token_hash: &str) -> Result<Option<KnownRefresh>, ErrorBody> {
        let sql = format!(
            "SELECT {USER}, t.family, s.issuer, t.used_at, min(t.expires_at, s.expires_at), s.revoked_at
             FROM refresh_tokens t JOIN sign_ins s ON s.family = t.family JOIN users u ON u.user_id = s.user_id
             WHERE t.token_hash = ?1"
        );
        let rows = self.rows(&sql, &[Value::Text(token_hash)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let issuer = if row.text(7) == issuer_text(Issuer::Local) { Issuer::Local } else { Issuer::Github };
        let facts = RefreshFacts {
            issuer,
            used_at: row.number(8).map(Timestamp),
            expires_at: Timestamp(row.number(9).unwrap_or_default()),
            revoked_at: row.number(10).map(Timestamp),
        };
        Ok(Some(KnownRefresh { facts, family: row.text(6), account: account(row)? }))
    }

    /// Exchanges a refresh token for the next one of its family.
    pub(crate) async fn exchange(
        &self,
        used_hash: &str,
        family: &str,
        next_hash: &str,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const USE: &str = "UPDATE refresh_tokens SET used_at = coalesce(used_at, ?2) WHERE token_hash = ?1";
        self.together(&[
            (USE, &[Value::Text(used_hash), Value::Number(now.0)]),
            (NEW_REFRESH, &refresh_values(family, next_hash, now)),
        ])
        .await
    }

    /// Ends one sign-in; `action` says why.
    pub(crate) async fn end_sign_in(
        &self,
        user: &UserId,
        family: &str,
        action: &str,
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str =
            "UPDATE sign_ins SET revoked_at = ?2 WHERE family = ?1 AND user_id = ?3 AND revoked_at IS NULL";
        let values = [Value::Text(family), Value::Number(now.0), Value::Text(user.as_str())];
        self.change(SQL, &values, &Deed::new(user, action, family), now).await
    }

    /// Whether a sign-in still counts, and its user may be here as far as is known.
    pub(crate) async fn is_current(&self, family: &str) -> Result<bool, ErrorBody> {
        const SQL: &str = "SELECT 1 FROM sign_ins s JOIN users u ON u.user_id = s.user_id
            WHERE s.family = ?1 AND s.revoked_at IS NULL AND coalesce(u.refused_at, u.removed_at) IS NULL";
        Ok(!self.rows(SQL, &[Value::Text(family)]).await?.is_empty())
    }

    /// Whether an operator has removed this user.
    pub(crate) async fn is_removed(&self, user: &UserId) -> Result<bool, ErrorBody> {
        const SQL: &str = "SELECT 1 FROM users WHERE user_id = ?1 AND removed_at IS NOT NULL";
        Ok(!self.rows(SQL, &[Value::Text(user.as_str())]).await?.is_empty())
    }

    /// Removes those who signed in under this login, with their sign-ins and keys, or lets them come back; whom it met.
    pub(crate) async fn remove_users(
        &self,
        login: &str,
        removed: bool,
        by: &UserId,
        now: Timestamp,
    ) -> Result<Vec<UserId>, ErrorBody> {
        const FIND: &str = "SELECT user_id FROM users WHERE login = ?1 COLLATE NOCASE";
        const MARK: &str =
            "UPDATE users SET removed_at = iif(?3, coalesce(removed_at, ?2), NULL) WHERE user_id = ?1
                AND (?3 OR NOT EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = ?1))";
        const SIGN_INS: &str =
            "UPDATE sign_ins SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL AND ?3";
        const KEYS: &str =
            "UPDATE api_keys SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL AND ?3";
        let mut users = Vec::new();
        for row in self.rows(FIND, &[Value::Text(login)]).await? {
            let user = UserId::parse(&row.text(0)).or_internal("reading a user")?;
            let values = [Value::Text(user.as_str()), Value::Number(now.0), Value::Number(removed.into())];
            let action = if removed { "user.remove" } else { "user.restore" };
            let deed = Deed { actor: by, action, target: user.as_str(), detail: login };
            let line = deed.values(now);
            self.together(&[(MARK, &values), (SIGN_INS, &values), (KEYS, &values), (AUDIT, &line)]).await?;
            users.push(user);
        }
        Ok(users)
    }

    /// Remembers a sign-in under way.
    pub(crate) async fn insert_attempt(
        &self,
        hashes: [&str; 2],
        verifier: &str,
        to: &str,
        until: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str = "INSERT INTO attempts (state_hash, browser_hash, verifier, destination, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let [state, browser] = hashes.map(Value::Text);
        let values = [state, browser, Value::Text(verifier), Value::Text(to), Value::Number(until.0)];
        self.rows(SQL, &values).await.map(|_| ())
    }

    /// Takes a sign-in under way; verifier and destination, if it is this browser's and not too old.
    pub(crate) async fn take_attempt(
        &self,
        hashes: [&str; 2],
        now: Timestamp,
    ) -> Result<Option<[String; 2]>, ErrorBody> {
        const SQL: &str =
            "DELETE FROM attempts WHERE state_hash = ?1 AND browser_hash = ?2 AND expires_at > ?3
            RETURNING verifier, destination";
        let [state, browser] = hashes.map(Value::Text);
        let rows = self.rows(SQL, &[state, browser, Value::Number(now.0)]).await?;
        Ok(rows.first().map(|row| [row.text(0), row.text(1)]))
    }

    /// Whose key that is and how far it reaches, if it counts.
    pub(crate) async fn find_key(
        &self,
        key: &PresentedKey,
        now: Timestamp,
    ) -> Result<Option<(Account, Scope)>, ErrorBody> {
        const MINUTE_MS: u64 = 60_000;
        const USED: &str = "UPDATE api_keys SET used_at = ?2 WHERE key_id = ?1";
        let sql = format!(
            "SELECT {USER}, k.scope, k.used_at FROM api_keys k JOIN users u ON u.user_id = k.user_id
             WHERE k.key_id = ?1 AND k.secret_hash = ?2 AND k.revoked_at IS NULL AND k.expires_at > ?3"
        );
        let id = Value::Text(&key.id);
        let rows = self.rows(&sql, &[id, Value::Text(&key.secret_hash), Value::Number(now.0)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let scope = if row.text(6) == scope_text(Scope::Write) { Scope::Write } else { Scope::Read };
        if row.number(7).unwrap_or_default() + MINUTE_MS < now.0 {
            self.rows(USED, &[id, Value::Number(now.0)]).await?;
        }
        Ok(Some((account(row)?, scope)))
    }

    /// A user's keys that count, newest first, as a JSON array without secrets.
    pub(crate) async fn list_keys(&self, user: &UserId, now: Timestamp) -> Result<String, ErrorBody> {
        const SQL: &str = "SELECT json_group_array(json(row)) FROM (SELECT json_object('id', key_id, 'name', name, 'scope', scope,
                'createdAt', created_at, 'expiresAt', expires_at, 'usedAt', used_at) AS row FROM api_keys
            WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 ORDER BY created_at DESC)";
        self.one_text(SQL, &[Value::Text(user.as_str()), Value::Number(now.0)]).await
    }

    /// Keeps a new key, unless the user has as many as there may be.
    pub(crate) async fn insert_key(
        &self,
        user: &UserId,
        key: &PresentedKey,
        (name, scope, expires_at): (&str, Scope, Timestamp),
        now: Timestamp,
    ) -> Result<(), ErrorBody> {
        const COUNT: &str =
            "SELECT count(*) FROM api_keys WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2";
        const SQL: &str =
            "INSERT INTO api_keys (key_id, user_id, name, scope, secret_hash, created_at, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (owner, at) = (Value::Text(user.as_str()), Value::Number(now.0));
        let count = self.rows(COUNT, &[owner, at]).await?.first().and_then(|row| row.number(0));
        let most = identity::api_key::KEYS_MAX;
        if count.unwrap_or_default() >= most {
            let message = format!("you have {most} keys; revoke one first");
            return Err(ErrorBody::new(ErrorCode::Forbidden, message));
        }
        let scope = scope_text(scope);
        let values = [
            Value::Text(&key.id),
            owner,
            Value::Text(name),
            Value::Text(scope),
            Value::Text(&key.secret_hash),
            at,
            Value::Number(expires_at.0),
        ];
        let deed = Deed { actor: user, action: "key.create", target: &key.id, detail: scope };
        self.change(SQL, &values, &deed, now).await
    }

    /// Ends a key of this user; `false` when there is none.
    pub(crate) async fn revoke_key(
        &self,
        user: &UserId,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, ErrorBody> {
        const FIND: &str = "SELECT 1 FROM api_keys WHERE key_id = ?1 AND user_id = ?2 AND revoked_at IS NULL";
        const SQL: &str =
            "UPDATE api_keys SET revoked_at = ?3 WHERE key_id = ?1 AND user_id = ?2 AND revoked_at IS NULL";
        let (key, owner) = (Value::Text(id), Value::Text(user.as_str()));
        if self.rows(FIND, &[key, owner]).await?.is_empty() {
            return Ok(false);
        }
        self.change(SQL, &[key, owner, Value::Number(now.0)], &Deed::new(user, "key.revoke", id), now)
            .await?;
        Ok(true)
    }

    /// Keeps a one-time code.
    pub(crate) async fn insert_grant(
        &self,
        user: &UserId,
        (code_hash, client, challenge): (&str, &str, &str),
        expires_at: Timestamp,
    ) -> Result<(), ErrorBody> {
        const SQL: &str = "INSERT INTO key_grants (code_hash, user_id, client, challenge, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let text = Value::Text;
        let values = [
            text(code_hash),
            text(user.as_str()),
            text(client),
            text(challenge),
            Value::Number(expires_at.0),
        ];
        self.rows(SQL, &values).await.map(|_| ())
    }

    /// Takes a one-time code away; whose it was, for which client and with which challenge, if it still counted.
    pub(crate) async fn take_grant(
        &self,
        code_hash: &str,
        now: Timestamp,
    ) -> Result<Option<(UserId, String, String)>, ErrorBody> {
        const SQL: &str =
            "DELETE FROM key_grants WHERE code_hash = ?1 RETURNING user_id, client, challenge, expires_at";
        let rows = self.rows(SQL, &[Value::Text(code_hash)]).await?;
        let Some(row) = rows.first().filter(|row| row.number(3).unwrap_or_default() > now.0) else {
            return Ok(None);
        };
        let user = UserId::parse(&row.text(0)).or_internal("reading a user")?;
        Ok(Some((user, row.text(1), row.text(2))))
    }

    /// Counts one more of `bucket`; whether there were at most `max` in this window of time.
    pub(crate) async fn count(
        &self,
        bucket: &str,
        max: u64,
        window_ms: u64,
        now: Timestamp,
    ) -> Result<bool, ErrorBody> {
        const SQL: &str = "INSERT INTO rate_counts (bucket, count, expires_at) VALUES (?1, 1, ?2)
            ON CONFLICT (bucket) DO UPDATE SET count = count + 1 RETURNING count";
        let window = now.0 / window_ms;
        let bucket = format!("{bucket} {window}");
        let end = Value::Number((window + 1) * window_ms);
        let rows = self.rows(SQL, &[Value::Text(&bucket), end]).await?;
        Ok(rows.first().and_then(|row| row.number(0)).unwrap_or_default() <= max)
    }

    /// Lines of the audit log before the one with this number, newest first, as a JSON array.
    pub(crate) async fn read_audit(&self, before: Option<u64>) -> Result<String, ErrorBody> {
        const SQL: &str = "SELECT json_group_array(json(row)) FROM (SELECT json_object('id', audit_id, 'at', at, 'actor', actor,
                'action', action, 'target', target, 'detail', detail) AS row FROM audit
            WHERE audit_id < ?1 ORDER BY audit_id DESC LIMIT ?2)";
        let before = Value::Number(before.unwrap_or((1 << 53) - 1));
        self.one_text(SQL, &[before, Value::Number(AUDIT_LINES_MAX)]).await
    }

    /// Removes what has ended long enough ago that nobody asks for it.
    pub(crate) async fn prune(&self, now: Timestamp) -> Result<(), ErrorBody> {
        let at = [Value::Number(now.0)];
        let at = at.as_slice();
        self.together(&[
            ("DELETE FROM refresh_tokens WHERE expires_at < ?1", at),
            ("DELETE FROM sign_ins WHERE expires_at < ?1", at),
            ("DELETE FROM attempts WHERE expires_at < ?1", at),
            ("DELETE FROM key_grants WHERE expires_at < ?1", at),
            ("DELETE FROM rate_counts WHERE expires_at < ?1", at),
            ("DELETE FROM repository_access WHERE checked_at < ?1 - 86400000", at),
        ])
        .await
    }

    async fn one_text(&self, sql: &str, values: &[Value<'_>]) -> Result<String, ErrorBody> {
        Ok(self.rows(sql, values).await?.first().map(|row| row.text(0)).unwrap_or_default())
    }
}

const NEW_REFRESH: &str =
    "INSERT INTO refresh_tokens (token_hash, family, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)";

fn refresh_values<'a>(family: &'a str, token_hash: &'a str, now: Timestamp) -> [Value<'a>; 4] {
    let end = Value::Number(now.plus_ms(REFRESH_MS_MAX).0);
    [Value::Text(token_hash), Value::Text(family), Value::Number(now.0), end]
}

/// Reads [`USER`].
pub(crate) fn account(row: &Row) -> Result<Account, ErrorBody> {
    let id = UserId::parse(&row.text(0)).or_internal("reading a user")?;
    let user = User { id, login: row.text(1), name: row.text(2), email: row.text(3) };
    let checked_at = Timestamp(row.number(4).unwrap_or_default());
    Ok(Account { user, checked_at, removed: row.number(5).is_some() })
}

fn issuer_text(issuer: Issuer) -> &'static str {
    match issuer {
        Issuer::Local => "local",
        Issuer::Github => "github",
    }
}

fn scope_text(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
    }
}
