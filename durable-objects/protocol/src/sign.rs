//! Tokens that prove who wrote something: JWTs, HS256 (RFC 7519, RFC 8725), over claims with an audience and an end.
//!
//! Here are keys and tokens as such, and what the token of a sandbox says; `exchange` has the requests and answers between edge and
//! bridge. Nothing here reads a clock or remembers anything.

mod exchange;

pub use exchange::{
    ANSWER_HEADER, AnswerClaims, BridgeKeys, RequestClaims, sign_answer, sign_request, verify_answer,
    verify_request,
};

use crate::id::SandboxId;
use crate::limit::SIGNATURE_SKEW_MS_MAX;
use crate::time::Timestamp;
use jwt_compact::{AlgorithmExt, Claims, Header, UntrustedToken, alg::Hs256, alg::Hs256Key};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// A shared secret. Neither printable nor serialisable.
#[derive(Clone)]
pub struct Key(Hs256Key);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Shortest acceptable secret.
pub const KEY_BYTES_MIN: usize = 32;

impl Key {
    /// Takes a secret of at least [`KEY_BYTES_MIN`] bytes; `None` when it is shorter.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= KEY_BYTES_MIN).then(|| Self(Hs256Key::new(secret)))
    }
}

/// Who a signed request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The Worker.
    Edge,
    /// The sandbox bridge.
    Bridge,
    /// The bridge's gateway, from inside a sandbox.
    Gateway,
    /// The Worker, from a signed-in client.
    Client,
    /// A session's WebSocket.
    Socket,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// No token, or not one.
    Malformed,
    /// Signed with another key, or changed afterwards.
    Wrong,
    /// For another receiver.
    Audience,
    /// Too old, or from the future.
    Expired,
    /// For another method, path or body.
    Request,
}

impl std::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is missing or malformed",
            Self::Wrong => "the token is not signed with the shared key",
            Self::Audience => "the token is meant for another receiver",
            Self::Expired => "the token is too old, or the clocks differ by more than a minute",
            Self::Request => "the token belongs to another request",
        })
    }
}

impl std::error::Error for SignatureError {}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    aud: Audience,
    /// Milliseconds, as all our times; `iat` and `exp` of RFC 7519 are seconds.
    issued_at: Timestamp,
    expires_at: Timestamp,
    #[serde(flatten)]
    payload: T,
}

/// Signs `payload` for `audience`, valid from `now` until `expires_at`.
///
/// Answers the empty text, which no receiver accepts, if the payload cannot be written as JSON.
pub fn sign<T: Serialize>(
    key: &Key,
    audience: Audience,
    payload: T,
    now: Timestamp,
    expires_at: Timestamp,
) -> String {
    sign_with(&Header::empty(), key, audience, payload, now, expires_at)
}

fn sign_with<T: Serialize>(
    header: &Header,
    key: &Key,
    audience: Audience,
    payload: T,
    now: Timestamp,
    expires_at: Timestamp,
) -> String {
    let claims = Claims::new(Envelope { aud: audience, issued_at: now, expires_at, payload });
    Hs256.token(header, &claims, &key.0).unwrap_or_default()
}

/// Reads what [`sign`] wrote. The signature is checked, in constant time, before the payload is read.
pub fn verify<T: DeserializeOwned>(
    key: &Key,
    audience: Audience,
    token: &str,
    now: Timestamp,
) -> Result<T, SignatureError> {
    verify_parsed(key, audience, &UntrustedToken::new(token).map_err(|_| SignatureError::Malformed)?, now)
}

fn verify_parsed<T: DeserializeOwned>(
    key: &Key,
    audience: Audience,
    untrusted: &UntrustedToken<'_>,
    now: Timestamp,
) -> Result<T, SignatureError> {
    let token = Hs256.validator::<Envelope<T>>(&key.0).validate(untrusted).map_err(|error| {
        if matches!(error, jwt_compact::ValidationError::MalformedClaims(_)) {
            SignatureError::Malformed
        } else {
            SignatureError::Wrong
        }
    })?;
    let (_, claims) = token.into_parts();
    let envelope = claims.custom;
    if envelope.aud != audience {
        return Err(SignatureError::Audience);
    }
    if now >= envelope.expires_at || now.plus_ms(SIGNATURE_SKEW_MS_MAX) < envelope.issued_at {
        return Err(SignatureError::Expired);
    }
    Ok(envelope.payload)
}

/// What the token inside a sandbox says. It opens the runner socket and the gateway of this one sandbox, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxClaims {
    /// Which sandbox. Whose it is, the bridge knows: a warm one belongs to nobody when it gets its token.
    pub sandbox_id: SandboxId,
}

/// SHA-256 as 64 hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_no_key() {
        assert!(Key::new(&[0; 31]).is_none());
        assert!(Key::new(&[0; 32]).is_some());
    }

    #[test]
    fn a_token_is_for_one_audience_and_a_time() {
        let key = Key::new(&[1; 32]).unwrap();
        let (now, end) = (Timestamp(1_795_000_000_000), Timestamp(1_795_000_000_010));
        let claims = SandboxClaims { sandbox_id: SandboxId::parse("sbx_1").unwrap() };
        let token = sign(&key, Audience::Gateway, &claims, now, end);
        let read = |audience, at| verify::<SandboxClaims>(&key, audience, &token, at);
        assert_eq!(read(Audience::Gateway, now), Ok(claims.clone()));
        assert_eq!(read(Audience::Bridge, now), Err(SignatureError::Audience));
        assert_eq!(read(Audience::Gateway, end), Err(SignatureError::Expired));
    }
}
