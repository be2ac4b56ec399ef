//! Stand-ins of secrets: what a sandbox has in place of `NPM_TOKEN`, and the exchange on the way out.
//!
//! A stand-in follows from the bridge's key, the sandbox and the secret's name, so that a restarted bridge knows it again. It is
//! exchanged only in a header that has exactly one, and only on a connection to the secret's own host, port and TLS name; the
//! caller vouches for the connection. Pure.

use super::policy::HostSecret;
use super::reason::Reason;
use crate::config::Secret;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::id::SandboxId;
use protocol::sign::sha256_hex;

/// What all stand-ins begin with.
pub(crate) const PREFIX: &str = "farhand_secret_";
/// Hexadecimal digits behind it.
const DIGITS: usize = 40;
/// Where clients put credentials; whatever else they have there does not go to a host that has a secret.
const CREDENTIAL_HEADERS: [HeaderName; 9] = [
    AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("job-token"),
    HeaderName::from_static("private-token"),
    HeaderName::from_static("x-access-token"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Makes stand-ins.
#[derive(Clone, Debug)]
pub(crate) struct StandIns {
    keys: Vec<Secret>,
}

impl StandIns {
    /// From the bridge's own keys, the current one first.
    pub(crate) fn new(keys: Vec<Secret>) -> Self {
        Self { keys }
    }

    /// What this sandbox has in place of the secret of this name.
    pub(crate) fn of(&self, sandbox_id: &SandboxId, name: &str) -> String {
        self.all_of(sandbox_id, name).next().unwrap_or_default()
    }

    /// Everything that stands for it: this sandbox may have been made before the keys were exchanged.
    pub(super) fn all_of(&self, sandbox_id: &SandboxId, name: &str) -> impl Iterator<Item = String> {
        self.keys.iter().map(move |key| {
            let digest = sha256_hex(format!("{}\n{sandbox_id}\n{name}", key.reveal()).as_bytes());
            format!("{PREFIX}{}", digest.get(..DIGITS).unwrap_or(&digest))
        })
    }
}

/// A stand-in and what it stands for on this connection.
pub(super) struct Exchange<'a> {
    pub(super) stand_in: String,
    pub(super) secret: &'a HostSecret,
}

/// Puts the secrets of a connection's host in the place of their stand-ins. Answers what must not come back: each secret that was
/// put on, in the forms in which it was sent.
pub(super) fn exchange(headers: &mut HeaderMap, secrets: &[Exchange]) -> Result<Vec<String>, Reason> {
    let mut sent = Vec::new();
    // A session at a host with a secret would be a credential that the bridge has not given out.
    if !secrets.is_empty() {
        headers.remove(COOKIE);
    }
    for (name, value) in headers.iter_mut() {
        let Some(found) = find(value)? else {
            if !secrets.is_empty() && CREDENTIAL_HEADERS.contains(name) {
                return Err(Reason::CredentialForeign);
            }
            continue;
        };
        let exchange = secrets.iter().find(|exchange| exchange.stand_in == found.stand_in);
        let secret = exchange.ok_or(Reason::SecretElsewhere)?.secret.value.reveal();
        let text = found.text.replace(&found.stand_in, secret);
        let text = if found.is_basic { format!("Basic {}", STANDARD.encode(&text)) } else { text };
        // A secret that cannot be a header is a mistake of the configuration, which is checked at the start.
        let mut put = HeaderValue::from_str(&text).map_err(|_| Reason::SecretElsewhere)?;
        put.set_sensitive(true);
        *value = put;
        sent.push(secret.to_owned());
        if found.is_basic {
            sent.extend(text.strip_prefix("Basic ").map(str::to_owned));
        }
    }
    Ok(sent)
}

/// Whether a text has a stand-in, of whatever sandbox.
pub(super) fn is_in(text: &str) -> bool {
    text.contains(PREFIX)
}

struct Found {
    stand_in: String,
    /// The header's text, decoded where it was basic authentication.
    text: String,
    is_basic: bool,
}

/// The one stand-in of a header, if it has any.
fn find(value: &HeaderValue) -> Result<Option<Found>, Reason> {
    let Ok(text) = value.to_str() else {
        let bytes = value.as_bytes();
        let has_any = bytes.windows(PREFIX.len()).any(|window| window == PREFIX.as_bytes());
        return if has_any { Err(Reason::SecretAmbiguous) } else { Ok(None) };
    };
    let basic = basic(text);
    let is_basic = basic.as_deref().is_some_and(is_in);
    let text = basic.filter(|_| is_basic).unwrap_or_else(|| text.to_owned());
    let mut places = text.match_indices(PREFIX).map(|(at, _)| at);
    let Some(at) = places.next() else { return Ok(None) };
    if places.next().is_some() {
        return Err(Reason::SecretAmbiguous);
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let before = text.get(..at).and_then(|before| before.chars().next_back());
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let stand_in = rest.get(..end).unwrap_or_default().to_owned();
    if before.is_some_and(is_word) {
        return Err(Reason::SecretElsewhere);
    }
    Ok(Some(Found { stand_in, text, is_basic }))
}

/// What basic authentication says (RFC 7617).
fn basic(text: &str) -> Option<String> {
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::host::Target;
    use super::*;

    fn exchanged(header: &str, value: &str) -> Result<String, Reason> {
        let target = Target::parse("registry.example:443", None).unwrap();
        let secret = |name: &str, value| HostSecret {
            name: name.to_owned(),
            target: target.clone(),
            value: Secret::new(value),
        };
        let (npm, other) = (secret("NPM_TOKEN", "canary-npm"), secret("OTHER", "canary-other"));
        let secrets = [("npm", &npm), ("other", &other)]
            .map(|(name, secret)| Exchange { stand_in: stand_in(name), secret });
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_bytes(header.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
        let sent = exchange(&mut headers, &secrets)?;
        let value = headers.get(header).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        assert!(sent.iter().all(|sent| value.contains(sent) || value.starts_with("Basic ")));
        Ok(value)
    }

    fn stand_in(name: &str) -> String {
        StandIns::new(vec![Secret::new("key")]).of(&SandboxId::parse("sbx_1").unwrap(), name)
    }

    #[test]
    fn one_exact_stand_in_is_exchanged_where_clients_put_it() {
        let own = stand_in("npm");
        assert_eq!(own.len(), PREFIX.len() + DIGITS);
        for (header, value, expected) in [
            ("authorization", format!("Bearer {own}"), "Bearer canary-npm"),
            ("authorization", format!("token {own}"), "token canary-npm"),
            ("private-token", own.clone(), "canary-npm"),
            ("x-anything", format!("a={own};b"), "a=canary-npm;b"),
            ("x-anything", "nothing".to_owned(), "nothing"),
        ] {
            assert_eq!(exchanged(header, &value).as_deref(), Ok(expected), "{value}");
        }
        let basic = format!("Basic {}", STANDARD.encode(format!("user:{own}")));
        assert_eq!(
            exchanged("authorization", &basic),
            Ok(format!("Basic {}", STANDARD.encode("user:canary-npm")))
        );
        assert_eq!(exchanged("cookie", "session=1"), Ok(String::new()));
    }

    #[test]
    fn everything_else_is_refused() {
        let own = stand_in("npm");
        for (header, value, reason) in [
            ("authorization", format!("Bearer {own} {own}"), Reason::SecretAmbiguous),
            ("authorization", format!("Bearer {own}{}", stand_in("other")), Reason::SecretAmbiguous),
            ("authorization", format!("Bearer {own}0"), Reason::SecretElsewhere),
            ("authorization", format!("Bearer x{own}"), Reason::SecretElsewhere),
            ("authorization", format!("Bearer {}", &own[..own.len() - 1]), Reason::SecretElsewhere),
            ("authorization", format!("Bearer {}", stand_in("elsewhere")), Reason::SecretElsewhere),
            ("authorization", "Bearer npm_realLooking".to_owned(), Reason::CredentialForeign),
            ("authorization", "Basic dXNlcjpwYXNz".to_owned(), Reason::CredentialForeign),
            ("x-api-key", "k".to_owned(), Reason::CredentialForeign),
        ] {
            assert_eq!(exchanged(header, &value), Err(reason), "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {own}")).unwrap());
        assert_eq!(exchange(&mut headers, &[]), Err(Reason::SecretElsewhere));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
        assert_eq!(exchange(&mut headers, &[]), Ok(Vec::new()));
    }

    #[test]
    fn stand_ins_differ_by_sandbox_name_and_bridge() {
        let of = |key: &str, sandbox: &str, name: &str| {
            StandIns::new(vec![Secret::new(key)]).of(&SandboxId::parse(sandbox).unwrap(), name)
        };
        let one = of("key", "sbx_1", "A");
        assert_eq!(one, of("key", "sbx_1", "A"));
        for other in [of("key2", "sbx_1", "A"), of("key", "sbx_2", "A"), of("key", "sbx_1", "B")] {
            assert_ne!(one, other);
        }
    }
}
