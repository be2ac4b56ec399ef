//! The short-lived token that goes with calls to the control plane: when it is due, and who fetches it.
//!
//! What to do is decided by [`evaluate_token`], without a clock; [`TokenCache`] keeps one token for all callers and lets one of
//! them fetch at a time. The claims are read, not verified: the token is Modal's own and only goes back there.

use super::ModalError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A token that does not say when it ends is good for so long.
const LIFE_UNSAID: Duration = Duration::from_secs(20 * 60);
/// Pause after the first fetch that failed while the token was still good; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LONGEST: Duration = Duration::from_secs(60);

/// A token, as far as time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenLife {
    /// A fresh one is due.
    pub(super) due: Instant,
    /// It is refused from here on.
    pub(super) ends: Instant,
    /// A fetch failed; no other before this.
    pub(super) not_before: Option<Instant>,
}

/// What a caller does about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenMove {
    /// Take the one that is there.
    Use,
    /// Take it, unless this caller gets to fetch another.
    Refresh,
    /// There is none: fetch, or wait for the one who does.
    Fetch,
}

/// Decides for one caller.
pub(super) fn evaluate_token(held: Option<TokenLife>, now: Instant) -> TokenMove {
    match held {
        None => TokenMove::Fetch,
        Some(life) if now >= life.ends => TokenMove::Fetch,
        Some(life) if now >= life.due && life.not_before.is_none_or(|at| now >= at) => TokenMove::Refresh,
        Some(_) => TokenMove::Use,
    }
}

/// How long from now a token is good.
pub(super) fn life_of(token: &str, unix_now: u64) -> Duration {
    expiry(token).map_or(LIFE_UNSAID, |at| Duration::from_secs(at.saturating_sub(unix_now)))
}

/// When a JWT ends, in Unix seconds (RFC 7519, section 4.1.4).
pub(super) fn expiry(token: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&bytes).ok()?;
    (claims.exp.is_finite() && claims.exp >= 0.0)
        .then(|| Duration::from_secs_f64(claims.exp.min(1e12)).as_secs())
}

struct Held {
    text: String,
    life: TokenLife,
    pause: Duration,
}

/// One token for all callers.
#[derive(Default)]
pub(super) struct TokenCache {
    held: Mutex<Option<Held>>,
    fetching: tokio::sync::Mutex<()>,
}

impl TokenCache {
    /// The token, a fresh one where it is due. `fetch` is called by one caller at a time.
    pub(super) async fn get<F>(&self, fetch: impl Fn() -> F) -> Result<String, ModalError>
    where
        F: Future<Output = Result<String, ModalError>>,
    {
        let _alone = match self.next_move() {
            (TokenMove::Use, Some(text)) => return Ok(text),
            (TokenMove::Refresh, Some(text)) => match self.fetching.try_lock() {
                Ok(alone) => alone,
                Err(_) => return Ok(text),
            },
            (TokenMove::Use | TokenMove::Refresh | TokenMove::Fetch, _) => self.fetching.lock().await,
        };
        // Somebody may have fetched it meanwhile.
        if let (TokenMove::Use, Some(text)) = self.next_move() {
            return Ok(text);
        }
        match fetch().await {
            Ok(text) => {
                self.keep(text.clone());
                Ok(text)
            }
            Err(error) => match self.postpone() {
                Some(text) if error.is_ambiguous() => {
                    tracing::warn!(%error, "Modal's token is not renewed yet; the old one is still good");
                    Ok(text)
                }
                Some(_) | None => Err(error),
            },
        }
    }

    /// Modal refused this token: it is not used again.
    pub(super) fn refuse(&self, token: &str) {
        let mut held = self.lock();
        if held.as_ref().is_some_and(|held| held.text == token) {
            *held = None;
        }
    }

    fn next_move(&self) -> (TokenMove, Option<String>) {
        let held = self.lock();
        let life = held.as_ref().map(|held| held.life);
        (evaluate_token(life, Instant::now()), held.as_ref().map(|held| held.text.clone()))
    }

    fn keep(&self, text: String) {
        let (now, life) = (Instant::now(), life_of(&text, crate::clock::now().0 / 1000));
        // Between 50 and 60 % of its life, so that replicas do not all come at once.
        let share = crate::clock::random().map_or(0, |bytes| u32::from(bytes[0]));
        let due = now + life / 2 + life / 10 * share / 255;
        let life = TokenLife { due, ends: now + life, not_before: None };
        *self.lock() = Some(Held { text, life, pause: PAUSE_FIRST });
    }

    /// The old token where it is still good, which is not to be renewed for a while.
    fn postpone(&self) -> Option<String> {
        let mut held = self.lock();
        let (held, now) = (held.as_mut()?, Instant::now());
        held.life.not_before = Some(now + held.pause);
        held.pause = (held.pause * 2).min(PAUSE_LONGEST);
        (now < held.life.ends).then(|| held.text.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tonic::Code;

    fn token(number: u32, seconds: u64) -> String {
        let exp = crate::clock::now().0 / 1000 + seconds;
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"n":{number},"exp":{exp}}}"#));
        format!("e30.{payload}.x")
    }

    #[test]
    fn the_end_is_read_from_the_claims_and_a_silent_token_lives_twenty_minutes() {
        let payload = |text: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(text));
        assert_eq!(expiry(&payload(r#"{"exp":1700000000}"#)), Some(1_700_000_000));
        assert_eq!(expiry(&payload(r#"{"exp":1700000000.9}"#)), Some(1_700_000_000));
        for silent in ["", "x", "a.b.c", &payload("{}"), &payload(r#"{"exp":-1}"#)] {
            assert_eq!(expiry(silent), None, "{silent}");
            assert_eq!(life_of(silent, 5), Duration::from_secs(1200));
        }
        assert_eq!(life_of(&payload(r#"{"exp":100}"#), 200), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_caller_takes_renews_or_fetches_by_the_tokens_age() {
        let now = Instant::now();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        let life = TokenLife { due: at(10), ends: at(20), not_before: None };
        assert_eq!(evaluate_token(None, now), TokenMove::Fetch);
        assert_eq!(evaluate_token(Some(life), at(9)), TokenMove::Use);
        assert_eq!(evaluate_token(Some(life), at(10)), TokenMove::Refresh);
        let paused = TokenLife { not_before: Some(at(12)), ..life };
        assert_eq!(evaluate_token(Some(paused), at(11)), TokenMove::Use);
        assert_eq!(evaluate_token(Some(paused), at(12)), TokenMove::Refresh);
        assert_eq!(evaluate_token(Some(paused), at(20)), TokenMove::Fetch);
    }

    #[tokio::test]
    async fn one_fetch_serves_everybody_who_waits() {
        let (cache, count) = (Arc::new(TokenCache::default()), Arc::new(AtomicU32::new(0)));
        let callers = (0..20).map(|_| {
            let (cache, count) = (cache.clone(), count.clone());
            tokio::spawn(async move {
                let fetch = || async {
                    tokio::task::yield_now().await;
                    Ok(token(count.fetch_add(1, Ordering::Relaxed), 600))
                };
                cache.get(fetch).await.unwrap()
            })
        });
        let got = futures::future::join_all(callers).await;
        let first = got[0].as_ref().unwrap();
        assert!(got.iter().all(|text| text.as_ref().unwrap() == first));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_renewal_leaves_the_old_token_while_it_is_good() {
        let cache = TokenCache::default();
        let old = cache.get(|| async { Ok(token(1, 100)) }).await.unwrap();
        tokio::time::advance(Duration::from_secs(70)).await;
        let down = || async { Err(ModalError::reported("sign in", Code::Unavailable, "down")) };
        assert_eq!(cache.get(down).await.unwrap(), old);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(cache.get(down).await.is_err());
        let refused = || async { Err(ModalError::reported("sign in", Code::Unauthenticated, "no")) };
        assert!(cache.get(refused).await.is_err());
        let fresh = cache.get(|| async { Ok(token(2, 100)) }).await.unwrap();
        assert_ne!(fresh, old);
        cache.refuse(&fresh);
        assert_eq!(cache.get(|| async { Ok(token(3, 100)) }).await.unwrap(), token(3, 100));
    }
}
