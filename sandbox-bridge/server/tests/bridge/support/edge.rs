//! An edge that stores events as a session does: exactly once, gapless, of one generation; with faults to order.

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use protocol::bridge::{EgressReport, EventBatch, EventsAck, RunnerAttached, SandboxEnded};
use protocol::budget::Spending;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::repository::{BuildEnded, BuildLogAck, BuildLogPiece, BuildOutcome, WarmReport, WarmState};
use protocol::runner::RunnerEventRecord;
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, sign_answer, verify_request};
use protocol::trace::{TRACE_HEADER, TraceParent};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

/// What goes wrong with one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is stored, and the answer gets lost.
    AckLost,
    /// It is not stored.
    Refused(ErrorCode),
    /// The answer comes late.
    Slow(Duration),
}

#[derive(Default)]
pub(crate) struct Session {
    pub(crate) stored: Vec<RunnerEventRecord>,
    /// When each batch came, and its event numbers.
    pub(crate) batches: Vec<(Instant, Vec<u64>)>,
    pub(crate) attached: Vec<RunnerAttached>,
    pub(crate) ended: Vec<SandboxEnded>,
    /// Of every request that said one.
    pub(crate) traces: Vec<TraceParent>,
    /// As the newest batch told it.
    pub(crate) spending: Option<Spending>,
    /// When each report came.
    pub(crate) egress: Vec<(Instant, EgressReport)>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) repository: Repository,
    /// Answered to everything while it is set.
    pub(crate) down: Option<ErrorCode>,
    pub(crate) nonces: HashSet<String>,
    pub(crate) unsigned: usize,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_max: usize,
}

impl Session {
    pub(crate) fn acked(&self) -> u64 {
        self.stored.last().map_or(0, |record| record.seq)
    }
}

/// The repository that everything here is about.
#[derive(Default)]
pub(crate) struct Repository {
    pub(crate) log: String,
    pub(crate) steps: Vec<String>,
    pub(crate) ended: Vec<(String, BuildOutcome)>,
    pub(crate) warm: Vec<(String, WarmState)>,
    /// Answered to what is said about warm sandboxes while it is set.
    pub(crate) unwanted: Option<ErrorCode>,
}

#[derive(Clone)]
pub(crate) struct FakeEdge {
    pub(crate) url: String,
    session: Arc<watch::Sender<Session>>,
}

impl FakeEdge {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            session: Arc::new(watch::Sender::new(Session::default())),
        };
        edge.serve(listener);
        edge
    }

    /// An address at which nothing listens until [`FakeEdge::begin`].
    pub(crate) async fn absent() -> Self {
        let edge = Self::start().await;
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { url: format!("http://{}", free.local_addr().unwrap()), ..edge }
    }

    /// The same edge, reached by another way.
    pub(crate) fn behind(self, url: String) -> Self {
        Self { url, ..self }
    }

    pub(crate) async fn begin(&self) {
        let listener = TcpListener::bind(self.url.strip_prefix("http://").unwrap()).await.unwrap();
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let router = Router::new()
            .route("/api/bridge/sessions/{session}/{what}", post(take))
            .route("/api/bridge/repositories/{owner}/{name}/credential", post(has_no_app))
            .route("/api/bridge/repositories/{owner}/{name}/{kind}/{id}", post(take_of_repository))
            .route("/api/bridge/repositories/{owner}/{name}/{kind}/{id}/{what}", post(take_of_repository))
            .layer(axum::middleware::from_fn(sign))
            .with_state(self.session.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Session)) {
        self.session.send_modify(change);
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Session) -> T) -> T {
        read(&self.session.borrow())
    }

    /// Waits for a state of the session.
    pub(crate) async fn until(&self, what: &str, holds: impl FnMut(&Session) -> bool) {
        let mut seen = self.session.subscribe();
        super::soon(what, seen.wait_for(holds)).await.unwrap();
    }
}

/// Proves each answer to the bridge, as the edge does.
async fn sign(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let keys = BridgeKeys::parse(super::BRIDGE_SECRET).unwrap();
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let (path, now) = (parts.uri.path(), sandbox_bridge::clock::now());
    let claims = verify_request(&keys, Audience::Edge, authorization, "POST", path, &body, now);
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    let Ok(claims) = claims else { return answer };
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let signature = sign_answer(&keys, Audience::Edge, &claims, parts.status.as_u16(), &body, now);
    parts.headers.insert(ANSWER_HEADER, signature.parse().unwrap());
    Response::from_parts(parts, Body::from(body))
}

async fn take(
    State(session): State<Arc<watch::Sender<Session>>>,
    Path((_, what)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = check(&session, &uri, &headers, &body) {
        return refusal;
    }
    let trace = headers.get(TRACE_HEADER).map(|value| TraceParent::parse(value.to_str().unwrap()).unwrap());
    session.send_modify(|session| session.traces.extend(trace));
    match what.as_str() {
        "attached" => {
            let attached = serde_json::from_slice(&body).unwrap();
            session.send_modify(|session| session.attached.push(attached));
            Json(EventsAck { acked: session.borrow().acked() }).into_response()
        }
        "events" => events(&session, &body).await,
        "ended" => {
            let ended = serde_json::from_slice(&body).unwrap();
            session.send_modify(|session| session.ended.push(ended));
            Json(serde_json::json!({})).into_response()
        }
        "egress" => {
            let report = serde_json::from_slice(&body).unwrap();
            session.send_modify(|session| session.egress.push((Instant::now(), report)));
            Json(serde_json::json!({})).into_response()
        }
        _ => refuse(ErrorCode::NotFound),
    }
}

async fn take_of_repository(
    State(session): State<Arc<watch::Sender<Session>>>,
    Path(names): Path<Vec<String>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = check(&session, &uri, &headers, &body) {
        return refusal;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut answer = Json(serde_json::json!({})).into_response();
    match names.as_slice() {
        ["acme", "shop", "builds", _, "log"] => {
            let piece: BuildLogPiece = serde_json::from_slice(&body).unwrap();
            session.send_modify(|session| {
                let known = &mut session.repository;
                assert!(piece.offset <= known.log.len() as u64, "a gap in the log");
                if piece.offset == known.log.len() as u64 {
                    known.log.push_str(&piece.text);
                    known.steps.push(piece.step);
                }
                answer = Json(BuildLogAck { offset: known.log.len() as u64 }).into_response();
            });
        }
        ["acme", "shop", "builds", build, "ended"] => {
            let BuildEnded { outcome } = serde_json::from_slice(&body).unwrap();
            session.send_modify(|session| session.repository.ended.push(((*build).to_owned(), outcome)));
        }
        ["acme", "shop", "sandboxes", sandbox] => {
            let WarmReport { state, .. } = serde_json::from_slice(&body).unwrap();
            session.send_modify(|session| {
                session.repository.warm.push(((*sandbox).to_owned(), state));
                if let Some(code) = session.repository.unwanted {
                    answer = refuse(code);
                }
            });
        }
        other => panic!("{other:?}"),
    }
    answer
}

/// Whether the bridge signed it, once; the answer is what it hears otherwise.
fn check(
    session: &watch::Sender<Session>,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Response> {
    let keys = BridgeKeys::parse(super::BRIDGE_SECRET).unwrap();
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let now = sandbox_bridge::clock::now();
    let verified = verify_request(&keys, Audience::Edge, authorization, "POST", uri.path(), body, now);
    let fresh = verified.is_ok_and(|claims| {
        let mut fresh = false;
        session.send_modify(|session| fresh = session.nonces.insert(claims.nonce));
        fresh
    });
    if !fresh {
        session.send_modify(|session| session.unsigned += 1);
        return Some(refuse(ErrorCode::SignatureInvalid));
    }
    session.borrow().down.map(refuse)
}

async fn events(session: &watch::Sender<Session>, body: &[u8]) -> Response {
    let batch: EventBatch = serde_json::from_slice(body).unwrap();
    let mut fault = None;
    session.send_modify(|session| {
        session.batches.push((Instant::now(), batch.events.iter().map(|record| record.seq).collect()));
        session.in_flight += 1;
        session.in_flight_max = session.in_flight_max.max(session.in_flight);
        fault = session.faults.pop_front();
    });
    if let Some(Fault::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let mut answer = None;
    session.send_modify(|session| {
        session.in_flight -= 1;
        answer = Some(store(session, batch, fault));
    });
    answer.unwrap()
}

fn store(session: &mut Session, batch: EventBatch, fault: Option<Fault>) -> Response {
    if let Some(Fault::Refused(code)) = fault {
        return refuse(code);
    }
    session.spending = batch.spending;
    for record in batch.events {
        let expected = session.acked() + 1;
        if record.seq > expected {
            return refuse(ErrorCode::EventGap);
        }
        if record.seq == expected {
            session.stored.push(record);
        }
    }
    match fault {
        Some(Fault::AckLost) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Fault::Refused(_) | Fault::Slow(_)) | None => {
            Json(EventsAck { acked: session.acked() }).into_response()
        }
    }
}

/// As an edge without a GitHub App answers.
async fn has_no_app() -> Response {
    let body = ErrorBody::new(ErrorCode::RepositoryUnreachable, "this deployment has no GitHub App");
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

fn refuse(code: ErrorCode) -> Response {
    let status = StatusCode::from_u16(code.http_status()).unwrap();
    (status, Json(ErrorBody::new(code, "as ordered by the test"))).into_response()
}
