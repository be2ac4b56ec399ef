//! What each outcome of a try-out comes to: fails closed, and says why.

use super::report::{LimitTrial, Preflight, Strength, report, step_checks};
use crate::launcher::{LaunchReport, Refusal, Step};
use std::io;

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
    let report = report(LaunchReport::Refused { refusal }, None, all_limits(), Ok(()));
    assert!(!report.namespaces);
    assert!(report.missing().iter().any(|line| line.starts_with("user namespace: could not make")));
}

fn all_limits() -> LimitTrial {
    LimitTrial { held: ["memory", "pids", "cpu"].map(str::to_owned).into(), trouble: None }
}

fn seen(landlock_abi: i32, limits: LimitTrial) -> Preflight {
    report(LaunchReport::Probed { landlock_abi }, None, limits, Ok(()))
}

#[test]
fn a_kernel_without_overlay_still_isolates_but_says_that_snapshots_are_copies() {
    let refusal = Refusal { step: Step::Overlay, message: "could not mount the overlay".to_owned() };
    let report = report(LaunchReport::Probed { landlock_abi: 3 }, Some(refusal), all_limits(), Ok(()));
    assert!(report.namespaces && !report.overlay);
    assert!(report.missing().iter().any(|line| line.starts_with("overlay") && line.contains("whole copies")));
}

#[test]
fn a_kernel_without_landlock_needs_consent() {
    let report = seen(0, all_limits());
    assert_eq!((report.isolation, report.namespaces), (Strength::NoLandlock, false));
    let missing = report.missing();
    assert_eq!(missing.len(), 1);
    assert!(
        missing[0].starts_with("Landlock: this kernel has no Landlock")
            && missing[0].contains("--weak-sandbox")
    );
}

#[test]
fn limits_count_when_they_were_seen_to_hold() {
    assert_eq!(seen(6, all_limits()).isolation, Strength::Full);
    let part = LimitTrial { held: vec!["pids".to_owned()], trouble: None };
    let report = seen(6, part);
    assert_eq!((report.isolation, report.namespaces), (Strength::NoGroupLimits, true));
    assert!(report.missing()[0].contains("only pids can be limited here"), "{:?}", report.missing());
    let report = seen(6, LimitTrial { held: Vec::new(), trouble: Some("EACCES".to_owned()) });
    assert!(report.missing()[0].contains("EACCES") && report.missing()[0].contains("Delegate=yes"));
}

#[test]
fn a_launcher_that_does_something_else_is_no_isolation() {
    let report = report(LaunchReport::Limited { held: Vec::new() }, None, all_limits(), Ok(()));
    assert_eq!((report.isolation, report.namespaces), (Strength::None, false));
}

#[test]
fn the_report_reads_like_this() {
    let refusal =
        Refusal { step: Step::Privileges, message: "could not refuse new privileges: EINVAL".to_owned() };
    let limits =
        LimitTrial { held: Vec::new(), trouble: Some("no control groups can be made here".to_owned()) };
    let report =
        report(LaunchReport::Refused { refusal }, None, limits, Err(io::Error::other("not supported")));
    expect_test::expect![[r#"
        isolation none: sandboxes are refused unless the bridge gets --weak-sandbox, and then are plain processes
        ok      account without privileges: works
        ok      user namespace: works
        ok      control groups: works
        ok      overlay with user.* marks: works
        ok      process namespace with /proc: works
        ok      private root: works
        ok      network namespace: works
        missing dropped privileges: could not refuse new privileges: EINVAL
                Use Linux 5.12 or newer.
        missing limits of a whole sandbox: no control groups can be made here
                Memory is limited for each process alone, processor time not at all; run the bridge as a systemd service with Delegate=yes, or start it by systemd-run --user --scope -p Delegate=yes.
        without copies that share blocks: not on the file system of the state directory: not supported
                Snapshots copy what was changed; on xfs or btrfs that takes no time and no room.
    "#]].assert_eq(&report.render());
}
