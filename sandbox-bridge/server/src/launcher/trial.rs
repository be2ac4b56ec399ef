//! Joins control groups with small limits and uses more than they allow: whether a limit holds is seen, not assumed.
//!
//! Runs as a plain process of the sandboxes' account, and ends with its report. Ordered by the preflight.

use super::spec::{Failed, LaunchReport, Refusal, Step};
use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pause};
use std::fs::{self, File};
use std::io::Write;

/// The limits that the trial expects.
pub const TRIAL_MEMORY_BYTES: u64 = 16 << 20;
/// See [`TRIAL_MEMORY_BYTES`].
pub const TRIAL_PROCESSES: u64 = 8;
/// Processor time per period: so little that it is used up also on a machine that is busy with something else.
pub const TRIAL_QUOTA_US: u64 = 4_000;
/// See [`TRIAL_QUOTA_US`].
pub const TRIAL_PERIOD_US: u64 = 20_000;

/// More than the limit by so much that no rounding explains it.
const TOO_MUCH: u64 = 2;
/// Enough to use up a period's time. Whether that mattered is counted in the group's `cpu.stat`.
const BURNED_MS: i64 = 15;

/// Answers which of `memory` and `pids` held, as far as they are to be tried. Whether `cpu` did is counted in its group.
pub(crate) fn run(groups: Vec<File>, tried: &[String]) -> Result<LaunchReport, Refusal> {
    let is_tried = |name: &str| tried.iter().any(|own| own == name);
    for mut group in groups {
        group.write_all(b"0").failed(Step::Cgroup, "join a control group")?;
    }
    let mut held = Vec::new();
    if is_tried("memory") && memory_is_limited()? {
        held.push("memory".to_owned());
    }
    if is_tried("pids") && processes_are_limited() {
        held.push("pids".to_owned());
    }
    if is_tried("cpu") {
        burn();
    }
    Ok(LaunchReport::Limited { held })
}

/// Whether a child that takes too much is killed.
fn memory_is_limited() -> Result<bool, Refusal> {
    // SAFETY: this process has one thread, so the child may run any code.
    match unsafe { fork() }.failed(Step::Cgroup, "fork")? {
        ForkResult::Child => {
            let _ = fs::write("/proc/self/oom_score_adj", "1000");
            let bytes = usize::try_from(TRIAL_MEMORY_BYTES * TOO_MUCH).unwrap_or(usize::MAX);
            std::hint::black_box(vec![1u8; bytes]);
            std::process::exit(0)
        }
        ForkResult::Parent { child } => {
            let ended = waitpid(child, None).failed(Step::Cgroup, "wait for a child")?;
            Ok(matches!(ended, WaitStatus::Signaled(_, Signal::SIGKILL, _)))
        }
    }
}

/// Whether there is an end to starting processes.
fn processes_are_limited() -> bool {
    let mut children: Vec<Pid> = Vec::new();
    let mut refused = false;
    while !refused && (children.len() as u64) < TRIAL_PROCESSES * TOO_MUCH {
        // SAFETY: as above.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                pause();
                std::process::exit(0)
            }
            Ok(ForkResult::Parent { child }) => children.push(child),
            Err(error) => refused = error == Errno::EAGAIN,
        }
    }
    for child in children {
        let _ = kill(child, Signal::SIGKILL);
        let _ = waitpid(child, None);
    }
    refused
}

fn burn() {
    let used =
        || getrusage(UsageWho::RUSAGE_SELF).map_or(i64::MAX, |usage| usage.user_time().num_milliseconds());
    let enough = used().saturating_add(BURNED_MS);
    while used() < enough {
        std::hint::spin_loop();
    }
}
