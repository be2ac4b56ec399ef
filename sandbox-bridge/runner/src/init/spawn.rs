//! Starts a command of the bridge: its own session and process group, pipes or a terminal, the sandbox's environment without what
//! is the runner's own. Called by `exec.rs`.

use super::control::Refusal;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, setsid};
use protocol::supervisor::{ExecCommand, ExecSignal, FrameKind, RefusalReason, TerminalSize};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use tokio::net::unix::pipe;

/// Says whose a process is; no secret.
const SANDBOX_ID: &str = "FARHAND_SANDBOX_ID";
/// Where commands begin.
const WORKSPACE: &str = "FARHAND_WORKSPACE";

nix::ioctl_write_ptr_bad!(set_window_size, nix::libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(set_controlling_terminal, nix::libc::TIOCSCTTY);

/// A command that runs.
pub(super) struct Started {
    /// It leads a process group of this number.
    pub(super) pid: Pid,
    pub(super) input: Option<pipe::Sender>,
    /// What is read from it, each with the kind of its frames.
    pub(super) outputs: Vec<(FrameKind, pipe::Receiver)>,
    /// Its terminal, where it has one.
    pub(super) terminal: Option<OwnedFd>,
}

/// Starts it, or says why it cannot be.
pub(super) fn start(order: &ExecCommand) -> Result<Started, Refusal> {
    let Some((program, arguments)) = order.arguments.split_first() else {
        return Err(Refusal(RefusalReason::Rejected, "there is no command".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    // What is the runner's own is for the runner only, as the one that clones what an image is built of.
    let is_runner =
        matches!(order.arguments.as_slice(), [first, second, ..] if first == "runner" && second == "build");
    for (name, _) in std::env::vars_os().filter(|_| !is_runner) {
        if name.to_string_lossy().starts_with("FARHAND_") && name != SANDBOX_ID {
            command.env_remove(name);
        }
    }
    command.envs(&order.variables);
    let folder = order.folder.clone().or_else(|| std::env::var(WORKSPACE).ok());
    if let Some(folder) = &folder {
        command.current_dir(folder);
    }
    let started = match order.terminal {
        Some(size) => with_terminal(command, size, order.input),
        None => with_pipes(command, order.input),
    };
    started.map_err(|error| {
        let folder = folder.unwrap_or_else(|| "the current folder".to_owned());
        let is_callers = matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::ArgumentListTooLong
                | io::ErrorKind::ExecutableFileBusy
        );
        // Otherwise out of processes, memory or descriptors.
        let reason = if is_callers { RefusalReason::Rejected } else { RefusalReason::Busy };
        Refusal(reason, format!("could not run {program} in {folder}: {error}"))
    })
}

fn with_pipes(mut command: Command, input: bool) -> io::Result<Started> {
    command.stdin(if input { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: `setsid` is one system call and allocates nothing, so it may run between fork and exec.
    unsafe {
        command.pre_exec(|| setsid().map(drop).map_err(io::Error::from));
    }
    let mut child = command.spawn()?;
    let mut outputs = Vec::new();
    if let Some(output) = child.stdout.take() {
        outputs.push((FrameKind::Output, pipe::Receiver::from_owned_fd(output.into())?));
    }
    if let Some(output) = child.stderr.take() {
        outputs.push((FrameKind::ErrorOutput, pipe::Receiver::from_owned_fd(output.into())?));
    }
    let input = child.stdin.take().map(|input| pipe::Sender::from_owned_fd(input.into())).transpose()?;
    Ok(Started { pid: pid_of(&child), input, outputs, terminal: None })
}

fn with_terminal(mut command: Command, size: TerminalSize, input: bool) -> io::Result<Started> {
    let pty = openpty(Some(&window(size)), None)?;
    for end in [&pty.master, &pty.slave] {
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave);
    if std::env::var_os("TERM").is_none() {
        command.env("TERM", "xterm-256color");
    }
    // SAFETY: both are one system call each and allocate nothing; descriptor 0 is the terminal at this point.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            set_controlling_terminal(0, 0)?;
            Ok(())
        });
    }
    let child = command.spawn()?;
    // The command keeps our copies of the terminal's other end; with them open its end would never be seen.
    drop(command);
    // Every copy has the same status flags, so one call is enough for reading and writing.
    let flags = nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&pty.master, nix::fcntl::FcntlArg::F_SETFL(flags))?;
    let output = pipe::Receiver::from_owned_fd_unchecked(pty.master.try_clone()?)?;
    let sender = input.then(|| pipe::Sender::from_owned_fd_unchecked(pty.master.try_clone()?)).transpose()?;
    Ok(Started {
        pid: pid_of(&child),
        input: sender,
        outputs: vec![(FrameKind::Output, output)],
        terminal: Some(pty.master),
    })
}

fn pid_of(child: &std::process::Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn window(size: TerminalSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Gives the terminal another size; whoever runs in it gets SIGWINCH from the kernel.
pub(super) fn resize(terminal: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    // SAFETY: a live descriptor and a whole structure that outlives the call.
    unsafe { set_window_size(terminal.as_fd().as_raw_fd(), &window(size)) }?;
    Ok(())
}

pub(super) fn signal(signal: ExecSignal) -> Signal {
    match signal {
        ExecSignal::Hangup => Signal::SIGHUP,
        ExecSignal::Interrupt => Signal::SIGINT,
        ExecSignal::Quit => Signal::SIGQUIT,
        ExecSignal::Kill => Signal::SIGKILL,
        ExecSignal::User1 => Signal::SIGUSR1,
        ExecSignal::User2 => Signal::SIGUSR2,
        ExecSignal::Terminate => Signal::SIGTERM,
        ExecSignal::Continue => Signal::SIGCONT,
        ExecSignal::Stop => Signal::SIGSTOP,
    }
}
