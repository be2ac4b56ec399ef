//! Proof that a request is Slack's: an HMAC-SHA256 over version, time and the very bytes of the body
//! (docs.slack.dev, "Verifying requests from Slack").
//!
//! Reads the two headers and says what was signed; the comparison itself is the caller's, in constant time and before anything is parsed.

use protocol::time::Timestamp;

/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "x-slack-signature";
/// Header with the time of signing, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";
/// How far the time of signing may be from ours.
pub const SKEW_SECONDS_MAX: u64 = 300;

const VERSION: &str = "v0";
const TAG_BYTES: usize = 32;

/// What the headers claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// HMAC-SHA256 of [`Proof::signed`].
    pub tag: Vec<u8>,
    timestamp: String,
}

impl Proof {
    /// Reads the headers; `None` where they cannot be Slack's, or were signed more than five minutes from `now`.
    #[must_use]
    pub fn parse(signature: &str, timestamp: &str, now: Timestamp) -> Option<Self> {
        let is_number = (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
        let seconds: u64 = if is_number { timestamp.parse().ok()? } else { return None };
        if seconds.abs_diff(now.0 / 1000) > SKEW_SECONDS_MAX {
            return None;
        }
        let hex = signature.strip_prefix(VERSION)?.strip_prefix('=')?;
        Some(Self { tag: from_hex(hex)?, timestamp: timestamp.to_owned() })
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn signed(&self, body: &[u8]) -> Vec<u8> {
        let mut signed = format!("{VERSION}:{}:", self.timestamp).into_bytes();
        signed.extend_from_slice(body);
        signed
    }
}

/// Lower case only: what Slack writes has one form.
fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if hex.len() != 2 * TAG_BYTES {
        return None;
    }
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::crypto::hmac_sha256_matches;
    use proptest::prelude::*;

    // Slack's own example: docs.slack.dev, "Verifying requests from Slack".
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const TIME: &str = "1531420618";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn counts(signature: &str, time: &str, body: &[u8], now_seconds: u64) -> bool {
        Proof::parse(signature, time, Timestamp(now_seconds * 1000))
            .is_some_and(|proof| hmac_sha256_matches(SECRET, &proof.signed(body), &proof.tag))
    }

    #[test]
    fn a01_slacks_published_example_counts() {
        assert!(counts(SIGNATURE, TIME, BODY, 1_531_420_618));
    }

    #[test]
    fn a01_five_minutes_are_the_limit_on_both_sides() {
        for (now, expected) in
            [(1_531_420_318, true), (1_531_420_918, true), (1_531_420_317, false), (1_531_420_919, false)]
        {
            assert_eq!(counts(SIGNATURE, TIME, BODY, now), expected, "{now}");
        }
    }

    #[test]
    fn a01_forged_headers_do_not_count() {
        let upper = SIGNATURE.to_uppercase().replace("V0=", "v0=");
        let cut = SIGNATURE.get(..SIGNATURE.len() - 2).unwrap();
        let longer = format!("{SIGNATURE}00");
        for signature in ["", "v0=", "v0", "v1=a2114d57", upper.as_str(), cut, longer.as_str()] {
            assert!(!counts(signature, TIME, BODY, 1_531_420_618), "{signature}");
        }
        for time in
            ["", "-1531420618", "1e999", "1531420618.0", "+1531420618", " 1531420618", "99999999999999999999"]
        {
            assert!(!counts(SIGNATURE, time, BODY, 1_531_420_618), "{time}");
        }
    }

    proptest! {
        #[test]
        fn a01_every_changed_byte_is_noticed(place in 0..BODY.len(), change in 1u8..=255) {
            let mut body = BODY.to_vec();
            body[place] ^= change;
            prop_assert!(!counts(SIGNATURE, TIME, &body, 1_531_420_618));
        }

        #[test]
        fn a01_no_header_makes_it_fail_otherwise(signature in ".*", time in ".*") {
            prop_assert!(!counts(&signature, &time, BODY, 1_531_420_618));
        }
    }
}
