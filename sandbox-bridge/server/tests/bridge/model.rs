//! The model gateway: streams flow, the key is added and nothing of it comes back, and only model calls pass.

use crate::support::provider::Place;
use crate::support::{GatewaySettings, Stack, order, soon};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use reqwest::StatusCode;
use sandbox_bridge::config::{ModelApi, ModelProvider, Secret};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;

const KEY: &str = "canary-model-key";

/// Method, path, headers and length of a request.
type Seen = (Method, String, HeaderMap, usize);

/// A provider that answers with the chunks that the test gives it.
#[derive(Clone)]
struct Upstream {
    seen: Arc<Mutex<Vec<Seen>>>,
    chunks: Arc<Mutex<Option<tokio::io::DuplexStream>>>,
}

struct Scene {
    stack: Stack,
    place: Place,
    upstream: Upstream,
    chunks: tokio::io::DuplexStream,
}

impl Scene {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (chunks, given) = tokio::io::duplex(1 << 20);
        let upstream = Upstream { seen: Arc::default(), chunks: Arc::new(Mutex::new(Some(given))) };
        let router = Router::new().fallback(answer).with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let provider = |base: &str, kind| ModelProvider {
            base_url: base.parse().unwrap(),
            api_key: Secret::new(KEY),
            kind,
            prices: BTreeMap::new(),
            stream_usage: true,
        };
        let model_providers = [
            ("openai".to_owned(), provider(&format!("{base}/v1"), ModelApi::Openai)),
            ("anthropic".to_owned(), provider(&format!("{base}/v1/"), ModelApi::Anthropic)),
            ("absent".to_owned(), provider("http://127.0.0.1:1/v1", ModelApi::Openai)),
        ];
        let settings =
            GatewaySettings { model_providers: model_providers.into(), ..GatewaySettings::default() };
        let stack = Stack::start_with(settings).await;
        let sandbox = stack.create(&order("1", 1)).await;
        let place = stack.bridge.provider().place(&sandbox);
        Self { stack, place, upstream, chunks }
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.stack.http.post(format!("http://{}/model/{path}", self.place.url)).bearer_auth(&self.place.token)
    }

    fn seen(&self) -> Vec<Seen> {
        self.upstream.seen.lock().unwrap().clone()
    }
}

async fn answer(State(upstream): State<Upstream>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let len = axum::body::to_bytes(body, usize::MAX).await.unwrap().len();
    let seen = (parts.method, parts.uri.to_string(), parts.headers, len);
    upstream.seen.lock().unwrap().push(seen);
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .header("set-cookie", "a=b")
        .header("x-echo", KEY)
        .header("x-request-id", "req_1");
    let chunks = upstream.chunks.lock().unwrap().take();
    match chunks {
        Some(chunks) => response.body(Body::from_stream(ReaderStream::new(chunks))).unwrap(),
        None => response
            .status(429)
            .header("retry-after", "7")
            .body(Body::from(format!("slow down, {KEY}")))
            .unwrap(),
    }
}

#[tokio::test]
async fn the_first_bytes_arrive_before_the_answer_ends_and_without_the_key() {
    use tokio::io::AsyncWriteExt;
    let mut scene = Scene::start().await;
    let request = scene.post("openai/chat/completions").header("cookie", "agent").header("x-agent", "1");
    let mut response = soon("the head", request.body("{}").send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-request-id"], "req_1");
    assert!(!response.headers().contains_key("x-echo") && !response.headers().contains_key("set-cookie"));
    scene.chunks.write_all(b"data: one\n\n").await.unwrap();
    let first = soon("the first chunk", response.chunk()).await.unwrap();
    assert_eq!(first, Some(Bytes::from_static(b"data: one\n\n")));
    scene.chunks.write_all(format!("data: your key is {}", &KEY[..8]).as_bytes()).await.unwrap();
    assert_eq!(soon("the second", response.chunk()).await.unwrap().unwrap(), "data: your key is ");
    scene.chunks.write_all(&KEY.as_bytes()[8..]).await.unwrap();
    scene.chunks.shutdown().await.unwrap();
    let rest = soon("the rest", response.chunk()).await.unwrap().unwrap();
    assert_eq!(rest, "*".repeat(KEY.len()));
    assert_eq!(soon("the end", response.chunk()).await.unwrap(), None);

    let (method, path, headers, len) = scene.seen().remove(0);
    assert_eq!((method, path.as_str(), len), (Method::POST, "/v1/chat/completions", 2));
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    for name in ["cookie", "x-agent", "x-api-key", "accept-encoding"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert!(!format!("{headers:?}").contains(&scene.place.token));
}

#[tokio::test]
async fn anthropic_gets_its_key_in_its_own_header() {
    let scene = Scene::start().await;
    let url = format!("http://{}/model/anthropic/messages?beta=true", scene.place.url);
    let request = scene
        .stack
        .http
        .post(url)
        .header("x-api-key", &scene.place.token)
        .header("anthropic-version", "2023-06-01");
    drop(scene.upstream.chunks.lock().unwrap().take());
    let response = request.header("anthropic-beta", "x").body("{}").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (429, &b"7"[..]));
    assert_eq!(response.text().await.unwrap(), format!("slow down, {}", "*".repeat(KEY.len())));
    let (_, path, headers, _) = scene.seen().remove(0);
    assert_eq!(path, "/v1/messages?beta=true");
    assert_eq!(
        (headers["x-api-key"].as_bytes(), headers["anthropic-version"].as_bytes()),
        (KEY.as_bytes(), &b"2023-06-01"[..])
    );
    assert_eq!(headers["anthropic-beta"], "x");
    assert!(!headers.contains_key("authorization"));
}

#[tokio::test]
async fn what_does_not_pass_is_refused_in_the_form_that_clients_read() {
    let scene = Scene::start().await;
    let large = vec![b'x'; 33 * 1024 * 1024];
    for (request, status, words) in [
        (scene.post("nobody/chat/completions"), StatusCode::NOT_FOUND, "FARHAND_MODEL_PROVIDERS"),
        (scene.post("openai/files"), StatusCode::NOT_FOUND, "does not go through"),
        (scene.post("openai/chat/completions").body(large), StatusCode::PAYLOAD_TOO_LARGE, "longer than"),
        (scene.post("absent/chat/completions").body("{}"), StatusCode::BAD_GATEWAY, "cannot be reached"),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        let body: serde_json::Value = response.json().await.unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(words) && !message.contains("127.0.0.1"), "{message}");
    }
    let other = scene.stack.http.post(format!("http://{}/model/openai/chat/completions", scene.place.url));
    assert_eq!(other.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(scene.seen().is_empty());
}

#[tokio::test]
async fn hanging_up_ends_the_call_at_the_provider() {
    use tokio::io::AsyncWriteExt;
    let mut scene = Scene::start().await;
    let response = scene.post("openai/chat/completions").body("{}").send().await.unwrap();
    drop(response);
    soon("the provider to notice", async {
        while scene.chunks.write_all(b"data: x\n\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
