//! How edge and bridge prove themselves to each other, and how a sandbox proves itself to its bridge.
//!
//! Every request carries `authorization: Bearer <JWT>`, HS256 (RFC 7519, RFC 8725): the claims bind method, path with query, SHA-256
//! of the body, time, and a nonce that the receiver remembers for as long as the token could be valid. The audience keeps a request
//! to the bridge from being played back to the edge.

use crate::id::{SandboxId, SessionId};
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
    let claims = Claims::new(Envelope { aud: audience, issued_at: now, expires_at, payload });
    Hs256.token(&Header::empty(), &claims, &key.0).unwrap_or_default()
}

/// Reads what [`sign`] wrote. The signature is checked, in constant time, before the payload is read.
pub fn verify<T: DeserializeOwned>(
    key: &Key,
    audience: Audience,
    token: &str,
    now: Timestamp,
) -> Result<T, SignatureError> {
    let untrusted = UntrustedToken::new(token).map_err(|_| SignatureError::Malformed)?;
    let token = Hs256.validator::<Envelope<T>>(&key.0).validate(&untrusted).map_err(|error| {
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

/// What a signed request is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestClaims {
    /// In capitals.
    pub method: String,
    /// With query, as sent.
    pub path: String,
    /// SHA-256 of the body, hexadecimal.
    pub body: String,
    /// Random; the receiver refuses it a second time.
    pub nonce: String,
}

/// Value of the `authorization` header of a request between edge and bridge.
#[must_use]
pub fn sign_request(
    key: &Key,
    to: Audience,
    method: &str,
    path: &str,
    body: &[u8],
    nonce: [u8; 16],
    now: Timestamp,
) -> String {
    let claims = RequestClaims {
        method: method.to_owned(),
        path: path.to_owned(),
        body: sha256_hex(body),
        nonce: hex(&nonce),
    };
    format!("Bearer {}", sign(key, to, claims, now, now.plus_ms(SIGNATURE_SKEW_MS_MAX)))
}

/// Checks the `authorization` header of a request; the caller must still refuse a nonce it has seen.
pub fn verify_request(
    key: &Key,
    me: Audience,
    authorization: Option<&str>,
    method: &str,
    path: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<RequestClaims, SignatureError> {
    let token =
        authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or(SignatureError::Malformed)?;
    let claims: RequestClaims = verify(key, me, token, now)?;
    if claims.method != method || claims.path != path || claims.body != sha256_hex(body) {
        return Err(SignatureError::Request);
    }
    Ok(claims)
}

/// What the token inside a sandbox says. It opens the runner socket and the gateway of this one sandbox, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxClaims {
    /// Which sandbox.
    pub sandbox_id: SandboxId,
    /// Of the sandbox.
    pub generation: u64,
    /// Whose.
    pub session_id: SessionId,
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

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn check(
        change: impl Fn(&mut [String; 3]),
        verifier: &Key,
        me: Audience,
        at: Timestamp,
    ) -> Result<(), SignatureError> {
        let header = sign_request(&key(1), Audience::Bridge, "PUT", "/a?b=1", b"body", [7; 16], NOW);
        let mut seen = ["PUT".to_owned(), "/a?b=1".to_owned(), "body".to_owned()];
        change(&mut seen);
        verify_request(verifier, me, Some(&header), &seen[0], &seen[1], seen[2].as_bytes(), at).map(|_| ())
    }

    #[test]
    fn only_the_very_request_counts() {
        let same = |_: &mut [String; 3]| {};
        assert_eq!(check(same, &key(1), Audience::Bridge, NOW), Ok(()));
        assert_eq!(check(same, &key(2), Audience::Bridge, NOW), Err(SignatureError::Wrong));
        assert_eq!(check(same, &key(1), Audience::Edge, NOW), Err(SignatureError::Audience));
        assert_eq!(check(same, &key(1), Audience::Bridge, NOW.plus_ms(60_000)), Err(SignatureError::Expired));
        assert_eq!(
            check(same, &key(1), Audience::Bridge, Timestamp(NOW.0 - 60_001)),
            Err(SignatureError::Expired)
        );
        for part in 0..3 {
            assert_eq!(
                check(|seen| seen[part].push('x'), &key(1), Audience::Bridge, NOW),
                Err(SignatureError::Request)
            );
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic x"), Some("Bearer a.b.c")]
        {
            assert!(
                verify_request(&key(1), Audience::Bridge, header, "GET", "/", b"", NOW).is_err(),
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        let header = sign_request(&key(1), Audience::Bridge, "GET", "/", b"", [0; 16], NOW);
        let payload = header.split('.').nth(1).unwrap().to_owned();
        // {"alg":"none"}
        for forged in [
            format!("Bearer eyJhbGciOiJub25lIn0.{payload}."),
            format!("Bearer eyJhbGciOiJub25lIn0.{payload}.AA"),
        ] {
            assert!(verify_request(&key(1), Audience::Bridge, Some(&forged), "GET", "/", b"", NOW).is_err());
        }
    }

    #[test]
    fn a_short_secret_is_no_key() {
        assert!(Key::new(&[0; 31]).is_none());
    }
}
