//! The cookie that says who is signed in: a JWT over the principal, good for twelve hours, unreadable for scripts.

use crate::cookie::cookie_value;
use crate::principal::Principal;
use protocol::sign::{Audience, Key, sign, verify};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of the cookie.
pub const COOKIE: &str = "farhand_session";
/// How long somebody stays signed in.
pub const SIGNED_IN_MS_MAX: u64 = 12 * 3_600_000;

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

#[derive(Serialize, Deserialize)]
struct SignedIn {
    issuer: Issuer,
    #[serde(flatten)]
    principal: Principal,
}

/// Value of the `set-cookie` header that signs `principal` in.
#[must_use]
pub fn set_cookie(
    key: &Key,
    issuer: Issuer,
    principal: &Principal,
    transport: Transport,
    now: Timestamp,
) -> String {
    let signed_in = SignedIn { issuer, principal: principal.clone() };
    let token = sign(key, Audience::Client, signed_in, now, now.plus_ms(SIGNED_IN_MS_MAX));
    cookie_header(&token, SIGNED_IN_MS_MAX / 1000, transport)
}

/// Value of the `set-cookie` header that signs out.
#[must_use]
pub fn clear_cookie(transport: Transport) -> String {
    cookie_header("", 0, transport)
}

/// Who is signed in according to a `cookie` header, if it was signed by this deployment for `issuer` and is not too old.
#[must_use]
pub fn read_cookie(key: &Key, issuer: Issuer, header: &str, now: Timestamp) -> Option<Principal> {
    let token = cookie_value(header, COOKIE)?;
    let signed_in: SignedIn = verify(key, Audience::Client, token, now).ok()?;
    (signed_in.issuer == issuer).then_some(signed_in.principal)
}

/// Strict: the client is a page of our own that fetches, so no request from another site ever needs the cookie.
fn cookie_header(value: &str, max_age_s: u64, transport: Transport) -> String {
    let secure = match transport {
        Transport::Secure => "; Secure",
        Transport::Plain => "",
    };
    format!("{COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::tests::ada;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn header() -> String {
        let set = set_cookie(&key(1), Issuer::Local, &ada(), Transport::Plain, NOW);
        set.split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_reads_back_until_it_is_too_old() {
        let read = |header: &str, at| read_cookie(&key(1), Issuer::Local, header, at);
        assert_eq!(read(&header(), NOW), Some(ada()));
        assert_eq!(
            read(&format!("theme=dark; {}", header()), NOW.plus_ms(SIGNED_IN_MS_MAX - 1)),
            Some(ada())
        );
        assert_eq!(read(&header(), NOW.plus_ms(SIGNED_IN_MS_MAX)), None);
        assert_eq!(read(&header(), Timestamp(NOW.0 - 60_001)), None);
    }

    #[test]
    fn what_this_deployment_did_not_sign_for_this_is_nobody() {
        assert_eq!(read_cookie(&key(2), Issuer::Local, &header(), NOW), None);
        assert_eq!(read_cookie(&key(1), Issuer::Github, &header(), NOW), None);
        let socket = sign(&key(1), Audience::Socket, ada(), NOW, NOW.plus_ms(1000));
        let payload = header().split('.').nth(1).unwrap().to_owned();
        for value in ["", "x", "a.b.c", &socket, &format!("eyJhbGciOiJub25lIn0.{payload}.")] {
            assert_eq!(
                read_cookie(&key(1), Issuer::Local, &format!("{COOKIE}={value}"), NOW),
                None,
                "{value}"
            );
        }
        let mut forged = header();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.insert(forged.len() - 4, last);
        assert_eq!(read_cookie(&key(1), Issuer::Local, &forged, NOW), None);
    }

    #[test]
    fn attributes_keep_the_cookie_from_scripts_and_other_sites() {
        assert_eq!(
            clear_cookie(Transport::Plain),
            "farhand_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        );
        let set = set_cookie(&key(1), Issuer::Github, &ada(), Transport::Secure, NOW);
        assert!(set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"), "{set}");
    }
}
