//! Traces through the bridge: a turn's spans arrive at a collector as one tree, and a collector that is away keeps nothing up.

use crate::restart::turn;
use crate::support::edge::FakeEdge;
use crate::support::program::{listening, tell_to_end};
use crate::support::runner::{FakeRunner, record};
use crate::support::{BRIDGE_SECRET, Stack, order, sign, soon};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use protocol::bridge::CommandRequest;
use protocol::id::TurnId;
use protocol::runner::{BridgeMessage, LogLevel, RunnerCommand, RunnerEvent, RunnerMessage, TurnStep};
use protocol::time::Timestamp;
use protocol::timeline::{TurnOutcome, Usage};
use protocol::trace::{TRACE_HEADER, TraceParent};
use reqwest::Method;
use sandbox_bridge::trace::Spans;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const CREATING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000c1-01";
const ORDERING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000c2-01";

/// Takes spans as OTLP over HTTP has them.
struct Collector {
    url: String,
    spans: watch::Sender<Vec<Span>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = watch::Sender::new(Vec::new());
        let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, spans }
    }

    /// Waits for spans of all these names; answers all that have come.
    async fn until(&self, names: &[&str]) -> Vec<Span> {
        let mut seen = self.spans.subscribe();
        let all = |spans: &Vec<Span>| names.iter().all(|name| spans.iter().any(|span| span.name == *name));
        soon(&format!("spans {names:?}"), seen.wait_for(all)).await.unwrap().clone()
    }
}

async fn take(State(spans): State<watch::Sender<Vec<Span>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    spans.send_modify(|known| {
        for scope in request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans) {
            known.extend(scope.spans);
        }
    });
}

fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    let Value::StringValue(text) = found.value.as_ref()?.value.as_ref()? else { return None };
    Some(text)
}

async fn put(stack: &Stack, path: &str, body: &impl Serialize, traceparent: &str) {
    let body = serde_json::to_vec(body).unwrap();
    let request = stack.http.put(format!("{}{path}", stack.bridge.url));
    let request = request.header("authorization", sign(&Method::PUT, path, &body));
    let answer = request.header(TRACE_HEADER, traceparent).body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

/// The runner's part of a turn; answers what its order said of the trace.
async fn work(runner: &mut FakeRunner, turn_id: &TurnId) -> TraceParent {
    let Some(BridgeMessage::Command { command: RunnerCommand::StartTurn { turn }, .. }) = runner.next().await
    else {
        panic!("no order");
    };
    let ordered = turn.traceparent.unwrap();
    let text = "dialling\nagain".to_owned();
    runner.say(&RunnerMessage::Log { level: LogLevel::Warn, turn_id: Some(turn_id.clone()), text }).await;
    let received = RunnerEvent::TurnReceived { turn_id: turn_id.clone(), attempt: 1 };
    runner.say(&RunnerMessage::Events { events: vec![record(1, received)] }).await;
    runner.expect_ack(1).await;
    let started_at = Timestamp(1_795_000_000_000);
    let traceparent = Some(ordered);
    let (step, duration_ms) = (TurnStep::Agent, 1200);
    let done = RunnerMessage::Step { turn_id: turn_id.clone(), step, started_at, duration_ms, traceparent };
    runner.say(&done).await;
    let ended = RunnerEvent::TurnEnded {
        turn_id: turn_id.clone(),
        attempt: 1,
        outcome: TurnOutcome::Completed,
        change: None,
        files: Vec::new(),
        usage: Usage::default(),
        first_token_ms: None,
    };
    runner.say(&RunnerMessage::Events { events: vec![record(2, ended)] }).await;
    runner.expect_ack(2).await;
    ordered
}

#[tokio::test]
async fn a_turn_is_one_tree_of_spans_from_the_edge_to_the_runner_and_back() {
    let collector = Collector::start().await;
    let url = format!("{}/v1/traces", collector.url);
    // The exporter is a client that waits, and is made where nothing else does.
    let spans = tokio::task::spawn_blocking(move || Spans::to_collector(Some(&url)).unwrap()).await.unwrap();
    tracing_subscriber::registry().with(spans.layer()).init();

    let stack = Stack::start().await;
    put(&stack, "/sandboxes/sbx_1-1", &order("1", 1), CREATING).await;
    let id = crate::support::sandbox_id("1-1");
    let mut runner = stack.dial(&id).await;
    let turn_id = TurnId::parse("trn_one").unwrap();
    let command = CommandRequest { generation: 1, command: turn("one", "look") };
    put(&stack, "/sandboxes/sbx_1-1/commands/cmd_1", &command, ORDERING).await;
    let ordered = work(&mut runner, &turn_id).await;
    tokio::task::spawn_blocking(move || spans.flush()).await.unwrap();

    let create = "PUT /sandboxes/{sandbox_id}";
    let start = "PUT /sandboxes/{sandbox_id}/commands/{command_id}";
    let all = collector.until(&[create, "boot", start, "turn", "agent", "post events"]).await;
    let trace_id = TraceParent::parse(CREATING).unwrap().trace_bytes();
    let ours: Vec<Span> = all.into_iter().filter(|span| span.trace_id == trace_id).collect();
    let parent_of = |name: &str| find(&ours, name).parent_span_id.clone();
    let id_of = |name: &str| find(&ours, name).span_id.clone();
    assert_eq!(parent_of(create), TraceParent::parse(CREATING).unwrap().span_bytes());
    assert_eq!(parent_of("boot"), id_of(create));
    assert_eq!(parent_of(start), TraceParent::parse(ORDERING).unwrap().span_bytes());
    assert_eq!(parent_of("turn"), id_of(start));
    assert_eq!(parent_of("agent"), id_of("turn"));
    assert_eq!(parent_of("post events"), id_of("turn"));
    assert_eq!(id_of("turn"), ordered.span_bytes(), "the runner was told of the turn's own span");

    let turn = find(&ours, "turn");
    assert_eq!(attribute(turn, "session"), Some("ses_1"));
    assert_eq!(attribute(turn, "turn"), Some("trn_one"));
    assert_eq!(attribute(turn, "outcome"), Some("completed"));
    let agent = find(&ours, "agent");
    assert_eq!(agent.end_time_unix_nano - agent.start_time_unix_nano, 1_200_000_000);
    let told: Vec<_> = stack.edge.read(|session| session.traces.clone());
    assert!(told.iter().any(|parent| parent.trace_bytes() == trace_id), "{told:?}");
}

fn program(state: &tempfile::TempDir, edge_url: &str, collector: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"));
    command
        .args(["serve", "--edge-url", edge_url, "--runner", "/bin/true", "--state"])
        .arg(state.path())
        .env_clear()
        .env("FARHAND_BRIDGE_KEY", BRIDGE_SECRET)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary-of-the-collector")
        .env("FARHAND_LOG", "trace")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn look(url: &str) -> reqwest::StatusCode {
    let request = reqwest::Client::new().get(format!("{url}/status"));
    let signed = request.header("authorization", sign(&Method::GET, "/status", b""));
    signed.header(TRACE_HEADER, CREATING).send().await.unwrap().status()
}

#[tokio::test]
async fn the_program_sends_its_spans_where_the_standard_variables_say() {
    let (state, edge, collector) =
        (tempfile::TempDir::new().unwrap(), FakeEdge::start().await, Collector::start().await);
    let mut child = program(&state, &edge.url, &collector.url).spawn().unwrap();
    let url = listening(&mut child).await;
    assert_eq!(look(&url).await, 200);
    tell_to_end(&child);
    let output = soon("its end", child.wait_with_output()).await.unwrap();
    assert!(output.status.success());
    let spans = collector.until(&["GET /status"]).await;
    let parent = TraceParent::parse(CREATING).unwrap();
    assert_eq!(find(&spans, "GET /status").trace_id, parent.trace_bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("canary"), "{said}");
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nothing_up() {
    let (state, edge) = (tempfile::TempDir::new().unwrap(), FakeEdge::start().await);
    // It takes connections and never answers.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", deaf.local_addr().unwrap());
    let mut child = program(&state, &edge.url, &address).spawn().unwrap();
    let url = listening(&mut child).await;
    for _ in 0..20 {
        assert_eq!(look(&url).await, 200);
    }
    tell_to_end(&child);
    let output = soon("its end", child.wait_with_output()).await.unwrap();
    assert!(output.status.success());
}

#[tokio::test]
async fn whether_it_can_work_is_said_to_anybody_and_why_not_to_the_edge() {
    let stack = Stack::start().await;
    let ready = |stack: &Stack| stack.http.get(format!("{}/ready", stack.bridge.url)).send();
    let answer = ready(&stack).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), r#"{"ready":true,"reasons":[]}"#);
    let (status, body) = stack.send(Method::GET, "/status", Vec::new()).await;
    let said: protocol::status::ReplicaStatus = serde_json::from_slice(&body).unwrap();
    assert_eq!((status.as_u16(), said.provider.as_str(), said.sandboxes), (200, "fake", 0));

    let other = Stack::start().await;
    other.bridge.provider().lack("only 3 MiB of /secret/place are left");
    let answer = ready(&other).await.unwrap();
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.unwrap();
    assert!(text.contains(r#""code":"room""#) && !text.contains("secret"), "{text}");
    let (_, body) = other.send(Method::GET, "/status", Vec::new()).await;
    let said: protocol::status::ReplicaStatus = serde_json::from_slice(&body).unwrap();
    assert!(said.reasons[0].message.contains("/secret/place"), "{said:?}");
}
