//! The bridge's program is killed while a real runner works in a real sandbox; connections to the edge break anywhere.

use crate::support::code_host::{self, CodeHost};
use crate::support::edge::{FakeEdge, Fault};
use crate::support::{BRIDGE_SECRET, GatewaySettings, Stack, order, sandbox_id, sign, soon};
use protocol::bridge::{CommandRequest, CreateSandboxRequest, TerminateRequest};
use protocol::id::{CommandId, SandboxId, TurnId};
use protocol::runner::{Author, RunnerCommand, RunnerEvent, TurnOrder};
use protocol::timeline::{ItemContent, TurnOutcome};
use reqwest::Method;
use serde::Serialize;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// The runner's static build, where somebody has made it.
fn runner() -> Option<PathBuf> {
    let named = std::env::var_os("TEST_RUNNER").map(PathBuf::from);
    let target = PathBuf::from(env!("CARGO_BIN_EXE_sandbox-bridge")).ancestors().nth(2).unwrap().to_owned();
    let builds = ["debug", "release", "native"];
    let places = builds.map(|build| target.join("x86_64-unknown-linux-musl").join(build).join("runner"));
    let found = named.or_else(|| places.into_iter().find(|path| path.exists()));
    if found.is_none() {
        println!(
            "skipped: build it with cargo build -p runner --target x86_64-unknown-linux-musl, or name it in TEST_RUNNER"
        );
    }
    found
}

/// The program with a state that outlives it.
struct Program {
    runner: PathBuf,
    state: TempDir,
    edge_url: String,
    git_credentials: String,
    sandbox_id: SandboxId,
    running: Option<(Child, String)>,
}

impl Program {
    async fn start(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"))
            .args(["serve", "--weak-sandbox", "--edge-url", &self.edge_url, "--runner"])
            .arg(&self.runner)
            .arg("--state")
            .arg(self.state.path())
            .env_clear()
            .env("FARHAND_BRIDGE_KEY", BRIDGE_SECRET)
            .env("FARHAND_GIT_CREDENTIALS", &self.git_credentials)
            .env("FARHAND_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon("the first line", lines.next_line()).await.unwrap().unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        self.running = Some((child, line["listening"].as_str().unwrap().to_owned()));
    }

    async fn kill(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        child.kill().await.unwrap();
    }

    async fn put(&self, path: &str, body: &impl Serialize) {
        let (_, url) = self.running.as_ref().unwrap();
        let body = serde_json::to_vec(body).unwrap();
        let signature = sign(&Method::PUT, path, &body);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.put(format!("{url}{path}")).header("authorization", signature).body(body);
        let response = soon("an answer", request.send()).await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
    }

    /// Processes of the sandbox.
    fn processes(&self) -> Vec<nix::unistd::Pid> {
        let mark = format!("FARHAND_SANDBOX_ID={}", self.sandbox_id);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ours = pids.filter(|pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        });
        ours.map(nix::unistd::Pid::from_raw).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn stream(words: usize) -> RunnerCommand {
    RunnerCommand::StartTurn {
        turn: TurnOrder {
            turn_id: TurnId::parse("trn_1").unwrap(),
            attempt: 1,
            prompt: format!("stream {words} 2\nwrite a.txt a"),
            author: Author { name: "Ada".to_owned(), email: "ada@example.com".to_owned() },
            model: "demo/demo".to_owned(),
            digest: None,
        },
    }
}

/// The text of all items, put together as a reader does it.
fn text(edge: &FakeEdge) -> String {
    edge.read(|session| {
        let mut whole = String::new();
        for record in &session.stored {
            if let RunnerEvent::ItemChanged { item } = &record.event
                && let ItemContent::Text { text, .. } = &item.content
            {
                whole = text.clone();
            }
            if let RunnerEvent::ItemAppended { offset, text, .. } = &record.event {
                assert_eq!(*offset, whole.encode_utf16().count() as u64, "event {}", record.seq);
                whole.push_str(text);
            }
        }
        whole
    })
}

#[tokio::test]
async fn a_bridge_killed_anywhere_loses_and_doubles_nothing() {
    const WORDS: usize = 3000;
    let Some(runner) = runner() else { return };
    let (edge, host) = (FakeEdge::start().await, CodeHost::start().await);
    let mut program = Program {
        runner,
        state: TempDir::new().unwrap(),
        edge_url: edge.url.clone(),
        git_credentials: serde_json::json!({ &host.url: code_host::TOKEN }).to_string(),
        sandbox_id: sandbox_id(&format!("restart{}", std::process::id())),
        running: None,
    };
    program.start().await;
    let mut repository = order("1", 1).repository;
    repository.clone_url = format!("{}/acme/shop.git", host.url);
    let sandbox = format!("/sandboxes/{}", program.sandbox_id);
    program.put(&sandbox, &CreateSandboxRequest { repository, ..order("1", 1) }).await;
    let has = |wanted: fn(&RunnerEvent) -> bool| {
        move |session: &crate::support::edge::Session| {
            session.stored.iter().any(|record| wanted(&record.event))
        }
    };
    edge.until("ready", has(|event| matches!(event, RunnerEvent::Ready { .. }))).await;
    let command = CommandId::parse("cmd_1").unwrap();
    program
        .put(
            &format!("{sandbox}/commands/{command}"),
            &CommandRequest { generation: 1, command: stream(WORDS) },
        )
        .await;

    let is_over = has(|event| matches!(event, RunnerEvent::TurnEnded { .. }));
    let mut kills = 0;
    while kills < 10 && !edge.read(is_over) {
        // Another point each time; every third batch before it is stored and its answer lost.
        let reached = edge.read(|session| session.acked()) + 1 + (kills * 89) % 230;
        edge.change(|session| {
            session.faults = [Fault::AckLost].into_iter().take(usize::from(kills % 3 == 0)).collect()
        });
        edge.until("some more events", |session| session.acked() >= reached || is_over(session)).await;
        program.kill().await;
        assert!(!program.processes().is_empty(), "the sandbox lives on");
        program.start().await;
        kills += 1;
    }
    assert!(kills >= 5, "only {kills} kills");
    edge.until("the end of the turn", is_over).await;

    let seqs: Vec<u64> = edge.read(|session| session.stored.iter().map(|record| record.seq).collect());
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let whole: String = (0..WORDS).map(|word| format!("word{word} ")).collect();
    assert_eq!(text(&edge), whole);
    let ends = edge.read(|session| {
        let end = |event: &RunnerEvent| {
            let RunnerEvent::TurnEnded { outcome, change, .. } = event else { return None };
            Some((outcome.clone(), change.is_some()))
        };
        session.stored.iter().filter_map(|record| end(&record.event)).collect::<Vec<_>>()
    });
    assert_eq!(ends, [(TurnOutcome::Completed, true)]);
    assert_eq!(edge.read(|session| (session.unsigned, session.ended.len())), (0, 0));

    program.put(&format!("{sandbox}/terminated"), &TerminateRequest { generation: 1 }).await;
    assert_eq!(program.processes(), [], "nothing is left of the sandbox");
    program.kill().await;
}

/// Passes connections on, each only for so many bytes.
async fn cutting_proxy(target: String) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cuts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = cuts.clone();
    tokio::spawn(async move {
        let mut budget = 700_usize;
        while let Ok((mut outer, _)) = listener.accept().await {
            // As good as random, and the same each time: from within the first head to many batches later.
            budget = (budget * 7_919 + 104_729) % 30_000;
            let (mut left, counter) = (budget, counter.clone());
            let mut inner = TcpStream::connect(target.strip_prefix("http://").unwrap()).await.unwrap();
            tokio::spawn(async move {
                let (mut asked, mut answered) = ([0; 2048], [0; 2048]);
                loop {
                    let (count, to, buffer) = tokio::select! {
                        count = outer.read(&mut asked) => (count.unwrap_or(0), &mut inner, &asked),
                        count = inner.read(&mut answered) => (count.unwrap_or(0), &mut outer, &answered),
                    };
                    let passed = count.min(left);
                    left -= passed;
                    if count == 0 || to.write_all(&buffer[..passed]).await.is_err() {
                        return;
                    }
                    if left == 0 {
                        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        return;
                    }
                }
            });
        }
    });
    (url, cuts)
}

#[tokio::test]
async fn connections_to_the_edge_that_break_anywhere_lose_and_double_nothing() {
    let edge = FakeEdge::start().await;
    let (url, cuts) = cutting_proxy(edge.url.clone()).await;
    let stack = Stack::start_at(edge.behind(url), GatewaySettings::default(), Vec::new()).await;
    let (_, mut runner) = stack.attached().await;
    for first in (1..=4_000).step_by(20) {
        runner.events(first..=first + 19).await;
    }
    runner.expect_ack(4_000).await;
    let seqs: Vec<u64> = stack.edge.read(|session| session.stored.iter().map(|record| record.seq).collect());
    assert_eq!(seqs, (1..=4_000).collect::<Vec<_>>());
    let cuts = cuts.load(std::sync::atomic::Ordering::Relaxed);
    assert!(cuts >= 10, "only {cuts} cuts");
    let batches = stack.edge.read(|session| session.batches.len());
    println!("{cuts} cuts, {batches} batches arrived");
}
