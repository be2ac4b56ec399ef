//! The GitHub App: who it is (a JWT that it signs itself), where it is installed, and tokens that open one repository.
//!
//! Pure, as the rest: the caller signs [`signing_input`] with RS256 and the App's private key. Facts: "Generating a JSON Web Token (JWT)
//! for a GitHub App" and "REST API endpoints for GitHub Apps" of GitHub's documentation.

use crate::error::{Error, parse};
use crate::request::{Method, Request, repository_path};
use crate::time::parse_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::id::RepositoryId;
use protocol::time::Timestamp;
use serde::Deserialize;

protocol::objects!(read: WireInstallation, WireToken, WireRepository);

/// GitHub refuses a JWT from the future; its clock may be behind ours.
const BACKDATED_S: u64 = 60;
/// GitHub refuses one that lives longer than ten minutes; a minute is left for clocks that differ.
const LIFE_S: u64 = 9 * 60;

/// A token that opens one repository. Neither printable nor serialisable.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationToken {
    token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for InstallationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstallationToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl InstallationToken {
    /// The token itself, for one request or for the bridge.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.token
    }
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct WireInstallation {
    id: u64,
    #[serde(default)]
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct WireToken {
    token: String,
    expires_at: String,
    #[serde(default)]
    repositories: Option<Vec<WireRepository>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct WireRepository {
    full_name: String,
}

/// Header and claims of the App's JWT, ready to be signed with RS256. The JWT is this, a dot, and the signature in
/// base64url.
///
/// `app_id` is what the operator has configured: the App's id or its client id.
#[must_use]
pub fn signing_input(app_id: &str, now: Timestamp) -> String {
    let now_s = now.0 / 1000;
    let claims = serde_json::json!({
        "iat": now_s.saturating_sub(BACKDATED_S),
        "exp": now_s + LIFE_S,
        "iss": app_id,
    });
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}", encode(r#"{"alg":"RS256","typ":"JWT"}"#), encode(&claims.to_string()))
}

/// The origin at which git speaks to the code host whose API is at `api_url`: a token goes nowhere else. `api.` in front of a host is
/// GitHub's own way to name its API; an Enterprise server has it below a path.
#[must_use]
pub fn git_origin(api_url: &str) -> Option<String> {
    let (scheme, rest) =
        api_url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let authority = authority.strip_prefix("api.").unwrap_or(authority);
    Some(format!("{scheme}://{authority}").to_ascii_lowercase())
}

/// Asks what the App may do and is told of. Answer: [`parse_app`].
/// <https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app>
#[must_use]
pub fn app_request() -> Request {
    Request::get("/app".to_owned())
}

/// What the code host knows of the App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFacts {
    /// In the address of its page.
    pub slug: String,
    /// Accounts that have installed it.
    pub installations: u64,
    /// Permissions and events that it lacks, as the App's page calls them in the API: `contents: write`, `event check_run`.
    pub lacks: Vec<String>,
}

/// What Farhand asks of the App, and the level that is enough.
const PERMISSIONS: &[(&str, &[&str])] = &[
    ("contents", &["write"]),
    ("pull_requests", &["write"]),
    ("checks", &["read", "write"]),
    ("statuses", &["read", "write"]),
    ("members", &["read", "write"]),
];
/// What it wants to be told of.
const EVENTS: &[&str] = &[
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "issue_comment",
    "check_run",
    "status",
    "organization",
    "membership",
    "team",
    "member",
    "repository",
];

/// Reads the answer to [`app_request`].
pub fn parse_app(status: u16, body: &[u8]) -> Result<AppFacts, Error> {
    let app: serde_json::Value = parse(status, body)?;
    let text = |path: &str| app.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default();
    let events = app.get("events").and_then(serde_json::Value::as_array);
    let hears = |event: &str| events.is_some_and(|events| events.iter().any(|known| known == event));
    let mut lacks = Vec::new();
    for (name, enough) in PERMISSIONS {
        if !enough.contains(&text(&format!("/permissions/{name}"))) {
            lacks.push(format!("{name}: {}", enough.first().unwrap_or(&"read")));
        }
    }
    lacks.extend(EVENTS.iter().filter(|event| !hears(event)).map(|event| format!("event {event}")));
    let installations =
        app.get("installations_count").and_then(serde_json::Value::as_u64).unwrap_or_default();
    Ok(AppFacts { slug: text("/slug").to_owned(), installations, lacks })
}

/// Asks, as the App, where it is installed for a repository. Answer: [`parse_installation`].
#[must_use]
pub fn installation_request(repository: &RepositoryId) -> Request {
    Request::get(format!("{}/installation", repository_path(repository)))
}

/// Reads the answer to [`installation_request`]; `None` when the App is not installed there.
pub fn parse_installation(status: u16, body: &[u8]) -> Result<Option<u64>, Error> {
    match parse::<WireInstallation>(status, body) {
        Ok(WireInstallation { suspended_at: Some(_), .. }) => Err(Error::Rejected {
            status: 403,
            message: "the App's installation is suspended; its owner can lift that in the settings of the App at the code host"
                .to_owned(),
        }),
        Ok(installation) => Ok(Some(installation.id)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks, as the App, for a token that opens this repository and no other, to write its content and pull requests. Answer:
/// [`parse_token`].
#[must_use]
pub fn token_request(installation_id: u64, repository: &RepositoryId) -> Request {
    let body = serde_json::json!({
        "repositories": [repository.name()],
        "permissions": { "contents": "write", "pull_requests": "write" },
    });
    Request {
        method: Method::Post,
        path: format!("/app/installations/{installation_id}/access_tokens"),
        body: Some(body.to_string()),
    }
}

/// Reads the answer to [`token_request`]. A token that opens anything else than `repository` is not taken.
pub fn parse_token(status: u16, body: &[u8], repository: &RepositoryId) -> Result<InstallationToken, Error> {
    let wire: WireToken = parse(status, body)?;
    let unreadable = |what: &str| Error::Unavailable { reason: format!("its token {what}") };
    let is_ours = |listed: &WireRepository| listed.full_name.eq_ignore_ascii_case(repository.as_str());
    if wire.repositories.is_some_and(|listed| listed.len() != 1 || !listed.iter().all(is_ours)) {
        return Err(unreadable("opens other repositories than the one it was asked for"));
    }
    let expires_at = parse_time(&wire.expires_at).ok_or_else(|| unreadable("does not say when it ends"))?;
    Ok(InstallationToken { token: wire.token, expires_at })
}

/// For people, when the App is not installed for a repository.
#[must_use]
pub fn not_installed(repository: &RepositoryId) -> String {
    format!(
        "the GitHub App of this deployment is not installed for {repository}; an owner of {} installs it, or adds the repository to its \
         installation, in the settings at the code host",
        repository.owner()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_999);

    fn shop() -> RepositoryId {
        RepositoryId::parse("acme/shop").unwrap()
    }

    #[test]
    fn the_jwt_begins_before_now_and_ends_within_ten_minutes() {
        let input = signing_input("Iv1.abc", NOW);
        let parts: Vec<serde_json::Value> = input
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(
            parts,
            [
                serde_json::json!({"alg": "RS256", "typ": "JWT"}),
                serde_json::json!({"iat": 1_794_999_940_u64, "exp": 1_795_000_540_u64, "iss": "Iv1.abc"}),
            ]
        );
    }

    #[test]
    fn git_is_where_the_api_is() {
        for (api_url, expected) in [
            ("https://api.github.com", Some("https://github.com")),
            ("https://api.acme.ghe.com/", Some("https://acme.ghe.com")),
            ("https://Code.example/api/v3", Some("https://code.example")),
            ("http://127.0.0.1:7/api/v3", Some("http://127.0.0.1:7")),
            ("code.example", None),
            ("https:///api", None),
        ] {
            assert_eq!(git_origin(api_url).as_deref(), expected, "{api_url}");
        }
    }

    #[test]
    fn a19_a_token_is_asked_for_one_repository_and_two_permissions() {
        let request = token_request(7, &shop());
        assert_eq!(
            (request.method, request.path.as_str()),
            (Method::Post, "/app/installations/7/access_tokens")
        );
        let body: serde_json::Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
        let expected = serde_json::json!({
            "repositories": ["shop"],
            "permissions": {"contents": "write", "pull_requests": "write"},
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a19_a_token_that_opens_more_is_not_taken() {
        let answer = |repositories: &str| {
            let body = format!(
                r#"{{"token": "ghs_canary", "expires_at": "2026-11-18T12:26:40Z"{repositories}, "permissions": {{"contents": "write"}}}}"#
            );
            parse_token(201, body.as_bytes(), &shop())
        };
        let token = answer(r#", "repositories": [{"full_name": "Acme/shop"}]"#).unwrap();
        assert_eq!((token.reveal(), token.expires_at), ("ghs_canary", Timestamp(1_795_004_800_000)));
        assert!(answer("").is_ok(), "an answer may leave the list out");
        assert!(!format!("{token:?}").contains("canary"));
        for other in [
            r#", "repositories": []"#,
            r#", "repositories": [{"full_name": "acme/site"}]"#,
            r#", "repositories": [{"full_name": "acme/shop"}, {"full_name": "acme/site"}]"#,
        ] {
            assert!(matches!(answer(other), Err(Error::Unavailable { .. })), "{other}");
        }
    }

    #[test]
    fn an_app_that_is_not_installed_is_no_error() {
        assert_eq!(installation_request(&shop()).path, "/repos/acme/shop/installation");
        assert_eq!(parse_installation(200, br#"{"id": 12, "suspended_at": null}"#).unwrap(), Some(12));
        assert_eq!(parse_installation(404, br#"{"message": "Not Found"}"#).unwrap(), None);
        assert!(parse_installation(401, b"{}").unwrap_err().is_unauthorized());
        let suspended = parse_installation(200, br#"{"id": 12, "suspended_at": "2026-11-18T12:26:40Z"}"#);
        assert!(matches!(suspended, Err(Error::Rejected { status: 403, .. })), "{suspended:?}");
    }
}
