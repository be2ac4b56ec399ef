//! A bridge as a process of its own, which can be stopped and continued, and the runners of its sandboxes: the tests play them, and
//! come in through the gateway's own address as sandboxes at Modal do.

use crate::fake_runner::{FakeRunner, record};
use crate::object::EDGE_SECRET;
use crate::support::{PATIENCE, soon};
use fakes::modal::ModalFake;
use futures::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::error::ErrorBody;
use protocol::id::SandboxId;
use protocol::repository::WarmState;
use protocol::runner::{BridgeMessage, RunnerCommand, RunnerEvent, RunnerMessage, TurnOrder};
use protocol::sign::{Audience, BridgeKeys, SandboxClaims, sign, sign_request};
use sandbox_bridge::clock;
use sandbox_bridge::config::Keys;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Between two looks at the sandboxes that there are.
const LOOK: Duration = Duration::from_millis(20);

/// One replica.
pub(crate) struct Replica {
    pub(crate) url: String,
    pub(crate) gateway: SocketAddr,
    child: Child,
    _state: TempDir,
}

impl Replica {
    /// Starts one. `runner` is sent into its sandboxes.
    pub(crate) async fn start(modal: &ModalFake, edge_url: &str, runner: &Path) -> Self {
        let state = tempfile::tempdir().unwrap();
        let gateway = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"))
            .args(["serve", "--provider", "modal", "--edge-url", edge_url])
            .args(["--modal-image", "debian:bookworm-slim", "--modal-creations", "100"])
            .args(["--gateway-url", &format!("http://{gateway}"), "--gateway-listen", &gateway.to_string()])
            .arg("--runner")
            .arg(runner)
            .arg("--state")
            .arg(state.path())
            .env_clear()
            .env("FARHAND_BRIDGE_KEY", EDGE_SECRET)
            .env("FARHAND_LOG", "error")
            .env("MODAL_TOKEN_ID", modal.token_id())
            .env("MODAL_TOKEN_SECRET", modal.token_secret())
            .env("MODAL_SERVER_URL", modal.url())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the bridge's first line", lines.next_line()).await.unwrap().unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { url: said["listening"].as_str().unwrap().to_owned(), gateway, child, _state: state }
    }

    /// Stops or continues it.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), signal).unwrap();
    }

    /// A signed request to it, on a connection of its own.
    pub(crate) fn ask<T: Serialize>(
        &self,
        path: &str,
        body: &T,
    ) -> impl Future<Output = Result<Value, ErrorBody>> + use<T> {
        let (url, path) = (format!("{}{path}", self.url), path.to_owned());
        let body = serde_json::to_vec(body).unwrap();
        let (key, nonce) = (BridgeKeys::parse(EDGE_SECRET).unwrap(), clock::random().unwrap());
        let signature = sign_request(&key, Audience::Bridge, "PUT", &path, &body, nonce, clock::now());
        async move {
            let http = reqwest::Client::builder().no_proxy().timeout(2 * PATIENCE).build().unwrap();
            let answer = http.put(url).header("authorization", signature).body(body).send().await.unwrap();
            let (status, text) = (answer.status(), answer.bytes().await.unwrap());
            if status.is_success() {
                return Ok(serde_json::from_slice(&text).unwrap());
            }
            Err(serde_json::from_slice(&text).unwrap())
        }
    }
}

/// A turn that a runner was given. Its events so far are two.
pub(crate) struct Given {
    pub(crate) sandbox_id: SandboxId,
    pub(crate) turn: TurnOrder,
    pub(crate) runner: FakeRunner,
}

/// The runners of all sandboxes: each dials the bridge that is named at that time, gets ready, and waits for a turn.
pub(crate) struct Runners {
    at: Arc<Mutex<SocketAddr>>,
    given: mpsc::UnboundedReceiver<Given>,
    looking: tokio::task::JoinHandle<()>,
}

impl Drop for Runners {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Runners {
    pub(crate) fn begin(modal: Arc<ModalFake>, gateway: SocketAddr) -> Self {
        let (sender, given) = mpsc::unbounded_channel();
        let at = Arc::new(Mutex::new(gateway));
        let to = Arc::clone(&at);
        let looking = tokio::spawn(async move {
            let mut known = HashSet::new();
            loop {
                for sandbox in modal.running() {
                    let id = SandboxId::parse(&sandbox.name).unwrap();
                    if known.insert(id.clone()) {
                        let gateway = *to.lock().unwrap();
                        let generation = sandbox.environment["FARHAND_GENERATION"].parse().unwrap();
                        tokio::spawn(work(gateway, id, generation, sender.clone()));
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { at, given, looking }
    }

    /// Runners of later sandboxes dial this one.
    pub(crate) fn aim(&self, gateway: SocketAddr) {
        *self.at.lock().unwrap() = gateway;
    }

    /// The next turn that one of them is given.
    pub(crate) async fn next(&mut self) -> Given {
        // A session notices after 35 s that its runner says nothing.
        let Ok(given) = tokio::time::timeout(3 * PATIENCE, self.given.recv()).await else {
            panic!("no turn was given");
        };
        given.unwrap()
    }
}

async fn work(
    gateway: SocketAddr,
    sandbox_id: SandboxId,
    generation: u64,
    given: mpsc::UnboundedSender<Given>,
) {
    let keys = Keys::from_secret(EDGE_SECRET).unwrap();
    let now = clock::now();
    let claims = SandboxClaims { sandbox_id: sandbox_id.clone() };
    let token = sign(&keys.gateway, Audience::Gateway, claims, now, now.plus_ms(3_600_000));
    let door = open_door(gateway, token.clone()).await;
    // A sandbox of a build has no use for a runner.
    let Ok(mut runner) = FakeRunner::dial(&door, &token).await else { return };
    runner.hello(&sandbox_id, generation).await;
    loop {
        let (next, message) = runner.linger().await;
        runner = next;
        match message {
            Some(BridgeMessage::Prepare { .. }) => {
                let state = WarmState::Ready { agent: "agent 1".to_owned() };
                runner.say(&RunnerMessage::Warm { state }).await;
            }
            Some(BridgeMessage::Welcome { .. }) => {
                say(&mut runner, 1, RunnerEvent::Ready { agent: "agent 1".to_owned() }).await;
            }
            Some(BridgeMessage::Command { command_id, command }) => {
                runner.say(&RunnerMessage::CommandDone { command_id, error: None }).await;
                let RunnerCommand::StartTurn { turn } = command else { continue };
                let received =
                    RunnerEvent::TurnReceived { turn_id: turn.turn_id.clone(), attempt: turn.attempt };
                say(&mut runner, 2, received).await;
                let _ = given.send(Given { sandbox_id, turn, runner });
                return;
            }
            Some(BridgeMessage::Ack { .. } | BridgeMessage::Unknown) => {}
            Some(BridgeMessage::Retired { .. }) | None => return,
        }
    }
}

/// Says that something happened.
pub(crate) async fn say(runner: &mut FakeRunner, seq: u64, event: RunnerEvent) {
    runner.say(&RunnerMessage::Events { events: vec![record(seq, event)] }).await;
}

/// What a sandbox's first process does: passes connections on, each through a WebSocket. Answers its address.
async fn open_door(gateway: SocketAddr, token: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((outer, _)) = listener.accept().await {
            tokio::spawn(pass(outer, gateway, token.clone()));
        }
    });
    address
}

async fn pass(outer: TcpStream, gateway: SocketAddr, token: String) {
    let mut request = format!("ws://{gateway}/sandbox").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let Ok((socket, _)) = tokio_tungstenite::connect_async(request).await else { return };
    let (mut sink, mut stream) = socket.split();
    let (mut reader, mut writer) = outer.into_split();
    let up = async {
        let mut buffer = vec![0; 8192];
        while let Ok(count) = reader.read(&mut buffer).await {
            let piece = Message::Binary(buffer[..count].to_vec().into());
            if sink.send(piece).await.is_err() || count == 0 {
                return;
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = stream.next().await {
            let Message::Binary(piece) = message else { continue };
            if piece.is_empty() || writer.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = down => {}
        () = async { up.await; std::future::pending().await } => {}
    }
}
