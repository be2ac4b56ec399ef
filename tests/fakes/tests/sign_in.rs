//! Signing in at the stand-in of the code host, as a browser and a server do it.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use fakes::github::{Account, CLIENT_ID, Github, GithubOptions};
use fakes::token;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://127.0.0.1:1/callback";

async fn start(root: &Path) -> Github {
    let account = |login: &str| Account {
        login: login.into(),
        name: format!("{login} <b>"),
        email: format!("{login}@x.example"),
        token: token::user_token(),
    };
    let options = GithubOptions {
        root: root.join("git"),
        port: 0,
        accounts: vec![account("ada"), account("grace")],
        app_token: token::installation_token(),
        app: None,
    };
    Github::start(options).await.unwrap()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn query(changed: (&str, &str)) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("client_id", CLIENT_ID.to_owned()),
        ("redirect_uri", CALLBACK.to_owned()),
        ("state", "a&b".to_owned()),
        ("code_challenge", CHALLENGE.to_owned()),
        ("code_challenge_method", "S256".to_owned()),
    ];
    for (name, value) in &mut pairs {
        if *name == changed.0 {
            *value = changed.1.to_owned();
        }
    }
    pairs
}

async fn code(github: &Github) -> String {
    let url = format!("{}/login/oauth/authorize/as/ada", github.url());
    let answer = http().get(url).query(&query(("", ""))).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let to = answer.headers().get("location").unwrap().to_str().unwrap().to_owned();
    let code = to.strip_prefix(&format!("{CALLBACK}?code=")).unwrap().strip_suffix("&state=a%26b").unwrap();
    code.to_owned()
}

async fn exchange(github: &Github, fields: &[(&str, &str)]) -> Value {
    let (client_id, client_secret) = github.oauth_app();
    let mut form = vec![("client_id", client_id.as_str()), ("client_secret", client_secret.as_str())];
    form.extend_from_slice(fields);
    let url = format!("{}/login/oauth/access_token", github.url());
    http().post(url).form(&form).send().await.unwrap().json().await.unwrap()
}

async fn ask(github: &Github, token: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", github.api_url());
    let answer = http().get(url).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_page_asks_who_one_is_and_only_for_requests_in_order() {
    let root = tempfile::tempdir().unwrap();
    let github = start(root.path()).await;
    let url = format!("{}/login/oauth/authorize", github.url());
    let page = async |changed| {
        let answer = http().get(&url).query(&query(changed)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = page(("", "")).await;
    assert_eq!(status, 200);
    assert!(text.contains("/login/oauth/authorize/as/ada?") && text.contains("ada &lt;b&gt;"), "{text}");
    for changed in [
        ("client_id", "x"),
        ("redirect_uri", "javascript:1"),
        ("code_challenge_method", "plain"),
        ("code_challenge", ""),
    ] {
        assert_eq!(page(changed).await.0, 400, "{changed:?}");
    }
}

#[tokio::test]
async fn a_code_is_exchanged_once_by_whoever_has_its_verifier() {
    let root = tempfile::tempdir().unwrap();
    let github = start(root.path()).await;
    let good = |code| [("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    let first = code(&github).await;
    let answer = exchange(&github, &good(&first)).await;
    let token = answer["access_token"].as_str().unwrap();
    assert!(answer.get("refresh_token").is_none());
    assert_eq!(ask(&github, token, "/user").await.1["login"], "ada");
    assert_eq!(ask(&github, token, "/user/emails").await.1[0]["email"], "ada@x.example");
    assert_eq!(exchange(&github, &good(&first)).await["error"], "bad_verification_code");
    for wrong in [
        [("redirect_uri", CALLBACK), ("code_verifier", "x")],
        [("redirect_uri", "http://127.0.0.1:2/"), ("code_verifier", VERIFIER)],
    ] {
        let code = code(&github).await;
        let fields = [&[("code", code.as_str())], wrong.as_slice()].concat();
        assert_eq!(exchange(&github, &fields).await["error"], "bad_verification_code", "{wrong:?}");
    }
    let url = format!("{}/login/oauth/access_token", github.url());
    let answer = http().post(url).form(&[("client_id", CLIENT_ID), ("client_secret", "x")]).send().await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["error"], "incorrect_client_credentials");
}

#[tokio::test]
async fn a_refresh_ends_the_old_pair() {
    let root = tempfile::tempdir().unwrap();
    let github = start(root.path()).await;
    github.expire_tokens(Duration::from_secs(3600));
    let code = code(&github).await;
    let fields = [("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    let first = exchange(&github, &fields).await;
    assert_eq!(first["expires_in"], 3600);
    let refresh = first["refresh_token"].as_str().unwrap();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let second = exchange(&github, &fields).await;
    assert_eq!(ask(&github, second["access_token"].as_str().unwrap(), "/user").await.0, 200);
    assert_eq!(ask(&github, first["access_token"].as_str().unwrap(), "/user").await.0, 401);
    assert_eq!(exchange(&github, &fields).await["error"], "bad_refresh_token");
    github.expire_tokens(Duration::ZERO);
    let refresh = second["refresh_token"].as_str().unwrap();
    let third = exchange(&github, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!(ask(&github, third["access_token"].as_str().unwrap(), "/user").await.0, 401);
}

#[tokio::test]
async fn memberships_are_what_the_test_says() {
    let root = tempfile::tempdir().unwrap();
    let github = start(root.path()).await;
    let code = code(&github).await;
    let fields = [("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    let answer = exchange(&github, &fields).await;
    let token = answer["access_token"].as_str().unwrap();
    let (organisation, team) = ("/user/memberships/orgs/acme", "/orgs/acme/teams/core/memberships/ada");
    assert_eq!(ask(&github, token, organisation).await.0, 404);
    github.join("ada", "acme");
    github.join("ada", "acme/core");
    assert_eq!(ask(&github, token, organisation).await.1["state"], "active");
    assert_eq!(ask(&github, token, team).await.1["state"], "active");
    assert_eq!(ask(&github, token, "/user/orgs").await.1[0]["login"], "acme");
    github.leave("ada", "acme");
    assert_eq!(ask(&github, token, organisation).await.0, 404);
}
