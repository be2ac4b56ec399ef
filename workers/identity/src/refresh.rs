//! What a refresh token that somebody presents is worth. Each is good for one exchange; the next one comes with it.
//!
//! All tokens that follow from one sign-in are a family. One that is presented again after it was exchanged may be in two hands, so the
//! whole family ends, whoever of the two it was. Two tabs that wake together, or an answer that was lost, are the exception, for a minute.

use crate::signed_in::Issuer;
use protocol::time::Timestamp;

/// How long a refresh token may be kept before it is presented.
pub const REFRESH_MS_MAX: u64 = 14 * 24 * 3_600_000;
/// How long anybody stays signed in without signing in.
pub const FAMILY_MS_MAX: u64 = 90 * 24 * 3_600_000;
/// How long an exchanged token still counts.
pub const GRACE_MS: u64 = 60_000;
/// How long the code host's word that somebody may be here is believed.
pub const CHECK_MS: u64 = 9 * 60_000;
/// How long it is believed while the code host does not answer.
pub const UNCHECKED_MS_MAX: u64 = 3_600_000;

/// What is known of a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct RefreshFacts {
    /// How its family signed in.
    pub issuer: Issuer,
    /// When it was exchanged first.
    pub used_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When its family was ended.
    pub revoked_at: Option<Timestamp>,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Give the next one.
    Rotate,
    /// End its family: it is in two hands.
    Revoke,
    /// Nothing; whoever it is has to sign in.
    Refuse,
}

/// Decides about a refresh token in a deployment that signs in by `issuer`.
#[must_use]
pub fn evaluate_refresh(facts: &RefreshFacts, issuer: Issuer, now: Timestamp) -> Refresh {
    if facts.issuer != issuer || facts.revoked_at.is_some() || now >= facts.expires_at {
        return Refresh::Refuse;
    }
    match facts.used_at {
        Some(used_at) if used_at.plus_ms(GRACE_MS) <= now => Refresh::Revoke,
        Some(_) | None => Refresh::Rotate,
    }
}

/// What the code host's last word about somebody is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Known,
    /// It has to be asked again; while it does not answer, the last word still counts if `lenient`.
    Ask {
        /// Whether it does.
        lenient: bool,
    },
}

/// Decides whether the code host has to be asked about somebody it last confirmed at `checked_at`.
#[must_use]
pub fn evaluate_standing(checked_at: Timestamp, now: Timestamp) -> Standing {
    if now < checked_at.plus_ms(CHECK_MS) {
        return Standing::Known;
    }
    Standing::Ask { lenient: now < checked_at.plus_ms(UNCHECKED_MS_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn before(ms: u64) -> Option<Timestamp> {
        Some(Timestamp(NOW.0 - ms))
    }

    #[test]
    fn a_token_is_exchanged_once_and_for_a_minute_again() {
        for (used_at, revoked_at, expires_in, expected) in [
            (None, None, 1, Refresh::Rotate),
            (before(0), None, 1, Refresh::Rotate),
            (before(GRACE_MS - 1), None, 1, Refresh::Rotate),
            (before(GRACE_MS), None, 1, Refresh::Revoke),
            (None, None, 0, Refresh::Refuse),
            (before(GRACE_MS), None, 0, Refresh::Refuse),
            (None, before(1), 1, Refresh::Refuse),
            (before(GRACE_MS), before(1), 1, Refresh::Refuse),
        ] {
            let facts = RefreshFacts {
                issuer: Issuer::Github,
                used_at,
                expires_at: NOW.plus_ms(expires_in),
                revoked_at,
            };
            assert_eq!(evaluate_refresh(&facts, Issuer::Github, NOW), expected, "{facts:?}");
            assert_eq!(evaluate_refresh(&facts, Issuer::Local, NOW), Refresh::Refuse, "{facts:?}");
        }
    }

    #[test]
    fn the_code_host_is_asked_again_and_may_be_away_for_a_while() {
        let at = |ms| evaluate_standing(Timestamp(NOW.0 - ms), NOW);
        assert_eq!(at(CHECK_MS - 1), Standing::Known);
        assert_eq!(at(CHECK_MS), Standing::Ask { lenient: true });
        assert_eq!(at(UNCHECKED_MS_MAX), Standing::Ask { lenient: false });
    }
}
