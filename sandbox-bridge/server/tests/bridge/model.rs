//! The model gateway: streams flow, the key is added and nothing of it comes back, and only model calls pass.

use crate::support::edge::FakeEdge;
use crate::support::provider::Place;
use crate::support::{GatewaySettings, Stack, order, soon};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use protocol::budget::{Allowance, AllowanceRequest, Spending};
use protocol::id::SandboxId;
use protocol::time::Timestamp;
use reqwest::StatusCode;
use sandbox_bridge::config::{ModelApi, ModelProvider, Secret};
use sandbox_bridge::gateway::egress::EgressSettings;
use sandbox_bridge::gateway::spending::ModelCounts;
use sandbox_bridge::gateway::usage::Tokens;
use std::path::Path;
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
        Self::start_with("{}", None).await
    }

    async fn start_with(prices: &str, budget_micro_dollars: Option<u64>) -> Self {
        let (scene, _) = Self::start_among(prices, budget_micro_dollars, None).await;
        scene
    }

    /// With folders that outlive the bridge; those in which there is one are of sandboxes that ran before it.
    async fn start_among(
        prices: &str,
        budget_micro_dollars: Option<u64>,
        folders: Option<&Path>,
    ) -> (Self, SandboxId) {
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
            prices: serde_json::from_str(prices).unwrap(),
            stream_usage: true,
        };
        let model_providers = [
            ("openai".to_owned(), provider(&format!("{base}/v1"), ModelApi::Openai)),
            ("anthropic".to_owned(), provider(&format!("{base}/v1/"), ModelApi::Anthropic)),
            ("absent".to_owned(), provider("http://127.0.0.1:1/v1", ModelApi::Openai)),
        ];
        let settings = GatewaySettings {
            model_providers: model_providers.into(),
            egress: EgressSettings { budget_micro_dollars, ..EgressSettings::default() },
            folders: folders.map(Path::to_owned),
            ..GatewaySettings::default()
        };
        let names = folders.into_iter().flat_map(|folders| std::fs::read_dir(folders).unwrap().flatten());
        let adopted = names.map(|entry| SandboxId::parse(entry.file_name().to_str().unwrap()).unwrap());
        let stack = Stack::start_at(FakeEdge::start().await, settings, adopted.collect()).await;
        let sandbox = stack.create(&order("1", 1)).await;
        let place = stack.bridge.provider().place(&sandbox);
        (Self { stack, place, upstream, chunks }, sandbox)
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

const PRICES: &str = r#"{"dear": {"input": 3000000, "output": 15000000}}"#;

impl Scene {
    /// One call of which the test plays the provider's answer; it is read to its end.
    async fn call(&mut self, path: &str, body: &'static str, answer: &str) -> (StatusCode, String) {
        use tokio::io::AsyncWriteExt;
        let (mut chunks, given) = tokio::io::duplex(1 << 20);
        *self.upstream.chunks.lock().unwrap() = Some(given);
        let request = self.post(path).body(body);
        chunks.write_all(answer.as_bytes()).await.unwrap();
        drop(chunks);
        let response = soon("an answer", request.send()).await.unwrap();
        (response.status(), soon("its end", response.text()).await.unwrap())
    }

    fn counts(&self) -> ModelCounts {
        self.stack.bridge.models(&self.place.record.sandbox_id).unwrap()
    }
}

#[tokio::test]
async fn tokens_and_costs_are_counted_from_every_kind_of_answer() {
    let mut scene = Scene::start_with(PRICES, None).await;
    let stream = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\ndata: [DONE]\n\n";
    let (status, said) =
        scene.call("openai/chat/completions", r#"{"model":"dear","stream":true}"#, stream).await;
    assert_eq!((status, said.as_str()), (StatusCode::OK, stream));
    assert_eq!(
        scene.seen()[0].3,
        r#"{"model":"dear","stream":true,"stream_options":{"include_usage":true}}"#.len()
    );
    let tokens = Tokens { input: 100, output: 10, ..Tokens::default() };
    let counts = scene.counts();
    assert_eq!((counts.calls, counts.tokens, counts.cost_micro_dollars), (1, tokens, 450));
    assert!(counts.last_first_token.is_some());

    let stream = "data: {\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
    scene.call("openai/responses", r#"{"model":"dear","stream":true}"#, stream).await;
    let stream =
        "data: {\"message\":{\"usage\":{\"input_tokens\":2}}}\n\ndata: {\"usage\":{\"output_tokens\":3}}\n\n";
    scene.call("anthropic/messages", r#"{"model":"cheap","stream":true}"#, stream).await;
    let counts = scene.counts();
    assert_eq!((counts.calls, counts.tokens.input, counts.tokens.output), (3, 107, 14));
    // What has no price is counted, and costs nothing.
    assert_eq!(counts.cost_micro_dollars, 450 + 30);
}

#[tokio::test]
async fn a_used_up_budget_stops_calls_and_says_so() {
    let mut scene = Scene::start_with(PRICES, Some(400)).await;
    let stream = "data: {\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n";
    let ask = r#"{"model":"dear","stream":true}"#;
    assert_eq!(scene.call("openai/chat/completions", ask, stream).await.0, StatusCode::OK);
    for path in ["openai/chat/completions", "openai/responses"] {
        let (status, said) = scene.call(path, ask, stream).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
        assert!(said.contains("$0.000450 of $0.000400") && said.contains("--sandbox-budget"), "{said}");
    }
    assert_eq!((scene.seen().len(), scene.counts().calls), (1, 1));
    let (status, said) = scene.call("openai/responses", r#"{"model":"unknown"}"#, stream).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(said.contains("knows no price of the model"), "{said}");
    let (status, _) = scene.call("openai/chat/completions", r#"{"model":"a","model":"b"}"#, stream).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // Another sandbox has its own.
    let other = scene.stack.create(&order("2", 1)).await;
    assert_eq!(scene.stack.bridge.models(&other), Some(ModelCounts::default()));
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_all_pass_on_the_same_rest_of_a_budget() {
    use tokio::io::AsyncWriteExt;
    // One call may write a thousand tokens for 15000 millionths of a dollar.
    let mut scene = Scene::start_with(PRICES, Some(20_000)).await;
    let ask = r#"{"model":"dear","stream":true,"max_tokens":1000}"#;
    let send = |scene: &Scene| scene.post("openai/chat/completions").body(ask).send();
    // Two are let in, because after the first something is left; their answers do not come.
    let mut held = Vec::new();
    for _ in 0..2 {
        let (chunks, given) = tokio::io::duplex(1 << 16);
        *scene.upstream.chunks.lock().unwrap() = Some(given);
        let response = soon("a head", send(&scene)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        held.push((chunks, response));
    }
    for _ in 0..5 {
        let refused = soon("a refusal", send(&scene)).await.unwrap();
        assert_eq!(
            (refused.status(), refused.headers()["retry-after"].as_bytes()),
            (StatusCode::TOO_MANY_REQUESTS, &b"2"[..])
        );
        assert!(refused.text().await.unwrap().contains("calls that run"));
    }
    assert_eq!(scene.seen().len(), 2);
    // They turn out cheap, and give back what they did not need before their answers end.
    for (mut chunks, response) in held {
        chunks
            .write_all(b"data: {\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n")
            .await
            .unwrap();
        drop(chunks);
        soon("the end", response.text()).await.unwrap();
    }
    assert_eq!(scene.counts().cost_micro_dollars, 900);
    assert_eq!(scene.call("openai/chat/completions", ask, "data: {}\n\n").await.0, StatusCode::OK);
    // One that the provider refuses costs nothing and keeps nothing.
    assert_eq!(soon("a refusal", send(&scene)).await.unwrap().headers()["retry-after"], "7");
    assert_eq!(scene.call("openai/chat/completions", ask, "data: {}\n\n").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_was_spent_and_reserved_counts_at_the_next_bridge() {
    let folders = tempfile::tempdir().unwrap();
    let stream = "data: {\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n";
    let ask = r#"{"model":"dear","stream":true,"max_tokens":1000}"#;
    let (mut scene, sandbox) = Scene::start_among(PRICES, Some(15_800), Some(folders.path())).await;
    assert_eq!(scene.call("openai/chat/completions", ask, stream).await.0, StatusCode::OK);
    let before = scene.counts();
    assert_eq!((before.calls, before.cost_micro_dollars), (1, 450));
    // A call is on when the bridge is gone.
    let (_chunks, given) = tokio::io::duplex(1 << 16);
    *scene.upstream.chunks.lock().unwrap() = Some(given);
    let response = soon("a head", scene.post("openai/chat/completions").body(ask).send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kept = std::fs::read(folders.path().join(sandbox.as_str()).join("models.json")).unwrap();

    let next = tempfile::tempdir().unwrap();
    std::fs::create_dir(next.path().join(sandbox.as_str())).unwrap();
    std::fs::write(next.path().join(sandbox.as_str()).join("models.json"), kept).unwrap();
    let (mut scene, _) = Scene::start_among(PRICES, Some(15_800), Some(next.path())).await;
    let counts = scene.counts();
    assert_eq!((counts.calls, counts.tokens), (1, before.tokens));
    // What the call may have cost: its request as the provider got it, and a thousand tokens.
    assert!((15_450..15_600).contains(&counts.cost_micro_dollars), "{counts:?}");
    assert_eq!(scene.call("openai/chat/completions", ask, stream).await.0, StatusCode::OK);
    let (status, said) = scene.call("openai/chat/completions", ask, stream).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert!(said.contains("of $0.015800"), "{said}");
}

#[tokio::test]
async fn hanging_up_before_the_usage_came_is_counted_all_the_same() {
    use tokio::io::AsyncWriteExt;
    let mut scene = Scene::start_with(PRICES, None).await;
    let request = scene.post("openai/chat/completions").body(r#"{"model":"dear","stream":true}"#);
    let mut response = soon("the head", request.send()).await.unwrap();
    scene.chunks.write_all(b"data: {}\n\ndata: {}\n\n").await.unwrap();
    soon("a chunk", response.chunk()).await.unwrap();
    drop(response);
    soon("the provider to notice", async {
        while scene.chunks.write_all(b": \n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon("the count", async {
        while scene.counts().tokens.output == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let tokens = scene.counts().tokens;
    assert!(tokens.input > 0 && tokens.output == 2, "{tokens:?}");
}

impl Scene {
    /// What the session tells the bridge of how far its sandbox may go.
    async fn allow(&self, asked_at: u64, micro_dollars: Option<u64>, more: bool) {
        let allowance = Allowance {
            asked_at: Timestamp(asked_at),
            micro_dollars,
            tokens: None,
            until: None,
            more,
            reason: "The budget of Ada for today is used up.".to_owned(),
        };
        let path = format!("/sandboxes/{}/allowance", self.place.record.sandbox_id);
        let request = AllowanceRequest { generation: 1, allowance };
        self.stack.put::<serde_json::Value>(&path, &request).await.unwrap();
    }
}

#[tokio::test]
async fn an_allowance_that_is_used_up_refuses_the_very_next_call_and_the_session_hears_of_it() {
    let mut scene = Scene::start_with(PRICES, None).await;
    let id = scene.place.record.sandbox_id.clone();
    let mut runner = scene.stack.dial(&id).await;
    let (path, ask) = ("openai/chat/completions", r#"{"model":"dear","stream":true}"#);
    let stream = "data: {\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n";
    scene.allow(2, Some(400), true).await;
    assert_eq!(scene.call(path, ask, stream).await.0, StatusCode::OK);
    // There may be more: the agent is to wait for the session, which hears what was spent.
    let (status, said) = scene.call(path, ask, stream).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{said}");
    runner.events(1..=1).await;
    let told = |refused| Some(Spending { micro_dollars: 450, tokens: 110, refused });
    scene.stack.edge.until("what was spent", |session| session.spending == told(false)).await;
    // An older word than the newest changes nothing.
    scene.allow(1, Some(9_000), true).await;
    assert_eq!(scene.call(path, ask, stream).await.0, StatusCode::TOO_MANY_REQUESTS);
    scene.allow(3, Some(440), false).await;
    let (status, said) = scene.call(path, ask, stream).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert!(said.contains("The budget of Ada for today is used up."), "{said}");
    runner.events(2..=2).await;
    scene.stack.edge.until("the refusal", |session| session.spending == told(true)).await;
    assert_eq!(scene.seen().len(), 1, "nothing beyond the first call reached the provider");
    scene.allow(4, None, true).await;
    assert_eq!(scene.call(path, ask, stream).await.0, StatusCode::OK, "raised");
}
