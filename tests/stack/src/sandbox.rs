//! Sandboxes of the local provider, as processes of this machine: to be looked at, killed and frozen by tests.

use crate::StackError;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A sandbox whose first process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// `sbx_…`.
    pub id: String,
    /// Whose it is; empty while it is warm.
    pub session_id: String,
    /// Of the session.
    pub generation: u64,
    /// Its PID 1, as this machine numbers it.
    pub pid: i32,
    /// Everything of it on disk.
    pub directory: PathBuf,
    started: u64,
}

#[derive(Deserialize)]
struct State {
    sandbox_id: String,
    order: Order,
}

#[derive(Deserialize)]
struct Order {
    owner: Owner,
}

/// A session, of the sandbox's order or what a warm one was given to.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Owner {
    session_id: String,
    generation: u64,
}

#[derive(Deserialize)]
struct Process {
    pid: i32,
    start_time: u64,
}

/// Those that run, by id.
pub(crate) fn list(state: &Path) -> Vec<Sandbox> {
    let Ok(entries) = std::fs::read_dir(state.join("sandboxes")) else { return Vec::new() };
    let mut found: Vec<Sandbox> =
        entries.flatten().filter_map(|entry| read(entry.path())).filter(Sandbox::is_alive).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

fn read(directory: PathBuf) -> Option<Sandbox> {
    let state: State = serde_json::from_slice(&std::fs::read(directory.join("state.json")).ok()?).ok()?;
    let process: Process =
        serde_json::from_slice(&std::fs::read(directory.join("witness/process.json")).ok()?).ok()?;
    let given = std::fs::read(directory.join("given.json")).ok();
    let owner = given.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(state.order.owner);
    Some(Sandbox {
        id: state.sandbox_id,
        session_id: owner.session_id,
        generation: owner.generation,
        pid: process.pid,
        directory,
        started: process.start_time,
    })
}

impl Sandbox {
    /// Whether its first process runs still; a number that passed to another process is not it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let field = |number: usize| -> Option<String> {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
            let (_, rest) = text.rsplit_once(')')?;
            rest.split_ascii_whitespace().nth(number - 3).map(str::to_owned)
        };
        field(3).is_some_and(|state| state != "Z")
            && field(22).and_then(|time| time.parse::<u64>().ok()) == Some(self.started)
    }

    /// SIGKILL to everything in it, by way of its first process.
    pub fn kill(&self) -> Result<(), StackError> {
        self.signal(self.pid, Signal::SIGKILL)
    }

    /// Stops every process where it is: the sandbox is there and says nothing more.
    pub fn freeze(&self) -> Result<(), StackError> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Lets every process go on.
    pub fn thaw(&self) -> Result<(), StackError> {
        self.signal_all(Signal::SIGCONT)
    }

    /// Limits its control group to the memory that it has and this much more, whatever was ordered; answers whether there is a group
    /// that can do so.
    pub fn leave_memory(&self, bytes: u64) -> Result<bool, StackError> {
        let file = format!("/proc/{}/cgroup", self.pid);
        let groups = std::fs::read_to_string(&file).map_err(StackError::file(&file))?;
        // `4:memory:/path` in version 1, `0::/path` in version 2; see cgroups(7).
        let files = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            // Never the group of something else, such as the whole machine's.
            let path = path.strip_prefix('/').filter(|path| path.ends_with(&self.id))?;
            match controllers {
                "memory" => Some(Path::new("/sys/fs/cgroup/memory").join(path).join("memory.limit_in_bytes")),
                "" => Some(Path::new("/sys/fs/cgroup").join(path).join("memory.max")),
                _ => None,
            }
        });
        let Some(file) = files.into_iter().find(|file| file.exists()) else { return Ok(false) };
        let statistics = file.with_file_name("memory.stat");
        let text = std::fs::read_to_string(&statistics).map_err(StackError::file(&statistics))?;
        // Memory of processes, in version 1 and 2; what the kernel keeps of files gives way by itself.
        let value = |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let held = value("total_rss ").or_else(|| value("anon ")).unwrap_or(0);
        std::fs::write(&file, (held + bytes).to_string()).map_err(StackError::file(&file))?;
        Ok(true)
    }

    /// Its processes, as this machine numbers them.
    fn members(&self) -> Vec<i32> {
        let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let Some(own) = namespace(self.pid) else { return Vec::new() };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| namespace(*pid).as_ref() == Some(&own))
            .collect()
    }

    fn signal_all(&self, signal: Signal) -> Result<(), StackError> {
        if !self.is_alive() || namespace_is_ours(self.pid) {
            return Err(self.failed(Errno::ESRCH));
        }
        // Twice, because a process may start another one meanwhile.
        for pid in [self.members(), self.members()].concat() {
            self.signal(pid, signal)?;
        }
        Ok(())
    }

    fn signal(&self, pid: i32, signal: Signal) -> Result<(), StackError> {
        if !self.is_alive() {
            return Err(self.failed(Errno::ESRCH));
        }
        match kill(Pid::from_raw(pid), signal) {
            // One of its processes has just ended by itself.
            Ok(()) => Ok(()),
            Err(Errno::ESRCH) if pid != self.pid => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: Errno) -> StackError {
        StackError::file(&self.directory)(error.into())
    }
}

/// A sandbox without a process namespace of its own cannot be told from its surroundings.
fn namespace_is_ours(pid: i32) -> bool {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    namespace(&pid.to_string()) == namespace("self")
}
