//! All of it again as an ordinary account without any privilege, where the tests were started by root.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

const ACCOUNT: u32 = 61999;
const AGAIN: &str = "TEST_AS_ORDINARY_ACCOUNT";

#[test]
fn everything_holds_for_an_ordinary_account() {
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
}
