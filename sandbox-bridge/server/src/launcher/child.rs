//! What becomes PID 1: waits for the witness's word, builds the sandbox around itself, and executes the command.

use super::spec::{Failed, LaunchReport, LaunchSpec, Purpose, Refusal, Step};
use super::{confine, identity, probe, root, seccomp, system};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, sethostname};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// What PID 1 says when it has joined its own groups: the kernel lets only one process join anything at a time, and the witness's
/// turn is the long one. To readers of JSON it is nothing.
pub(crate) const JOINED: u8 = b'\n';

/// Never returns: it ends as the command, or with a refusal in the status pipe.
pub(crate) fn run(
    spec: &LaunchSpec,
    groups: Vec<File>,
    control: Option<UnixListener>,
    mut status: File,
    log: OwnedFd,
    mut go: File,
) -> ! {
    let outcome =
        become_sandbox(spec, groups, log, &mut go, &mut status).and_then(|abi| match spec.purpose {
            Purpose::Boot | Purpose::Weak | Purpose::Limits => Err(execute(spec, control)),
            Purpose::Probe => probe::run(abi).map(|()| LaunchReport::Probed { landlock_abi: abi }),
        });
    let report = outcome.unwrap_or_else(|refusal| LaunchReport::Refused { refusal });
    let _ = status.write_all(&serde_json::to_vec(&report).unwrap_or_default());
    std::process::exit(1)
}

/// Everything up to the command; answers the version of Landlock that holds.
fn become_sandbox(
    spec: &LaunchSpec,
    groups: Vec<File>,
    log: OwnedFd,
    go: &mut File,
    status: &mut File,
) -> Result<i32, Refusal> {
    prctl::set_pdeathsig(Signal::SIGKILL).failed(Step::Spec, "die with the launcher")?;
    // The launcher may have died before that took effect; then the pipe is at its end.
    hear(go)?;
    let nothing = File::open("/dev/null").failed(Step::Spec, "open /dev/null")?;
    dup2_stdin(&nothing).failed(Step::Spec, "close standard input")?;
    dup2_stdout(&log).failed(Step::Spec, "redirect standard output")?;
    dup2_stderr(&log).failed(Step::Spec, "redirect standard error")?;
    for mut group in groups {
        group.write_all(b"0").failed(Step::Cgroup, "join a control group")?;
    }
    status.write_all(&[JOINED]).failed(Step::Spec, "tell the launcher")?;
    // When the machine runs out of memory, an agent goes before the bridge does.
    fs::write("/proc/self/oom_score_adj", "500")
        .failed(Step::Privileges, "be the first to go without memory")?;
    if spec.purpose == Purpose::Weak {
        hear(go)?;
        confine::limit(&spec.limits)?;
        return prctl::set_no_new_privs().failed(Step::Privileges, "refuse new privileges").map(|()| 0);
    }
    root::enter(spec)?;
    system::loopback_up().failed(Step::Network, "bring the loopback device up")?;
    sethostname("sandbox").failed(Step::Root, "set the host name")?;
    // The new namespace begins with the groups that this process is in.
    hear(go)?;
    unshare(CloneFlags::CLONE_NEWCGROUP).failed(Step::UserNamespace, "hide the host's control groups")?;
    confine::limit(&spec.limits)?;
    identity::give_up_privileges()?;
    let landlock_abi = confine::landlock(spec.landlock)?;
    seccomp::apply()
        .map_err(|error| Refusal::new(Step::Seccomp, format!("could not filter system calls: {error}")))?;
    Ok(landlock_abi)
}

/// Waits for the witness: first for the word that this process is written down, then for the one that it is in its groups.
fn hear(go: &mut File) -> Result<(), Refusal> {
    let mut word = [0u8; 1];
    go.read_exact(&mut word).failed(Step::Spec, "hear from the launcher")
}

/// Where PID 1 finds the number of its control socket.
const CONTROL_DESCRIPTOR: &str = "FARHAND_CONTROL_FD";

/// Executes the command; returns only when that failed.
fn execute(spec: &LaunchSpec, control: Option<UnixListener>) -> Refusal {
    let attempt = || -> Result<std::convert::Infallible, Refusal> {
        let unusable =
            |_| Refusal::new(Step::Command, "the command or environment contains a NUL byte".to_owned());
        let arguments: Vec<CString> = spec
            .command
            .iter()
            .map(|part| CString::new(part.as_str()).map_err(unusable))
            .collect::<Result<_, _>>()?;
        let mut variables = spec.environment.clone();
        if let Some(control) = &control {
            fcntl(control, FcntlArg::F_SETFD(FdFlag::empty())).failed(Step::Command, "hand a socket over")?;
            variables.insert(CONTROL_DESCRIPTOR.to_owned(), control.as_raw_fd().to_string());
        }
        let environment: Vec<CString> = variables
            .iter()
            .map(|(name, value)| CString::new(format!("{name}={value}")).map_err(unusable))
            .collect::<Result<_, _>>()?;
        let program = arguments
            .first()
            .ok_or_else(|| Refusal::new(Step::Command, "the command is empty".to_owned()))?;
        chdir(spec.working_directory.as_str()).failed(Step::Command, "go to the working directory")?;
        reset_signals().failed(Step::Command, "reset signals")?;
        execve(program, &arguments, &environment)
            .failed(Step::Command, &format!("execute {}", program.to_string_lossy()))
    };
    match attempt() {
        Ok(never) => match never {},
        Err(refusal) => refusal,
    }
}

/// Rust ignores SIGPIPE and a bridge may block more; a command expects neither.
fn reset_signals() -> nix::Result<()> {
    // SAFETY: installs no handler of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    // Giving up privileges may have cleared it.
    prctl::set_pdeathsig(Signal::SIGKILL)
}
