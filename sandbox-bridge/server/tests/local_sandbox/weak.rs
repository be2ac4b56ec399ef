//! The tier without isolation: announced as such, refused unless asked for, and still without leftovers.

use crate::support::{
    Desk, Place, config, from_snapshot, install, install_script, launcher, new_sandbox_id, new_snapshot_id,
    of, processes_with, request, secrets, until,
};
use protocol::timeline::Isolation;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider, preflight};
use sandbox_bridge::provider::{ProviderError, SandboxProvider};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn weak(config: LocalConfig) -> LocalConfig {
    LocalConfig { force_weak: true, weak_sandbox: true, ..config }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_processes_do_everything_but_isolate() {
    let place = Place::new();
    let desk = Desk::default();
    let provider = LocalProvider::start(weak(config(place.path())), desk.router()).unwrap();
    let capabilities = provider.capabilities();
    assert_eq!(capabilities.isolation, Isolation::Weak);
    assert!(
        capabilities.missing.iter().any(|why| why.contains("plain processes")),
        "{:?}",
        capabilities.missing
    );

    let id = new_sandbox_id();
    provider.create(&id, &of(&request()), &secrets()).await.unwrap();
    let seen = desk.ok(&id, "pwd; echo $FARHAND_WORKSPACE; echo file > file; echo memory > ~/memory").await;
    let (here, workspace) = seen.trim().split_once('\n').unwrap();
    assert_eq!(here, workspace);
    assert!(here.contains(id.as_str()));
    desk.ok(&id, "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & nohup sleep 1000 > /dev/null 2>&1 & true")
        .await;

    let snapshot = new_snapshot_id();
    let taken = provider.snapshot(&id, &snapshot).await.unwrap();
    assert!(taken.size_bytes >= 12);
    let marker = format!("FARHAND_SANDBOX_ID={id}");
    assert!(processes_with(&marker).len() >= 3);
    provider.terminate(&id).await.unwrap();
    until("every process is gone", || processes_with(&marker).is_empty()).await;
    assert!(!place.path().join("state/sandboxes").join(id.as_str()).exists());

    let restored = new_sandbox_id();
    provider.create(&restored, &of(&from_snapshot(&snapshot)), &secrets()).await.unwrap();
    assert_eq!(desk.ok(&restored, "cat file ~/memory; rm file").await, "file\nmemory\n");
    let second = new_snapshot_id();
    provider.snapshot(&restored, &second).await.unwrap();
    provider.terminate(&restored).await.unwrap();
    let third = new_sandbox_id();
    provider.create(&third, &of(&from_snapshot(&second)), &secrets()).await.unwrap();
    assert_eq!(desk.ok(&third, "ls; cat ~/memory").await, "memory\n");
    provider.terminate(&third).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_state_directory_lets_root_drop_to_the_account() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root has somebody to drop to");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let desk = Desk::default();
    let provider = LocalProvider::start(weak(config(place.path())), desk.router()).unwrap();
    if !provider.preflight().checks.iter().any(|check| check.name == "account without privileges" && check.ok)
    {
        println!("skipped: the account does not exist for this root");
        return;
    }
    let id = new_sandbox_id();
    provider.create(&id, &of(&request()), &secrets()).await.unwrap();
    assert_eq!(desk.ok(&id, "id -u; touch file; stat -c %u file").await, "61184\n61184\n");
    provider.terminate(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_namespaces_and_without_consent_nothing_is_created() {
    let place = Place::new();
    // A launcher in a place where user namespaces are used up.
    let script = place.path().join("no-namespaces");
    let text = format!(
        "#!/bin/sh\nread -r spec\necho '{{\"type\":\"refused\",\"refusal\":{{\"step\":\"user_namespace\",\"message\":\"could not make a user namespace: EPERM\"}}}}'\n# {}\n",
        launcher().display()
    );
    install_script(&text, &script);
    let refusing = LocalConfig { launcher: script.clone(), ..config(place.path()) };
    let provider = LocalProvider::start(refusing.clone(), Desk::default().router()).unwrap();
    assert!(!provider.preflight().namespaces);
    let refusal = provider.create(&new_sandbox_id(), &of(&request()), &secrets()).await.unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::Rejected(why) if why.contains("could not make a user namespace") && why.contains("--weak-sandbox")),
        "{refusal}"
    );
    assert!(provider.capabilities().missing.iter().any(|why| why.contains("--weak-sandbox")));
}

/// A launcher of a machine where everything works but Landlock.
fn without_landlock(place: &Place) -> PathBuf {
    let script = place.path().join("no-landlock");
    install_script("#!/bin/sh\nread -r spec\necho '{\"type\":\"probed\",\"landlock_abi\":0}'\n", &script);
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn without_landlock_nothing_is_created_unless_somebody_agreed() {
    let place = Place::new();
    let refusing = LocalConfig { launcher: without_landlock(&place), ..config(place.path()) };
    let provider = LocalProvider::start(refusing.clone(), Desk::default().router()).unwrap();
    let refusal = provider.create(&new_sandbox_id(), &of(&request()), &secrets()).await.unwrap_err();
    assert!(
        matches!(&refusal, ProviderError::Rejected(why) if why.contains("no Landlock") && why.contains("--weak-sandbox")),
        "{refusal}"
    );
    drop(provider);
    let place = Place::new();
    let agreed =
        LocalConfig { weak_sandbox: true, launcher: without_landlock(&place), ..config(place.path()) };
    let capabilities = LocalProvider::start(agreed, Desk::default().router()).unwrap().capabilities();
    assert_eq!(capabilities.isolation, Isolation::Weak);
    assert!(
        capabilities.missing.iter().any(|why| why.starts_with("Landlock: ")),
        "{:?}",
        capabilities.missing
    );
    assert!(
        !capabilities.missing.iter().any(|why| why.contains("plain processes:")),
        "{:?}",
        capabilities.missing
    );
}

/// What `doctor` says when it is started by this command, as an account without privileges.
fn doctor_under(mut command: Command, place: &Place) -> serde_json::Value {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (binary, state) = (place.path().join("sandbox-bridge"), place.path().join("doctor"));
    install(&launcher(), &binary);
    fs::create_dir(&state).unwrap();
    if nix::unistd::Uid::effective().is_root() {
        let account = crate::support::account();
        chown(&state, Some(account.uid), Some(account.gid)).unwrap();
        command.uid(account.uid).gid(account.gid);
    }
    let output = command.arg(&binary).arg(&state).current_dir("/").output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{text}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{text}"))
}

fn failed_check(report: &serde_json::Value, name: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(check["ok"], false, "{report:#}");
    format!("{} {}", check["detail"].as_str().unwrap(), check["remedy"].as_str().unwrap())
}

const DOCTOR: &str = "exec \"$0\" doctor --json --state \"$1\"";

#[test]
fn the_doctor_fails_where_user_namespaces_are_denied() {
    if !crate::support::can_isolate() {
        return;
    }
    let place = Place::new();
    // A user namespace in which there may be no others, as where the system forbids them.
    let mut command = Command::new("unshare");
    let denied = format!("echo 0 > /proc/sys/user/max_user_namespaces && {DOCTOR}");
    command.args(["--user", "--map-current-user", "--keep-caps", "/bin/sh", "-c", &denied]);
    let report = doctor_under(command, &place);
    assert_eq!((&report["isolation"], &report["namespaces"]), (&"none".into(), &false.into()));
    let why = failed_check(&report, "user namespace");
    assert!(
        why.contains("could not make a user namespace") && why.contains("user.max_user_namespaces"),
        "{why}"
    );
}

#[test]
fn the_doctor_fails_where_landlock_is_denied() {
    use seccompiler::{SeccompAction, SeccompFilter};
    use std::os::unix::process::CommandExt;
    if !crate::support::can_isolate() {
        return;
    }
    let place = Place::new();
    let calls = [(nix::libc::SYS_landlock_create_ruleset, Vec::new())].into_iter().collect();
    let missing = SeccompAction::Errno(nix::libc::ENOSYS.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, missing, arch).unwrap();
    let filter: seccompiler::BpfProgram = filter.try_into().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", DOCTOR]);
    // SAFETY: between fork and exec two system calls are made and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_no_new_privs()?;
            seccompiler::apply_filter(&filter).map_err(|_| std::io::ErrorKind::Other.into())
        });
    }
    let report = doctor_under(command, &place);
    assert_eq!((&report["isolation"], &report["namespaces"]), (&"no-landlock".into(), &false.into()));
    let why = failed_check(&report, "Landlock");
    assert!(why.contains("this kernel has no Landlock") && why.contains("--weak-sandbox"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_this_machine_can_be_read_by_machines() {
    let place = Place::new();
    let report = preflight(place.path(), &launcher(), crate::support::account()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{json}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    println!("{json:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_runner_is_named() {
    let place = Place::new();
    let config = LocalConfig { runner: PathBuf::from("/nowhere/runner"), ..config(place.path()) };
    let refusal = LocalProvider::start(config, Desk::default().router()).err().unwrap();
    let source = std::error::Error::source(&refusal).unwrap().to_string();
    assert!(source.contains("/nowhere/runner"), "{source}");
}
