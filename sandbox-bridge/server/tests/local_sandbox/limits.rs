//! Bombs: each uses up one resource inside, bounded by itself. A neighbour must go on answering, the bridge must live, and nothing may
//! be left. How much slower the neighbour gets is printed, see it with `--nocapture`; no test fails on a clock.

use crate::jail::{PROBE, start_with_probe};
use crate::support::{Answer, Bench, PATIENCE, request, until};
use protocol::bridge::{CreateSandboxRequest, SandboxLimits};
use protocol::id::SandboxId;
use protocol::runner::SandboxMemory;
use sandbox_bridge::provider::local::LocalConfig;
use sandbox_bridge::provider::{SandboxExit, SandboxProvider};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

/// Round trips to the neighbour before the bomb.
const QUIET_ROUNDS: usize = 60;

struct Scene {
    bench: Bench,
    bomb: SandboxId,
    neighbour: SandboxId,
    exits: Receiver<SandboxExit>,
    quiet: Vec<Duration>,
}

fn limited(change: impl FnOnce(&mut SandboxLimits)) -> CreateSandboxRequest {
    let mut request = request();
    change(&mut request.limits);
    request
}

impl Scene {
    async fn prepare(change: impl FnOnce(&mut SandboxLimits)) -> Option<Self> {
        Some(Self::of(start_with_probe(|_| {})?, change).await)
    }

    async fn of(bench: Bench, change: impl FnOnce(&mut SandboxLimits)) -> Self {
        let exits = bench.provider.exits().unwrap();
        let bomb = bench.create(&limited(change)).await;
        let neighbour = bench.create(&request()).await;
        let mut scene = Self { bench, bomb, neighbour, exits, quiet: Vec::new() };
        for _ in 0..QUIET_ROUNDS {
            let time = scene.round_trip().await;
            scene.quiet.push(time);
        }
        scene
    }

    /// Whether the kernel was seen to hold a sandbox as a whole to this limit.
    fn holds(&self, limit: &str) -> bool {
        self.bench.provider.capabilities().limits.iter().any(|own| own == limit)
    }

    async fn round_trip(&self) -> Duration {
        let began = Instant::now();
        self.bench.desk.ok(&self.neighbour, "true").await;
        began.elapsed()
    }

    /// Sets the bomb off and asks the neighbour all the time; answers what the bomb said, unless its sandbox ended.
    async fn explode(&mut self, name: &str, script: &str) -> Result<Answer, String> {
        let desk = self.bench.desk.clone();
        let (bomb, script) = (self.bomb.clone(), script.to_owned());
        let mut running = tokio::spawn(async move { desk.run(&bomb, &script).await });
        let mut loud = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            assert!(Instant::now() < deadline, "the bomb {name} neither ended nor was ended");
            loud.push(self.round_trip().await);
            if let Ok(exit) = self.exits.try_recv() {
                assert_eq!(exit.record.sandbox_id, self.bomb);
                running.abort();
                break Err(exit.reason);
            }
            if running.is_finished() {
                break Ok((&mut running).await.unwrap());
            }
        };
        report(name, &self.quiet, &loud);
        ended
    }

    /// The neighbour answers, new sandboxes can be had, and the end of the bomb leaves nothing.
    async fn finish(self, name: &str) {
        let began = Instant::now();
        self.bench.provider.terminate(&self.bomb).await.unwrap();
        println!("{name}: cleaned up after {:?}", began.elapsed());
        assert!(!self.bench.state().join("sandboxes").join(self.bomb.as_str()).exists());
        self.round_trip().await;
        let fresh = self.bench.create(&request()).await;
        self.bench.desk.ok(&fresh, "true").await;
        self.bench.finish().await;
    }
}

fn report(name: &str, quiet: &[Duration], loud: &[Duration]) {
    let at = |times: &[Duration], share: usize| {
        let mut sorted = times.to_vec();
        sorted.sort();
        sorted[(sorted.len() - 1) * share / 100].as_secs_f64() * 1000.0
    };
    let ratio = at(loud, 50) / at(quiet, 50);
    println!(
        "{name}: neighbour p50 {:.2} ms, p95 {:.2} ms, before {:.2} and {:.2}; ratio of p50 {ratio:.2}, {} rounds",
        at(loud, 50),
        at(loud, 95),
        at(quiet, 50),
        at(quiet, 95),
        loud.len()
    );
}

/// What a bomb says that it got.
fn got(answer: &Answer) -> u64 {
    let line = answer.output.lines().last().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    value["got"].as_u64().unwrap_or_else(|| panic!("{answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_reaches_its_limit_of_processes() {
    let Some(mut scene) = Scene::prepare(|_| {}).await else { return };
    let answer = scene.explode("fork bomb", &format!("{PROBE} bomb fork 6000")).await.unwrap();
    let made = got(&answer);
    println!("fork bomb: {made} processes");
    assert!((50..4096).contains(&made), "{made} processes could be started");
    scene.finish("fork bomb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zombies_count_as_processes() {
    let Some(mut scene) = Scene::prepare(|_| {}).await else { return };
    let answer = scene.explode("zombie flood", &format!("{PROBE} bomb zombie 6000")).await.unwrap();
    let made = got(&answer);
    assert!((50..4096).contains(&made), "{made} zombies could be made");
    scene.finish("zombie flood").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_dies_and_its_sandbox_goes_on() {
    let Some(mut scene) = Scene::prepare(|limits| limits.memory_mib = 192).await else { return };
    // Three at once: a limit of each process alone would let them have 192 MiB each.
    let script = format!(
        "for i in 1 2 3; do {PROBE} bomb memory 384 & done; wait; {PROBE} bomb memory 384; echo code $?; head -c 100 /proc/self/comm"
    );
    let answer = scene.explode("memory bomb", &script).await.unwrap();
    if scene.holds("memory") {
        assert!(answer.output.contains("code 137"), "{answer:?}");
    } else {
        assert!(!answer.output.contains("\"got\":384"), "{answer:?}");
    }
    // The sandbox sees no control group, but the bridge does.
    let seen = scene
        .bench
        .desk
        .ok(&scene.bomb, "curl -s --unix-socket /run/farhand/socket/bridge.sock http://bridge/own-memory")
        .await;
    if scene.holds("memory") {
        let seen: SandboxMemory = serde_json::from_str(&seen).unwrap();
        assert!(seen.limit_mib == 192 && seen.kills >= 2, "{seen:?}");
    } else {
        assert_eq!(seen, "null");
    }
    scene.finish("memory bomb").await;
}

/// What ends in whose place is what PID 1 is given to do.
async fn ends_for_want_of_memory(change: impl FnOnce(&mut LocalConfig)) {
    let Some(bench) = start_with_probe(change) else { return };
    if !bench.provider.capabilities().limits.iter().any(|limit| limit == "memory") {
        println!("skipped: memory of a sandbox as a whole is not limited here");
        return bench.finish().await;
    }
    let mut exits = bench.provider.exits().unwrap();
    bench.create(&limited(|limits| limits.memory_mib = 64)).await;
    let exit = tokio::time::timeout(PATIENCE, exits.recv()).await.unwrap().unwrap();
    assert_eq!(exit.reason, "the sandbox needed more than its 64 MiB of memory");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_for_want_of_memory_says_so() {
    ends_for_want_of_memory(|config| {
        let script = format!("{PROBE} bomb memory 384; exit $?");
        config.command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_the_kernel_kills_ran_out_of_memory() {
    ends_for_want_of_memory(|config| {
        config.command = [PROBE, "bomb", "memory", "384"].map(str::to_owned).to_vec();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_the_kernel_kills_ran_out_of_memory() {
    let Some(runner) = crate::runner::runner() else { return };
    ends_for_want_of_memory(|config| {
        config.runner = runner;
        let command = ["/opt/farhand/bin/runner", "init", "--", PROBE, "bomb", "memory", "384"];
        config.command = command.map(str::to_owned).to_vec();
    })
    .await;
}

/// Fills the disk by `bomb` and expects this end.
async fn fills_the_disk(name: &str, bomb: &str, disk_mib: u32, reason: &str) {
    let Some(mut scene) = Scene::prepare(|limits| limits.disk_mib = disk_mib).await else { return };
    assert!(scene.holds("disk"));
    let began = Instant::now();
    let ended = scene.explode(name, &format!("{PROBE} bomb {bomb}")).await;
    println!("{name}: ended after {:?}", began.elapsed());
    assert_eq!(ended.unwrap_err(), reason);
    scene.finish(name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_sandbox_that_filled_it() {
    fills_the_disk("disk fill", "disk 512", 48, "the sandbox used more than its 48 MiB of disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_name_take_room_too() {
    fills_the_disk("nameless files", "unlinked 512", 48, "the sandbox used more than its 48 MiB of disk")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_files_end_the_sandbox_that_made_them() {
    fills_the_disk("inode fill", "inode 40000", 8, "the sandbox had more than its 4096 files").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_ends_at_the_limit_of_the_disk() {
    let Some(bench) = Bench::start() else { return };
    let id = bench.create(&limited(|limits| limits.disk_mib = 16)).await;
    let files = bench.desk.run(&id, "head -c 64M /dev/zero > big; stat -c %s big; rm big").await;
    assert_eq!(files.output.lines().last(), Some("16777216"), "{}", files.output);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn computing_takes_no_more_than_its_share() {
    let Some(mut scene) = Scene::prepare(|limits| limits.cpu_millicores = 1000).await else { return };
    let answer = scene.explode("busy processors", &format!("{PROBE} bomb cpu 3000")).await.unwrap();
    let used = got(&answer);
    println!("busy processors: {used} thousandths of one");
    // Never more, whatever else the machine does; a period's beginning and end allow for some.
    assert!(!scene.holds("cpu") || used <= 1200, "{used}");
    scene.finish("busy processors").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaked_descriptors_end_at_their_limit() {
    let Some(mut scene) = Scene::prepare(|_| {}).await else { return };
    let script = format!(
        "for i in 1 2 3; do {PROBE} bomb descriptor 200000 & done; {PROBE} bomb descriptor 200000; wait"
    );
    let answer = scene.explode("descriptor leak", &script).await.unwrap();
    let held = got(&answer);
    assert!((500..=65_536).contains(&held), "{held} descriptors");
    scene.finish("descriptor leak").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_waits_in_its_pipe() {
    // What PID 1 leaves in the background writes where PID 1 writes.
    let started = start_with_probe(|config| {
        let flood =
            format!("until [ -e /tmp/go ]; do sleep 0.05; done; {PROBE} bomb log 4096; touch /tmp/gone");
        let agent = config.command.pop().unwrap();
        config.command.push(format!("({flood}) & {agent}"));
    });
    let Some(bench) = started else { return };
    let mut scene = Scene::of(bench, |_| {}).await;
    let witness = scene.bench.state().join("sandboxes").join(scene.bomb.as_str()).join("witness");
    let wait = "touch /tmp/go; until [ -e /tmp/gone ]; do sleep 0.05; done";
    scene.explode("log flood", wait).await.unwrap();
    assert!(witness.join("log.1").exists(), "there was no flood");
    until("the log is within its bounds", || {
        let sizes =
            ["log", "log.1"].map(|name| std::fs::metadata(witness.join(name)).map_or(0, |data| data.len()));
        sizes.iter().sum::<u64>() <= 2 << 20
    })
    .await;
    scene.finish("log flood").await;
}
