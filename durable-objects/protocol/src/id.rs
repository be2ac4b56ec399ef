//! Identifiers: one newtype per kind, so that no two can be confused in a signature.
//!
//! An id is its kind's prefix, `_`, and lower-case letters, digits, `-` or `_`; at most [`limit::ID_BYTES_MAX`] bytes. That makes
//! it safe as a path segment, file name, git ref component and object name. Parsing refuses everything else.

use crate::limit;
use serde::{Deserialize, Serialize};

/// An id that is not one: wrong prefix, wrong characters, or too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId {
    /// What was expected, for humans.
    pub expected: &'static str,
}

impl std::fmt::Display for InvalidId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for InvalidId {}

fn is_id(text: &str, prefix: &str) -> bool {
    text.len() <= limit::ID_BYTES_MAX
        && text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        })
}

/// Characters that hold 16 bytes in base 32.
const FULL: usize = 26;
/// Characters of an id that stands in every piece of a running text and is unique within one session only: 60 bits.
const SHORT: usize = 12;

/// 16 random bytes as lower-case base 32, the last `length` characters: what follows the prefix of a generated id.
fn base32(random: [u8; 16], length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut number = u128::from_be_bytes(random);
    let mut text = [0u8; FULL];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET.get((number & 31) as usize).copied().unwrap_or(b'0');
        number >>= 5;
    }
    text.iter().skip(FULL - length).map(|b| char::from(*b)).collect()
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident = $prefix:literal, $length:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
        #[cfg_attr(feature = "typescript", ts(type = "string"))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind starts with, before the `_`.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from 16 random bytes of the caller's.
            #[must_use]
            pub fn from_random(random: [u8; 16]) -> Self {
                Self(format!("{}_{}", $prefix, base32(random, $length)))
            }

            /// Reads an id; the error says what one looks like.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_id(text, $prefix) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { expected: concat!("an id that starts with ", $prefix, "_") })
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "schema")]
        crate::schema::text!($name: concat!("^", $prefix, "_[a-z0-9_-]+$"), limit::ID_BYTES_MAX, concat!($($doc),*));

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A lasting result of a turn: pull request, branch, diff.
    ArtifactId = "art", FULL;
    /// One attempt to make an image of a repository.
    BuildId = "bld", FULL;
    /// A command from the session to a runner; the same id twice is the same command.
    CommandId = "cmd", FULL;
    /// One WebSocket of one participant.
    ConnectionId = "con", FULL;
    /// A repository's prepared file system; means something only to the provider that made it.
    ImageId = "img", FULL;
    /// One piece of a turn's output.
    ItemId = "itm", SHORT;
    /// A prompt; chosen by the client that submits it, so that a repeat is recognised.
    PromptId = "prm", FULL;
    /// A warm sandbox held for somebody who is composing a prompt; chosen by the client.
    ReservationId = "rsv", FULL;
    /// One sandbox of one session and generation, or of a repository's warm pool.
    SandboxId = "sbx", FULL;
    /// One conversation about one repository.
    SessionId = "ses", FULL;
    /// A session's saved file system; means something only to the provider that made it.
    SnapshotId = "snp", FULL;
    /// The agent's work on one prompt; a retry has a new one.
    TurnId = "trn", FULL;
    /// An account.
    UserId = "usr", FULL;
}

/// A repository on the code host as `owner/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(type = "string"))]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryId(String);

impl RepositoryId {
    /// Reads `owner/name`; both parts are letters, digits, `-`, `_` and `.`, and neither starts with `-` or `.`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        const EXPECTED: InvalidId = InvalidId { expected: "a repository as owner/name" };
        let part = |part: &str| {
            !part.is_empty()
                && part.len() <= 100
                && !part.starts_with(['-', '.'])
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) && !name.ends_with(".git") => {
                Ok(Self(text.to_owned()))
            }
            Some(_) | None => Err(EXPECTED),
        }
    }

    /// `owner/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

#[cfg(feature = "schema")]
crate::schema::text!(
    RepositoryId:
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9_]([A-Za-z0-9_.-]{0,95}[A-Za-z0-9_-])?$",
    201,
    "A repository on the code host as `owner/name`."
);

impl TryFrom<String> for RepositoryId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<RepositoryId> for String {
    fn from(id: RepositoryId) -> Self {
        id.0
    }
}

impl std::fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_reads_back() {
        let id = SessionId::from_random([0xff; 16]);
        assert_eq!(id.as_str(), "ses_7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(SessionId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn foreign_text_is_not_an_id() {
        for text in
            ["", "ses", "ses_", "trn_1", "ses_A", "ses_../x", "ses_a b", &format!("ses_{}", "a".repeat(100))]
        {
            assert!(SessionId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_repository_is_owner_and_name() {
        assert_eq!(
            RepositoryId::parse("acme/shop.js").map(|r| (r.owner().to_owned(), r.name().to_owned())),
            Ok(("acme".into(), "shop.js".into()))
        );
        for text in ["", "acme", "/", "acme/", "acme/-x", "acme/..", "acme/shop/x", "a b/c", "acme/shop.git"]
        {
            assert!(RepositoryId::parse(text).is_err(), "{text:?}");
        }
    }
}
