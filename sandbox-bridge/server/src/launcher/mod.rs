//! The launcher: turns itself from a plain process into a sandbox. Runs as `sandbox-bridge __launch`, single-threaded.
//!
//! The spec comes on standard input, the answer goes to standard output as one line of JSON; the working directory is the
//! provider's state directory and everything of the sandbox is addressed relative to it, because its parents may be closed to
//! the sandbox's account. The first process stays as [`witness`], its child becomes PID 1. Never started from a threaded process
//! by fork alone, and never left running as uid 0. Called by `main.rs` before any thread exists, and by the local provider's tests.

mod child;
mod confine;
mod identity;
mod probe;
mod root;
mod seccomp;
mod spec;
mod system;
mod thaw;
mod trial;
mod witness;

pub use identity::landlock_abi;
pub use spec::{
    Account, Bind, BindAccess, Landlock, LaunchReport, LaunchSpec, ProcessIdentity, Purpose, Refusal,
    RunLimits, Step,
};
pub use system::{Pidfd, boot_id, pid_namespace, share_blocks, start_time};
pub use thaw::GOES_ON;
pub use trial::{TRIAL_MEMORY_BYTES, TRIAL_PERIOD_US, TRIAL_PROCESSES, TRIAL_QUOTA_US};
pub use witness::ExitRecord;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, fork, pipe2, setsid};
use spec::Failed;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use thaw::Thaw;

/// Reads the spec, becomes the sandbox, and ends with its process.
pub fn main() -> ! {
    let code = match launch() {
        Ok(code) => code,
        Err(refusal) => {
            report(&LaunchReport::Refused { refusal });
            1
        }
    };
    std::process::exit(code)
}

/// One line on standard output; a reader that has gone away is no reason to stop.
fn report(report: &LaunchReport) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

fn launch() -> Result<i32, Refusal> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).failed(Step::Spec, "read the spec")?;
    let spec: LaunchSpec = serde_json::from_slice(&text)
        .map_err(|error| Refusal::new(Step::Spec, format!("the spec is not understood: {error}")))?;
    // A session of its own: signals for the bridge's terminal or process group do not reach the sandbox.
    setsid().failed(Step::Spec, "start a session")?;
    // Modes inside are the launcher's, not the ones of whoever started the bridge.
    umask(Mode::from_bits_truncate(0o022));
    system::close_from(3).failed(Step::Spec, "close inherited files")?;

    // Joining is checked against whoever opened the file, so it is opened while this may still be root.
    let groups = spec
        .cgroups
        .iter()
        .map(|path| OpenOptions::new().write(true).open(path).failed(Step::Cgroup, &format!("open {path}")))
        .collect::<Result<Vec<File>, Refusal>>()?;
    let control = spec.control.as_deref().map(control_socket).transpose()?;
    let bridges = spec.guard.as_deref().map(control_socket).transpose()?;
    let thaw = Thaw::new(bridges, &spec.thaw)?;
    if spec.purpose == Purpose::Weak {
        identity::stay_or_drop_to(&spec.account)?;
    } else {
        identity::drop_to(&spec.account)?;
        if spec.purpose == Purpose::Limits {
            report(&trial::run(groups, &spec.command)?);
            return Ok(0);
        }
        identity::enter_namespaces(&spec.account)?;
    }

    let (own_groups, groups) = by_joiner(&spec.cgroups, groups);
    let (status_in, status_out) = pipe2(OFlag::O_CLOEXEC).failed(Step::Spec, "make a pipe")?;
    let (log_in, log_out) = pipe2(OFlag::O_CLOEXEC).failed(Step::Spec, "make a pipe")?;
    let (go_in, go_out) = pipe2(OFlag::O_CLOEXEC).failed(Step::Spec, "make a pipe")?;
    // SAFETY: this process has one thread, so the child may run any code.
    match unsafe { fork() }.failed(Step::Spec, "fork")? {
        ForkResult::Child => {
            drop((status_in, log_in, go_out, groups, thaw));
            child::run(&spec, own_groups, control, status_out.into(), log_out, go_in.into())
        }
        ForkResult::Parent { child } => {
            drop((status_out, log_out, go_in, own_groups, control));
            witness::run(&spec, child, groups, status_in.into(), (log_in.into(), thaw), go_out.into())
        }
    }
}

/// The groups that PID 1 joins itself, by its one thread, and those that the witness puts it into while it builds the sandbox: the
/// kernel makes whoever moves a whole process wait until no process is being made anywhere.
fn by_joiner(paths: &[String], groups: Vec<File>) -> (Vec<File>, Vec<File>) {
    let (own, others): (Vec<_>, Vec<_>) =
        paths.iter().zip(groups).partition(|(path, _)| path.ends_with("/tasks"));
    let files = |pairs: Vec<(&String, File)>| pairs.into_iter().map(|(_, file)| file).collect();
    (files(own), files(others))
}

/// Listens where nobody but the bridge can connect: the directory is closed to others, and no sandbox sees it.
fn control_socket(path: &str) -> Result<UnixListener, Refusal> {
    let listener = UnixListener::bind(path).failed(Step::Spec, "make the control socket")?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .failed(Step::Spec, "close the control socket to others")?;
    Ok(listener)
}
