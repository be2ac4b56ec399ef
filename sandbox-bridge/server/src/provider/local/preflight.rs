//! Finds out by trying what this machine can isolate: builds a whole sandbox in a throw-away child and asks it to misbehave.
//!
//! The report goes to `doctor`, to the bridge's capabilities, and into the refusal of `create` where there is nothing to offer.

use super::boot::{self, Boot};
use super::cgroup::{Cgroups, PROCESSES_MAX};
use super::layout::{BASE_LAYER, HOME, Layout, WORKSPACE};
use super::meta::SnapshotDriver;
use crate::launcher::{Account, LaunchReport, LaunchSpec, Purpose, Refusal, RunLimits, Step};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What this machine can isolate.
#[derive(Clone, Debug, Serialize)]
pub struct Preflight {
    /// One for each thing that was tried, in the order of trying.
    pub checks: Vec<Check>,
    /// Version of Landlock that held in the try-out, 0 for none.
    pub landlock_abi: i32,
    /// Whether a sandbox with namespaces of its own can be had.
    pub namespaces: bool,
    /// Whether it can stand on the layers of its snapshots; otherwise they are copied.
    pub overlay: bool,
    /// Limits that the kernel holds a whole sandbox to: `cpu`, `memory`, `pids`.
    pub group_limits: Vec<String>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What, for humans.
    pub name: String,
    /// Whether it worked.
    pub ok: bool,
    /// What happened, for humans.
    pub detail: String,
    /// What to do about it; empty when it worked.
    pub remedy: String,
}

impl Preflight {
    /// Whether the account of sandboxes could be had at all.
    pub(super) fn has_account(&self) -> bool {
        self.checks.iter().any(|check| check.name == ACCOUNT && check.ok)
    }

    /// Why isolation is weaker than it could be, one sentence each.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| !check.ok);
        failed.map(|check| format!("{}: {}. {}", check.name, check.detail, check.remedy)).collect()
    }
}

const ACCOUNT: &str = "account without privileges";
const OVERLAY: &str = "overlay with user.* marks";
/// Steps in the order in which the launcher takes them, with what they give.
const STEPS: &[(Step, &str)] = &[
    (Step::Account, ACCOUNT),
    (Step::UserNamespace, "user namespace"),
    (Step::Cgroup, "control groups"),
    (Step::Overlay, OVERLAY),
    (Step::Proc, "process namespace with /proc"),
    (Step::Root, "private root"),
    (Step::Network, "network namespace"),
    (Step::Privileges, "dropped privileges"),
    (Step::Landlock, "Landlock"),
    (Step::Seccomp, "system call filter"),
];

/// Tries everything in a directory of its own below `state`, and removes it.
pub fn preflight(state: &Path, launcher: &Path, account: Account) -> io::Result<Preflight> {
    fs::create_dir_all(state)?;
    let place = tempfile::Builder::new().prefix("preflight-").tempdir_in(state)?;
    let layout = Layout::open(&place.path().join("state"), account)?;
    let outcome = try_both(&layout, launcher);
    let cgroups = Cgroups::open(place.path());
    super::remove::remove_contents(place.path())?;
    let (outcome, without_overlay) = outcome?;
    Ok(report(outcome, without_overlay, &cgroups))
}

/// Where it is only the overlay that cannot be had, the rest is tried without, and the reason is answered beside.
fn try_both(layout: &Layout, launcher: &Path) -> io::Result<(LaunchReport, Option<Refusal>)> {
    match try_out(layout, launcher, SnapshotDriver::Overlay)? {
        LaunchReport::Refused { refusal } if refusal.step == Step::Overlay => {
            Ok((try_out(layout, launcher, SnapshotDriver::Copy)?, Some(refusal)))
        }
        outcome @ (LaunchReport::Refused { .. }
        | LaunchReport::Started { .. }
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
        directory: format!("sandboxes/{id}"),
        account: layout.account(),
        lowers,
        binds: Vec::new(),
        command: Vec::new(),
        environment: BTreeMap::new(),
        working_directory: "/workspace".to_owned(),
        limits: RunLimits { processes: Some(PROCESSES_MAX), ..RunLimits::default() },
        cgroups: Vec::new(),
        log_bytes_max: 0,
        purpose: Purpose::Probe,
    };
    let Boot { report, .. } = boot::launch(layout.root(), launcher, &spec)?;
    Ok(report)
}

fn report(outcome: LaunchReport, without_overlay: Option<Refusal>, cgroups: &Cgroups) -> Preflight {
    let (landlock_abi, refusal) = match outcome {
        LaunchReport::Probed { landlock_abi } => (landlock_abi, None),
        LaunchReport::Started { .. } => (0, None),
        LaunchReport::Refused { refusal } => (0, Some(refusal)),
    };
    let group_limits: Vec<String> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|name| cgroups.limits(name))
        .map(str::to_owned)
        .collect();
    let mut checks = step_checks(refusal.as_ref());
    if refusal.is_none() && landlock_abi == 0 {
        mark_failed(&mut checks, "Landlock", "this kernel has no Landlock", LANDLOCK_REMEDY);
    }
    if let Some(refusal) = &without_overlay {
        let remedy =
            format!("Snapshots are whole copies here, which takes seconds. {}", remedy(Step::Overlay));
        mark_failed(&mut checks, OVERLAY, &refusal.message, &remedy);
    }
    checks.push(group_check(&group_limits));
    let overlay = refusal.is_none() && without_overlay.is_none();
    Preflight { checks, landlock_abi, namespaces: refusal.is_none(), overlay, group_limits }
}

const LANDLOCK_REMEDY: &str = "Sandboxes are isolated by their namespaces alone; for the second wall use Linux 5.13 or newer with landlock in the lsm= boot option.";

/// Everything before the refusal worked; nothing after it was tried.
fn step_checks(refusal: Option<&Refusal>) -> Vec<Check> {
    let mut checks = Vec::new();
    for (step, name) in STEPS {
        match refusal {
            Some(refusal) if refusal.step == *step => {
                checks.push(failed(name, refusal));
                return checks;
            }
            Some(_) | None => checks.push(Check {
                name: (*name).to_owned(),
                ok: true,
                detail: "works".to_owned(),
                remedy: String::new(),
            }),
        }
    }
    // A step that has no line of its own: the launcher as a whole.
    if let Some(refusal) = refusal {
        checks = vec![failed("launcher", refusal)];
    }
    checks
}

fn failed(name: &str, refusal: &Refusal) -> Check {
    Check { name: name.to_owned(), ok: false, detail: refusal.message.clone(), remedy: remedy(refusal.step) }
}

fn mark_failed(checks: &mut [Check], name: &str, detail: &str, remedy: &str) {
    for check in checks.iter_mut().filter(|check| check.name == name) {
        check.ok = false;
        check.detail = detail.to_owned();
        check.remedy = remedy.to_owned();
    }
}

fn group_check(limits: &[String]) -> Check {
    let ok = limits.iter().any(|name| name == "memory") && limits.iter().any(|name| name == "cpu");
    Check {
        name: "limits of a whole sandbox".to_owned(),
        ok,
        detail: match (ok, limits.is_empty()) {
            (true, _) => "works".to_owned(),
            (false, true) => "no control groups can be made here".to_owned(),
            (false, false) => format!("only {} can be limited here", limits.join(" and ")),
        },
        remedy: if ok {
            String::new()
        } else {
            "Memory is limited for each process alone and processor time not at all; run the bridge as a systemd service with Delegate=yes.".to_owned()
        },
    }
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// What to do about a step that the kernel refused.
fn remedy(step: Step) -> String {
    let container = "In a container give it --security-opt seccomp=unconfined --security-opt systempaths=unconfined, or run the bridge on the host";
    match step {
        Step::UserNamespace => user_namespace_remedy(container),
        Step::Overlay => format!("Overlays inside a user namespace need Linux 5.11 and a state directory on a file system that keeps user.* attributes, such as ext4, xfs or btrfs. {container}."),
        Step::Proc => format!("Part of /proc is hidden here. {container}."),
        Step::Root | Step::Network => format!("{container}."),
        Step::Account => "The account of sandboxes must be mapped here; start the bridge as an ordinary user instead of root.".to_owned(),
        Step::Spec | Step::Command => "See the bridge's log.".to_owned(),
        Step::Cgroup => "Start the bridge where it may write to the control groups that it can make.".to_owned(),
        Step::Privileges | Step::Landlock | Step::Seccomp => "Use Linux 5.12 or newer.".to_owned(),
    }
}

fn user_namespace_remedy(container: &str) -> String {
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return "AppArmor forbids user namespaces: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,` for sandbox-bridge.".to_owned();
    }
    if setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return "Allow them: sudo sysctl -w kernel.unprivileged_userns_clone=1.".to_owned();
    }
    if setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "Allow them: sudo sysctl -w user.max_user_namespaces=10000.".to_owned();
    }
    format!("{container}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_reached_is_not_called_working() {
        let refusal = Refusal { step: Step::Overlay, message: "could not mount the overlay".to_owned() };
        let checks = step_checks(Some(&refusal));
        let seen: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.ok)).collect();
        assert_eq!(
            seen,
            [
                ("account without privileges", true),
                ("user namespace", true),
                ("control groups", true),
                ("overlay with user.* marks", false)
            ]
        );
        assert!(checks.last().unwrap().remedy.contains("Linux 5.11"));
    }

    #[test]
    fn a_refused_machine_has_no_namespaces_and_says_why() {
        let refusal =
            Refusal { step: Step::UserNamespace, message: "could not make a user namespace".to_owned() };
        let report = report(LaunchReport::Refused { refusal }, None, &Cgroups::default());
        assert!(!report.namespaces);
        assert!(report.missing().iter().any(|line| line.starts_with("user namespace: could not make")));
    }

    #[test]
    fn a_kernel_without_overlay_still_isolates_but_says_that_snapshots_are_copies() {
        let refusal = Refusal { step: Step::Overlay, message: "could not mount the overlay".to_owned() };
        let report = report(LaunchReport::Probed { landlock_abi: 3 }, Some(refusal), &Cgroups::default());
        assert!(report.namespaces && !report.overlay);
        assert!(
            report.missing().iter().any(|line| line.starts_with("overlay") && line.contains("whole copies"))
        );
    }

    #[test]
    fn a_kernel_without_landlock_still_isolates_but_says_so() {
        let report = report(LaunchReport::Probed { landlock_abi: 0 }, None, &Cgroups::default());
        assert!(report.namespaces);
        assert!(
            report.missing().iter().any(|line| line.starts_with("Landlock: this kernel has no Landlock"))
        );
    }
}
