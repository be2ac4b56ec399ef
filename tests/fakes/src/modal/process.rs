//! Processes of fake sandboxes: started with pipes or a terminal, waited for, and ended with everything that they started.

use super::network;
use super::output::Output;
use super::view::{self, Terminal};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Marks every process of a sandbox, also those that left its process groups.
const MARK: &str = "MODAL_SANDBOX_ID";
/// End of transmission: what ends the input at a terminal.
const END_OF_INPUT: u8 = 4;

/// What a process is started with.
pub(super) struct Order<'a> {
    pub(super) sandbox_id: &'a str,
    pub(super) root: &'a Path,
    pub(super) machine_folders: &'a [PathBuf],
    pub(super) arguments: &'a [String],
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) workdir: &'a str,
    pub(super) terminal: Option<Winsize>,
    /// Ports of this machine that it reaches from a network of its own; without any it has the machine's.
    pub(super) ports: &'a [u16],
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
}

/// Our end of a process's standard input. Dropping it ends the input of a pipe.
#[derive(Debug)]
pub(super) struct ProcessInput {
    end: AsyncFd<OwnedFd>,
    is_terminal: bool,
}

/// A process that runs, or ran.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) stdout: Arc<Output>,
    pub(super) stderr: Arc<Output>,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    group: Pid,
}

impl Process {
    /// Starts it; its outputs keep the newest `kept_bytes`. Must be called on a runtime.
    pub(super) fn start(order: &Order<'_>, kept_bytes: usize) -> io::Result<(Self, ProcessInput)> {
        let (arguments, program) = match order.arguments.split_first() {
            Some((program, arguments)) => (arguments, program),
            None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command was given")),
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(order.environment).env(MARK, order.sandbox_id);
        let master = match &order.terminal {
            Some(size) => Some(attach_terminal(&mut command, size)?),
            None => {
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
        };
        let is_terminal = master.is_some();
        let terminal = if is_terminal { Terminal::Controlling } else { Terminal::None };
        let (inside, outside) = match order.ports {
            [] => (None, None),
            ports => network::pair(ports).map(|(inside, outside)| (Some(inside), Some(outside)))?,
        };
        view::enter(&mut command, order.root, order.workdir, order.machine_folders, terminal, inside)?;
        let mut child = command.kill_on_drop(true).spawn()?;
        // The terminal's other ends are closed with it, so that the end of the last process is the end of the output.
        drop(command);
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map_or(Pid::from_raw(0), Pid::from_raw);
        let (input, [stdout, stderr]) = match master {
            Some(master) => (master.try_clone()?, [Some(master), None]),
            None => pipes(&mut child)?,
        };
        let (over, ended) = watch::channel(false);
        let process = Self {
            stdout: collect(stdout, &ended, kept_bytes)?,
            stderr: collect(stderr, &ended, kept_bytes)?,
            exit: watch_over(child, over),
            group,
        };
        if let Some(outside) = outside {
            outside.serve(&process.exit)?;
        }
        Ok((process, ProcessInput { end: asynchronous(input)?, is_terminal }))
    }

    /// Waits for the end of the first process.
    pub(super) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| *exit).unwrap_or(Exit::Signal(libc::SIGKILL))
    }

    /// Kills it and what stayed in its group.
    pub(super) fn kill(&self) {
        // Zero would be our own group.
        if self.group.as_raw() > 0 && self.exit.borrow().is_none() {
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

impl ProcessInput {
    /// Writes some of it; how much is told.
    pub(super) async fn write(&self, data: &[u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.end.writable().await?;
            if let Ok(written) = ready.try_io(|end| Ok(nix::unistd::write(end.get_ref(), data)?)) {
                return written;
            }
        }
    }

    /// Tells the process that nothing follows.
    pub(super) async fn finish(self) {
        if self.is_terminal {
            // A process that has ended has no use for it.
            let _ = self.write(&[END_OF_INPUT]).await;
        }
    }
}

fn collect(
    source: Option<OwnedFd>,
    ended: &watch::Receiver<bool>,
    kept_bytes: usize,
) -> io::Result<Arc<Output>> {
    let output = Arc::new(Output::new(kept_bytes));
    match source {
        Some(source) => {
            let (source, ended, filled) = (asynchronous(source)?, ended.clone(), Arc::clone(&output));
            tokio::spawn(async move { filled.fill(source, ended).await });
        }
        None => output.close(),
    }
    Ok(output)
}

fn watch_over(mut child: Child, over: watch::Sender<bool>) -> watch::Receiver<Option<Exit>> {
    let (exited, exit) = watch::channel(None);
    tokio::spawn(async move {
        let status = child.wait().await.ok();
        let code = status.and_then(|status| status.code()).map(Exit::Code);
        let signal = status.and_then(|status| status.signal()).map(Exit::Signal);
        over.send_replace(true);
        exited.send_replace(code.or(signal).or(Some(Exit::Signal(libc::SIGKILL))));
    });
    exit
}

type Pipes = (OwnedFd, [Option<OwnedFd>; 2]);

fn pipes(child: &mut Child) -> io::Result<Pipes> {
    let missing = || io::Error::other("the process has no pipe");
    let input = child.stdin.take().ok_or_else(missing)?.into_owned_fd()?;
    let stdout = child.stdout.take().ok_or_else(missing)?.into_owned_fd()?;
    let stderr = child.stderr.take().ok_or_else(missing)?.into_owned_fd()?;
    Ok((input, [Some(stdout), Some(stderr)]))
}

fn attach_terminal(command: &mut Command, size: &Winsize) -> io::Result<OwnedFd> {
    let OpenptyResult { master, slave } = openpty(Some(size), None)?;
    for end in [&master, &slave] {
        fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    Ok(master)
}

fn asynchronous(end: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = OFlag::from_bits_retain(fcntl(&end, FcntlArg::F_GETFL)?);
    fcntl(&end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    // SAFETY: an `OwnedFd` is one and the same descriptor until it is dropped, which only the `AsyncFd` does, after its own end.
    Ok(unsafe { AsyncFd::register(end) }?)
}

/// Kills all processes of a sandbox, wherever they went. Those of other users cannot be seen and are not ours.
pub(super) fn sweep(sandbox_id: &str) {
    let mark = format!("{MARK}={sandbox_id}\0").into_bytes();
    // What forks while it is looked for is found by looking again.
    for _ in 0..20 {
        let found: Vec<Pid> = marked(&mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        }
    }
}

fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let has_mark = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|window| window == mark)
    };
    pids.filter(has_mark).map(Pid::from_raw).collect()
}
