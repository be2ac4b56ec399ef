//! The keys that seal tokens (secret `TOKEN_KEYS`), the envelope around a sealed value, and what is bound to it.
//!
//! An envelope is `v1.<key id>.<nonce>.<cipher text>`, the latter two base64url. What it is, whose it is and what it is for is associated
//! data: a value that is moved to another user, provider, purpose or key does not open. Called by the store; decides nothing.

use crate::crypto::{SEAL_NONCE_BYTES, SealKey, base64url, from_base64, from_base64url};
use protocol::id::UserId;
use serde_json::Value;

/// Version of envelope and associated data.
const VERSION: &str = "v1";
/// Longest id of a key.
const KEY_ID_BYTES_MAX: usize = 32;

/// Whose token a sealed value is, where it is from, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Whose: a user's id, or what the bot of a workspace goes by.
    pub owner: &'a str,
    /// `github`, or `slack`.
    pub provider: &'a str,
    /// `code_host`, or `bot`.
    pub purpose: &'a str,
}

impl<'a> Label<'a> {
    /// The tokens of a user's account at GitHub.
    #[must_use]
    pub fn code_host(user: &'a UserId) -> Self {
        Self { owner: user.as_str(), provider: "github", purpose: "code_host" }
    }

    /// The tokens of a bot in a Slack workspace.
    #[must_use]
    pub fn bot(owner: &'a str) -> Self {
        Self { owner, provider: "slack", purpose: "bot" }
    }

    /// What is bound to a value sealed with the key `key_id`. Every part comes with its length, so that no two labels give the same bytes.
    #[must_use]
    pub fn associated(&self, key_id: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in ["farhand token", VERSION, self.owner, self.provider, self.purpose, key_id] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// The keys by id, and which of them seals.
#[derive(Clone, Debug)]
pub struct KeyRing {
    current: String,
    keys: Vec<(String, SealKey)>,
}

/// `TOKEN_KEYS` is not what it should be. Never says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "TOKEN_KEYS is not {{\"current\": ID, \"keys\": {{ID: KEY}}}} with the current one among the keys, ids of a-z, 0-9 and `-`, and keys of 32 bytes as base64"
)]
pub struct KeyRingError;

impl KeyRing {
    /// Reads the secret.
    pub fn parse(json: &str) -> Result<Self, KeyRingError> {
        let value: Value = serde_json::from_str(json).map_err(|_| KeyRingError)?;
        let fields = value.as_object().filter(|fields| fields.len() == 2).ok_or(KeyRingError)?;
        let current = fields.get("current").and_then(Value::as_str).ok_or(KeyRingError)?;
        let mut keys = Vec::new();
        for (id, key) in fields.get("keys").and_then(Value::as_object).ok_or(KeyRingError)? {
            let key = key.as_str().and_then(from_base64).and_then(|bytes| SealKey::new(&bytes));
            if !is_key_id(id) {
                return Err(KeyRingError);
            }
            keys.push((id.clone(), key.ok_or(KeyRingError)?));
        }
        let ring = Self { current: current.to_owned(), keys };
        ring.current().map(|_| ())?;
        Ok(ring)
    }

    /// The key that seals, with its id.
    pub fn current(&self) -> Result<(&str, &SealKey), KeyRingError> {
        self.key(&self.current).map(|key| (self.current.as_str(), key)).ok_or(KeyRingError)
    }

    /// The key of this id, if it is still in the ring.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&SealKey> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A sealed value with what is needed to open it but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Which key.
    pub key_id: String,
    /// Drawn for this value.
    pub nonce: Vec<u8>,
    /// With its tag.
    pub ciphertext: Vec<u8>,
}

impl Envelope {
    /// As text.
    #[must_use]
    pub fn render(&self) -> String {
        [VERSION, &self.key_id, &base64url(&self.nonce), &base64url(&self.ciphertext)].join(".")
    }

    /// Reads what [`Self::render`] wrote; `None` for every other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (version, key_id) = (parts.next()?, parts.next()?);
        let (nonce, ciphertext) = (from_base64url(parts.next()?)?, from_base64url(parts.next()?)?);
        let is_whole = version == VERSION && is_key_id(key_id) && nonce.len() == SEAL_NONCE_BYTES;
        (is_whole && parts.next().is_none()).then(|| Self { key_id: key_id.to_owned(), nonce, ciphertext })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn a_ring_has_its_current_key() {
        let ring =
            KeyRing::parse(&format!(r#"{{"current":"b","keys":{{"a":"{KEY}","b":"{KEY}"}}}}"#)).unwrap();
        assert_eq!(ring.current().unwrap().0, "b");
        assert!(ring.key("a").is_some() && ring.key("c").is_none());
        assert!(!format!("{ring:?}").contains("AQEB"));
        for wrong in [
            String::new(),
            "{}".into(),
            r#"{"current":"a","keys":{}}"#.into(),
            format!(r#"{{"current":"b","keys":{{"a":"{KEY}"}}}}"#),
            format!(r#"{{"current":"A","keys":{{"A":"{KEY}"}}}}"#),
            format!(r#"{{"current":"a.b","keys":{{"a.b":"{KEY}"}}}}"#),
            format!(r#"{{"current":"a","keys":{{"a":"{KEY}"}},"old":1}}"#),
            r#"{"current":"a","keys":{"a":"AQEB"}}"#.into(),
        ] {
            assert!(KeyRing::parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_envelope_reads_back_and_nothing_else_is_one() {
        let envelope = Envelope { key_id: "2026-11".into(), nonce: vec![7; 12], ciphertext: vec![1, 2, 3] };
        let text = envelope.render();
        assert_eq!(text, "v1.2026-11.BwcHBwcHBwcHBwcH.AQID");
        assert_eq!(Envelope::parse(&text), Some(envelope));
        for wrong in [
            "",
            "v1",
            "v2.2026-11.BwcHBwcHBwcHBwcH.AQID",
            "v1..BwcHBwcHBwcHBwcH.AQID",
            "v1.2026-11.BwcHBwcHBwcHBwc.AQID",
            "v1.2026-11.BwcHBwcHBwcHBwcH",
            "v1.2026-11.BwcHBwcHBwcHBwcH.AQID.AQID",
            "v1.2026-11.BwcHBwcHBwcHBwcH.AQ==",
        ] {
            assert_eq!(Envelope::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_two_labels_and_keys_are_bound_to_the_same_bytes() {
        let parts = ["a", "ab", "b", "a\u{0}", "github", "code_host"];
        let mut seen = BTreeSet::new();
        let mut count = 0;
        for owner in ["usr_a", "usr_ab", "usr_b"] {
            for provider in parts {
                for purpose in parts {
                    for key_id in parts {
                        count += 1;
                        seen.insert(Label { owner, provider, purpose }.associated(key_id));
                    }
                }
            }
        }
        assert_eq!(seen.len(), count);
    }
}
