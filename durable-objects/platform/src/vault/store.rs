//! The table of sealed tokens: storing, opening, refreshing by one isolate at a time, wrapping anew, removing.
//!
//! A row is changed only where it still has the value that was read. Who refreshes takes the lease of the row by such a change; everyone
//! else waits for the new value, for a bounded time. Called by the edge and by SessionObject; nothing is kept in memory.

use super::pair::{Freshness, evaluate_freshness, parse, render};
use super::ring::{Envelope, KeyRing, Label};
use crate::bridge::exchange;
use crate::crypto::{CryptoError, open, seal};
use crate::d1::{Database, Value};
use crate::host::now;
use github::oauth::{OAuthApp, OAuthError, Secret, TokenPair, TokenRequest, parse_tokens, refresh_request};
use protocol::id::UserId;
use std::time::Duration;
use worker::{Delay, Env, Method};

/// How long the code host may take for one answer; the lease outlives it.
const ANSWER_MS_MAX: u64 = 10_000;
const LEASE_MS: u64 = 15_000;
/// How long somebody else's refresh is waited for, and how often it is looked for.
const WAIT_MS_MAX: u64 = 20_000;
const LOOK_MS: u64 = 150;

/// What the ids of users begin with who signed in through GitHub; its number of the account follows.
pub const ACCOUNT_PREFIX: &str = "usr_github_";
/// Where a row is found.
const AT: &str = "user_id = ?1 AND provider = ?2 AND purpose = ?3";

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// There is no account of this user at the code host.
    Missing(String),
    /// The user has to sign in again; says why.
    SignInAgain(String),
    /// Later there may be one.
    Unavailable(String),
}

impl NoToken {
    /// For people.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Missing(reason) | Self::SignInAgain(reason) | Self::Unavailable(reason) => reason,
        }
    }
}

/// What a page of wrapping anew did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// Under the current key now.
    pub rewrapped: u64,
    /// Under a key that is not in the ring, or damaged; their users have to sign in again.
    pub unreadable: u64,
    /// Not under the current key, the unreadable ones included.
    pub left: u64,
}

/// The sealed tokens of this deployment.
#[derive(Debug)]
pub struct Vault {
    database: Database,
    ring: KeyRing,
    app: OAuthApp,
}

/// A row as it was read.
struct Row {
    sealed: String,
    pair: TokenPair,
}

impl Vault {
    /// Opens it.
    pub fn new(env: &Env) -> Result<Self, NoToken> {
        let text = |name: &str| env.var(name).map(|value| value.to_string()).unwrap_or_default();
        let ring = KeyRing::parse(&text("TOKEN_KEYS"));
        let ring = ring.map_err(|error| NoToken::Unavailable(error.to_string()))?;
        let url = Some(text("GITHUB_URL")).filter(|url| !url.is_empty());
        let url = url.unwrap_or_else(|| "https://github.com".to_owned());
        let app = OAuthApp {
            url: url.trim_end_matches('/').to_owned(),
            client_id: text("GITHUB_CLIENT_ID"),
            client_secret: Secret::new(text("GITHUB_CLIENT_SECRET")),
        };
        let database = Database::new(env).map_err(unavailable)?;
        Ok(Self { database, ring, app })
    }

    /// The application that users sign in to.
    #[must_use]
    pub fn app(&self) -> &OAuthApp {
        &self.app
    }

    /// Keeps a user's tokens, in the place of earlier ones.
    pub async fn store(&self, user: &UserId, pair: &TokenPair) -> Result<(), NoToken> {
        const SQL: &str = "INSERT INTO sealed_tokens (user_id, provider, purpose, key_id, sealed, updated_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (user_id, provider, purpose)
            DO UPDATE SET key_id = ?4, sealed = ?5, updated_at = ?6, lease_until = 0";
        let label = Label::code_host(user);
        let (key_id, sealed) = self.seal(&label, &render(pair)).await?;
        let values = [Value::Text(&key_id), Value::Text(&sealed), Value::Number(now().0)];
        self.change(SQL, &label, &values).await.map(|_| ())
    }

    /// Removes a user's tokens; how many there were.
    pub async fn delete(&self, user: &UserId) -> Result<u64, NoToken> {
        let sql = format!("DELETE FROM sealed_tokens WHERE {AT}");
        self.change(&sql, &Label::code_host(user), &[]).await
    }

    /// The token that opens the code host in a user's name, refreshed where it is about to end.
    pub async fn token(&self, user: &UserId) -> Result<Secret, NoToken> {
        let label = Label::code_host(user);
        let until = now().plus_ms(WAIT_MS_MAX);
        loop {
            let row = self.load(&label).await?;
            let usable = match evaluate_freshness(&row.pair, now()) {
                Freshness::Good => return Ok(row.pair.access),
                Freshness::Over => return Err(sign_in_again("your sign-in at the code host has ended")),
                Freshness::Due { usable } => usable,
            };
            if self.take_lease(&label, &row).await? {
                return self.refresh(&label, row, usable).await;
            }
            // A token that still works would stop to at any moment, because its refreshing ends it.
            if now() >= until {
                let reason = "your token at the code host is being refreshed and that takes long; try again";
                let late = NoToken::Unavailable(reason.to_owned());
                return if usable { Ok(row.pair.access) } else { Err(late) };
            }
            Delay::from(Duration::from_millis(LOOK_MS)).await;
        }
    }

    /// Asks for the next pair and stores it before anybody uses it.
    async fn refresh(&self, label: &Label<'_>, row: Row, usable: bool) -> Result<Secret, NoToken> {
        let refresh = row.pair.refresh.as_ref().ok_or_else(|| sign_in_again("there is no refresh token"))?;
        match self.ask(&refresh_request(&self.app, refresh)).await {
            Ok(pair) => {
                let sql = format!(
                    "UPDATE sealed_tokens SET key_id = ?5, sealed = ?6, updated_at = ?7, lease_until = 0
                     WHERE {AT} AND sealed = ?4"
                );
                let (key_id, sealed) = self.seal(label, &render(&pair)).await?;
                let values = [
                    Value::Text(&row.sealed),
                    Value::Text(&key_id),
                    Value::Text(&sealed),
                    Value::Number(now().0),
                ];
                self.change(&sql, label, &values).await?;
                Ok(pair.access)
            }
            Err(OAuthError::Spent { code }) => {
                let sql = format!("DELETE FROM sealed_tokens WHERE {AT} AND sealed = ?4");
                self.change(&sql, label, &[Value::Text(&row.sealed)]).await?;
                Err(sign_in_again(&format!("the code host does not renew your token ({code})")))
            }
            Err(error) => {
                let sql = format!("UPDATE sealed_tokens SET lease_until = 0 WHERE {AT} AND sealed = ?4");
                self.change(&sql, label, &[Value::Text(&row.sealed)]).await?;
                if usable { Ok(row.pair.access) } else { Err(NoToken::Unavailable(error.to_string())) }
            }
        }
    }

    /// Sends a request for tokens.
    pub async fn ask(&self, request: &TokenRequest) -> Result<TokenPair, OAuthError> {
        let (url, body) = (&request.url, request.body.reveal());
        let answer = exchange(Method::Post, url, &request.headers, Some(body), ANSWER_MS_MAX).await;
        let answer = answer.map_err(|error| OAuthError::Unavailable { reason: error.to_string() })?;
        parse_tokens(answer.status, &answer.body, now())
    }

    /// Wraps up to `limit` values anew that are not under the current key. May be repeated, and cut at any point.
    pub async fn rewrap(&self, limit: u64) -> Result<Rewrapped, NoToken> {
        const SQL: &str = "SELECT user_id, sealed FROM sealed_tokens WHERE key_id <> ?1 ORDER BY updated_at, user_id LIMIT ?2";
        const COUNT: &str = "SELECT count(*) FROM sealed_tokens WHERE key_id <> ?1";
        let current = self.ring.current().map_err(unavailable)?.0;
        let rows = self.database.rows(SQL, &[Value::Text(current), Value::Number(limit)]).await;
        let (mut rewrapped, mut unreadable) = (0, 0);
        for row in rows.map_err(unavailable)? {
            let Ok(user) = UserId::parse(&row.text(0)) else { continue };
            let label = Label::code_host(&user);
            let sealed = row.text(1);
            // Its place in the order is the end, so that what cannot be read does not stand in the way of the rest.
            let mut sql = format!("UPDATE sealed_tokens SET updated_at = ?5 WHERE {AT} AND sealed = ?4");
            let moment = now().0;
            match self.open(&label, &sealed).await {
                Ok(plain) => {
                    let (key_id, again) = self.seal(&label, &String::from_utf8_lossy(&plain)).await?;
                    sql = sql.replace("updated_at = ?5", "updated_at = ?5, key_id = ?6, sealed = ?7");
                    let values = [
                        Value::Text(&sealed),
                        Value::Number(moment),
                        Value::Text(&key_id),
                        Value::Text(&again),
                    ];
                    rewrapped += self.change(&sql, &label, &values).await?;
                }
                Err(_) => {
                    unreadable += 1;
                    self.change(&sql, &label, &[Value::Text(&sealed), Value::Number(moment)]).await?;
                }
            }
        }
        let left = self.database.rows(COUNT, &[Value::Text(current)]).await.map_err(unavailable)?;
        let left = left.first().and_then(|row| row.number(0)).unwrap_or_default();
        Ok(Rewrapped { rewrapped, unreadable, left })
    }

    async fn load(&self, label: &Label<'_>) -> Result<Row, NoToken> {
        let sql = format!("SELECT sealed FROM sealed_tokens WHERE {AT}");
        let rows = self.database.rows(&sql, &values_at(label)).await.map_err(unavailable)?;
        let missing = || {
            let why = "this deployment has no token of yours for the code host";
            // Who signed in through it has an account there.
            if label.user.as_str().starts_with(ACCOUNT_PREFIX) {
                return sign_in_again(why);
            }
            NoToken::Missing(format!("{why}; sign in through it"))
        };
        let sealed = rows.first().ok_or_else(missing)?.text(0);
        let pair = self.open(label, &sealed).await.ok().as_deref().and_then(parse);
        let pair = pair.ok_or_else(|| sign_in_again("your stored token cannot be opened"))?;
        Ok(Row { sealed, pair })
    }

    async fn take_lease(&self, label: &Label<'_>, row: &Row) -> Result<bool, NoToken> {
        let sql = format!(
            "UPDATE sealed_tokens SET lease_until = ?5 WHERE {AT} AND sealed = ?4 AND lease_until <= ?6"
        );
        let moment = now();
        let values =
            [Value::Text(&row.sealed), Value::Number(moment.plus_ms(LEASE_MS).0), Value::Number(moment.0)];
        Ok(self.change(&sql, label, &values).await? == 1)
    }

    /// Runs a change of a row; how many rows it met.
    async fn change(&self, sql: &str, label: &Label<'_>, more: &[Value<'_>]) -> Result<u64, NoToken> {
        let mut values = values_at(label).to_vec();
        values.extend_from_slice(more);
        let rows = self.database.rows(&format!("{sql} RETURNING 1"), &values).await.map_err(unavailable)?;
        Ok(rows.len() as u64)
    }

    async fn seal(&self, label: &Label<'_>, plain: &str) -> Result<(String, String), NoToken> {
        let (key_id, key) = self.ring.current().map_err(unavailable)?;
        let sealed = seal(key, &label.associated(key_id), plain.as_bytes()).await.map_err(unavailable)?;
        let key_id = key_id.to_owned();
        let envelope =
            Envelope { key_id: key_id.clone(), nonce: sealed.nonce.to_vec(), ciphertext: sealed.ciphertext };
        Ok((key_id, envelope.render()))
    }

    async fn open(&self, label: &Label<'_>, sealed: &str) -> Result<Vec<u8>, CryptoError> {
        let Envelope { key_id, nonce, ciphertext } =
            Envelope::parse(sealed).ok_or(CryptoError::NotAuthentic)?;
        let key = self.ring.key(&key_id).ok_or(CryptoError::Key)?;
        open(key, &label.associated(&key_id), &nonce, &ciphertext).await
    }
}

fn values_at<'a>(label: &Label<'a>) -> [Value<'a>; 3] {
    [Value::Text(label.user.as_str()), Value::Text(label.provider), Value::Text(label.purpose)]
}

fn sign_in_again(why: &str) -> NoToken {
    NoToken::SignInAgain(format!("{why}; sign in again"))
}

/// A dependency's failure, or a setting's; the text names no value.
fn unavailable(error: impl std::fmt::Display) -> NoToken {
    NoToken::Unavailable(error.to_string())
}
