//! One session on one side, brought by calls and frames to where a turn runs; then a runner's batches go in.

use super::Side;
use super::load::{Runner, now};
use super::server::{BRIDGE_KEY, Server};
use super::viewer::Viewer;
use anyhow::{Context as _, ensure};
use protocol::bridge::EventBatch;
use protocol::id::{SandboxId, SessionId, TurnId};
use protocol::runner::RunnerEvent;
use protocol::sign::{Audience, BridgeKeys, sign_request};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// A number that no other session, prompt or request of this run has.
pub(super) fn unique() -> [u8; 16] {
    let mut bytes = [0; 16];
    let count = SESSIONS.fetch_add(1, Ordering::Relaxed);
    for (slot, byte) in bytes.iter_mut().zip(count.to_le_bytes().into_iter().chain(now().0.to_le_bytes())) {
        *slot = byte;
    }
    bytes
}

/// How a batch reaches the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Past the Worker, the same on both sides.
    Direct,
    /// Signed, through the Worker, as a bridge sends it.
    Signed,
}

/// A batch that is ready to be posted.
pub(super) struct Post {
    body: Vec<u8>,
    last: u64,
}

/// A session whose turn runs.
pub(super) struct Session {
    http: reqwest::Client,
    /// Base URL of the object's calls.
    pub(super) object: String,
    /// The Worker's own URL of its batches.
    signed: String,
    path: String,
    pub(super) runner: Runner,
}

impl Session {
    /// Begins a session and brings it to where the runner has the turn.
    pub(super) async fn start(server: &Server, side: Side) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).tcp_nodelay(true).build()?;
        let id = SessionId::from_random(unique());
        let object = format!("{}/object/{id}", server.url(side));
        let user = json!({"id": "usr_0", "login": "user-0", "name": "User Number 0", "email": "user-0@farhand.example"});
        let prompt_id = protocol::id::PromptId::from_random(unique());
        let create = json!({
            "sessionId": id, "createdBy": user, "repository": "acme/shop",
            "cloneUrl": "https://code.example/acme/shop.git", "defaultBranch": "main", "model": "demo/demo",
            "prompt": {"id": prompt_id, "text": "measure this", "origin": "api"},
        });
        call(&http, &object, "create", &create).await?;
        let sandbox_id = sandbox(&http, &object).await?;
        let attached = json!({
            "sandboxId": sandbox_id, "generation": 1, "bridgeUrl": server.bridge_url(), "runnerVersion": "0",
        });
        call(&http, &object, "attached", &attached).await?;
        let path = format!("/api/bridge/sessions/{id}/events");
        let signed = format!("{}{path}", server.url(side));
        let unknown = TurnId::from_random([0; 16]);
        let runner = Runner::new(sandbox_id, unknown, 0)?;
        let mut session = Self { http, object, signed, path, runner };
        let ready = session.runner.batch(vec![RunnerEvent::Ready { agent: "scripted".to_owned() }]);
        session.send(&ready).await?;
        session.runner.turn_id = session.turn().await?;
        let turn_id = session.runner.turn_id.clone();
        let received = session.runner.batch(vec![RunnerEvent::TurnReceived { turn_id, attempt: 1 }]);
        session.send(&received).await?;
        Ok(session)
    }

    /// The turn that the session has started.
    async fn turn(&self) -> anyhow::Result<TurnId> {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let mut viewer = Viewer::connect(&self.object, 0).await?;
            viewer.subscribe(None).await?;
            let frame: Value = serde_json::from_str(&viewer.until("snapshot").await?.text)?;
            viewer.close().await?;
            let turn = frame.pointer("/snapshot/turns/0/id").and_then(Value::as_str);
            if let Some(turn) = turn {
                return TurnId::parse(turn).map_err(|error| anyhow::anyhow!("{turn}: {error}"));
            }
            tokio::time::sleep(POLL).await;
        }
        anyhow::bail!("the session started no turn")
    }

    /// Number of the newest event.
    pub(super) async fn seq(&self) -> anyhow::Result<u64> {
        let status = status(&self.http, &self.object).await?;
        status.get("seq").and_then(Value::as_u64).context("a status without seq")
    }

    /// Posts a batch to the object and checks the acknowledgement.
    pub(super) async fn send(&self, batch: &EventBatch) -> anyhow::Result<()> {
        self.post(&Self::prepare(batch)?, Way::Direct).await
    }

    pub(super) fn prepare(batch: &EventBatch) -> anyhow::Result<Post> {
        let last = batch.events.last().map_or(0, |record| record.seq);
        Ok(Post { body: serde_json::to_vec(batch)?, last })
    }

    fn request(&self, post: &Post, way: Way) -> anyhow::Result<reqwest::RequestBuilder> {
        let request = match way {
            Way::Direct => self.http.post(format!("{}/events", self.object)),
            Way::Signed => {
                let key = BridgeKeys::parse(BRIDGE_KEY).context("the key is too short")?;
                let token =
                    sign_request(&key, Audience::Edge, "POST", &self.path, &post.body, unique(), now());
                self.http.post(&self.signed).header("authorization", token)
            }
        };
        Ok(request.header("content-type", "application/json").body(post.body.clone()))
    }

    /// Posts it; done when the session has acknowledged every event of it.
    pub(super) async fn post(&self, post: &Post, way: Way) -> anyhow::Result<()> {
        let response = self.request(post, way)?.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "a batch was refused: {status} {text:.300}");
        let ack: Value = serde_json::from_str(&text)?;
        let acked = ack.get("acked").and_then(Value::as_u64);
        ensure!(acked == Some(post.last), "acknowledged {acked:?} and not {}", post.last);
        Ok(())
    }
}

async fn call(http: &reqwest::Client, object: &str, name: &str, body: &Value) -> anyhow::Result<()> {
    let response = http.post(format!("{object}/{name}")).json(body).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{name}: {status} {text:.300}");
    Ok(())
}

/// What the object says of itself.
pub(super) async fn status(http: &reqwest::Client, object: &str) -> anyhow::Result<Value> {
    let response = http.get(format!("{object}/status")).send().await?.error_for_status()?;
    Ok(serde_json::from_str(&response.text().await?)?)
}

/// The sandbox that the session has ordered.
async fn sandbox(http: &reqwest::Client, object: &str) -> anyhow::Result<SandboxId> {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        let status = status(http, object).await?;
        if let Some(id) = status.pointer("/sandbox/sandboxId").and_then(Value::as_str) {
            return SandboxId::parse(id).map_err(|error| anyhow::anyhow!("{id}: {error}"));
        }
        tokio::time::sleep(POLL).await;
    }
    anyhow::bail!("the session ordered no sandbox")
}
