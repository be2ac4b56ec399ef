//! A bridge that keeps events in memory: the runner's socket, git by `git http-backend`, a model. It can be cut and brought back.

use super::{TOKEN, git, model};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use protocol::id::CommandId;
use protocol::repository::WarmState;
use protocol::runner::{
    BridgeMessage, RunnerCommand, RunnerConfiguration, RunnerEvent, RunnerEventRecord, RunnerMessage,
    SandboxMemory, WarmConfiguration,
};
use protocol::timeline::ItemContent;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// What the bridge and the session behind it know; survives a cut.
pub(crate) struct Known {
    configuration: RunnerConfiguration,
    repositories: PathBuf,
    events: Mutex<Vec<RunnerEventRecord>>,
    done: Mutex<BTreeMap<CommandId, Option<String>>>,
    pub(crate) hellos: Mutex<Vec<RunnerMessage>>,
    /// Number of changes to the above.
    changes: watch::Sender<u64>,
    commands: broadcast::Sender<BridgeMessage>,
    /// Connections that there are stand still from then on.
    still: broadcast::Sender<()>,
    /// Acknowledgements are sent while this is true.
    pub(crate) acknowledging: Mutex<bool>,
    pub(crate) model_requests: Mutex<Vec<serde_json::Value>>,
    pub(crate) git_requests: Mutex<Vec<String>>,
    /// What it sees of the sandbox's memory.
    pub(crate) memory: Mutex<SandboxMemory>,
    pub(crate) memory_requests: Mutex<usize>,
    /// Pushes wait while this is true.
    pub(crate) holding_pushes: watch::Sender<bool>,
    /// Fetches wait while this is true.
    pub(crate) holding_fetches: watch::Sender<bool>,
    /// Runners are welcomed when this is true; before, they are told to prepare.
    pub(crate) claimed: watch::Sender<bool>,
    pub(crate) warm: Mutex<Vec<WarmState>>,
}

pub(crate) struct FakeBridge {
    pub(crate) known: Arc<Known>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
    end: watch::Sender<bool>,
}

impl FakeBridge {
    pub(crate) async fn start(configuration: RunnerConfiguration, repositories: PathBuf) -> Self {
        let known = Arc::new(Known {
            configuration,
            repositories,
            events: Mutex::default(),
            done: Mutex::default(),
            hellos: Mutex::default(),
            changes: watch::channel(0).0,
            commands: broadcast::channel(64).0,
            still: broadcast::channel(1).0,
            acknowledging: Mutex::new(true),
            model_requests: Mutex::default(),
            git_requests: Mutex::default(),
            memory: Mutex::new(SandboxMemory { limit_mib: 256, held_mib: None, kills: 1 }),
            memory_requests: Mutex::default(),
            holding_pushes: watch::channel(false).0,
            holding_fetches: watch::channel(false).0,
            claimed: watch::channel(true).0,
            warm: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bridge = Self { known, address, serving: None, end: watch::channel(false).0 };
        bridge.serve(listener);
        bridge
    }

    fn serve(&mut self, listener: tokio::net::TcpListener) {
        self.end = watch::channel(false).0;
        let app = Router::new()
            .route("/runner", get(runner))
            .route("/memory", get(memory))
            .route("/git/{*path}", any(git_backend))
            .route("/model/{provider}/chat/completions", post(model::complete))
            .route("/model/{provider}/messages", post(model::refuse))
            .with_state((Arc::clone(&self.known), self.end.subscribe()));
        let mut end = self.end.subscribe();
        self.serving = Some(tokio::spawn(async move {
            let ended = async move { drop(end.wait_for(|end| *end).await) };
            tokio::select! {
                result = async { axum::serve(listener.tap_io(send_at_once), app).await } => result.unwrap(),
                () = ended => {}
            }
        }));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the port and every connection, as the death of the process would.
    pub(crate) async fn cut(&mut self) {
        self.end.send_replace(true);
        self.serving.take().unwrap().await.unwrap();
    }

    /// Comes back at the same address.
    pub(crate) async fn come_back(&mut self) {
        let mut tries = 0;
        let listener = loop {
            match tokio::net::TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(error) if tries > 100 => panic!("{error}"),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.serve(listener);
    }

    /// Sends a command until the runner answers: a connection that has just died swallows what is sent to it.
    pub(crate) async fn command(&self, id: &CommandId, command: RunnerCommand) -> Option<String> {
        self.known.done.lock().unwrap().remove(id);
        let message = BridgeMessage::Command { command_id: id.clone(), command };
        loop {
            self.send(message.clone()).await;
            let answer = self.wait(|known| known.done.lock().unwrap().get(id).cloned());
            if let Ok(answer) = tokio::time::timeout(Duration::from_secs(2), answer).await {
                return answer;
            }
        }
    }

    /// Sends a message as soon as a runner is connected.
    pub(crate) async fn send(&self, message: BridgeMessage) {
        self.wait(|known| (known.commands.receiver_count() > 0).then_some(())).await;
        self.known.commands.send(message).unwrap();
    }

    /// The connections that there are stay open, and nobody reads them or answers any more. Later ones are as usual.
    pub(crate) async fn stand_still(&self) {
        self.wait(|known| (known.still.receiver_count() > 0).then_some(())).await;
        self.known.still.send(()).unwrap();
    }

    /// Waits until `read` finds something, with a bound.
    pub(crate) async fn wait<T>(&self, read: impl Fn(&Known) -> Option<T>) -> T {
        let mut changes = self.known.changes.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = read(&self.known) {
                    return found;
                }
                // Some states have no change event of their own.
                let _ = tokio::time::timeout(Duration::from_millis(20), changes.changed()).await;
            }
        };
        match tokio::time::timeout(WAIT_MAX, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("not within {WAIT_MAX:?}; events: {:#?}", self.events()),
        }
    }

    /// Waits for an event.
    pub(crate) async fn event<T>(&self, matching: impl Fn(&RunnerEvent) -> Option<T>) -> T {
        self.wait(|known| known.events.lock().unwrap().iter().find_map(|record| matching(&record.event)))
            .await
    }

    pub(crate) fn events(&self) -> Vec<RunnerEvent> {
        self.known.events.lock().unwrap().iter().map(|record| record.event.clone()).collect()
    }
}

/// Without this an acknowledgement and the command behind it are 40 ms apart.
fn send_at_once(stream: &mut tokio::net::TcpStream) {
    stream.set_nodelay(true).unwrap();
}

impl Known {
    fn change(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// What a session forgets that was restored from an older state.
    pub(crate) fn forget_after(&self, seq: u64) {
        self.events.lock().unwrap().retain(|record| record.seq <= seq);
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.events.lock().unwrap().last().map_or(0, |record| record.seq)
    }
}

type Shared = (Arc<Known>, watch::Receiver<bool>);

fn is_authorised(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}"))
}

async fn runner(
    State((known, end)): State<Shared>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_authorised(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(|socket| converse(socket, known, end))
}

async fn memory(State((known, _)): State<Shared>, headers: HeaderMap) -> Response {
    if !is_authorised(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    *known.memory_requests.lock().unwrap() += 1;
    axum::Json(*known.memory.lock().unwrap()).into_response()
}

async fn converse(mut socket: WebSocket, known: Arc<Known>, mut end: watch::Receiver<bool>) {
    let Some(Ok(Message::Text(hello))) = socket.recv().await else { return };
    known.hellos.lock().unwrap().push(serde_json::from_str(&hello).unwrap());
    let configuration = known.configuration.clone();
    if !*known.claimed.borrow() {
        let RunnerConfiguration { repository, default_branch, agent, model, models, .. } =
            configuration.clone();
        let configuration = WarmConfiguration { repository, default_branch, agent, model, models };
        send(&mut socket, &BridgeMessage::Prepare { configuration }).await;
    }
    let mut claimed = known.claimed.subscribe();
    while !*claimed.borrow_and_update() {
        tokio::select! {
            _ = end.changed() => return,
            _ = claimed.changed() => {}
            frame = socket.recv() => {
                let Some(Ok(frame)) = frame else { return };
                let Message::Text(text) = frame else { continue };
                match serde_json::from_str(&text).unwrap() {
                    RunnerMessage::Warm { state } => known.warm.lock().unwrap().push(state),
                    RunnerMessage::Log { .. } => {}
                    message => panic!("{message:?}"),
                }
                known.change();
            }
        }
    }
    let welcome = BridgeMessage::Welcome { resume_from: known.last_seq() + 1, configuration };
    send(&mut socket, &welcome).await;
    let mut commands = known.commands.subscribe();
    let mut still = known.still.subscribe();
    known.change();
    loop {
        let frame = tokio::select! {
            _ = end.changed() => return,
            _ = still.recv() => break,
            command = commands.recv() => {
                send(&mut socket, &command.unwrap()).await;
                continue;
            }
            frame = socket.recv() => frame,
        };
        let Some(Ok(frame)) = frame else { return };
        let Message::Text(text) = frame else { continue };
        match serde_json::from_str(&text).unwrap() {
            RunnerMessage::Events { events } => take(&mut socket, &known, events).await,
            RunnerMessage::CommandDone { command_id, error } => {
                known.done.lock().unwrap().insert(command_id, error);
            }
            // It was on its way when the sandbox was claimed.
            RunnerMessage::Warm { state } => known.warm.lock().unwrap().push(state),
            // For operators; nothing here asks for it.
            RunnerMessage::Log { .. } | RunnerMessage::Step { .. } => {}
            message => panic!("{message:?}"),
        }
        known.change();
    }
    drop(commands);
    let _ = end.changed().await;
}

async fn take(socket: &mut WebSocket, known: &Known, events: Vec<RunnerEventRecord>) {
    assert!(!events.is_empty());
    for record in events {
        let last = known.last_seq();
        assert!(record.seq <= last + 1, "a gap between {last} and {}", record.seq);
        if record.seq == last + 1 {
            known.events.lock().unwrap().push(record);
        }
    }
    if *known.acknowledging.lock().unwrap() {
        send(socket, &BridgeMessage::Ack { seq: known.last_seq() }).await;
    }
}

async fn send(socket: &mut WebSocket, message: &BridgeMessage) {
    // A connection that is gone is noticed when reading.
    let _ = socket.send(Message::Text(serde_json::to_string(message).unwrap().into())).await;
}

/// git smart HTTP by git's own program.
async fn git_backend(State((known, _)): State<Shared>, request: Request) -> Response {
    if !is_authorised(request.headers()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (parts, body) = request.into_parts();
    known.git_requests.lock().unwrap().push(parts.uri.to_string());
    if parts.uri.path().ends_with("/git-receive-pack") {
        known.holding_pushes.subscribe().wait_for(|holding| !holding).await.unwrap();
    }
    if parts.uri.path().ends_with("/git-upload-pack") {
        known.holding_fetches.subscribe().wait_for(|holding| !holding).await.unwrap();
    }
    let header = |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut backend = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &known.repositories)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path().strip_prefix("/git").unwrap())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = backend.stdin.take().unwrap();
    let writing = tokio::spawn(async move {
        // The backend may answer without reading everything.
        let _ = stdin.write_all(&body).await;
    });
    let output = backend.wait_with_output().await.unwrap().stdout;
    writing.await.unwrap();
    let split = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(&output[split + 4..])));
    for line in String::from_utf8(output[..split].to_vec()).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse::<u16>().unwrap().try_into().unwrap();
        } else {
            response.headers_mut().insert(
                axum::http::HeaderName::try_from(name).unwrap(),
                axum::http::HeaderValue::try_from(value).unwrap(),
            );
        }
    }
    response
}

/// The newest commit of a branch at the origin.
pub(crate) fn origin_log(repositories: &std::path::Path, branch: &str, format: &str) -> String {
    git(&repositories.join("acme/shop.git"), &["log", "-1", &format!("--format={format}"), branch])
}

/// All items as a reader of the events sees them, in the order of their appearance.
pub(crate) fn items(bridge: &FakeBridge) -> Vec<ItemContent> {
    let mut items: Vec<protocol::timeline::Item> = Vec::new();
    for event in bridge.events() {
        match event {
            RunnerEvent::ItemChanged { item } => match items.iter_mut().find(|known| known.id == item.id) {
                Some(known) => *known = item,
                None => items.push(item),
            },
            RunnerEvent::ItemAppended { item_id, offset, text: added } => {
                let item = items.iter_mut().find(|item| item.id == item_id).unwrap();
                let (ItemContent::Text { text, .. }
                | ItemContent::Reasoning { text, .. }
                | ItemContent::Tool { output: text, .. }) = &mut item.content
                else {
                    panic!("{item:?} cannot grow")
                };
                assert_eq!(text.encode_utf16().count() as u64, offset);
                text.push_str(&added);
            }
            _ => {}
        }
    }
    items.into_iter().map(|item| item.content).collect()
}
