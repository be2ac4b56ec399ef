//! The launcher's first process after the fork: keeps PID 1's log within bounds and writes down how it ended.
//!
//! It outlives the bridge, so that an end during the bridge's absence is not lost, and a sandbox that a dying bridge has stopped goes
//! on; PID 1 dies with it.

use super::child::JOINED;
use super::identity;
use super::spec::{Failed, LaunchReport, LaunchSpec, ProcessIdentity, Purpose, Refusal, Step};
use super::system::{Pidfd, boot_id, pid_namespace, start_time};
use super::thaw::Thaw;
use crate::provider::local::Membership;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout};
use protocol::id::SandboxId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a pipe holds unless it is told otherwise; see pipe(7).
const PIPE_BYTES: usize = 64 * 1024;

/// How PID 1 ended; `witness/exit.json` in the sandbox's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// What it returned.
    pub code: Option<i32>,
    /// What killed it, such as `SIGKILL`.
    pub signal: Option<String>,
    /// When, in milliseconds of Unix time.
    pub ended_at: u64,
}

impl ExitRecord {
    /// Whether it ended by itself and without complaint.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether SIGKILL ended it, or the child whose code it passes on.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.code == Some(128 + Signal::SIGKILL as i32)
            || self.signal.as_deref() == Some(Signal::SIGKILL.as_str())
    }
}

/// Waits for PID 1. Reports on standard output as soon as it executes the command.
pub(crate) fn run(
    spec: &LaunchSpec,
    child: Pid,
    groups: Vec<File>,
    mut status: File,
    (log, thaw): (File, Thaw),
    mut go: File,
) -> Result<i32, Refusal> {
    let outcome = (|| {
        // While the child still has all privileges of the namespace, only an equal may look at it.
        let process = identify(child, spec.purpose).failed(Step::Spec, "identify PID 1")?;
        if spec.purpose != Purpose::Weak {
            identity::give_up_privileges()?;
        }
        if spec.purpose != Purpose::Probe {
            write_atomically(&format!("{}/witness/process.json", spec.directory), &process)
                .failed(Step::Spec, "write process.json")?;
        }
        let mut tell = |word: &[u8]| go.write_all(word).failed(Step::Spec, "let PID 1 go on");
        tell(b"b")?;
        let mut first = [0u8; 1];
        let joined = status.read(&mut first).failed(Step::Spec, "hear from PID 1")?;
        for mut group in groups.into_iter().filter(|_| first == [JOINED]) {
            group
                .write_all(child.as_raw().to_string().as_bytes())
                .failed(Step::Cgroup, "put PID 1 into a control group")?;
        }
        // When it has ended instead, the status says why.
        let _ = tell(b"j");
        // Ends with the execution of the command, which closes the other end, or with a report.
        let mut text = first.get(..joined).unwrap_or_default().to_vec();
        status.read_to_end(&mut text).failed(Step::Spec, "hear from PID 1")?;
        if text == [JOINED] {
            return Ok(LaunchReport::Started { process });
        }
        serde_json::from_slice(&text)
            .map_err(|_| Refusal::new(Step::Spec, "PID 1 ended before it could say why".to_owned()))
    })();
    match outcome {
        Ok(LaunchReport::Started { process }) => {
            super::report(&LaunchReport::Started { process: process.clone() });
            let _ = leave_bridge();
            let exit = follow(spec, child, &process, &log, thaw);
            let _ = write_atomically(&format!("{}/witness/exit.json", spec.directory), &exit);
            Ok(0)
        }
        Ok(LaunchReport::Refused { refusal }) | Err(refusal) => {
            end(child);
            Err(refusal)
        }
        Ok(report @ (LaunchReport::Probed { .. } | LaunchReport::Limited { .. })) => {
            end(child);
            super::report(&report);
            Ok(0)
        }
    }
}

fn end(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    let _ = waitpid(child, None);
}

fn identify(child: Pid, purpose: Purpose) -> io::Result<ProcessIdentity> {
    let own = Pid::this().as_raw();
    Ok(ProcessIdentity {
        pid: child.as_raw(),
        start_time: start_time(child.as_raw())?,
        witness_pid: own,
        witness_start_time: start_time(own)?,
        boot_id: boot_id()?,
        pid_namespace: if purpose == Purpose::Weak { 0 } else { pid_namespace(child.as_raw())? },
    })
}

/// Lets go of the bridge's pipes, so that neither waits for the other.
fn leave_bridge() -> io::Result<()> {
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    Ok(())
}

/// Copies the log until PID 1 ends, and lets the sandbox go on where a bridge died that had stopped it.
fn follow(
    spec: &LaunchSpec,
    child: Pid,
    process: &ProcessIdentity,
    log: &File,
    mut thaw: Thaw,
) -> ExitRecord {
    let mut keeper = LogKeeper::new(spec);
    let mut pace = Pace::new();
    if let Ok(pidfd) = Pidfd::open(child.as_raw()) {
        let mut log_open = true;
        loop {
            let pause = pace.pause();
            let mut wanted = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            wanted.extend(thaw.watched());
            let log_at = wanted.len();
            if log_open && pause.is_none() {
                wanted.push(PollFd::new(log.as_fd(), PollFlags::POLLIN));
            }
            let timeout = pause
                .filter(|_| log_open)
                .map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO));
            if poll(&mut wanted, timeout).is_err() {
                continue;
            }
            let ready = |slot: Option<&PollFd>| slot.and_then(PollFd::any).unwrap_or(false);
            let (log_ready, ended) = (ready(wanted.get(log_at)), ready(wanted.first()));
            let bridges = wanted.get(1..log_at).unwrap_or_default();
            if bridges.iter().any(|slot| ready(Some(slot))) {
                drop(wanted);
                // In a namespace its supervisor notices by itself.
                if thaw.serve() && spec.thaw.is_empty() && spec.purpose == Purpose::Weak {
                    resume(spec, process);
                }
            }
            if log_ready {
                log_open = keeper.copy(log, &mut pace);
            } else if ended {
                keeper.finish(log);
                break;
            }
        }
    }
    let (code, signal) = match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, code)) => (Some(code), None),
        Ok(WaitStatus::Signaled(_, signal, _)) => (None, Some(signal.as_str().to_owned())),
        Ok(_) | Err(_) => (None, None),
    };
    let ended_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    ExitRecord { code, signal, ended_at }
}

/// For plain processes that were stopped one by one, where there is no group that freezes.
fn resume(spec: &LaunchSpec, process: &ProcessIdentity) {
    let name = spec.directory.rsplit('/').next().unwrap_or_default();
    if let Ok(id) = SandboxId::parse(name) {
        // Nobody is there to be told.
        let _ = Membership::of(process, &id).resume();
    }
}

/// Lets a flood of output wait in its pipe: copying it is work that no limit of the sandbox is charged for.
struct Pace {
    left: usize,
    since: Instant,
}

impl Pace {
    const PERIOD: Duration = Duration::from_millis(250);
    const BYTES: usize = 1024 * 1024;

    fn new() -> Self {
        Self { left: Self::BYTES, since: Instant::now() }
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// How long nothing is to be copied.
    fn pause(&mut self) -> Option<Duration> {
        let passed = self.since.elapsed();
        if passed >= Self::PERIOD {
            *self = Self::new();
        }
        // Rounded up, as waiting is counted in whole milliseconds.
        (self.left == 0).then(|| Self::PERIOD.saturating_sub(passed) + Duration::from_millis(1))
    }
}

/// Writes `witness/log`. At its limit the file becomes `witness/log.1`, so the beginning of a flood is lost and its end kept.
struct LogKeeper {
    path: String,
    file: Option<File>,
    written: u64,
    bytes_max: u64,
}

impl LogKeeper {
    fn new(spec: &LaunchSpec) -> Self {
        let path = format!("{}/witness/log", spec.directory);
        Self { file: File::create(&path).ok(), path, written: 0, bytes_max: spec.log_bytes_max / 2 }
    }

    /// Copies what is there; `false` at the end of the pipe.
    fn copy(&mut self, mut log: &File, pace: &mut Pace) -> bool {
        let mut buffer = [0u8; 16 * 1024];
        let read = match log.read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == io::ErrorKind::Interrupted,
        };
        pace.spend(read);
        if self.written + read as u64 > self.bytes_max {
            let _ = fs::rename(&self.path, format!("{}.1", self.path));
            self.file = File::create(&self.path).ok();
            self.written = 0;
        }
        if let (Some(file), Some(bytes)) = (&mut self.file, buffer.get(..read)) {
            let _ = file.write_all(bytes);
            self.written += read as u64;
        }
        true
    }

    /// Takes what is left in the pipe at the end. No more than a pipe holds, since in the weak tier somebody may still write.
    fn finish(&mut self, log: &File) {
        let mut last = Pace::new();
        while last.left > Pace::BYTES - PIPE_BYTES {
            let mut wanted = [PollFd::new(log.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut wanted, PollTimeout::ZERO).is_ok_and(|count| count > 0);
            if !ready || !self.copy(log, &mut last) {
                return;
            }
        }
    }
}

/// A reader sees the old file or the whole new one.
pub(crate) fn write_atomically<T: Serialize>(path: &str, value: &T) -> io::Result<()> {
    let temporary = format!("{path}.tmp");
    fs::write(&temporary, serde_json::to_vec(value)?)?;
    fs::rename(temporary, path)
}
