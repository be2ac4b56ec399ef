//! B12: the memory of a whole bridge process for each sandbox, idle and streaming.
//!
//! The bridge is the program, with real sandboxes. The bench is everything around it: an edge that acknowledges, a model that
//! streams without end, and the runners, which come through the sandboxes' own sockets.

mod runner;

use crate::shared::{order, rounded};
use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::post;
use protocol::bridge::{EventBatch, EventsAck, SandboxSource};
use protocol::id::{SandboxId, SessionId};
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, sign_answer, sign_request, verify_request};
use runner::Runner;
use sandbox_bridge::clock;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Those before have paid for what is there once.
const WARM: usize = 20;
const MEASURED: usize = 50;
/// Until everything that follows a connection is done.
const SETTLE: Duration = Duration::from_secs(2);
/// How long all of them stream, and how often their bridge is looked at.
const STREAM: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two pieces of a model's answer.
const PIECE_EVERY: Duration = Duration::from_millis(20);
const SECRET: &str = "a secret of the bench with more than 32 bytes";
/// Where sandboxes have the real runner: what is in its place only supervises.
const RUNNER_INSIDE: &str = "/opt/bench/runner";

/// Measures it with this runner.
pub(crate) async fn measure(runner: &Path) -> anyhow::Result<serde_json::Value> {
    let place = tempfile::tempdir()?;
    let mut bridge = Bridge::start(place.path(), runner).await?;
    let measured = bridge.measure().await;
    let ended = bridge.end().await;
    let (idle, streaming) = measured?;
    ended?;
    eprintln!("memory of the bridge per session: idle {idle:.1} kB, streaming {streaming:.1} kB");
    Ok(serde_json::json!({"idle_kb": rounded(idle), "streaming_kb": rounded(streaming)}))
}

struct Bridge {
    child: Child,
    url: String,
    state: PathBuf,
    http: reqwest::Client,
    runners: Vec<Runner>,
}

impl Bridge {
    async fn start(place: &Path, runner: &Path) -> anyhow::Result<Self> {
        let outside = serve_outside().await?;
        let models =
            serde_json::json!({"bench": {"base_url": outside, "api_key": "canary", "kind": "openai"}});
        let (state, supervisor) = (place.join("state"), place.join("supervisor"));
        std::fs::write(&supervisor, format!("#!/bin/sh\nexec {RUNNER_INSIDE} init -- /bin/sleep 100000\n"))?;
        std::fs::set_permissions(&supervisor, std::fs::Permissions::from_mode(0o755))?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"))
            .args(["serve", "--sandboxes-die-with-bridge", "--edge-url", &outside, "--state"])
            .arg(&state)
            .arg("--runner")
            .arg(&supervisor)
            .arg("--tool")
            .arg(format!("{}={RUNNER_INSIDE}", runner.display()))
            .env_clear()
            .env("FARHAND_BRIDGE_KEY", SECRET)
            .env("FARHAND_MODEL_PROVIDERS", models.to_string())
            .env("FARHAND_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("the bridge has no output")?;
        let line = BufReader::new(output).lines().next_line().await?.context("the bridge did not start")?;
        let line: serde_json::Value = serde_json::from_str(&line)?;
        let url = line.get("listening").and_then(|url| url.as_str()).context("no address")?.to_owned();
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { child, url, state, http, runners: Vec::new() })
    }

    async fn measure(&mut self) -> anyhow::Result<(f64, f64)> {
        for _ in 0..WARM {
            self.attach().await?;
        }
        tokio::time::sleep(SETTLE).await;
        let before = self.memory_kb()?;
        for _ in 0..MEASURED {
            self.attach().await?;
        }
        tokio::time::sleep(SETTLE).await;
        let idle = self.memory_kb()? - before;
        for runner in self.runners.iter_mut().skip(WARM) {
            runner.stream().await?;
        }
        let began = std::time::Instant::now();
        let mut most: f64 = 0.0;
        while began.elapsed() < STREAM {
            tokio::time::sleep(LOOK_EVERY).await;
            most = most.max(self.memory_kb()? - before);
        }
        for runner in self.runners.iter().skip(WARM) {
            runner.has_streamed()?;
        }
        Ok((idle / MEASURED as f64, most / MEASURED as f64))
    }

    /// One more sandbox, with a runner that is welcomed.
    async fn attach(&mut self) -> anyhow::Result<()> {
        let number = self.runners.len();
        let id = SandboxId::parse(&format!("sbx_m{}n{number}", std::process::id()))?;
        let session = SessionId::parse(&format!("ses_bench{number}"))?;
        let body = serde_json::to_vec(&order(session, SandboxSource::Base)?)?;
        let path = format!("/sandboxes/{id}");
        let key = BridgeKeys::parse(SECRET).context("the secret is too short")?;
        let nonce = clock::random()?;
        let signature = sign_request(&key, Audience::Bridge, "PUT", &path, &body, nonce, clock::now());
        let request = self.http.put(format!("{}{path}", self.url)).header("authorization", signature);
        let answer = request.body(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "no sandbox: {status} {text}");
        ensure!(text.contains("namespaces"), "this machine cannot isolate sandboxes: {text}");
        let socket = self.state.join(format!("sandboxes/{id}/socket/bridge.sock"));
        self.runners.push(Runner::attach(socket, id, SECRET).await?);
        Ok(())
    }

    /// Memory of the bridge that is its own.
    fn memory_kb(&self) -> anyhow::Result<f64> {
        let pid = self.child.id().context("the bridge has ended")?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no RssAnon")?;
        Ok(number.parse()?)
    }

    /// With all its sandboxes.
    async fn end(&mut self) -> anyhow::Result<()> {
        self.runners.clear();
        let pid = i32::try_from(self.child.id().context("the bridge has ended")?)?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
        let status = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        if !status.success() {
            bail!("the bridge ended with {status}");
        }
        Ok(())
    }
}

type Acked = Arc<Mutex<HashMap<String, u64>>>;

/// The edge and the model.
async fn serve_outside() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/api/bridge/sessions/{session}/{what}", post(acknowledge))
        .route("/chat/completions", post(answer))
        .with_state(Acked::default());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn acknowledge(
    State(acked): State<Acked>,
    UrlPath((session, what)): UrlPath<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut all = acked.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = all.entry(session).or_default();
    if what == "events"
        && let Ok(batch) = serde_json::from_slice::<EventBatch>(&body)
    {
        *newest = batch.events.last().map_or(*newest, |record| record.seq.max(*newest));
    }
    answer_signed(&EventsAck { acked: *newest }, uri.path(), &headers, &body).unwrap_or_default()
}

fn answer_signed(ack: &EventsAck, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    let (keys, now) = (BridgeKeys::parse(SECRET)?, clock::now());
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let request = verify_request(&keys, Audience::Edge, authorization, "POST", path, body, now).ok()?;
    let text = serde_json::to_vec(ack).ok()?;
    let signature = sign_answer(&keys, Audience::Edge, &request, 200, &text, now);
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(ANSWER_HEADER, signature.parse().ok()?);
    Some(response)
}

/// Goes on until the caller hangs up.
async fn answer() -> Response {
    let pieces = futures::stream::unfold((), async |()| {
        tokio::time::sleep(PIECE_EVERY).await;
        let piece = Bytes::from_static(
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"another word or two of the answer \"}}]}\n\n",
        );
        Some((Ok::<_, std::convert::Infallible>(piece), ()))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let kind = axum::http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    response
}
