//! A child in a process group of its own that never outlives its owner.
//!
//! Dropping it ends the whole group. Should the owner itself be killed, a guard process (a shell that waits for the end of a pipe)
//! ends the group. Output goes to a log file, so that no pipe keeps a reader waiting.

use crate::StackError;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 25;

/// How gently a group ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// SIGTERM, and SIGKILL when that takes longer.
    Gently(Duration),
    /// SIGKILL.
    AtOnce,
}

/// A running child with its group.
#[derive(Debug)]
pub(crate) struct Process {
    part: &'static str,
    child: Child,
    guard: Option<Child>,
    log: PathBuf,
    end: End,
}

impl Process {
    /// Starts a child whose standard output and error both go to the log.
    pub(crate) fn spawn(
        part: &'static str,
        command: &mut Command,
        log: &Path,
        end: End,
    ) -> Result<Self, StackError> {
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(StackError::file(log))?;
        command.stdout(output).stderr(errors);
        Self::start(part, command, log, end)
    }

    /// Starts a child and waits for the first line of its standard output, which is answered.
    pub(crate) fn spawn_and_hear(
        part: &'static str,
        command: &mut Command,
        log: &Path,
        end: End,
        timeout: Duration,
    ) -> Result<(Self, String), StackError> {
        let errors = open_log(log)?;
        let mut output = errors.try_clone().map_err(StackError::file(log))?;
        command.stdout(Stdio::piped()).stderr(errors);
        let mut process = Self::start(part, command, log, end)?;
        let Some(stdout) = process.child.stdout.take() else {
            return Err(process.failed("has no standard output"));
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            // A read error and an empty line both mean that it ended.
            let _ = reader.read_line(&mut line);
            let _ = sender.send(line);
            let _ = std::io::copy(&mut reader, &mut output);
        });
        match receiver.recv_timeout(timeout) {
            Ok(line) if !line.trim().is_empty() => Ok((process, line)),
            Ok(_) => Err(process.failed("ended at its start")),
            Err(_) => Err(process.failed(&format!("said nothing for {} s", timeout.as_secs()))),
        }
    }

    fn start(part: &'static str, command: &mut Command, log: &Path, end: End) -> Result<Self, StackError> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(StackError::file(command.get_program()))?;
        let guard = guard(child.id());
        Ok(Self { part, child, guard, log: log.to_owned(), end })
    }

    /// Of the process itself, which leads the group.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// An error about this part, with the end of its log.
    pub(crate) fn failed(&self, happened: &str) -> StackError {
        StackError::Part {
            part: self.part,
            happened: happened.to_owned(),
            log: self.log.clone(),
            tail: tail(&self.log),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0))
    }

    /// SIGKILL to the process alone, as a crash would be; what it started runs on.
    pub(crate) fn crash(mut self) {
        self.stop_guard();
        let _ = kill(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        // The group is no longer this value's to end.
        self.end = End::Gently(Duration::ZERO);
        std::mem::forget(self);
    }

    fn stop_guard(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let End::Gently(patience) = self.end
            && self.is_running()
        {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let deadline = Instant::now() + patience;
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        self.stop_guard();
    }
}

/// Ends the group `$1` once its input ends: gently, and after ten seconds for good.
const GUARD: &str = r#"read -r _
kill -s TERM -- "-$1" || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    kill -s 0 -- "-$1" || exit 0
done
kill -s KILL -- "-$1""#;

/// A shell that ends the group when this process is gone and the pipe with it.
fn guard(group: u32) -> Option<Child> {
    Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(group.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()
}

fn open_log(path: &Path) -> Result<File, StackError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(StackError::file(parent))?;
    }
    let mut file = File::options().create(true).append(true).open(path).map_err(StackError::file(path))?;
    writeln!(file, "--- started").map_err(StackError::file(path))?;
    Ok(file)
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(path) {
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_alive(pid: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    fn wait_until(what: &str, check: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !check() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_whole_group_ends_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/x.log");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo oops >&2; echo $!; wait"]);
        let (process, line) =
            Process::spawn_and_hear("x", &mut command, &log, End::AtOnce, Duration::from_secs(10)).unwrap();
        let grandchild = line.trim().to_owned();
        assert!(is_alive(&grandchild));
        drop(process);
        wait_until("the grandchild ends", || !is_alive(&grandchild));
        assert!(std::fs::read_to_string(&log).unwrap().contains("oops"));
    }

    #[test]
    fn the_guard_ends_the_group_when_its_owner_is_gone() {
        let mut group = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let mut guard = guard(group.id()).unwrap();
        assert!(matches!(group.try_wait(), Ok(None)));
        drop(guard.stdin.take());
        assert!(!group.wait().unwrap().success());
        guard.wait().unwrap();
    }

    #[test]
    fn a_part_that_ends_at_once_is_an_error_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'no such thing' >&2; exit 3"]);
        let log = folder.path().join("x.log");
        let error =
            Process::spawn_and_hear("the part", &mut command, &log, End::AtOnce, Duration::from_secs(10))
                .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the part ended at its start") && text.contains("no such thing"), "{text}");
    }

    #[test]
    fn a_crash_leaves_what_the_process_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let log = folder.path().join("x.log");
        let (process, line) =
            Process::spawn_and_hear("x", &mut command, &log, End::AtOnce, Duration::from_secs(10)).unwrap();
        process.crash();
        let orphan: i32 = line.trim().parse().unwrap();
        assert!(is_alive(line.trim()));
        kill(Pid::from_raw(orphan), Signal::SIGKILL).unwrap();
    }
}
