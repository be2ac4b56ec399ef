//! The bridge runs out of something: it refuses more sandboxes and says why, serves those that run, and takes more when there is
//! room again. Limits are those of the one process or of a small disk, so nothing else on the machine notices.

use crate::support::code_host::{self, CodeHost};
use crate::support::edge::FakeEdge;
use crate::support::program::{end_processes_of, listening, runner, tell_to_end};
use crate::support::{BRIDGE_SECRET, order, sandbox_id, sign, soon};
use nix::sys::resource::{Resource, setrlimit};
use protocol::bridge::{CommandRequest, TerminateRequest};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::TurnId;
use protocol::runner::RunnerCommand;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The program under a limit.
struct Tight {
    child: Child,
    url: String,
    _edge: FakeEdge,
    /// Sandboxes whose repository cannot be fetched end by themselves.
    host: CodeHost,
    name: String,
    state: TempDir,
}

impl Tight {
    /// `wrap` is the program that starts the bridge, such as a shell that makes its surroundings small; the bridge's command is
    /// added to it.
    async fn start(name: &str, runner: &Path, wrap: &[&str], limit: impl Fn(&mut Command)) -> Self {
        let (state, edge, host) = (TempDir::new().unwrap(), FakeEdge::start().await, CodeHost::start().await);
        let credentials = serde_json::json!({ &host.url: code_host::TOKEN }).to_string();
        let mut words = wrap.iter().map(PathBuf::from).chain([env!("CARGO_BIN_EXE_sandbox-bridge").into()]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["serve", "--weak-sandbox", "--sandboxes-die-with-bridge", "--edge-url", &edge.url])
            .arg("--runner")
            .arg(runner)
            .arg("--state")
            .arg(state.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("STATE", state.path())
            .env("FARHAND_BRIDGE_KEY", BRIDGE_SECRET)
            .env("FARHAND_GIT_CREDENTIALS", credentials)
            .env("FARHAND_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        limit(&mut command);
        let mut child = command.spawn().unwrap();
        let url = listening(&mut child).await;
        Self { child, url, _edge: edge, host, name: format!("{name}{}", std::process::id()), state }
    }

    async fn put(&self, path: &str, body: &impl Serialize) -> (StatusCode, String) {
        let body = serde_json::to_vec(body).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let signature = sign(&Method::PUT, path, &body);
        let request = http.put(format!("{}{path}", self.url)).header("authorization", signature).body(body);
        let response = soon(path, request.send()).await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    fn path(&self, number: u32) -> String {
        format!("/sandboxes/{}", sandbox_id(&format!("{}n{number}", self.name)))
    }

    async fn create(&self, number: u32) -> Result<(), ErrorBody> {
        let mut order = order(&format!("{}n{number}", self.name), 1);
        order.repository.clone_url = format!("{}/acme/shop.git", self.host.url);
        match self.put(&self.path(number), &order).await {
            (status, _) if status.is_success() => Ok(()),
            (status, text) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
                Err(serde_json::from_str(&text).unwrap())
            }
        }
    }

    /// What was short is there again, sooner or later: whoever held a part of it may have to let go first.
    async fn finds_room_for(&self, number: u32) {
        soon("room again", async {
            while self.create(number).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// The runner of this sandbox is attached, or will be, and takes a command.
    async fn serves(&self, number: u32) {
        let command = RunnerCommand::StopTurn { turn_id: TurnId::parse("trn_1").unwrap() };
        let command = CommandRequest { generation: 1, command };
        let path = format!("{}/commands/cmd_1", self.path(number));
        soon("the runner to take a command", async {
            loop {
                match self.put(&path, &command).await {
                    (StatusCode::ACCEPTED, _) => return,
                    (StatusCode::SERVICE_UNAVAILABLE, _) => {
                        tokio::time::sleep(Duration::from_millis(10)).await
                    }
                    (status, text) => panic!("{status}: {text}"),
                }
            }
        })
        .await;
    }

    async fn end(&self, number: u32) {
        let path = format!("{}/terminated", self.path(number));
        let (status, text) = self.put(&path, &TerminateRequest { generation: 1, session_id: None }).await;
        assert!(status.is_success(), "{status}: {text}");
    }

    /// Ends in order, with its sandboxes.
    async fn finish(mut self) {
        tell_to_end(&self.child);
        let status = soon("its end", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Tight {
    fn drop(&mut self) {
        end_processes_of(&format!("sbx_{}", self.name));
        let _ = self.child.start_kill();
    }
}

#[tokio::test]
async fn out_of_open_files_it_refuses_more_and_serves_what_runs() {
    let Some(runner) = runner() else { return };
    let bridge = Tight::start("files", &runner, &[], |command| {
        // SAFETY: one system call, which allocates nothing, between fork and exec.
        unsafe {
            command.pre_exec(|| setrlimit(Resource::RLIMIT_NOFILE, 64, 64).map_err(Into::into));
        }
    })
    .await;
    let mut made = 0;
    let refusal = loop {
        match bridge.create(made + 1).await {
            Ok(()) => made += 1,
            Err(refusal) => break refusal,
        }
        assert!(made < 64, "64 open files cannot be enough for {made} sandboxes");
    };
    assert!(made >= 1, "{refusal:?}");
    assert_eq!(refusal.code, ErrorCode::Unavailable);
    assert!(
        refusal.message.contains("of 64 open files") && refusal.message.contains("ulimit -n"),
        "{}",
        refusal.message
    );
    for number in 1..=made {
        bridge.serves(number).await;
    }
    for number in 1..=made {
        bridge.end(number).await;
    }
    bridge.finds_room_for(made + 2).await;
    bridge.serves(made + 2).await;
    bridge.finish().await;
}

#[tokio::test]
async fn out_of_disk_it_refuses_more_and_serves_what_runs() {
    let Some(runner) = runner() else { return };
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root can mount a small disk");
        return;
    }
    // In a mount namespace of the bridge's own: it ends with the bridge.
    let script = "mount -t tmpfs -o size=400m,mode=755 none \"$STATE\" && exec \"$@\"";
    let wrap = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    let bridge = Tight::start("disk", &runner, &wrap, |_| {}).await;
    let pid = bridge.child.id().unwrap();
    let inside = PathBuf::from(format!("/proc/{pid}/root{}", bridge.state.path().display()));
    bridge.create(1).await.unwrap();
    bridge.serves(1).await;
    let filler = inside.join("filler");
    std::fs::write(&filler, vec![1_u8; 200 << 20]).unwrap();
    let refusal = bridge.create(2).await.unwrap_err();
    assert!(
        refusal.message.contains("MiB of disk are left") && refusal.message.contains("delete sessions"),
        "{}",
        refusal.message
    );
    bridge.serves(1).await;
    std::fs::remove_file(&filler).unwrap();
    bridge.finds_room_for(3).await;
    bridge.serves(3).await;
    bridge.finish().await;
}

/// A group in which so many processes and threads fit; `None` where none can be made.
struct Few(PathBuf);

impl Few {
    fn make() -> Option<Self> {
        let name = format!("farhand-few-{}", std::process::id());
        let made = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].iter().find_map(|place| {
            let group = Path::new(place).join(&name);
            std::fs::create_dir(&group).ok()?;
            let usable = group.join("pids.max").exists();
            if !usable {
                let _ = std::fs::remove_dir(&group);
            }
            usable.then_some(group)
        });
        if made.is_none() {
            println!("skipped: no group that limits processes can be made here");
        }
        made.map(Self)
    }

    fn allow(&self, processes: &str) {
        std::fs::write(self.0.join("pids.max"), processes).unwrap();
    }
}

impl Drop for Few {
    fn drop(&mut self) {
        for _ in 0..200 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[tokio::test]
async fn out_of_processes_it_refuses_more_and_serves_what_runs() {
    let Some(runner) = runner() else { return };
    let Some(group) = Few::make() else { return };
    let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let bridge = Tight::start("few", &runner, &["sh", "-c", &join, "sh"], |_| {}).await;
    bridge.create(1).await.unwrap();
    bridge.serves(1).await;
    // Fewer than there are: those stay, and none comes in place of one that ends meanwhile.
    group.allow("1");
    let refusal = bridge.create(2).await.unwrap_err();
    assert!(refusal.message.contains("the sandbox: "), "{}", refusal.message);
    bridge.serves(1).await;
    group.allow("max");
    bridge.finds_room_for(3).await;
    bridge.serves(3).await;
    bridge.finish().await;
}
