//! How edge and bridge prove themselves to each other, in both directions, and each answer to its request.
//!
//! A request carries `authorization: Bearer <JWT>`: the claims bind method, path with query, SHA-256 of the body, time, and a nonce
//! that the receiver remembers for as long as the token could be valid. The answer to it carries [`ANSWER_HEADER`]: status, SHA-256 of
//! the body, and that nonce. Who signs has a key of its own, so nothing can be played back to its sender.

use super::{Audience, Key, SignatureError, hex, sha256_hex, sign_with, verify_parsed};
use crate::limit::SIGNATURE_SKEW_MS_MAX;
use crate::time::Timestamp;
use jwt_compact::{Header, UntrustedToken};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Header of an answer with its signature.
pub const ANSWER_HEADER: &str = "x-farhand-signature";
/// Secrets that count at the same time; a rotation needs two.
const SECRETS_MAX: usize = 8;
/// Hexadecimal digits of a key's id.
const ID_DIGITS: usize = 16;

/// What edge and bridge share: secrets of which the first signs, and all count. Neither printable nor serialisable.
#[derive(Clone)]
pub struct BridgeKeys(Vec<Pair>);

/// One secret's keys, one for each side that signs.
#[derive(Clone)]
struct Pair {
    /// Which secret this is; tells nothing about it.
    id: String,
    edge: Key,
    bridge: Key,
}

/// Who signs.
#[derive(Clone, Copy)]
enum Signer {
    Edge,
    Bridge,
}

impl std::fmt::Debug for BridgeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|pair| &pair.id)).finish()
    }
}

impl BridgeKeys {
    /// Reads what an operator configures: one secret, or a JSON array of them with the current one first. `None` when there is none, or
    /// one is shorter than [`super::KEY_BYTES_MIN`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let pairs: Option<Vec<Pair>> = Self::secrets(text)?.iter().map(|secret| Pair::new(secret)).collect();
        pairs.map(Self)
    }

    /// The secrets in `text`, for keys that follow from them.
    #[must_use]
    pub fn secrets(text: &str) -> Option<Vec<String>> {
        let text = text.trim();
        let secrets = if text.starts_with('[') {
            serde_json::from_str::<Vec<String>>(text).ok()?
        } else {
            vec![text.to_owned()]
        };
        (1..=SECRETS_MAX).contains(&secrets.len()).then_some(secrets)
    }

    fn sign<T: Serialize>(&self, signer: Signer, to: Audience, claims: T, now: Timestamp) -> String {
        let Some(pair) = self.0.first() else { return String::new() };
        let header = Header::empty().with_key_id(pair.id.clone());
        sign_with(&header, pair.key(signer), to, claims, now, now.plus_ms(SIGNATURE_SKEW_MS_MAX))
    }

    fn verify<T: DeserializeOwned>(
        &self,
        signer: Signer,
        me: Audience,
        token: &str,
        now: Timestamp,
    ) -> Result<T, SignatureError> {
        let untrusted = UntrustedToken::new(token).map_err(|_| SignatureError::Malformed)?;
        let id = untrusted.header().key_id.as_deref().ok_or(SignatureError::Malformed)?;
        let pair = self.0.iter().find(|pair| pair.id == id).ok_or(SignatureError::Wrong)?;
        verify_parsed(pair.key(signer), me, &untrusted, now)
    }
}

impl Pair {
    fn new(secret: &str) -> Option<Self> {
        Key::new(secret.as_bytes())?;
        // A prefix of its own for each purpose: none of the three tells anything about another.
        let derive = |purpose: &str| sha256_hex(format!("farhand {purpose} 1\n{secret}").as_bytes());
        let key = |purpose: &str| Key::new(derive(purpose).as_bytes());
        let mut id = derive("bridge key id");
        id.truncate(ID_DIGITS);
        Some(Self { id, edge: key("edge to bridge key")?, bridge: key("bridge to edge key")? })
    }

    fn key(&self, signer: Signer) -> &Key {
        match signer {
            Signer::Edge => &self.edge,
            Signer::Bridge => &self.bridge,
        }
    }
}

/// Who sends requests to `to`.
fn sender(to: Audience) -> Signer {
    match to {
        Audience::Bridge => Signer::Edge,
        // Only bridges send signed requests to anybody else.
        Audience::Edge | Audience::Gateway | Audience::Client | Audience::Socket => Signer::Bridge,
    }
}

/// Who answers requests to `to`.
fn answerer(to: Audience) -> Signer {
    match sender(to) {
        Signer::Edge => Signer::Bridge,
        Signer::Bridge => Signer::Edge,
    }
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

/// What a signed answer is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerClaims {
    /// HTTP status.
    pub status: u16,
    /// SHA-256 of the body, hexadecimal.
    pub body: String,
    /// Nonce of the request.
    pub answers: String,
}

/// Value of the `authorization` header of a request between edge and bridge.
#[must_use]
pub fn sign_request(
    keys: &BridgeKeys,
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
    format!("Bearer {}", keys.sign(sender(to), to, claims, now))
}

/// Checks the `authorization` header of a request; the caller must still refuse a nonce it has seen.
pub fn verify_request(
    keys: &BridgeKeys,
    me: Audience,
    authorization: Option<&str>,
    method: &str,
    path: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<RequestClaims, SignatureError> {
    let token =
        authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or(SignatureError::Malformed)?;
    let claims: RequestClaims = keys.verify(sender(me), me, token, now)?;
    if claims.method != method || claims.path != path || claims.body != sha256_hex(body) {
        return Err(SignatureError::Request);
    }
    Ok(claims)
}

/// Value of [`ANSWER_HEADER`] for the answer of `me` to the request whose claims were verified.
#[must_use]
pub fn sign_answer(
    keys: &BridgeKeys,
    me: Audience,
    request: &RequestClaims,
    status: u16,
    body: &[u8],
    now: Timestamp,
) -> String {
    let claims = AnswerClaims { status, body: sha256_hex(body), answers: request.nonce.clone() };
    keys.sign(answerer(me), me, claims, now)
}

/// Checks the [`ANSWER_HEADER`] of what `from` answered to the request with this nonce.
pub fn verify_answer(
    keys: &BridgeKeys,
    from: Audience,
    nonce: [u8; 16],
    signature: Option<&str>,
    status: u16,
    body: &[u8],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let token = signature.ok_or(SignatureError::Malformed)?;
    let claims: AnswerClaims = keys.verify(answerer(from), from, token, now)?;
    if claims.status != status || claims.answers != hex(&nonce) || claims.body != sha256_hex(body) {
        return Err(SignatureError::Request);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);
    const NONCE: [u8; 16] = [7; 16];

    fn keys(secrets: &[char]) -> BridgeKeys {
        let secrets: Vec<String> = secrets.iter().map(|secret| secret.to_string().repeat(32)).collect();
        BridgeKeys::parse(&serde_json::to_string(&secrets).unwrap()).unwrap()
    }

    fn one() -> BridgeKeys {
        BridgeKeys::parse(&"a".repeat(32)).unwrap()
    }

    fn check(
        change: impl Fn(&mut [String; 3]),
        verifier: &BridgeKeys,
        me: Audience,
        at: Timestamp,
    ) -> Result<(), SignatureError> {
        let header = sign_request(&one(), Audience::Bridge, "PUT", "/a?b=1&c=2", b"body", NONCE, NOW);
        let mut seen = ["PUT".to_owned(), "/a?b=1&c=2".to_owned(), "body".to_owned()];
        change(&mut seen);
        verify_request(verifier, me, Some(&header), &seen[0], &seen[1], seen[2].as_bytes(), at).map(|_| ())
    }

    #[test]
    fn a05_only_the_very_request_counts() {
        let same = |_: &mut [String; 3]| {};
        assert_eq!(check(same, &one(), Audience::Bridge, NOW), Ok(()));
        assert_eq!(check(same, &keys(&['b']), Audience::Bridge, NOW), Err(SignatureError::Wrong));
        assert_eq!(check(same, &one(), Audience::Edge, NOW), Err(SignatureError::Wrong));
        assert_eq!(check(same, &one(), Audience::Bridge, NOW.plus_ms(60_000)), Err(SignatureError::Expired));
        assert_eq!(
            check(same, &one(), Audience::Bridge, Timestamp(NOW.0 - 60_001)),
            Err(SignatureError::Expired)
        );
        for part in 0..3 {
            assert_eq!(
                check(|seen| seen[part].push('x'), &one(), Audience::Bridge, NOW),
                Err(SignatureError::Request)
            );
        }
        for path in ["/a?c=2&b=1", "/a?b=1&c=2&b=1", "/a?b=1", "/A?b=1&c=2"] {
            let changed = check(|seen| path.clone_into(&mut seen[1]), &one(), Audience::Bridge, NOW);
            assert_eq!(changed, Err(SignatureError::Request), "{path}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let other_words =
            [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic x"), Some("Bearer a.b.c")];
        for header in other_words {
            let read = verify_request(&one(), Audience::Bridge, header, "GET", "/", b"", NOW);
            assert!(read.is_err(), "{header:?}");
        }
    }

    #[test]
    fn a07_a_token_without_signature_is_refused() {
        let header = sign_request(&one(), Audience::Bridge, "GET", "/", b"", NONCE, NOW);
        let payload = header.split('.').nth(1).unwrap().to_owned();
        // {"alg":"none"}
        for forged in [
            format!("Bearer eyJhbGciOiJub25lIn0.{payload}."),
            format!("Bearer eyJhbGciOiJub25lIn0.{payload}.AA"),
        ] {
            assert!(verify_request(&one(), Audience::Bridge, Some(&forged), "GET", "/", b"", NOW).is_err());
        }
    }

    #[test]
    fn a06_only_the_answer_to_this_request_counts() {
        let header = sign_request(&one(), Audience::Bridge, "GET", "/", b"", NONCE, NOW);
        let request = verify_request(&one(), Audience::Bridge, Some(&header), "GET", "/", b"", NOW).unwrap();
        let signature = sign_answer(&one(), Audience::Bridge, &request, 200, b"{}", NOW);
        let read = |keys: &BridgeKeys, from, nonce, status, body: &[u8]| {
            verify_answer(keys, from, nonce, Some(&signature), status, body, NOW)
        };
        assert_eq!(read(&one(), Audience::Bridge, NONCE, 200, b"{}"), Ok(()));
        assert_eq!(read(&one(), Audience::Bridge, NONCE, 201, b"{}"), Err(SignatureError::Request));
        assert_eq!(read(&one(), Audience::Bridge, NONCE, 200, b"[]"), Err(SignatureError::Request));
        assert_eq!(read(&one(), Audience::Bridge, [8; 16], 200, b"{}"), Err(SignatureError::Request));
        assert_eq!(read(&one(), Audience::Edge, NONCE, 200, b"{}"), Err(SignatureError::Wrong));
        assert_eq!(read(&keys(&['b']), Audience::Bridge, NONCE, 200, b"{}"), Err(SignatureError::Wrong));
        let unsigned = verify_answer(&one(), Audience::Bridge, NONCE, None, 200, b"{}", NOW);
        assert_eq!(unsigned, Err(SignatureError::Malformed));
        // An echo of the request, and the request as an answer.
        let echoed = header.trim_start_matches("Bearer ");
        assert!(verify_answer(&one(), Audience::Bridge, NONCE, Some(echoed), 200, b"{}", NOW).is_err());
        let as_request = format!("Bearer {signature}");
        assert!(verify_request(&one(), Audience::Edge, Some(&as_request), "GET", "/", b"", NOW).is_err());
    }

    #[test]
    fn a_rotation_leaves_no_moment_without_a_shared_key() {
        let works = |edge: &BridgeKeys, bridge: &BridgeKeys| {
            let header = sign_request(edge, Audience::Bridge, "GET", "/", b"", NONCE, NOW);
            let request = verify_request(bridge, Audience::Bridge, Some(&header), "GET", "/", b"", NOW)?;
            let answer = sign_answer(bridge, Audience::Bridge, &request, 200, b"", NOW);
            verify_answer(edge, Audience::Bridge, NONCE, Some(&answer), 200, b"", NOW)
        };
        // Known everywhere first, then used, then the old one forgotten: one side after the other, in either order.
        let steps = [vec!['a'], vec!['a', 'b'], vec!['b', 'a'], vec!['b']];
        for pair in steps.windows(2) {
            let (before, after) = (keys(&pair[0]), keys(&pair[1]));
            for (edge, bridge) in [(&before, &before), (&before, &after), (&after, &before), (&after, &after)]
            {
                assert_eq!(works(edge, bridge), Ok(()), "{pair:?}");
            }
        }
        assert_eq!(
            works(&keys(&['a']), &keys(&['b'])),
            Err(SignatureError::Wrong),
            "the old key opens nothing"
        );
    }

    #[test]
    fn an_unusable_ring_is_none_and_a_usable_one_does_not_print() {
        for text in
            ["", "short", "[]", "[1]", "{}", r#"["short"]"#, "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"\"]"]
        {
            assert!(BridgeKeys::parse(text).is_none(), "{text}");
        }
        let printed = format!("{:?}", BridgeKeys::parse("canary-canary-canary-canary-canary"));
        assert!(!printed.contains("canary"), "{printed}");
    }
}
