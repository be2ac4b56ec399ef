//! One workerd with both sides, the product's session object and the plain JavaScript one: starts `tests/bench/server.mjs`, and ends
//! it. Where the machine has two processors, workerd has the first for itself and the load the second.

use super::Side;
use anyhow::{Context as _, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Shared by the Worker and the load that speaks as a bridge.
pub(super) const BRIDGE_KEY: &str = "bridge-key-of-the-benchmarks-0123456789";

#[derive(Debug, Deserialize)]
struct Urls {
    rust: String,
    plain: String,
    bridge: String,
}

/// A running server; it ends with its owner, because its standard input does.
pub(super) struct Server {
    child: Child,
    urls: Urls,
}

impl Server {
    /// Starts it on the state of an earlier run, or an empty one.
    pub(super) async fn start(state: &Path) -> anyhow::Result<Self> {
        let root = stack::root();
        let log = root.join("target/logs/bench-server.log");
        std::fs::create_dir_all(root.join("target/logs"))?;
        let mut child = Command::new(root.join("node_modules/.bin/node"))
            .arg("--no-warnings")
            .arg(root.join("tests/bench/server.mjs"))
            .arg(state)
            .env("BRIDGE_KEY", BRIDGE_KEY)
            .env("TMPDIR", state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("cannot run Node")?;
        if let Some(id) = child.id() {
            pin(Pid::from_raw(i32::try_from(id)?), Place::Server)?;
        }
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten();
        let line =
            line.with_context(|| format!("the server did not start: {}", crate::shell::tail(&log, 10)))?;
        let urls = serde_json::from_str(&line).with_context(|| format!("not addresses: {line}"))?;
        Ok(Self { child, urls })
    }

    pub(super) fn url(&self, side: Side) -> &str {
        match side {
            Side::Rust => &self.urls.rust,
            Side::Plain => &self.urls.plain,
        }
    }

    pub(super) fn bridge_url(&self) -> &str {
        &self.urls.bridge
    }

    /// Processor time that workerd has used so far, in ms; `None` where the system does not say.
    pub(super) fn processor_ms(&self) -> Option<f64> {
        processor_ms_of_children(self.child.id()?)
    }

    /// Memory of workerd, in MB; `None` where the system does not say.
    pub(super) fn memory_mb(&self) -> Option<f64> {
        let node = self.child.id()?;
        let children = std::fs::read_to_string(format!("/proc/{node}/task/{node}/children")).ok()?;
        let kilobytes = children.split_whitespace().filter_map(resident_kb).sum::<f64>();
        Some(kilobytes / 1024.0)
    }

    /// Ends it; what its objects stored stays.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        ensure!(ended.is_ok(), "the server did not end");
        Ok(())
    }
}

/// Processor time that the children of a process have used so far, in ms with the digits of the scheduler's own account (ns);
/// `None` where the system does not say.
pub(in crate::bench) fn processor_ms_of_children(parent: u32) -> Option<f64> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let used = children.split_whitespace().filter_map(|child| processor_time(child.parse().ok()?));
    Some(used.sum::<Duration>().as_secs_f64() * 1000.0)
}

/// Time of a process and its threads in user and kernel mode, also of threads that have ended.
fn processor_time(process: i32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(process)).ok()?;
    Some(Duration::from(clock_gettime(clock).ok()?))
}

/// Memory of a process that is not swapped out.
fn resident_kb(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Which of two processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Server,
    Load,
}

/// Keeps a process, or with 0 this thread, on one processor; does nothing where there is only one.
pub(super) fn pin(process: Pid, place: Place) -> anyhow::Result<()> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(match place {
        Place::Server => 0,
        Place::Load => 1,
    })?;
    sched_setaffinity(process, &set).context("cannot choose a processor")
}
