//! The table of sealed tokens: storing, opening, refreshing by one isolate at a time, wrapping anew, removing.
//!
//! A row is changed only where it still has the value that was read. Who refreshes takes the lease of the row by such a change; everyone
//! else waits for the new value, for a bounded time. Whose tokens they are and who renews them is the caller's; nothing is kept in memory.

use super::pair::{Freshness, evaluate_freshness, parse, render};
use super::ring::{Envelope, KeyRing, Label};
use crate::crypto::{CryptoError, open, seal};
use crate::d1::{Database, Value};
use crate::host::now;
use github::oauth::{Secret, TokenPair};
use std::time::Duration;
use worker::{Delay, Env};

/// Outlives every answer to a refresh.
const LEASE_MS: u64 = 15_000;
/// How long somebody else's refresh is waited for, and how often it is looked for.
const WAIT_MS_MAX: u64 = 20_000;
const LOOK_MS: u64 = 150;

/// Where a row is found.
const AT: &str = "user_id = ?1 AND provider = ?2 AND purpose = ?3";

/// Why there is no token that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPair {
    /// None was stored.
    Missing,
    /// The stored one cannot be opened.
    Unreadable,
    /// It has ended, and so has what would renew it.
    Over,
    /// Whoever gives them does not renew it; its word for that. The row is removed.
    Spent(String),
    /// It is being renewed elsewhere.
    Busy,
    /// Later there may be one; says why.
    Unavailable(String),
}

/// Why there is no next pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRenewed {
    /// The refresh token does not count any more; the word for it.
    Spent(String),
    /// Later it may work; says why.
    Later(String),
}

/// What a page of wrapping anew did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// Under the current key now.
    pub rewrapped: u64,
    /// Under a key that is not in the ring, or damaged; their owners have to sign in again.
    pub unreadable: u64,
    /// Not under the current key, the unreadable ones included.
    pub left: u64,
}

/// The sealed tokens of this deployment.
#[derive(Debug)]
pub struct SealedTokens {
    database: Database,
    ring: KeyRing,
}

/// A row as it was read.
struct Row {
    sealed: String,
    pair: TokenPair,
}

impl SealedTokens {
    /// Opens it.
    pub fn new(env: &Env) -> Result<Self, NoPair> {
        let keys = env.var("TOKEN_KEYS").map(|value| value.to_string()).unwrap_or_default();
        let ring = KeyRing::parse(&keys).map_err(unavailable)?;
        Ok(Self { database: Database::new(env).map_err(unavailable)?, ring })
    }

    /// Keeps tokens, in the place of earlier ones.
    pub async fn store(&self, label: &Label<'_>, pair: &TokenPair) -> Result<(), NoPair> {
        self.insert(label, pair, "DO UPDATE SET key_id = ?4, sealed = ?5, updated_at = ?6, lease_until = 0")
            .await
    }

    /// Keeps tokens where there are none yet.
    pub async fn store_first(&self, label: &Label<'_>, pair: &TokenPair) -> Result<(), NoPair> {
        self.insert(label, pair, "DO NOTHING").await
    }

    async fn insert(&self, label: &Label<'_>, pair: &TokenPair, conflict: &str) -> Result<(), NoPair> {
        let sql = format!(
            "INSERT INTO sealed_tokens (user_id, provider, purpose, key_id, sealed, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (user_id, provider, purpose) {conflict}"
        );
        let (key_id, sealed) = self.seal(label, &render(pair)).await?;
        let values = [Value::Text(&key_id), Value::Text(&sealed), Value::Number(now().0)];
        self.change(&sql, label, &values).await.map(|_| ())
    }

    /// Removes tokens; how many rows there were.
    pub async fn delete(&self, label: &Label<'_>) -> Result<u64, NoPair> {
        self.change(&format!("DELETE FROM sealed_tokens WHERE {AT}"), label, &[]).await
    }

    /// The token, renewed by `renew` where it is about to end, or is `rejected`: one that was refused although it should still count.
    pub async fn token(
        &self,
        label: &Label<'_>,
        rejected: Option<&Secret>,
        renew: impl AsyncFn(&Secret) -> Result<TokenPair, NotRenewed>,
    ) -> Result<Secret, NoPair> {
        let until = now().plus_ms(WAIT_MS_MAX);
        loop {
            let row = self.load(label).await?;
            let usable = match evaluate_freshness(&row.pair, rejected, now()) {
                Freshness::Good => return Ok(row.pair.access),
                Freshness::Over => return Err(NoPair::Over),
                Freshness::Due { usable } => usable,
            };
            if self.take_lease(label, &row).await? {
                return self.refresh(label, row, usable, renew).await;
            }
            // A token that still works would stop to at any moment, because its refreshing ends it.
            if now() >= until {
                return if usable { Ok(row.pair.access) } else { Err(NoPair::Busy) };
            }
            Delay::from(Duration::from_millis(LOOK_MS)).await;
        }
    }

    /// Asks for the next pair and stores it before anybody uses it.
    async fn refresh(
        &self,
        label: &Label<'_>,
        row: Row,
        usable: bool,
        renew: impl AsyncFn(&Secret) -> Result<TokenPair, NotRenewed>,
    ) -> Result<Secret, NoPair> {
        let refresh = row.pair.refresh.as_ref().ok_or(NoPair::Over)?;
        match renew(refresh).await {
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
            Err(NotRenewed::Spent(code)) => {
                let sql = format!("DELETE FROM sealed_tokens WHERE {AT} AND sealed = ?4");
                self.change(&sql, label, &[Value::Text(&row.sealed)]).await?;
                Err(NoPair::Spent(code))
            }
            Err(NotRenewed::Later(reason)) => {
                let sql = format!("UPDATE sealed_tokens SET lease_until = 0 WHERE {AT} AND sealed = ?4");
                self.change(&sql, label, &[Value::Text(&row.sealed)]).await?;
                if usable { Ok(row.pair.access) } else { Err(NoPair::Unavailable(reason)) }
            }
        }
    }

    /// Wraps up to `limit` values anew that are not under the current key. May be repeated, and cut at any point.
    pub async fn rewrap(&self, limit: u64) -> Result<Rewrapped, NoPair> {
        const SQL: &str = "SELECT user_id, provider, purpose, sealed FROM sealed_tokens WHERE key_id <> ?1
            ORDER BY updated_at, user_id LIMIT ?2";
        const COUNT: &str = "SELECT count(*) FROM sealed_tokens WHERE key_id <> ?1";
        let current = self.ring.current().map_err(unavailable)?.0;
        let rows = self.database.rows(SQL, &[Value::Text(current), Value::Number(limit)]).await;
        let (mut rewrapped, mut unreadable) = (0, 0);
        for row in rows.map_err(unavailable)? {
            let [owner, provider, purpose, sealed] = [0, 1, 2, 3].map(|column| row.text(column));
            let label = Label { owner: &owner, provider: &provider, purpose: &purpose };
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

    async fn load(&self, label: &Label<'_>) -> Result<Row, NoPair> {
        let sql = format!("SELECT sealed FROM sealed_tokens WHERE {AT}");
        let rows = self.database.rows(&sql, &values_at(label)).await.map_err(unavailable)?;
        let sealed = rows.first().ok_or(NoPair::Missing)?.text(0);
        let pair = self.open(label, &sealed).await.ok().as_deref().and_then(parse);
        Ok(Row { sealed, pair: pair.ok_or(NoPair::Unreadable)? })
    }

    async fn take_lease(&self, label: &Label<'_>, row: &Row) -> Result<bool, NoPair> {
        let sql = format!(
            "UPDATE sealed_tokens SET lease_until = ?5 WHERE {AT} AND sealed = ?4 AND lease_until <= ?6"
        );
        let moment = now();
        let values =
            [Value::Text(&row.sealed), Value::Number(moment.plus_ms(LEASE_MS).0), Value::Number(moment.0)];
        Ok(self.change(&sql, label, &values).await? == 1)
    }

    /// Runs a change of a row; how many rows it met.
    async fn change(&self, sql: &str, label: &Label<'_>, more: &[Value<'_>]) -> Result<u64, NoPair> {
        let mut values = values_at(label).to_vec();
        values.extend_from_slice(more);
        let rows = self.database.rows(&format!("{sql} RETURNING 1"), &values).await.map_err(unavailable)?;
        Ok(rows.len() as u64)
    }

    async fn seal(&self, label: &Label<'_>, plain: &str) -> Result<(String, String), NoPair> {
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
    [Value::Text(label.owner), Value::Text(label.provider), Value::Text(label.purpose)]
}

/// A dependency's failure, or a setting's; the text names no value.
fn unavailable(error: impl std::fmt::Display) -> NoPair {
    NoPair::Unavailable(error.to_string())
}
