//! A pair of tokens as the text that is sealed, and when it has to be refreshed. Nothing else writes these secrets as text.

use github::oauth::{Secret, TokenPair};
use protocol::time::Timestamp;

/// A token that ends within this is refreshed before use: what it is used for must come to its end.
pub const REFRESH_BEFORE_MS: u64 = 5 * 60_000;

/// What is to be done with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Good,
    /// Get the next one first; with the present one meanwhile if `usable`.
    Due {
        /// Whether the token still opens the code host.
        usable: bool,
    },
    /// Neither the token nor its refreshing works: the user has to sign in again.
    Over,
}

/// How a pair is at this moment. A token that was `rejected` has ended, whatever is written of it.
#[must_use]
pub fn evaluate_freshness(pair: &TokenPair, rejected: Option<&Secret>, now: Timestamp) -> Freshness {
    let is_rejected = rejected == Some(&pair.access);
    let end = match pair.access_expires_at {
        _ if is_rejected => now,
        Some(end) => end,
        None => return Freshness::Good,
    };
    if now.plus_ms(REFRESH_BEFORE_MS) < end {
        return Freshness::Good;
    }
    let usable = now < end;
    let can_refresh = pair.refresh.is_some() && pair.refresh_expires_at.is_none_or(|end| now < end);
    match (can_refresh, usable) {
        (true, usable) => Freshness::Due { usable },
        (false, true) => Freshness::Good,
        (false, false) => Freshness::Over,
    }
}

/// The text that is sealed: token, its end, refresh token, its end, each on a line that is empty where there is none. Tokens have no line
/// breaks, see `github::oauth`.
#[must_use]
pub fn render(pair: &TokenPair) -> String {
    let refresh = pair.refresh.as_ref().map(Secret::reveal).unwrap_or_default();
    let end = |at: Option<Timestamp>| at.map(|at| at.0.to_string()).unwrap_or_default();
    let (access_end, refresh_end) = (end(pair.access_expires_at), end(pair.refresh_expires_at));
    [pair.access.reveal(), &access_end, refresh, &refresh_end].join("\n")
}

/// Reads what [`render`] wrote.
#[must_use]
pub fn parse(text: &[u8]) -> Option<TokenPair> {
    let mut lines = std::str::from_utf8(text).ok()?.split('\n');
    let mut line = || lines.next();
    let secret = |text: &str| (!text.is_empty()).then(|| Secret::new(text.to_owned()));
    let end = |text: &str| text.parse().ok().map(Timestamp);
    Some(TokenPair {
        access: secret(line()?)?,
        access_expires_at: end(line()?),
        refresh: secret(line()?),
        refresh_expires_at: end(line()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(access_end: Option<u64>, refresh_end: Option<Option<u64>>) -> TokenPair {
        TokenPair {
            access: Secret::new("ghu_1".into()),
            access_expires_at: access_end.map(Timestamp),
            refresh: refresh_end.map(|_| Secret::new("ghr_1".into())),
            refresh_expires_at: refresh_end.flatten().map(Timestamp),
        }
    }

    #[test]
    fn a_pair_reads_back() {
        for pair in [pair(None, None), pair(Some(1), Some(None)), pair(Some(1), Some(Some(2)))] {
            assert_eq!(parse(render(&pair).as_bytes()), Some(pair));
        }
        for other in ["", "{}", "\n\n\n"] {
            assert_eq!(parse(other.as_bytes()), None);
        }
    }

    #[test]
    fn a_token_is_refreshed_before_it_ends() {
        const NOW: Timestamp = Timestamp(1_000_000_000);
        let at = |ms: u64| Some(NOW.0 + ms);
        for (access, refresh, expected) in [
            (None, None, Freshness::Good),
            (at(REFRESH_BEFORE_MS + 1), Some(None), Freshness::Good),
            (at(REFRESH_BEFORE_MS), Some(None), Freshness::Due { usable: true }),
            (at(0), Some(at(1)), Freshness::Due { usable: false }),
            (at(1), None, Freshness::Good),
            (at(1), Some(at(0)), Freshness::Good),
            (at(0), None, Freshness::Over),
            (at(0), Some(at(0)), Freshness::Over),
        ] {
            let pair = pair(access, refresh);
            assert_eq!(evaluate_freshness(&pair, None, NOW), expected, "{access:?} {refresh:?}");
        }
    }

    #[test]
    fn a_token_that_was_rejected_is_refreshed_once() {
        const NOW: Timestamp = Timestamp(1_000_000_000);
        let long = pair(Some(NOW.0 + 10 * REFRESH_BEFORE_MS), Some(None));
        let of = |pair: &TokenPair, rejected: &str| {
            evaluate_freshness(pair, Some(&Secret::new(rejected.into())), NOW)
        };
        assert_eq!(of(&long, "ghu_1"), Freshness::Due { usable: false });
        assert_eq!(of(&long, "ghu_0"), Freshness::Good, "another one was, before it");
        assert_eq!(of(&pair(None, None), "ghu_1"), Freshness::Over);
    }
}
