//! The bridge dies and comes back: what runs goes on, what died meanwhile is reported, what was half made is gone.

use crate::support::{
    Bench, Desk, PATIENCE, Place, can_isolate, config, from_snapshot, new_sandbox_id, new_snapshot_id, of,
    processes_with, request, secrets, until,
};
use protocol::id::SandboxId;
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PLACE: &str = "TEST_BRIDGE_PLACE";
const SANDBOXES: &str = "TEST_BRIDGE_SANDBOXES";
const WEAK: &str = "TEST_BRIDGE_WEAK";

/// A bridge in a process of its own, which can be killed. Lives until then.
fn start_bridge(place: &Path, ids: &[&SandboxId], weak: bool) -> Child {
    let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "adopt::as_a_bridge_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .env(SANDBOXES, names.join(","))
        .env(WEAK, if weak { "1" } else { "" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let ready =
        BufReader::new(output).lines().map_while(Result::ok).any(|line| line.contains("bridge is ready"));
    assert!(ready, "the bridge process did not come up");
    child
}

fn bridge_config(place: &Path, weak: bool) -> LocalConfig {
    LocalConfig { force_weak: weak, weak_sandbox: weak, ..config(place) }
}

/// Not a test of its own: the body of [`start_bridge`]'s process.
#[tokio::test(flavor = "multi_thread")]
async fn as_a_bridge_that_is_killed() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let weak = std::env::var(WEAK).is_ok_and(|value| !value.is_empty());
    let desk = Desk::default();
    let provider = LocalProvider::start(bridge_config(Path::new(&place), weak), desk.router()).unwrap();
    for name in std::env::var(SANDBOXES).unwrap().split(',') {
        let id = SandboxId::parse(name).unwrap();
        provider.create(&id, &of(&request()), &secrets()).await.unwrap();
        desk.ok(&id, "echo before > state; echo $$ > /dev/null").await;
    }
    println!("bridge is ready");
    // Until the pipe from the parent closes, at the latest when the parent is gone.
    let mut end = String::new();
    std::io::stdin().read_line(&mut end).unwrap();
}

fn kill(mut bridge: Child) {
    bridge.kill().unwrap();
    bridge.wait().unwrap();
}

/// PID 1 of a sandbox, by the host's number.
fn first_process(place: &Path, id: &SandboxId) -> i32 {
    let file = place.join("state/sandboxes").join(id.as_str()).join("witness/process.json");
    let process: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    i32::try_from(process["pid"].as_i64().unwrap()).unwrap()
}

async fn survives(weak: bool) {
    let place = Place::new();
    let id = new_sandbox_id();
    kill(start_bridge(place.path(), &[&id], weak));
    let marker = format!("FARHAND_SANDBOX_ID={id}");
    let first = first_process(place.path(), &id);
    assert!(processes_with(&marker).contains(&first));

    let desk = Desk::default();
    let provider = LocalProvider::start(bridge_config(place.path(), weak), desk.router()).unwrap();
    assert_eq!(provider.list(), [provider.create(&id, &of(&request()), &secrets()).await.unwrap()]);
    assert_eq!(desk.ok(&id, "cat state; echo after > state").await, "before\n");
    assert!(processes_with(&marker).contains(&first));

    let snapshot = new_snapshot_id();
    provider.snapshot(&id, &snapshot).await.unwrap();
    let restored = new_sandbox_id();
    provider.create(&restored, &of(&from_snapshot(&snapshot)), &secrets()).await.unwrap();
    assert_eq!(desk.ok(&restored, "cat state").await, "after\n");
    for gone in [&id, &restored] {
        provider.terminate(gone).await.unwrap();
    }
    assert_eq!(processes_with(&marker), Vec::<i32>::new());
    assert_eq!(fs::read_dir(place.path().join("state/sandboxes")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_outlives_a_killed_bridge_and_is_adopted() {
    if can_isolate() {
        survives(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_sandbox_outlives_it_too() {
    survives(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_during_the_absence_is_reported_once() {
    if !can_isolate() {
        return;
    }
    let place = Place::new();
    let (killed, kept) = (new_sandbox_id(), new_sandbox_id());
    kill(start_bridge(place.path(), &[&killed, &kept], false));
    let witness = place.path().join("state/sandboxes").join(killed.as_str()).join("witness");
    let first = nix::unistd::Pid::from_raw(first_process(place.path(), &killed));
    nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the witness has written", || witness.join("exit.json").exists()).await;

    let desk = Desk::default();
    let provider = LocalProvider::start(config(place.path()), desk.router()).unwrap();
    let mut exits = provider.exits().unwrap();
    let exit = tokio::time::timeout(PATIENCE, exits.recv()).await.unwrap().unwrap();
    assert_eq!(
        (exit.record.sandbox_id, exit.reason.as_str()),
        (killed.clone(), "the sandbox was killed by SIGKILL")
    );
    assert_eq!(provider.list().len(), 1);
    assert!(provider.create(&killed, &of(&request()), &secrets()).await.is_err());
    provider.terminate(&kept).await.unwrap();
    assert!(exits.try_recv().is_err());
}

/// As a process of the sandboxes' account, which has the numbers that a sandbox had before the machine was restarted.
fn innocent() -> Child {
    use std::os::unix::process::CommandExt;
    let account = crate::support::account();
    Command::new("sleep").arg("1000").uid(account.uid).gid(account.gid).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_machine_all_are_reported_and_no_stranger_is_touched() {
    if !can_isolate() {
        return;
    }
    let place = Place::new();
    let ids = [new_sandbox_id(), new_sandbox_id()];
    kill(start_bridge(place.path(), &[&ids[0], &ids[1]], false));
    let mut stranger = innocent();
    let pid = i32::try_from(stranger.id()).unwrap();
    for id in &ids {
        let first = nix::unistd::Pid::from_raw(first_process(place.path(), id));
        nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL).unwrap();
        let witness = place.path().join("state/sandboxes").join(id.as_str()).join("witness");
        until("the witness has written", || witness.join("exit.json").exists()).await;
        // A machine that goes down takes the witness along before it writes.
        fs::remove_file(witness.join("exit.json")).unwrap();
        let file = witness.join("process.json");
        let mut process: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        process["boot_id"] = "another-life".into();
        for (number, time) in [("pid", "start_time"), ("witness_pid", "witness_start_time")] {
            process[number] = pid.into();
            process[time] = sandbox_bridge::launcher::start_time(pid).unwrap().into();
        }
        fs::write(file, process.to_string()).unwrap();
    }

    let provider = LocalProvider::start(config(place.path()), Desk::default().router()).unwrap();
    assert_eq!(provider.list(), []);
    let mut exits = provider.exits().unwrap();
    let mut told = Vec::new();
    for _ in &ids {
        let exit = tokio::time::timeout(PATIENCE, exits.recv()).await.unwrap().unwrap();
        assert_eq!(exit.reason, "the machine was restarted");
        told.push(exit.record.sandbox_id);
    }
    told.sort();
    assert_eq!(told, ids);
    assert_eq!(fs::read_dir(place.path().join("state/sandboxes")).unwrap().count(), 0);
    assert!(provider.create(&ids[0], &of(&request()), &secrets()).await.is_err(), "its id is used up");
    assert!(stranger.try_wait().unwrap().is_none(), "a process that has nothing to do with it was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_made_things_of_a_dead_bridge_are_swept() {
    let Some(bench) = Bench::start() else { return };
    let Bench { provider, place, .. } = bench;
    drop(provider);
    let state = place.path().join("state");
    until("the lock is free", || {
        fs::File::open(state.join("lock")).is_ok_and(|file| {
            nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).is_ok()
        })
    })
    .await;
    fs::create_dir_all(state.join("layers/.tmp-snp_cut/fs/workspace")).unwrap();
    fs::create_dir_all(state.join("sandboxes/sbx_cut/upper")).unwrap();
    fs::create_dir_all(state.join("trash/1-1/work/work")).unwrap();
    fs::create_dir_all(state.join("preflight-cut")).unwrap();
    let started = LocalProvider::start(config(place.path()), Desk::default().router()).unwrap();
    assert!(started.list().is_empty());
    until("everything is swept", || {
        ["layers/.tmp-snp_cut", "sandboxes/sbx_cut", "trash/1-1", "preflight-cut"]
            .iter()
            .all(|path| !state.join(path).exists())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bridges_cannot_share_a_state_directory() {
    let Some(bench) = Bench::start() else { return };
    let refusal = LocalProvider::start(config(bench.place.path()), Desk::default().router()).err().unwrap();
    let source = std::error::Error::source(&refusal).unwrap().to_string();
    assert!(source.contains("is in use by another sandbox-bridge"), "{source}");
    bench.finish().await;
}
