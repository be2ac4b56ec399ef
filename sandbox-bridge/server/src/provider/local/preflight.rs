//! Finds out by trying what this machine can isolate: builds a whole sandbox in a throw-away child and asks it to misbehave.
//!
//! Nothing is believed of the kernel that was not seen: a forbidden system call must be refused, a directory of a snapshot must be
//! removable, a control group must stop what is too much. The report goes to `doctor`, to the bridge's capabilities, and into the
//! refusal of `create` where there is nothing to offer.

mod report;
#[cfg(test)]
mod tests;

pub use report::{Check, Preflight, Strength};

use super::boot::{self, Boot};
use super::cgroup::{Cgroups, GroupLimits, PROCESSES_MAX};
use super::layout::{BASE_LAYER, HOME, Layout, WORKSPACE};
use super::meta::SnapshotDriver;
use crate::launcher::{
    Account, Landlock, LaunchReport, LaunchSpec, Purpose, Refusal, RunLimits, Step, TRIAL_MEMORY_BYTES,
    TRIAL_PERIOD_US, TRIAL_PROCESSES, TRIAL_QUOTA_US, share_blocks,
};
use protocol::bridge::SandboxLimits;
use report::{LimitTrial, report};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Tries everything in a directory of its own below `state`, and removes it.
pub fn preflight(state: &Path, launcher: &Path, account: Account) -> io::Result<Preflight> {
    fs::create_dir_all(state)?;
    let place = tempfile::Builder::new().prefix("preflight-").tempdir_in(state)?;
    let layout = Layout::open(&place.path().join("state"), account)?;
    // They wait for the kernel rather than compute, and have nothing in common but the directory.
    let (outcome, limits) = std::thread::scope(|scope| {
        let limits = scope.spawn(|| try_limits(&layout, launcher));
        let outcome = try_both(&layout, launcher);
        (outcome, limits.join().unwrap_or_else(|_| LimitTrial::failed("trying them went wrong")))
    });
    let reflink = try_reflink(place.path());
    super::remove::remove_contents(place.path())?;
    let (outcome, without_overlay) = outcome?;
    Ok(report(outcome, without_overlay, limits, reflink))
}

/// Where it is only the overlay that cannot be had, the rest is tried without, and the reason is answered beside.
fn try_both(layout: &Layout, launcher: &Path) -> io::Result<(LaunchReport, Option<Refusal>)> {
    match try_out(layout, launcher, SnapshotDriver::Overlay)? {
        LaunchReport::Refused { refusal } if refusal.step == Step::Overlay => {
            Ok((try_out(layout, launcher, SnapshotDriver::Copy)?, Some(refusal)))
        }
        outcome @ (LaunchReport::Refused { .. }
        | LaunchReport::Started { .. }
        | LaunchReport::Limited { .. }
        | LaunchReport::Probed { .. }) => Ok((outcome, None)),
    }
}

fn try_out(layout: &Layout, launcher: &Path, driver: SnapshotDriver) -> io::Result<LaunchReport> {
    let id = protocol::id::SandboxId::parse("sbx_preflight").map_err(io::Error::other)?;
    let sandbox = layout.make_sandbox(&id)?;
    let layer = layout.layer(BASE_LAYER).join("fs");
    let (fs, lowers) = match driver {
        SnapshotDriver::Overlay => (layer, vec![format!("layers/{BASE_LAYER}/fs")]),
        SnapshotDriver::Copy => (sandbox.join("upper"), Vec::new()),
    };
    let (workspace, probe) = (fs.join(WORKSPACE), fs.join(WORKSPACE).join("probe"));
    for directory in [workspace, probe.clone(), probe.join("below"), fs.join(HOME)] {
        layout.make_owned(&directory, 0o755)?;
    }
    fs::write(probe.join("file"), "x")?;
    layout.give(&probe.join("file"))?;
    let spec = LaunchSpec {
        lowers,
        limits: RunLimits { processes: Some(PROCESSES_MAX), ..RunLimits::default() },
        ..spec(layout, &format!("sandboxes/{id}"), Purpose::Probe)
    };
    let Boot { report, .. } = boot::launch(layout.root(), launcher, &spec)?;
    Ok(report)
}

fn spec(layout: &Layout, directory: &str, purpose: Purpose) -> LaunchSpec {
    LaunchSpec {
        directory: directory.to_owned(),
        account: layout.account(),
        lowers: Vec::new(),
        binds: Vec::new(),
        command: Vec::new(),
        environment: BTreeMap::new(),
        working_directory: "/workspace".to_owned(),
        limits: RunLimits::default(),
        cgroups: Vec::new(),
        control: None,
        guard: None,
        thaw: Vec::new(),
        shared_memory_bytes: 1 << 20,
        log_bytes_max: 0,
        purpose,
        landlock: Landlock::IfThere,
    }
}

fn try_limits(layout: &Layout, launcher: &Path) -> LimitTrial {
    let cgroups = Cgroups::open(layout.root());
    if !["cpu", "memory", "pids"].into_iter().any(|name| cgroups.limits(name)) {
        return LimitTrial::failed("no control groups can be made here");
    }
    // Whoever has little processor time is slow with everything else, so that is a group of its own.
    let small = GroupLimits {
        memory_bytes: TRIAL_MEMORY_BYTES,
        processes: TRIAL_PROCESSES,
        ..GroupLimits::of(&SandboxLimits::default())
    };
    let slow = GroupLimits {
        quota_us: TRIAL_QUOTA_US,
        period_us: TRIAL_PERIOD_US,
        ..GroupLimits::of(&SandboxLimits::default())
    };
    let in_group = |id, limits, tried: &[&str]| {
        let outcome = try_group(&cgroups, layout, launcher, (id, limits), tried);
        cgroups.remove_group(&cgroups.find_group(id));
        outcome
    };
    let (sizes, time) = std::thread::scope(|scope| {
        let time = scope.spawn(|| in_group("sbx_preflight_time", slow, &["cpu"]));
        let sizes = in_group("sbx_preflight", small, &["memory", "pids"]);
        (sizes, time.join().unwrap_or_else(|_| Err(io::Error::other("trying it went wrong"))))
    });
    match (sizes, time) {
        (Ok(mut held), Ok(time)) => {
            held.extend(time);
            held.retain(|name| cgroups.limits(name));
            LimitTrial { held, trouble: None }
        }
        (Err(error), _) | (_, Err(error)) => LimitTrial::failed(&error.to_string()),
    }
}

/// Answers which of the limits held in a group that has little of them.
fn try_group(
    cgroups: &Cgroups,
    layout: &Layout,
    launcher: &Path,
    (id, limits): (&str, GroupLimits),
    tried: &[&str],
) -> io::Result<Vec<String>> {
    let group = cgroups.make_group(id, limits)?;
    let spec = LaunchSpec {
        cgroups: group.join_files(),
        command: tried.iter().map(|name| (*name).to_owned()).collect(),
        ..spec(layout, "sandboxes", Purpose::Limits)
    };
    match boot::launch(layout.root(), launcher, &spec)?.report {
        LaunchReport::Limited { mut held } => {
            if tried.contains(&"cpu") && group.was_throttled() {
                held.push("cpu".to_owned());
            }
            Ok(held)
        }
        LaunchReport::Refused { refusal } => Err(io::Error::other(refusal.message)),
        LaunchReport::Started { .. } | LaunchReport::Probed { .. } => {
            Err(io::Error::other("the launcher did something else"))
        }
    }
}

/// Whether files can be copied without copying their blocks.
fn try_reflink(place: &Path) -> io::Result<()> {
    let (from, to) = (place.join("reflink"), place.join("reflink-copy"));
    fs::write(&from, [1u8; 4096])?;
    share_blocks(&fs::File::open(&from)?, &fs::File::create(&to)?)
}
