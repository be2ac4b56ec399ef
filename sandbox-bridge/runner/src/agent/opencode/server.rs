//! The OpenCode process: starts it on loopback, knows when it is ready, notices its death, ends it.
//!
//! Ready is the line it prints, not the open port: requests sent before that line are never answered. The process dies with the
//! runner. Used by `opencode`.

use super::client::Client;
use super::config;
use super::door::Door;
use super::warm::WarmModel;
use crate::agent::AgentSettings;
use crate::environment::Environment;
use crate::random;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const READY_MAX: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(2);
const LOG_LINES_MAX: usize = 20;

/// OpenCode cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The provider did not say where it is.
    #[error(
        "FARHAND_OPENCODE is not set; the sandbox's provider has to give the path of the opencode binary"
    )]
    NoBinary,
    /// The system said no.
    #[error("OpenCode cannot be started from {path}")]
    Spawn {
        path: String,
        #[source]
        source: io::Error,
    },
    /// It ended or kept silent.
    #[error("OpenCode did not become ready: {0}")]
    NotReady(String),
    /// The same, and it was killed.
    #[error("OpenCode did not become ready: {0}")]
    Killed(String),
    /// It runs but does not do as asked.
    #[error("OpenCode does not open a session: {0}")]
    NoSession(String),
}

type Log = Arc<Mutex<VecDeque<String>>>;

/// What OpenCode is told of beside its settings.
#[derive(Clone, Copy)]
pub(super) struct Extras<'a> {
    /// Answers its first prompt.
    pub(super) warm: Option<&'a WarmModel>,
    /// Holds its edits back.
    pub(super) door: Option<&'a Door>,
    /// Says what it could not know otherwise.
    pub(super) guide: Option<&'a Path>,
}

/// A running OpenCode.
pub(super) struct Server {
    child: Child,
    /// Also after its end.
    pid: Option<u32>,
    log: Log,
    pub(super) client: Client,
    pub(super) version: String,
}

impl Server {
    /// Starts the process and waits until it answers.
    pub(super) async fn start(
        environment: &Environment,
        settings: &AgentSettings,
        extras: Extras<'_>,
    ) -> Result<Self, StartError> {
        let binary = environment.opencode.as_deref().ok_or(StartError::NoBinary)?;
        let spawn = |source| StartError::Spawn { path: binary.display().to_string(), source };
        let port = free_port().map_err(spawn)?;
        let password = random::password();
        let variables = config::variables(environment, settings, &password, extras);
        let mut child = command(binary, port, &environment.home, variables).spawn().map_err(spawn)?;
        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(collect(stderr, Arc::clone(&log)));
        }
        let client = Client::new(port, &password, &environment.workspace)
            .map_err(|error| StartError::NotReady(error.to_string()))?;
        let pid = child.id();
        let mut server = Self { child, pid, log, client, version: String::new() };
        let ready = timeout(READY_MAX, server.become_ready()).await;
        match ready.unwrap_or_else(|_| Err(format!("nothing within {} s", READY_MAX.as_secs()))) {
            Ok(version) => server.version = version,
            Err(reason) => {
                let reason = format!("{reason}{}", server.last_words());
                let error = if server.was_killed() { StartError::Killed } else { StartError::NotReady };
                return Err(error(reason));
            }
        }
        Ok(server)
    }

    async fn become_ready(&mut self) -> Result<String, String> {
        let stdout = self.child.stdout.take().ok_or("it has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        loop {
            let line = lines.next_line().await.map_err(|error| error.to_string())?;
            let Some(line) = line else {
                let status = self.child.wait().await.map_err(|error| error.to_string())?;
                return Err(format!("it ended with {status}"));
            };
            let ready = line.contains("server listening on");
            remember(&self.log, line);
            if ready {
                break;
            }
        }
        tokio::spawn(collect(lines.into_inner(), Arc::clone(&self.log)));
        self.client.wait_until_healthy().await.map_err(|error| error.to_string())
    }

    /// Waits until the process has ended.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it has ended by SIGKILL, which is also how the kernel makes room.
    pub(super) fn was_killed(&mut self) -> bool {
        let killed = Some(Signal::SIGKILL as i32);
        matches!(self.child.try_wait(), Ok(Some(status)) if status.signal() == killed)
    }

    /// How it ended, if it has, with the last lines that it wrote.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let status = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Some(format!("OpenCode ended ({status}){}", self.last_words()))
    }

    /// The last lines it wrote, for the reason of a failure.
    pub(super) fn last_words(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = log.iter().rev().take(3).rev().map(String::as_str).collect();
        if lines.is_empty() { String::new() } else { format!("; its last words: {}", lines.join(" | ")) }
    }

    /// Asks it to end, then makes it, and ends the commands of the agent that it leaves behind.
    pub(super) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            // An error would mean that it has been waited for.
            let _ = self.child.wait().await;
        }
        self.kill_leftovers();
    }

    /// Commands run in groups of their own, but OpenCode marks their environment.
    fn kill_leftovers(&self) {
        let Some(pid) = self.pid else { return };
        let mark = format!("OPENCODE_PID={pid}");
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                // It may have ended this moment.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended this moment.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn command(binary: &Path, port: u16, folder: &Path, variables: Vec<(String, String)>) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--hostname", "127.0.0.1", "--port", &port.to_string()]).current_dir(folder);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FARHAND_")) {
        command.env_remove(name);
    }
    command.envs(variables).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: `prctl` is one system call and allocates nothing, so it may run between fork and exec.
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
    command
}

/// A port that was free a moment ago. OpenCode does not tell a port of its own choice reliably.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn collect(output: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        remember(&log, line);
    }
}

fn remember(log: &Log, line: String) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_back(line.chars().take(500).collect());
    if log.len() > LOG_LINES_MAX {
        log.pop_front();
    }
}
