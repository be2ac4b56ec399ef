//! The processes of a sandbox, seen from the host: which they are, and stopping, continuing and ending all of them.

use super::usage::Usage;
use crate::launcher::{Pidfd, ProcessIdentity, boot_id, pid_namespace, start_time};
use nix::sys::signal::Signal;
use protocol::id::SandboxId;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How the processes of a sandbox are told from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// They are in this process namespace.
    Namespace(u64),
    /// They are in the session of this process, or carry the sandbox's id in their environment.
    Session {
        /// Leader of the session.
        leader: i32,
        /// Whose.
        sandbox_id: SandboxId,
    },
}

impl Membership {
    pub(crate) fn of(process: &ProcessIdentity, sandbox_id: &SandboxId) -> Self {
        match process.pid_namespace {
            0 => Self::Session { leader: process.witness_pid, sandbox_id: sandbox_id.clone() },
            inode => Self::Namespace(inode),
        }
    }

    fn has(&self, pid: i32) -> bool {
        match self {
            Self::Namespace(inode) => pid_namespace(pid).is_ok_and(|own| own == *inode),
            Self::Session { leader, sandbox_id } => {
                // The leader is the witness: it must stay to tell the end.
                pid != *leader
                    && (session_of(pid) == Some(*leader)
                        || carries(pid, &format!("FARHAND_SANDBOX_ID={sandbox_id}")))
            }
        }
    }

    fn members(&self) -> Vec<i32> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
            .filter(|pid| self.has(*pid))
            .collect()
    }

    /// Sends a signal to every process, new ones included, until no running one is left that has not got it.
    fn signal_all(&self, signal: Signal, time: Duration) -> io::Result<HashSet<i32>> {
        let deadline = Instant::now() + time;
        let mut reached = HashSet::new();
        loop {
            let fresh: Vec<i32> = self.members().into_iter().filter(|pid| !reached.contains(pid)).collect();
            if fresh.is_empty() {
                return Ok(reached);
            }
            for pid in fresh {
                // The number may have passed to another process since; the descriptor is checked, then used.
                if let Ok(pidfd) = Pidfd::open(pid)
                    && self.has(pid)
                {
                    pidfd.signal(signal)?;
                }
                reached.insert(pid);
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the sandbox starts processes too fast"));
            }
        }
    }

    /// Files in the sandbox's own places that were removed and are still open: they take room without having a name.
    pub(crate) fn nameless_files(&self) -> Usage {
        let mut seen = HashSet::new();
        let mut usage = Usage::default();
        let members = self.members();
        let descriptors = members.iter().flat_map(|pid| {
            fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().map(|entry| entry.path())
        });
        for path in descriptors {
            let Ok(target) = fs::read_link(&path) else { continue };
            let target = target.to_string_lossy();
            if !target.ends_with(" (deleted)") || target.starts_with("/memfd:") || target.starts_with("/dev/")
            {
                continue;
            }
            if let Ok(data) = nix::sys::stat::stat(&path)
                && data.st_nlink == 0
                && seen.insert((data.st_dev, data.st_ino))
            {
                usage += Usage::of(&data);
            }
        }
        usage
    }

    /// Stops every process where it is. Returns once none of them runs.
    pub(crate) fn stop(&self) -> io::Result<()> {
        const TIME: Duration = Duration::from_secs(2);
        let deadline = Instant::now() + TIME;
        let reached = self.signal_all(Signal::SIGSTOP, TIME)?;
        while let Some(pid) = reached.iter().find(|pid| !is_still(**pid, &reached)) {
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {pid} does not stop")));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Lets every process go on.
    pub(crate) fn resume(&self) -> io::Result<()> {
        self.signal_all(Signal::SIGCONT, Duration::from_secs(2)).map(drop)
    }

    /// Ends every process.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.signal_all(Signal::SIGKILL, Duration::from_secs(5)).map(drop)
    }
}

/// Fields of `/proc/<pid>/stat` from the state on, which is number 3.
fn stat_field(pid: i32, number: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?).map(str::to_owned)
}

/// Not the owner of the directory in `/proc`: a process that hides its memory gives that to root.
fn uid_of(pid: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

fn session_of(pid: i32) -> Option<i32> {
    stat_field(pid, 6)?.parse().ok()
}

/// Whether no thread of the process runs: all are stopped, ended, or wait for a child that is.
fn is_still(pid: i32, all: &HashSet<i32>) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let state = fs::read_to_string(thread.path().join("stat"))
            .ok()
            .and_then(|text| text.rsplit_once(')')?.1.trim_start().chars().next());
        match state {
            None | Some('T' | 't' | 'Z' | 'X') => true,
            // After vfork the parent sleeps until the child executes something, and the child is stopped.
            Some('D') => all.iter().any(|child| {
                stat_field(*child, 4).is_some_and(|parent| parent == pid.to_string())
                    && stat_field(*child, 3).is_some_and(|state| state == "T")
            }),
            Some(_) => false,
        }
    })
}

fn carries(pid: i32, variable: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    })
}

/// The two processes the bridge holds on to.
#[derive(Debug)]
pub(crate) struct Handles {
    /// PID 1; `None` when it has ended and the witness is about to say so.
    pub(crate) first: Option<Pidfd>,
    pub(crate) witness: Pidfd,
}

impl Handles {
    /// Opens both, and makes sure that they are the ones that were written down.
    pub(crate) fn open(process: &ProcessIdentity, uid: u32) -> io::Result<Self> {
        if boot_id()? != process.boot_id {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the machine was restarted"));
        }
        let gone = || io::Error::new(io::ErrorKind::NotFound, "its processes are gone");
        let witness = open_own(process.witness_pid, process.witness_start_time, uid).ok_or_else(gone)?;
        let in_namespace = || {
            process.pid_namespace == 0
                || pid_namespace(process.pid).is_ok_and(|own| own == process.pid_namespace)
        };
        let first = open_own(process.pid, process.start_time, uid).filter(|_| in_namespace());
        Ok(Self { first, witness })
    }
}

/// Opens a process when it started at that time and is the account's: the numbers were written by the account, and whatever
/// they say, only its own processes are touched.
fn open_own(pid: i32, started: u64, uid: u32) -> Option<Pidfd> {
    let pidfd = Pidfd::open(pid).ok()?;
    // Read after opening: what is true of the number now is true of the descriptor.
    let same = start_time(pid).is_ok_and(|time| time == started) && uid_of(pid) == Some(uid);
    same.then_some(pidfd)
}
