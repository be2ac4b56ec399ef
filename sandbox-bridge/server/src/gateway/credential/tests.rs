//! The bridge's credentials against an edge that hands out tokens, and counts how often it is asked.

use super::*;
use crate::config::Keys;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, sign_answer, verify_request};
use std::sync::atomic::{AtomicUsize, Ordering};

const SECRET: &str = "a-secret-of-the-credential-tests-012";
const HOST: &str = "https://git.example";

#[derive(Clone)]
struct FakeEdge {
    asked: Arc<AtomicUsize>,
    life_ms: u64,
    refusal: Option<ErrorCode>,
    is_forged: bool,
}

impl FakeEdge {
    fn usual() -> Self {
        Self { asked: Arc::default(), life_ms: 3_600_000, refusal: None, is_forged: false }
    }

    async fn start(&self) -> Credentials {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let router = Router::new()
            .route("/api/bridge/repositories/{owner}/{name}/credential", post(hand_out))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let edge = EdgeClient::new(&url, Keys::from_secret(SECRET).unwrap().bridge).unwrap();
        Credentials::new(BTreeMap::from([("https://fixed.example".to_owned(), Secret::new("fixed"))]), edge)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn hand_out(
    State(edge): State<FakeEdge>,
    Path((owner, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let number = edge.asked.fetch_add(1, Ordering::SeqCst);
    let keys =
        BridgeKeys::parse(if edge.is_forged { "another-secret-of-an-impostor-01234567" } else { SECRET });
    let own = BridgeKeys::parse(SECRET).unwrap();
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let request =
        verify_request(&own, Audience::Edge, authorization, "POST", uri.path(), &body, clock::now()).unwrap();
    let (status, text) = match edge.refusal {
        Some(code) => {
            (code.http_status(), serde_json::to_vec(&ErrorBody::new(code, "install the App")).unwrap())
        }
        None => {
            let expires_at = clock::now().plus_ms(edge.life_ms);
            let token = format!("{owner}-{name}-{number}");
            let value = serde_json::json!({"token": token, "expiresAt": expires_at, "origin": HOST});
            (200, serde_json::to_vec(&value).unwrap())
        }
    };
    let signature = sign_answer(&keys.unwrap(), Audience::Edge, &request, status, &text, clock::now());
    (StatusCode::from_u16(status).unwrap(), [(ANSWER_HEADER, signature)], text).into_response()
}

fn source(name: &str, origin: &str) -> RepositorySource {
    RepositorySource {
        id: RepositoryId::parse(&format!("acme/{name}")).unwrap(),
        clone_url: format!("{origin}/acme/{name}.git"),
        default_branch: "main".to_owned(),
    }
}

async fn token(credentials: &Credentials, name: &str, origin: &str) -> Result<String, CredentialError> {
    credentials.token(&source(name, origin)).await.map(|secret| secret.reveal().to_owned())
}

#[tokio::test]
async fn a19_each_repository_has_a_token_of_its_own_that_is_asked_for_once() {
    let edge = FakeEdge::usual();
    let credentials = edge.start().await;
    let asked = (0..50).map(|_| token(&credentials, "shop", HOST));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.as_deref(), Ok("acme-shop-0"));
    }
    assert_eq!(edge.asked(), 1, "fifty requests of git at once are one question");
    assert_eq!(token(&credentials, "site", HOST).await.as_deref(), Ok("acme-site-1"));
    assert_eq!(token(&credentials, "shop", HOST).await.as_deref(), Ok("acme-shop-0"));
}

#[tokio::test]
async fn a_token_near_its_end_is_not_used_again() {
    let edge = FakeEdge { life_ms: MARGIN_MS, ..FakeEdge::usual() };
    let credentials = edge.start().await;
    assert_eq!(token(&credentials, "shop", HOST).await.as_deref(), Ok("acme-shop-0"));
    assert_eq!(token(&credentials, "shop", HOST).await.as_deref(), Ok("acme-shop-1"));
}

#[tokio::test]
async fn the_operators_own_token_comes_first_and_goes_to_its_very_origin() {
    let edge = FakeEdge::usual();
    let credentials = edge.start().await;
    for same in ["https://fixed.example", "https://FIXED.example:443"] {
        assert_eq!(token(&credentials, "shop", same).await.as_deref(), Ok("fixed"), "{same}");
    }
    assert_eq!(edge.asked(), 0);
    for other in [
        "http://fixed.example",
        "https://fixed.example:8443",
        "https://fixed.example.evil",
        "https://fixed.example@evil.example",
    ] {
        let answer = token(&credentials, "shop", other).await;
        assert!(matches!(answer, Err(CredentialError::OtherOrigin { .. })), "{other}: {answer:?}");
    }
    for other in ["file://", "ext::sh -c id", ""] {
        let answer = token(&credentials, "shop", other).await;
        assert!(matches!(answer, Err(CredentialError::CloneUrl(_))), "{other}: {answer:?}");
    }
}

#[tokio::test]
async fn a_missing_installation_is_said_with_its_remedy_and_not_asked_for_in_a_loop() {
    let edge = FakeEdge { refusal: Some(ErrorCode::RepositoryUnreachable), ..FakeEdge::usual() };
    let credentials = edge.start().await;
    for _ in 0..3 {
        let error = token(&credentials, "shop", HOST).await.unwrap_err();
        assert!(error.to_string().ends_with("install the App"), "{error}");
    }
    assert_eq!(edge.asked(), 1);
}

#[tokio::test]
async fn a06_a_token_of_an_impostor_is_not_taken() {
    let edge = FakeEdge { is_forged: true, ..FakeEdge::usual() };
    let credentials = edge.start().await;
    let error = token(&credentials, "shop", HOST).await.unwrap_err();
    assert!(error.may_pass() && error.to_string().contains("not signed by it"), "{error}");
}
