//! What the tests of the local provider share: a provider in a fresh directory, and a stand-in runner that asks the test what to do.
//!
//! The stand-in is a shell script that fetches commands through the sandbox's own door and posts what came out, so every test
//! also goes through the socket. State directories lie in a directory that only this account may enter.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use protocol::bridge::{CreateSandboxRequest, RepositorySource, SandboxLimits, SandboxSource};
use protocol::id::{RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::runner::{AgentKind, SandboxMemory};
use sandbox_bridge::provider::local::{Account, LocalConfig, LocalProvider, Preflight, preflight};
use sandbox_bridge::provider::{BootSecrets, MemorySource, SandboxOrder, SandboxProvider, SocketSandbox};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// No single step of a test takes longer, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The token that sandboxes of tests are booted with.
pub(crate) const TOKEN: &str = "sandbox-token-of-this-test";

/// Fetches a script, runs it, posts its output. Comes back when the bridge was away.
pub(crate) const AGENT: &str = r#"
call() { curl -s --fail ${BRIDGE_SOCKET:+--unix-socket $BRIDGE_SOCKET} "$@"; }
while true; do
    if call -o /tmp/next-$$ "$URL/next"; then
        sh /tmp/next-$$ > /tmp/out-$$ 2>&1 < /dev/null
        call --data-binary @/tmp/out-$$ "$URL/result?code=$?" > /dev/null
    else
        sleep 0.05
    fi
done
"#;

/// What a sandbox is told to do, and where its answer goes.
type Order = (String, oneshot::Sender<Answer>);

/// What came out of a command inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) output: String,
}

#[derive(Default)]
struct Post {
    orders: Option<mpsc::UnboundedReceiver<Order>>,
    sender: Option<mpsc::UnboundedSender<Order>>,
    waiting: Option<oneshot::Sender<Answer>>,
    calls: u64,
}

/// The bridge's inside routes as the tests need them.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<HashMap<SandboxId, Post>>>);

impl Desk {
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/next", get(next))
            .route("/result", post(result))
            .route("/size", post(size))
            .route("/own-memory", get(memory))
            .with_state(self.clone())
    }

    fn with<T>(&self, id: &SandboxId, what: impl FnOnce(&mut Post) -> T) -> T {
        let mut posts = self.0.lock().unwrap();
        let post = posts.entry(id.clone()).or_insert_with(|| {
            let (sender, orders) = mpsc::unbounded_channel();
            Post { orders: Some(orders), sender: Some(sender), ..Post::default() }
        });
        what(post)
    }

    /// How often this sandbox has called.
    pub(crate) fn calls(&self, id: &SandboxId) -> u64 {
        self.with(id, |post| post.calls)
    }

    /// Runs a shell script inside and answers its output.
    pub(crate) async fn run(&self, id: &SandboxId, script: &str) -> Answer {
        let (answer, answered) = oneshot::channel();
        let sender = self.with(id, |post| post.sender.clone()).unwrap();
        sender.send((script.to_owned(), answer)).unwrap();
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        answered.unwrap_or_else(|_| panic!("{id} did not answer: {script}")).unwrap()
    }

    /// Runs a script that must succeed.
    pub(crate) async fn ok(&self, id: &SandboxId, script: &str) -> String {
        let answer = self.run(id, script).await;
        assert_eq!(answer.code, 0, "{script}: {}", answer.output);
        answer.output
    }
}

async fn next(State(desk): State<Desk>, Extension(SocketSandbox(id)): Extension<SocketSandbox>) -> String {
    let mut orders = desk.with(&id, |post| {
        post.calls += 1;
        post.orders.take()
    });
    let (script, answer) = match &mut orders {
        Some(orders) => orders.recv().await.unwrap(),
        // A connection from before the bridge was away still holds them.
        None => std::future::pending().await,
    };
    desk.with(&id, |post| {
        post.orders = orders;
        post.waiting = Some(answer);
    });
    script
}

async fn memory(
    Extension(MemorySource(read)): Extension<MemorySource>,
    Extension(SocketSandbox(id)): Extension<SocketSandbox>,
) -> Json<Option<SandboxMemory>> {
    Json(read(&id))
}

async fn size(body: axum::body::Body) -> String {
    axum::body::to_bytes(body, 64 << 20).await.unwrap().len().to_string()
}

#[derive(serde::Deserialize)]
struct Code {
    code: i32,
}

async fn result(
    State(desk): State<Desk>,
    Extension(SocketSandbox(id)): Extension<SocketSandbox>,
    Query(Code { code }): Query<Code>,
    body: Bytes,
) {
    if let Some(waiting) = desk.with(&id, |post| post.waiting.take()) {
        let _ = waiting.send(Answer { code, output: String::from_utf8_lossy(&body).into_owned() });
    }
}

/// A directory that takes the sandboxes in it along, also when a test fails.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.path().join("state/sandboxes")).into_iter().flatten().flatten() {
            for pid in processes_with(&format!("FARHAND_SANDBOX_ID={}", entry.file_name().to_string_lossy()))
            {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
    }
}

/// A provider in a directory of its own.
pub(crate) struct Bench {
    pub(crate) provider: LocalProvider,
    pub(crate) desk: Desk,
    pub(crate) place: Place,
}

impl Bench {
    /// `None` when this machine cannot, after saying why.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut LocalConfig)) -> Option<Self> {
        if !can_isolate() {
            return None;
        }
        let place = Place::new();
        let desk = Desk::default();
        let mut config = config(place.path());
        change(&mut config);
        let provider = LocalProvider::start(config, desk.router()).unwrap();
        Some(Self { provider, desk, place })
    }

    /// Another provider in the same place, after this one is gone; its sandboxes must have ended.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut LocalConfig)) -> Self {
        let Self { provider, desk, place } = self;
        drop(provider);
        let mut config = config(place.path());
        change(&mut config);
        // What the old one does in the background may hold the directory for a moment.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match LocalProvider::start(config.clone(), desk.router()) {
                Ok(provider) => return Self { provider, desk, place },
                Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    pub(crate) async fn create(&self, request: &CreateSandboxRequest) -> SandboxId {
        let id = new_sandbox_id();
        self.provider.create(&id, &of(request), &secrets()).await.unwrap();
        id
    }

    /// Ends every sandbox and waits until nothing of them is left on disk.
    pub(crate) async fn finish(self) {
        for record in self.provider.list() {
            self.provider.terminate(&record.sandbox_id).await.unwrap();
        }
        let trash = self.state().join("trash");
        until("the trash is empty", || std::fs::read_dir(&trash).unwrap().count() == 0).await;
    }
}

/// The settings of a test's provider: the shell stands in for the runner.
pub(crate) fn config(place: &Path) -> LocalConfig {
    let mut config = LocalConfig::new(place.join("state"), PathBuf::from("/bin/sh"));
    config.launcher = launcher();
    // The stand-in of the runner fetches its orders with curl.
    config.blocked_commands.clear();
    let agent = format!("URL=http://bridge; BRIDGE_SOCKET=/run/farhand/socket/bridge.sock; {AGENT}");
    config.command = vec!["/bin/sh".to_owned(), "-c".to_owned(), agent];
    let weak = format!("URL=$FARHAND_BRIDGE_URL; {}", AGENT.replace("/tmp/", "$TMPDIR/"));
    config.weak_command = Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), weak]);
    config
}

/// The bridge's binary; a copy of it where the tests run as somebody who cannot reach the build directory.
pub(crate) fn launcher() -> PathBuf {
    std::env::var_os("TEST_LAUNCHER")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_sandbox-bridge")), PathBuf::from)
}

/// Puts a program where it can be run at once. A process of its own writes it: what this one forks meanwhile would hold the file
/// open for writing until it runs something, and so long the kernel refuses to run it (`ETXTBSY`, execve(2)).
pub(crate) fn install(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").args([from, to]).status().unwrap().success());
    std::fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// The same for a script.
pub(crate) fn install_script(text: &str, to: &Path) {
    let draft = to.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    install(&draft, to);
}

/// What this machine can do, tried once. Says so when it is not enough.
pub(crate) fn can_isolate() -> bool {
    static REPORT: OnceLock<Preflight> = OnceLock::new();
    let report = REPORT.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        preflight(place.path(), &launcher(), account()).unwrap()
    });
    if !report.namespaces {
        println!("skipped: {}", report.missing().join(" "));
    }
    report.namespaces
}

/// Whom sandboxes run as in these tests.
pub(crate) fn account() -> Account {
    let (uid, gid) = (nix::unistd::Uid::effective(), nix::unistd::Gid::effective());
    if uid.is_root() {
        sandbox_bridge::provider::local::DEFAULT_ACCOUNT
    } else {
        Account { uid: uid.as_raw(), gid: gid.as_raw() }
    }
}

pub(crate) fn secrets() -> BootSecrets {
    BootSecrets { sandbox_token: TOKEN.to_owned(), ..BootSecrets::default() }
}

fn unique() -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    format!("t{}n{}", std::process::id(), NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

pub(crate) fn new_sandbox_id() -> SandboxId {
    SandboxId::parse(&format!("sbx_{}", unique())).unwrap()
}

pub(crate) fn new_snapshot_id() -> SnapshotId {
    SnapshotId::parse(&format!("snp_{}", unique())).unwrap()
}

pub(crate) fn request() -> CreateSandboxRequest {
    CreateSandboxRequest {
        session_id: SessionId::parse("ses_local").unwrap(),
        generation: 1,
        repository: RepositorySource {
            id: RepositoryId::parse("octo/demo").unwrap(),
            clone_url: "http://127.0.0.1:1/octo/demo.git".to_owned(),
            default_branch: "main".to_owned(),
        },
        branch: "farhand/test".to_owned(),
        source: SandboxSource::Base,
        limits: SandboxLimits::default(),
        agent: AgentKind::Scripted,
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    }
}

/// As the provider is asked for it.
pub(crate) fn of(request: &CreateSandboxRequest) -> SandboxOrder {
    SandboxOrder::of_session(request)
}

pub(crate) fn from_snapshot(snapshot_id: &SnapshotId) -> CreateSandboxRequest {
    CreateSandboxRequest { source: SandboxSource::Snapshot { snapshot_id: snapshot_id.clone() }, ..request() }
}

/// Waits for a state of the machine that nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Processes of this machine whose environment has this text, ended ones not counted.
pub(crate) fn processes_with(text: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
            environment.split(|byte| *byte == 0).any(|entry| entry == text.as_bytes())
        })
    })
    .collect()
}
