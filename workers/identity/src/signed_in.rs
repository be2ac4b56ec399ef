//! The cookies of a browser that is signed in: a JWT over the principal, good for ten minutes, and a token that gets the next one.
//!
//! Scripts can read none of them. Over https they carry the prefix `__Host-` (RFC 6265bis §4.1.3.2): no other host, and no plain
//! connection, can have set them.

use crate::cookie::cookie_value;
use crate::principal::Principal;
use protocol::sign::{Audience, Key, sign, verify};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a principal counts without being looked up again.
pub const ACCESS_MS_MAX: u64 = 10 * 60_000;

/// The cookies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Who is signed in.
    Access,
    /// Gets the next one of those.
    Refresh,
    /// A sign-in under way.
    Attempt,
}

/// Who vouched for the principal. A deployment that changes its way of signing in forgets everyone who came the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Issuer {
    /// The built-in list of users, on loopback only.
    Local,
    /// GitHub.
    Github,
}

/// Whether the browser may send the cookie over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `https:`.
    Secure,
    /// `http:`, which only loopback deserves.
    Plain,
}

/// What the access cookie says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// Who vouched.
    pub issuer: Issuer,
    /// The sign-in that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Who.
    #[serde(flatten)]
    pub principal: Principal,
}

impl Cookie {
    /// Name of the cookie.
    #[must_use]
    pub fn name(self, transport: Transport) -> String {
        let name = match self {
            Self::Access => "farhand_session",
            Self::Refresh => "farhand_refresh",
            Self::Attempt => "farhand_sign_in",
        };
        match transport {
            Transport::Secure => format!("__Host-{name}"),
            Transport::Plain => name.to_owned(),
        }
    }

    /// Value of the `set-cookie` header.
    ///
    /// Strict: the client is a page of our own that fetches, so no request from another site ever needs them. A sign-in under way comes
    /// back from the code host's page, which Lax allows.
    #[must_use]
    pub fn set(self, value: &str, max_age_ms: u64, transport: Transport) -> String {
        let same_site = match self {
            Self::Access | Self::Refresh => "Strict",
            Self::Attempt => "Lax",
        };
        let secure = match transport {
            Transport::Secure => "; Secure",
            Transport::Plain => "",
        };
        let (name, seconds) = (self.name(transport), max_age_ms / 1000);
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}")
    }

    /// Value of the `set-cookie` header that removes it.
    #[must_use]
    pub fn clear(self, transport: Transport) -> String {
        self.set("", 0, transport)
    }

    /// Its value in a `cookie` header; none where it is empty.
    #[must_use]
    pub fn read(self, header: &str, transport: Transport) -> Option<&str> {
        cookie_value(header, &self.name(transport)).filter(|value| !value.is_empty())
    }
}

/// Value of the access cookie.
#[must_use]
pub fn sign_access(key: &Key, signed_in: &SignedIn, now: Timestamp) -> String {
    sign(key, Audience::Client, signed_in, now, now.plus_ms(ACCESS_MS_MAX))
}

/// What an access cookie says, if this deployment signed it for `issuer` and it is not too old.
#[must_use]
pub fn read_access(key: &Key, issuer: Issuer, token: &str, now: Timestamp) -> Option<SignedIn> {
    let signed_in: SignedIn = verify(key, Audience::Client, token, now).ok()?;
    (signed_in.issuer == issuer).then_some(signed_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::tests::ada;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn signed_in() -> SignedIn {
        SignedIn { issuer: Issuer::Local, family: Some("f".into()), principal: ada() }
    }

    fn token() -> String {
        sign_access(&key(1), &signed_in(), NOW)
    }

    #[test]
    fn a_cookie_reads_back_until_it_is_too_old() {
        let read = |at| read_access(&key(1), Issuer::Local, &token(), at);
        assert_eq!(read(NOW), Some(signed_in()));
        assert_eq!(read(NOW.plus_ms(ACCESS_MS_MAX - 1)), Some(signed_in()));
        assert_eq!(read(NOW.plus_ms(ACCESS_MS_MAX)), None);
        assert_eq!(read(Timestamp(NOW.0 - 60_001)), None);
    }

    #[test]
    fn what_this_deployment_did_not_sign_for_this_is_nobody() {
        assert_eq!(read_access(&key(2), Issuer::Local, &token(), NOW), None);
        assert_eq!(read_access(&key(1), Issuer::Github, &token(), NOW), None);
        let socket = sign(&key(1), Audience::Socket, signed_in(), NOW, NOW.plus_ms(1000));
        let payload = token().split('.').nth(1).unwrap().to_owned();
        for value in ["", "x", "a.b.c", &socket, &format!("eyJhbGciOiJub25lIn0.{payload}.")] {
            assert_eq!(read_access(&key(1), Issuer::Local, value, NOW), None, "{value}");
        }
        let mut forged = token();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.insert(forged.len() - 4, last);
        assert_eq!(read_access(&key(1), Issuer::Local, &forged, NOW), None);
    }

    #[test]
    fn attributes_keep_the_cookies_from_scripts_and_other_sites() {
        assert_eq!(
            Cookie::Access.clear(Transport::Plain),
            "farhand_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            Cookie::Refresh.set("x", 1_000, Transport::Secure),
            "__Host-farhand_refresh=x; Path=/; Max-Age=1; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(Cookie::Attempt.set("x", 1_000, Transport::Plain).ends_with("; SameSite=Lax"));
    }

    #[test]
    fn over_https_only_cookies_of_this_very_host_count() {
        let read = |header| Cookie::Access.read(header, Transport::Secure);
        assert_eq!(read("__Host-farhand_session=a; farhand_session=b"), Some("a"));
        assert_eq!(read("farhand_session=b"), None);
        assert_eq!(read("__Host-farhand_session="), None);
    }
}
