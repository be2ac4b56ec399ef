//! A bridge that is killed in the middle of a snapshot leaves a sandbox that works on, without another bridge.

use crate::support::{
    Desk, PATIENCE, Place, can_isolate, config, of, processes_with, request, secrets, until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::id::{SandboxId, SnapshotId};
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PLACE: &str = "TEST_DYING_PLACE";
const TIER: &str = "TEST_DYING_TIER";
/// Something to copy, so that a snapshot takes its time, and a sign of life.
const WORK: &str = "mkdir -p $FARHAND_WORKSPACE/many; cd $FARHAND_WORKSPACE; for i in $(seq 4000); do echo $i > many/$i; done; \
                    while true; do echo >> tick; sleep 0.01; done";

fn settings(place: &Path, is_weak: bool) -> LocalConfig {
    let mut config = config(place);
    config.runner = crate::runner::runner().unwrap();
    let command = ["/opt/farhand/bin/runner", "init", "--", "/bin/sh", "-c", WORK];
    config.command = command.map(str::to_owned).to_vec();
    config.weak_command = Some(["/bin/sh", "-c", WORK].map(str::to_owned).to_vec());
    (config.force_weak, config.weak_sandbox) = (is_weak, is_weak);
    config
}

fn tick(place: &Path, id: &SandboxId) -> PathBuf {
    place.join("state/sandboxes").join(id.as_str()).join("upper/workspace/tick")
}

/// Not a test of its own: the process that is killed. Saves one sandbox again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_bridge_that_saves() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let is_weak = std::env::var(TIER).unwrap() == "weak";
    let provider = LocalProvider::start(settings(&place, is_weak), Desk::default().router()).unwrap();
    let id = SandboxId::parse(&format!("sbx_t{}dying", std::process::id())).unwrap();
    provider.create(&id, &of(&request()), &secrets()).await.unwrap();
    until("the work is on", || tick(&place, &id).exists()).await;
    println!("~ {id}");
    for number in 1.. {
        let snapshot = SnapshotId::parse(&format!("snp_t{}n{number}", std::process::id())).unwrap();
        provider.snapshot(&id, &snapshot).await.unwrap();
        provider.delete_snapshot(&snapshot, &request().session_id).await.unwrap();
    }
}

/// The process that saves; it takes its sandbox along only with its place.
struct Bridge(Child);

impl Bridge {
    fn start(place: &Path, tier: &str) -> (Self, SandboxId) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "dying::as_a_bridge_that_saves", "--nocapture", "--test-threads=1"])
            .env(PLACE, place)
            .env(TIER, tier)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let bridge = Self(child);
        let said = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("~ ")?.1.to_owned()));
        (bridge, SandboxId::parse(&said.unwrap_or_else(|| panic!("the process ended"))).unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the group of this process is frozen, or, where no group freezes, whether all others of its sandbox are stopped.
fn stands_still(pid: i32, id: &SandboxId) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let read = |place: &str, path: &str, file: &str| {
        let folder = Path::new("/sys/fs/cgroup").join(place).join(path.trim_start_matches('/'));
        fs::read_to_string(folder.join(file)).unwrap_or_default()
    };
    let frozen = groups.lines().any(|line| {
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        if !path.ends_with(id.as_str()) {
            return false;
        }
        read("freezer", path, "freezer.state").starts_with("FROZEN")
            || ["", "unified"].iter().any(|place| read(place, path, "cgroup.events").contains("frozen 1"))
    });
    let is_stopped = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    };
    let others: Vec<i32> = processes_with(&format!("FARHAND_SANDBOX_ID={id}"));
    frozen || others.iter().filter(|other| **other != pid).any(is_stopped)
}

async fn goes_on_after_its_bridge(tier: &str) {
    if !can_isolate() || crate::runner::runner().is_none() {
        return;
    }
    let place = Place::new();
    let (bridge, id) = Bridge::start(place.path(), tier);
    let witness = place.path().join("state/sandboxes").join(id.as_str()).join("witness/process.json");
    let process: serde_json::Value = serde_json::from_slice(&fs::read(witness).unwrap()).unwrap();
    let pid = i32::try_from(process["pid"].as_i64().unwrap()).unwrap();
    // A stopped bridge lets nothing go on, so what is still then was caught in the middle.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no snapshot was caught in the middle");
        if stands_still(pid, &id) {
            bridge.signal(Signal::SIGSTOP);
            if stands_still(pid, &id) {
                break;
            }
            bridge.signal(Signal::SIGCONT);
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let length = || fs::metadata(tick(place.path(), &id)).map_or(0, |data| data.len());
    let before = length();
    drop(bridge);
    until("the sandbox goes on", || length() > before + 3).await;
    assert!(!stands_still(pid, &id));
    let provider =
        LocalProvider::start(settings(place.path(), tier == "weak"), Desk::default().router()).unwrap();
    assert_eq!(provider.list().len(), 1);
    provider.terminate(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_goes_on_after_a_bridge_that_was_killed_while_it_saved() {
    goes_on_after_its_bridge("namespaces").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_processes_go_on_after_a_bridge_that_was_killed_while_it_saved() {
    goes_on_after_its_bridge("weak").await;
}
