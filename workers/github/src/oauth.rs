//! The web flow of GitHub's OAuth with PKCE, the refreshing of user tokens that expire, and their end, as requests and parsers.
//!
//! Sources: GitHub's documentation, "Authorizing OAuth apps", "Refreshing user access tokens" and "REST API endpoints for OAuth
//! authorizations"; RFC 6749, RFC 7636. Sign-in at the edge
//! and the store of tokens call it. Secrets are [`Secret`]s, which nothing prints.

use crate::request::{USER_AGENT, percent_encode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::time::Timestamp;
use serde_json::Value;

/// A token or another secret text. Neither printable nor serialisable.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it in.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, at the place of its use.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The application at the code host that people sign in to.
#[derive(Clone, Debug)]
pub struct OAuthApp {
    /// Origin of the code host's pages, `https://github.com`.
    pub url: String,
    /// Public.
    pub client_id: String,
    /// Not.
    pub client_secret: Secret,
}

/// A user's token, and the one that gets the next where tokens expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// Opens the API in the user's name.
    pub access: Secret,
    /// Absent for tokens that do not expire.
    pub access_expires_at: Option<Timestamp>,
    /// Good for one refresh.
    pub refresh: Option<Secret>,
    /// When that ends.
    pub refresh_expires_at: Option<Timestamp>,
}

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// The code, or the refresh token, does not count: used, expired or revoked. The user has to sign in again.
    #[error("the code host does not accept it any more ({code})")]
    Spent {
        /// The code host's word for it.
        code: String,
    },
    /// The application is configured wrongly, here or there.
    #[error(
        "the code host refused this deployment ({code}); check GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and the callback URL there"
    )]
    Refused {
        /// The code host's word for it.
        code: String,
    },
    /// No answer, or one that cannot be read: later it may work.
    #[error("the code host is unavailable: {reason}")]
    Unavailable {
        /// What was seen.
        reason: String,
    },
}

/// A request for tokens: a form, sent to the code host's pages rather than its API.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Where.
    pub url: String,
    /// Without credentials.
    pub headers: [(&'static str, String); 3],
    /// Has the client's secret in it.
    pub body: Secret,
}

/// Where a browser goes to sign in. `scope` matters to OAuth Apps only: a GitHub App has the permissions that it was registered with.
#[must_use]
pub fn authorize_url(app: &OAuthApp, redirect_uri: &str, state: &str, challenge: &str) -> String {
    format!(
        "{}/login/oauth/authorize?client_id={}&redirect_uri={}&state={}&scope={}&code_challenge={}&code_challenge_method=S256",
        app.url,
        percent_encode(&app.client_id),
        percent_encode(redirect_uri),
        percent_encode(state),
        percent_encode("repo read:org user:email"),
        percent_encode(challenge),
    )
}

/// Asks for tokens with the code that the browser brought. Answer: [`parse_tokens`].
#[must_use]
pub fn exchange_request(app: &OAuthApp, code: &str, redirect_uri: &str, verifier: &str) -> TokenRequest {
    token_request(app, &[("code", code), ("redirect_uri", redirect_uri), ("code_verifier", verifier)])
}

/// Asks for the next tokens. Answer: [`parse_tokens`].
#[must_use]
pub fn refresh_request(app: &OAuthApp, refresh: &Secret) -> TokenRequest {
    token_request(app, &[("grant_type", "refresh_token"), ("refresh_token", refresh.reveal())])
}

fn token_request(app: &OAuthApp, fields: &[(&str, &str)]) -> TokenRequest {
    let mut form = format!(
        "client_id={}&client_secret={}",
        percent_encode(&app.client_id),
        percent_encode(app.client_secret.reveal())
    );
    for (name, value) in fields {
        form.extend(["&", name, "=", &percent_encode(value)]);
    }
    TokenRequest {
        url: format!("{}/login/oauth/access_token", app.url),
        headers: [
            ("accept", "application/json".to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
        ],
        body: Secret::new(form),
    }
}

/// What ends a user's authorisation of the application, and with it every token that it has of that user.
#[derive(Clone, PartialEq, Eq)]
pub struct RevokeRequest {
    /// Below the root of the API; a DELETE.
    pub url: String,
    /// With the client's secret (RFC 7617).
    pub headers: [(&'static str, Secret); 4],
    /// Has the token in it.
    pub body: Secret,
}

/// Asks the API (`api_url`) to end the authorisation that `token` belongs to. Answer: [`is_revoked`].
#[must_use]
pub fn revoke_request(app: &OAuthApp, api_url: &str, token: &Secret) -> RevokeRequest {
    let pair = format!("{}:{}", app.client_id, app.client_secret.reveal());
    let plain = |text: &str| Secret::new(text.to_owned());
    RevokeRequest {
        url: format!("{api_url}/applications/{}/grant", percent_encode(&app.client_id)),
        headers: [
            ("accept", plain("application/vnd.github+json")),
            ("content-type", plain("application/json")),
            ("user-agent", plain(USER_AGENT)),
            ("authorization", Secret::new(format!("Basic {}", STANDARD.encode(pair)))),
        ],
        body: Secret::new(serde_json::json!({"access_token": token.reveal()}).to_string()),
    }
}

/// Whether an answer means that nothing is authorised any more: it was ended, or there was none (404, 422).
#[must_use]
pub fn is_revoked(status: u16) -> bool {
    matches!(status, 204 | 404 | 422)
}

/// Longest code of an error that is repeated.
const CODE_CHARS_MAX: usize = 60;

/// Reads the answer to [`exchange_request`] and [`refresh_request`]. GitHub refuses with status 200 and an `error`.
pub fn parse_tokens(status: u16, body: &[u8], now: Timestamp) -> Result<TokenPair, OAuthError> {
    let unavailable = |reason: String| OAuthError::Unavailable { reason };
    let answer: Value = match protocol::read_json(body) {
        Ok(answer) => answer,
        // The parser's own words could quote a token.
        Err(_) => return Err(unavailable(format!("status {status}, and not the JSON that was asked for"))),
    };
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(code) = text("error") {
        let code: String = code.chars().filter(|c| c.is_ascii_graphic()).take(CODE_CHARS_MAX).collect();
        return Err(match code.as_str() {
            "bad_verification_code" | "bad_refresh_token" | "expired_token" | "invalid_grant" => {
                OAuthError::Spent { code }
            }
            _ => OAuthError::Refused { code },
        });
    }
    // What is no token of one line would not come out of the store as it went in.
    let secret = |name: &str| {
        let token = text(name).filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        token.map(|token| Secret::new(token.to_owned()))
    };
    let Some(access) = secret("access_token").filter(|_| (200..300).contains(&status)) else {
        return Err(unavailable(format!("status {status}, and no token")));
    };
    let at = |name: &str| {
        answer.get(name).and_then(Value::as_u64).map(|seconds| now.plus_ms(seconds.saturating_mul(1000)))
    };
    Ok(TokenPair {
        access,
        access_expires_at: at("expires_in"),
        refresh: secret("refresh_token"),
        refresh_expires_at: at("refresh_token_expires_in"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn app() -> OAuthApp {
        OAuthApp {
            url: "https://code.example".into(),
            client_id: "Iv1.x".into(),
            client_secret: Secret::new("canary&secret".into()),
        }
    }

    #[test]
    fn a_browser_is_sent_with_everything_escaped() {
        let url = authorize_url(&app(), "https://farhand.example/cb?x=1", "a&b", "c+d");
        assert_eq!(
            url,
            "https://code.example/login/oauth/authorize?client_id=Iv1.x&redirect_uri=https%3A%2F%2Ffarhand.example%2Fcb%3Fx%3D1\
             &state=a%26b&scope=repo%20read%3Aorg%20user%3Aemail&code_challenge=c%2Bd&code_challenge_method=S256"
        );
        assert!(!url.contains("canary"));
    }

    #[test]
    fn requests_for_tokens_carry_the_secret_in_the_body_only() {
        let exchange = exchange_request(&app(), "co/de", "https://f.example/cb", "ver");
        assert_eq!(exchange.url, "https://code.example/login/oauth/access_token");
        assert_eq!(
            exchange.body.reveal(),
            "client_id=Iv1.x&client_secret=canary%26secret&code=co%2Fde&redirect_uri=https%3A%2F%2Ff.example%2Fcb&code_verifier=ver"
        );
        let refresh = refresh_request(&app(), &Secret::new("ghr_1".into()));
        assert!(refresh.body.reveal().ends_with("&grant_type=refresh_token&refresh_token=ghr_1"));
        assert!(!format!("{:?} {:?}", refresh.body, app()).contains("canary"));
    }

    #[test]
    fn an_authorisation_is_ended_with_the_clients_secret_and_the_token() {
        let request = revoke_request(&app(), "https://api.example", &Secret::new("ghu_canary".into()));
        assert_eq!(request.url, "https://api.example/applications/Iv1.x/grant");
        assert_eq!(request.body.reveal(), r#"{"access_token":"ghu_canary"}"#);
        let (_, authorization) = request.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        assert_eq!(authorization.reveal(), "Basic SXYxLng6Y2FuYXJ5JnNlY3JldA==");
        assert!(!format!("{:?} {}", request.headers, request.url).contains("canary"));
        assert!(
            [204, 404, 422].into_iter().all(is_revoked) && ![200, 401, 403, 500].into_iter().any(is_revoked)
        );
    }

    #[test]
    fn tokens_are_read_with_their_ends() {
        let body = br#"{"access_token":"ghu_1","expires_in":28800,"refresh_token":"ghr_1","refresh_token_expires_in":15897600,"token_type":"bearer","scope":""}"#;
        let pair = parse_tokens(200, body, NOW).unwrap();
        assert_eq!(pair.access.reveal(), "ghu_1");
        assert_eq!(pair.access_expires_at, Some(NOW.plus_ms(28_800_000)));
        assert_eq!(pair.refresh.as_ref().map(Secret::reveal), Some("ghr_1"));
        assert_eq!(pair.refresh_expires_at, Some(NOW.plus_ms(15_897_600_000)));
        let lasting = parse_tokens(200, br#"{"access_token":"gho_1"}"#, NOW).unwrap();
        assert_eq!((lasting.access_expires_at, lasting.refresh), (None, None));
        assert!(!format!("{pair:?}").contains("gh"));
    }

    #[test]
    fn refusals_say_whose_move_is_next() {
        let read = |status, body: &str| parse_tokens(status, body.as_bytes(), NOW).unwrap_err();
        let spent = |code: &str| OAuthError::Spent { code: code.into() };
        assert_eq!(read(200, r#"{"error":"bad_refresh_token"}"#), spent("bad_refresh_token"));
        assert_eq!(read(200, r#"{"error":"bad_verification_code"}"#), spent("bad_verification_code"));
        assert_eq!(
            read(200, r#"{"error":"incorrect_client_credentials"}"#),
            OAuthError::Refused { code: "incorrect_client_credentials".into() }
        );
        for (status, body) in [(502, "<html>canary"), (200, "{}"), (500, r#"{"access_token":"canary"}"#)] {
            let error = read(status, body);
            assert!(matches!(error, OAuthError::Unavailable { .. }), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
