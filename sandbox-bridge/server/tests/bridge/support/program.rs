//! The bridge's program with the real runner in a real sandbox; its state and sandboxes outlive it.

use super::code_host::{self, CodeHost};
use super::edge::FakeEdge;
use super::{BRIDGE_SECRET, sandbox_id, sign, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::id::SandboxId;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The runner's static build, where somebody has made it.
pub(crate) fn runner() -> Option<PathBuf> {
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

/// The address that a bridge which was just started says it listens on, in its first line.
pub(crate) async fn listening(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon("the first line", lines.next_line()).await.unwrap().unwrap_or_else(|| panic!("no line"));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    line["listening"].as_str().unwrap().to_owned()
}

/// Tells the program to end.
pub(crate) fn tell_to_end(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
}

/// Processes of the sandboxes whose ids begin so.
pub(crate) fn processes_of(sandbox_ids: &str) -> Vec<Pid> {
    let mark = format!("FARHAND_SANDBOX_ID={sandbox_ids}");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = pids.filter(|pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
    });
    ours.map(Pid::from_raw).collect()
}

/// Ends them at once, so that a test that fails leaves nothing running either.
pub(crate) fn end_processes_of(sandbox_ids: &str) {
    for pid in processes_of(sandbox_ids) {
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// The program with a state that outlives it.
pub(crate) struct Program {
    runner: PathBuf,
    pub(crate) state: TempDir,
    edge_url: String,
    git_credentials: String,
    pub(crate) sandbox_id: SandboxId,
    /// More of the command line, and of its environment.
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    /// Where everything that can be logged goes; warnings go to the test's own output otherwise.
    pub(crate) log: Option<PathBuf>,
    running: Option<(Child, String)>,
}

impl Program {
    /// Not started yet.
    pub(crate) fn new(runner: PathBuf, edge: &FakeEdge, host: &CodeHost, name: &str) -> Self {
        Self::at(runner, &edge.url, host, name)
    }

    /// Not started yet, for the edge at this address.
    pub(crate) fn at(runner: PathBuf, edge_url: &str, host: &CodeHost, name: &str) -> Self {
        Self {
            runner,
            state: TempDir::new().unwrap(),
            edge_url: edge_url.to_owned(),
            git_credentials: serde_json::json!({ &host.url: code_host::TOKEN }).to_string(),
            sandbox_id: sandbox_id(&format!("{name}{}", std::process::id())),
            arguments: Vec::new(),
            variables: Vec::new(),
            log: None,
            running: None,
        }
    }

    pub(crate) async fn start(&mut self) {
        let (level, output) = match &self.log {
            Some(path) => ("trace", Stdio::from(std::fs::File::create(path).unwrap())),
            None => ("warn", Stdio::inherit()),
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox-bridge"))
            .args(["serve", "--weak-sandbox", "--edge-url", &self.edge_url, "--runner"])
            .arg(&self.runner)
            .arg("--state")
            .arg(self.state.path())
            .env_clear()
            .env("FARHAND_BRIDGE_KEY", BRIDGE_SECRET)
            .env("FARHAND_GIT_CREDENTIALS", &self.git_credentials)
            .env("FARHAND_LOG", level)
            .args(&self.arguments)
            .envs(self.variables.iter().cloned())
            .stderr(output)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = listening(&mut child).await;
        self.running = Some((child, url));
    }

    pub(crate) async fn kill(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        child.kill().await.unwrap();
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn end(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        tell_to_end(&child);
        soon("the program's end", child.wait()).await.unwrap();
    }

    /// Sends a request until it is done: a bridge that has just started may not have the runner yet.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        soon(path, async {
            loop {
                let response = self.ask(path, body).await.unwrap();
                let (status, text) = (response.status(), response.text().await.unwrap());
                match status {
                    StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(20)).await,
                    _ if status.is_success() => return serde_json::from_str(&text).unwrap(),
                    _ => panic!("{path}: {status} {text}"),
                }
            }
        })
        .await
    }

    /// Sends a request once.
    pub(crate) async fn ask(&self, path: &str, body: &impl Serialize) -> reqwest::Result<reqwest::Response> {
        let (_, url) = self.running.as_ref().unwrap();
        let body = serde_json::to_vec(body).unwrap();
        let signature = sign(&Method::PUT, path, &body);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.put(format!("{url}{path}")).header("authorization", signature).body(body).send().await
    }

    /// Processes of the sandbox, and of those whose ids begin with its id, and of all that the program made otherwise.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        self.sandbox_ids().iter().flat_map(|id| processes_of(id)).collect()
    }

    fn sandbox_ids(&self) -> BTreeSet<String> {
        let made = std::fs::read_dir(self.state.path().join("sandboxes")).into_iter().flatten().flatten();
        let made = made.map(|entry| entry.file_name().to_string_lossy().into_owned());
        made.filter(|id| !id.starts_with(self.sandbox_id.as_str()))
            .chain([self.sandbox_id.to_string()])
            .collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for id in self.sandbox_ids() {
            end_processes_of(&id);
        }
    }
}
