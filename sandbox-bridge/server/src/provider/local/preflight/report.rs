//! What the try-outs of the preflight come to: a verdict, a line for each thing that was tried, and what to do about those that failed.
//!
//! Decides and words, tries nothing itself but reading a setting for a better remedy. Fails closed: what was not seen does not count.

use crate::launcher::{LaunchReport, Refusal, Step};
use serde::Serialize;
use std::fs;
use std::io;

/// How well sandboxes are kept apart on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Namespaces, Landlock, system call filter, and limits of whole sandboxes.
    Full,
    /// The same, but memory and processor time are limited for each process alone, or not at all.
    NoGroupLimits,
    /// Namespaces and filter without Landlock: only with consent.
    NoLandlock,
    /// Plain processes, and only with consent.
    None,
}

/// What this machine can isolate.
#[derive(Clone, Debug, Serialize)]
pub struct Preflight {
    /// All of it in one word.
    pub isolation: Strength,
    /// One for each thing that was tried, in the order of trying.
    pub checks: Vec<Check>,
    /// Version of Landlock that held in the try-out, 0 for none.
    pub landlock_abi: i32,
    /// Whether sandboxes are isolated here as they should be, without anybody's consent to less.
    pub namespaces: bool,
    /// Whether a sandbox can stand on the layers of its snapshots; otherwise they are copied.
    pub overlay: bool,
    /// Limits that the kernel was seen to hold a whole sandbox to: `cpu`, `memory`, `pids`.
    pub group_limits: Vec<String>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What, for humans.
    pub name: String,
    /// Whether it worked.
    pub ok: bool,
    /// Whether sandboxes are as well isolated without it.
    pub optional: bool,
    /// What happened, for humans.
    pub detail: String,
    /// What to do about it; empty when it worked.
    pub remedy: String,
}

impl Check {
    fn works(name: &str) -> Self {
        let detail = "works".to_owned();
        Self { name: name.to_owned(), ok: true, optional: false, detail, remedy: String::new() }
    }

    fn fails(name: &str, detail: String, remedy: String) -> Self {
        Self { name: name.to_owned(), ok: false, optional: false, detail, remedy }
    }
}

impl Preflight {
    /// Whether the account of sandboxes could be had at all.
    pub(in super::super) fn has_account(&self) -> bool {
        self.checks.iter().any(|check| check.name == ACCOUNT && check.ok)
    }

    /// Whether this limit of a whole sandbox was seen to hold.
    pub(in super::super) fn limits(&self, name: &str) -> bool {
        self.group_limits.iter().any(|own| own == name)
    }

    /// Why isolation is weaker than it could be, one sentence each.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| !check.ok && !check.optional);
        failed.map(|check| format!("{}: {}. {}", check.name, check.detail, check.remedy)).collect()
    }

    /// For people: the verdict, then every check with what to do about it.
    #[must_use]
    pub fn render(&self) -> String {
        let verdict = match self.isolation {
            Strength::Full => "full: sandboxes are isolated and limited",
            Strength::NoGroupLimits => {
                "no group limits: sandboxes are isolated, and limited process by process only"
            }
            Strength::NoLandlock => {
                "no Landlock: sandboxes are refused unless the bridge gets --weak-sandbox"
            }
            Strength::None => {
                "none: sandboxes are refused unless the bridge gets --weak-sandbox, and then are plain processes"
            }
        };
        let mut text = format!("isolation {verdict}\n");
        for check in &self.checks {
            let mark = match (check.ok, check.optional) {
                (true, _) => "ok     ",
                (false, true) => "without",
                (false, false) => "missing",
            };
            text.push_str(&format!("{mark} {}: {}\n", check.name, check.detail));
            if !check.remedy.is_empty() {
                text.push_str(&format!("        {}\n", check.remedy));
            }
        }
        text
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
/// Which limits of a group were seen to hold, and why not more.
#[derive(Debug, Default)]
pub(super) struct LimitTrial {
    pub(super) held: Vec<String>,
    pub(super) trouble: Option<String>,
}
impl LimitTrial {
    /// None was seen to hold.
    pub(super) fn failed(trouble: &str) -> Self {
        Self { held: Vec::new(), trouble: Some(trouble.to_owned()) }
    }
}

/// Judges what was seen.
pub(super) fn report(
    outcome: LaunchReport,
    without_overlay: Option<Refusal>,
    limits: LimitTrial,
    reflink: io::Result<()>,
) -> Preflight {
    let (landlock_abi, refusal) = match outcome {
        LaunchReport::Probed { landlock_abi } => (landlock_abi, None),
        LaunchReport::Started { .. } | LaunchReport::Limited { .. } => {
            (0, Some(Refusal { step: Step::Spec, message: "the launcher did something else".to_owned() }))
        }
        LaunchReport::Refused { refusal } => (0, Some(refusal)),
    };
    let mut checks = step_checks(refusal.as_ref());
    if refusal.is_none() {
        note_landlock(&mut checks, landlock_abi);
    }
    if let Some(refusal) = &without_overlay {
        note_copies(&mut checks, refusal);
    }
    let groups = group_check(&limits);
    let isolation = match (&refusal, landlock_abi, groups.ok) {
        (Some(_), ..) => Strength::None,
        (None, 0, _) => Strength::NoLandlock,
        (None, _, true) => Strength::Full,
        (None, _, false) => Strength::NoGroupLimits,
    };
    checks.push(groups);
    checks.push(reflink_check(reflink));
    let namespaces = matches!(isolation, Strength::Full | Strength::NoGroupLimits);
    let overlay = refusal.is_none() && without_overlay.is_none();
    Preflight { isolation, checks, landlock_abi, namespaces, overlay, group_limits: limits.held }
}

const LANDLOCK_REMEDY: &str = "Use Linux 5.13 or newer with landlock in the lsm= boot option. Or accept sandboxes that are held by their namespaces alone, with --weak-sandbox.";

/// Everything before the refusal worked; nothing after it was tried.
pub(super) fn step_checks(refusal: Option<&Refusal>) -> Vec<Check> {
    let mut checks = Vec::new();
    for (step, name) in STEPS {
        match refusal {
            Some(refusal) if refusal.step == *step => {
                checks.push(failed(name, refusal));
                return checks;
            }
            Some(_) | None => checks.push(Check::works(name)),
        }
    }
    // A step that has no line of its own: the launcher as a whole.
    if let Some(refusal) = refusal {
        checks = vec![failed("launcher", refusal)];
    }
    checks
}

fn failed(name: &str, refusal: &Refusal) -> Check {
    Check::fails(name, refusal.message.clone(), remedy(refusal.step))
}

fn note_landlock(checks: &mut [Check], abi: i32) {
    for check in checks.iter_mut().filter(|check| check.name == "Landlock") {
        if abi == 0 {
            *check = Check::fails(
                "Landlock",
                "this kernel has no Landlock".to_owned(),
                LANDLOCK_REMEDY.to_owned(),
            );
        } else {
            check.detail = format!("works, version {abi}");
        }
    }
}

fn note_copies(checks: &mut [Check], refusal: &Refusal) {
    let remedy = format!("Snapshots are whole copies here, which takes seconds. {}", remedy(Step::Overlay));
    for check in checks.iter_mut().filter(|check| check.name == OVERLAY) {
        *check = Check::fails(OVERLAY, refusal.message.clone(), remedy.clone());
    }
}

fn group_check(limits: &LimitTrial) -> Check {
    let name = "limits of a whole sandbox";
    let held = |name: &str| limits.held.iter().any(|own| own == name);
    if held("memory") && held("cpu") {
        return Check {
            detail: format!("{} were seen to hold", limits.held.join(", ")),
            ..Check::works(name)
        };
    }
    let detail = match &limits.trouble {
        Some(trouble) => trouble.clone(),
        None if limits.held.is_empty() => "control groups can be made here but limit nothing".to_owned(),
        None => format!("only {} can be limited here", limits.held.join(" and ")),
    };
    let remedy = format!(
        "Memory is limited {}, processor time {}; run the bridge as a systemd service with Delegate=yes, or start it by systemd-run --user --scope -p Delegate=yes.",
        if held("memory") { "as a whole" } else { "for each process alone" },
        if held("cpu") { "as a whole" } else { "not at all" },
    );
    Check::fails(name, detail, remedy)
}

fn reflink_check(reflink: io::Result<()>) -> Check {
    let name = "copies that share blocks";
    let check = match reflink {
        Ok(()) => Check::works(name),
        Err(error) => Check::fails(
            name,
            format!("not on the file system of the state directory: {error}"),
            "Snapshots copy what was changed; on xfs or btrfs that takes no time and no room.".to_owned(),
        ),
    };
    Check { optional: true, ..check }
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
