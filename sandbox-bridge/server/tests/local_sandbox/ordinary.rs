//! What depends on who the bridge is, again as an ordinary account without any privilege, where the tests were started by root.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

const ACCOUNT: u32 = 61999;
const AGAIN: &str = "TEST_AS_ORDINARY_ACCOUNT";
/// Another account means: other ways into the namespaces, and so the jail with every row of the probe; no control groups, and so
/// other limits and another way to stand still; no `chown` and no privileged marks in layers; processes and folders that are the
/// bridge's own, when it adopts and ends sandboxes.
const TESTS: [&str; 10] = [
    "jail::",
    "limits::",
    "lifecycle::",
    "snapshots::",
    "adopt::",
    "dying::",
    "weak::",
    "egress::",
    "runner::",
    "exec::nobody_inside_sees_or_reaches_the_control_socket",
];
/// Of those, what takes long and is the same for everybody: counting and joining layers, the watch over the disk beyond the first
/// case, paces, limits that each process carries. Where a hundred kills are survived, the account is no matter either.
const NOT: [&str; 8] = [
    "lifecycle::a_snapshot_costs_what_was_changed",
    "lifecycle::a_long_chain_of_snapshots_is_joined_and_still_right",
    "snapshots::a_sandbox_that_swaps_links_saves_nothing_of_the_host",
    "limits::a_flood_of_log_lines_waits_in_its_pipe",
    "limits::too_many_files_end_the_sandbox_that_made_them",
    "limits::files_without_a_name_take_room_too",
    "limits::leaked_descriptors_end_at_their_limit",
    "jail::a_flood_of_output_stays_small",
];

#[test]
fn what_depends_on_the_account_holds_for_an_ordinary_one() {
    if !nix::unistd::Uid::effective().is_root() || std::env::var_os(AGAIN).is_some() {
        println!("skipped: these tests run as an ordinary account already");
        return;
    }
    // The build directory may be closed to others, so the binaries are taken along.
    let place = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path(), open).unwrap();
    let (tests, launcher) = (place.path().join("tests"), place.path().join("sandbox-bridge"));
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    fs::copy(crate::support::launcher(), &launcher).unwrap();
    let mut tools = Vec::new();
    for (variable, path) in [
        ("TEST_RUNNER", crate::runner::runner()),
        ("TEST_OPENCODE", crate::runner::opencode()),
        ("TEST_JAIL_PROBE", crate::jail::probe()),
    ] {
        if let Some(path) = path {
            let copy = place.path().join(variable);
            fs::hard_link(&path, &copy).or_else(|_| fs::copy(&path, &copy).map(drop)).unwrap();
            tools.push((variable, copy));
        }
    }
    let temporary = place.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    std::os::unix::fs::chown(&temporary, Some(ACCOUNT), Some(ACCOUNT)).unwrap();
    let output = Command::new(&tests)
        .args(["--nocapture", "--test-threads=2"])
        .args(TESTS)
        .args(NOT.iter().flat_map(|name| ["--skip", name]))
        .env(AGAIN, "1")
        .env("TEST_LAUNCHER", &launcher)
        .envs(tools)
        .env("TMPDIR", &temporary)
        .env("HOME", &temporary)
        .current_dir("/")
        .uid(ACCOUNT)
        .gid(ACCOUNT)
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success(), "as uid {ACCOUNT}:\n{text}");
    for name in ["jail::the_probe_finds_no_way_out", "dying::", "limits::a_fork_bomb"] {
        assert!(text.contains(&format!("test {name}")), "{name} is not among the tests");
    }
}
