//! Secrets by name: put on outside, for their own host alone, and never seen inside, in a log or in an answer.

use super::{PLAIN, SECURE, Scene, Wishes, ask, reason, status};
use crate::support::origin::{Origin, TestAuthority, trusting};
use crate::support::soon;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::ext::ReasonPhrase;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

const CANARY: &str = "canary-npm-token";
const POLICY: &str = r#"{
    "allow_hosts": ["other.example:{secure}"],
    "secrets": {
        "NPM_TOKEN": {"host": "secure.example:{secure}", "value": "canary-npm-token"},
        "OTHER_TOKEN": {"host": "other.example:443", "value": "canary-other-token"}
    }
}"#;

/// Answers every header of the request, as header and body, cut into pieces of as many bytes as the query says.
async fn echo(request: Request) -> Response {
    let size: usize = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(7);
    let mut text = String::new();
    let mut response = Response::builder().header("x-kept", "1");
    if request
        .headers()
        .get("authorization")
        .is_some_and(|value| value.as_bytes().ends_with(CANARY.as_bytes()))
    {
        response = response
            .header(format!("x-{CANARY}"), "1")
            .extension(ReasonPhrase::from_static(CANARY.as_bytes()));
    }
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        response = response.header(format!("x-echo-{name}"), value);
    }
    text.push_str(&STANDARD.encode(&text));
    let pieces: Vec<_> = text
        .as_bytes()
        .chunks(size)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    response.body(Body::from_stream(futures::stream::iter(pieces))).unwrap()
}

async fn scene() -> Scene {
    let router = Router::new()
        .route("/encoded", any(async || ([("content-encoding", "gzip")], "not really")))
        .fallback(any(echo));
    Scene::start_with(Wishes { router: Some(router), policy: POLICY, ..Wishes::default() }).await
}

fn get(path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {SECURE}:PORT\r\n{header}\r\nConnection: close\r\n\r\n")
}

impl Scene {
    async fn ask_secure(&self, path: &str, header: &str) -> String {
        self.secure_ask(&get(path, header).replace("PORT", &self.secure.port.to_string())).await
    }

    fn last_header(&self, name: &str) -> String {
        let headers: HeaderMap = self.secure.seen().last().unwrap().headers.clone();
        headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
    }
}

#[tokio::test]
async fn the_stand_in_becomes_the_secret_outside_and_the_secret_never_comes_back() {
    let scene = scene().await;
    let own = &scene.place.stand_ins["NPM_TOKEN"];
    assert!(own.starts_with("farhand_secret_") && !own.contains("canary"));
    for size in 1..=CANARY.len() + 1 {
        let answer = scene.ask_secure(&format!("/?{size}"), &format!("Authorization: Bearer {own}")).await;
        assert_eq!(scene.last_header("authorization"), format!("Bearer {CANARY}"));
        assert!(
            answer.contains("x-kept: 1") && answer.contains(&format!("Bearer {}", "*".repeat(CANARY.len()))),
            "{answer}"
        );
        assert!(!answer.contains("canary"), "{size}: {answer}");
    }
    let basic = STANDARD.encode(format!("user:{own}"));
    let answer = scene.ask_secure("/", &format!("Authorization: Basic {basic}")).await;
    let sent = STANDARD.encode(format!("user:{CANARY}"));
    assert_eq!(scene.last_header("authorization"), format!("Basic {sent}"));
    assert!(!answer.contains(&sent) && !answer.contains("canary"), "{answer}");
    // npm asks for compressed answers; a secret could not be found in one.
    scene.ask_secure("/", "Accept-Encoding: gzip\r\nRange: bytes=0-3").await;
    assert_eq!(
        (scene.last_header("accept-encoding").as_str(), scene.last_header("range").as_str()),
        ("identity", "")
    );
    let answer = scene.ask_secure("/encoded", "X: 1").await;
    assert_eq!((status(&answer), reason(&answer).as_str()), (502, "answer_encoded"));
}

#[tokio::test]
async fn a_stand_in_elsewhere_and_credentials_of_the_agents_own_are_refused() {
    let scene = scene().await;
    let (own, other) = (&scene.place.stand_ins["NPM_TOKEN"], &scene.place.stand_ins["OTHER_TOKEN"]);
    let strange = format!("farhand_secret_{}", "0".repeat(40));
    for (path, header, expected) in [
        ("/", format!("Authorization: Bearer {other}"), "secret_elsewhere"),
        ("/", format!("Authorization: Bearer {strange}"), "secret_elsewhere"),
        ("/", format!("Authorization: Bearer {own}{own}"), "secret_ambiguous"),
        ("/", format!("X-A: {own}, {other}"), "secret_ambiguous"),
        ("/", "Authorization: Bearer npm_aRealOne".to_owned(), "credential_foreign"),
        ("/", "Authorization: Basic YTpi".to_owned(), "credential_foreign"),
        ("/", "X-Api-Key: k".to_owned(), "credential_foreign"),
        (&format!("/?token={own}"), "X: 1".to_owned(), "secret_elsewhere"),
    ] {
        let answer = scene.ask_secure(path, &header).await;
        assert_eq!((status(&answer), reason(&answer).as_str()), (403, expected), "{header}");
        assert!(!answer.contains("canary"), "{answer}");
    }
    scene.ask_secure("/", "Cookie: session=agent").await;
    assert_eq!((scene.last_header("cookie").as_str(), scene.secure.seen().len()), ("", 1));
    // Without TLS nothing is put on, at whatever host.
    let host = format!("{PLAIN}:{}", scene.plain.port);
    let request =
        format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {own}\r\n\r\n");
    assert_eq!(reason(&scene.raw(request.as_bytes()).await), "secret_elsewhere");
    let (_, mut stream) = scene.connect(&scene.secure_authority()).await;
    let request =
        get("/", &format!("Authorization: Bearer {own}")).replace("PORT", &scene.secure.port.to_string());
    assert_eq!(reason(&ask(&mut stream, &request).await), "secret_elsewhere");
    assert_eq!((scene.secure.seen().len(), scene.plain.seen().len()), (1, 0));
    scene.until_reported("secret_elsewhere").await;
    scene.until_reported("credential_foreign").await;
}

#[tokio::test]
async fn the_same_server_by_another_name_gets_the_stand_in_and_nothing_else() {
    let scene = scene().await;
    let own = &scene.place.stand_ins["NPM_TOKEN"];
    // Allowed and not looked into: what is inside is between the two ends, and worthless.
    let (head, stream) = scene.connect(&format!("front.example:{}", scene.secure.port)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let connector = TlsConnector::from(trusting(&[scene.authority.der()]));
    let mut stream =
        soon("TLS", connector.connect(ServerName::try_from("front.example").unwrap(), stream)).await.unwrap();
    let request = get("/", &format!("Authorization: Bearer {own}"));
    let answer = ask(&mut stream, &request).await;
    assert!(answer.contains(own.as_str()) && !answer.contains("canary"), "{answer}");
    assert_eq!(scene.last_header("authorization"), format!("Bearer {own}"));
}

#[tokio::test]
async fn a_host_with_another_certificate_gets_no_secret() {
    // The name leads to a server whose certificate is of an authority that nobody knows.
    let fake = Origin::tls(&TestAuthority::new(), &[SECURE], Router::new().fallback(any(echo))).await;
    let policy =
        r#"{"secrets": {"NPM_TOKEN": {"host": "secure.example:{third}", "value": "canary-npm-token"}}}"#;
    let wishes = Wishes { policy, third_port: fake.port, ..Wishes::default() };
    let scene = Scene::start_with(wishes).await;
    let own = &scene.place.stand_ins["NPM_TOKEN"];
    let mut stream = scene.secure_connect(&format!("{SECURE}:{}", fake.port), SECURE).await.unwrap();
    let request = get("/", &format!("Authorization: Bearer {own}")).replace("PORT", &fake.port.to_string());
    let answer = ask(&mut stream, &request).await;
    assert_eq!((status(&answer), reason(&answer).as_str()), (502, "certificate_invalid"), "{answer}");
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn connections_are_kept_and_made_anew_when_the_host_ends_them() {
    let router = Router::new()
        .route("/bye", any(async || ([("connection", "close")], "bye")))
        .fallback(any(async || "there"));
    let scene = Scene::start_with(Wishes { router: Some(router), policy: POLICY, ..Wishes::default() }).await;
    let proxy = reqwest::Proxy::all(format!("http://{}", scene.place.url)).unwrap();
    let mut http = reqwest::Client::builder().proxy(proxy).pool_max_idle_per_host(1);
    for certificate in scene.bundle.iter().take(1) {
        http = http.add_root_certificate(reqwest::Certificate::from_der(certificate).unwrap());
    }
    let http = http.build().unwrap();
    for (path, expected) in
        [("", "there"), ("", "there"), ("bye", "bye"), ("", "there"), ("bye", "bye"), ("", "there")]
    {
        let url = format!("https://{}/{path}", scene.secure_authority());
        let answer = http.get(url).bearer_auth(&scene.place.stand_ins["NPM_TOKEN"]).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), expected);
    }
    assert_eq!((scene.secure.seen().len(), scene.secure.accepted()), (6, 3));
}
