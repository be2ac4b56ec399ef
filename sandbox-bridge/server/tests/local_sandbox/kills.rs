//! The process that has the provider is killed at a hundred moments of a seeded workload, and nothing is lost, half done or left.
//!
//! `KILLS_SEED` gives another run, `KILLS` another number of kills. The workload's process tells what it has been promised, line by
//! line; after each kill the next one tells what it found, and waits until that was compared.

use crate::exec::{run, shell, with_supervisor};
use crate::support::{
    Desk, PATIENCE, Place, can_isolate, config, from_snapshot, of, processes_with, request, secrets, until,
};
use protocol::bridge::CreateSandboxRequest;
use protocol::id::{SandboxId, SnapshotId};
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::exec::ExecEvent;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PLACE: &str = "TEST_KILLS_PLACE";
const NAME: &str = "TEST_KILLS_NAME";
const SEED: &str = "TEST_KILLS_SEED";
const KILLS: u64 = 100;
/// At a time; more would only be slower.
const SANDBOXES_MAX: usize = 3;
const SNAPSHOTS_MAX: usize = 5;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    fn choose<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let index = self.roll(of.len() as u64) as usize;
        of.get(index).cloned()
    }
}

fn settings(place: &Path) -> LocalConfig {
    let mut config = config(place);
    with_supervisor(&mut config, crate::runner::runner().unwrap());
    config
}

fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "~ {line}").and_then(|()| out.flush());
}

/// What fills a new sandbox: its own id, and files for a snapshot to copy.
fn fill(id: &SandboxId) -> String {
    format!("mkdir -p d; for i in $(seq 40); do echo $i > d/$i; done; echo {id} > mark.tmp; mv mark.tmp mark")
}

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_bridge_that_works() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let provider = LocalProvider::start(settings(Path::new(&place)), Desk::default().router()).unwrap();
    let mut exits = provider.exits().unwrap();
    for record in provider.list() {
        // Adopted: commands work, and the files are its own. One that was being ended may end now.
        let id = record.sandbox_id;
        let mark =
            async { provider.exec(&id, shell("cat mark || echo none")).await.ok()?.collect(100).await.ok() };
        match mark.await {
            Some((mark, _, _)) => say(&format!("has {id} {}", String::from_utf8_lossy(&mark).trim())),
            None => say(&format!("gone {id}")),
        }
    }
    while let Ok(exit) = exits.try_recv() {
        say(&format!("exit {} {}", exit.record.sandbox_id, exit.reason));
    }
    say("ready");
    let mut word = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut word).await.unwrap();
    let work = Work {
        provider,
        name: std::env::var(NAME).unwrap(),
        next: AtomicU64::new(1),
        place: PathBuf::from(place),
    };
    let work = Arc::new(work);
    let tasks: Vec<_> = (0..3_u64)
        .map(|number| {
            let work = Arc::clone(&work);
            tokio::spawn(async move { work.run(Dice(seed.wrapping_mul(31).wrapping_add(number))).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

struct Work {
    provider: LocalProvider,
    name: String,
    next: AtomicU64,
    place: PathBuf,
}

impl Work {
    fn id(&self) -> String {
        format!("{}n{}", self.name, self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn snapshots(&self) -> Vec<SnapshotId> {
        let entries = fs::read_dir(self.place.join("state/layers")).unwrap().flatten();
        entries.filter_map(|entry| SnapshotId::parse(entry.file_name().to_str()?).ok()).collect()
    }

    /// For ever. What fails because another task was quicker is no matter; what was promised is told.
    async fn run(&self, mut dice: Dice) {
        loop {
            let running: Vec<SandboxId> =
                self.provider.list().into_iter().map(|record| record.sandbox_id).collect();
            match dice.roll(10) {
                0..=2 if running.len() < SANDBOXES_MAX => self.create(&mut dice).await,
                3 if running.len() > 1 => {
                    let Some(id) = dice.choose(&running) else { continue };
                    say(&format!("ending {id}"));
                    if self.provider.terminate(&id).await.is_ok() {
                        say(&format!("ended {id}"));
                    }
                }
                4..=6 => {
                    let Some(id) = dice.choose(&running) else { continue };
                    self.save(&id).await;
                }
                7 => {
                    let Some(id) = dice.choose(&running) else { continue };
                    let _ = self.stream(&id, dice.roll(200)).await;
                }
                _ => {
                    let Some(id) = dice.choose(&running) else { continue };
                    if let Ok(stream) = self.provider.exec(&id, shell("true")).await {
                        let _ = stream.collect(0).await;
                        say("ran");
                    }
                }
            }
        }
    }

    async fn create(&self, dice: &mut Dice) {
        let id = SandboxId::parse(&format!("sbx_{}", self.id())).unwrap();
        let order = match dice.choose(&self.snapshots()) {
            Some(snapshot) if dice.roll(2) == 0 => from_snapshot(&snapshot),
            Some(_) | None => request(),
        };
        say(&format!("creating {id}"));
        if self.provider.create(&id, &of(&order), &secrets()).await.is_ok() {
            say(&format!("created {id}"));
            if let Ok(stream) = self.provider.exec(&id, shell(&fill(&id))).await
                && stream.collect(0).await.is_ok_and(|(_, _, exit)| exit.code == Some(0))
            {
                say(&format!("marked {id}"));
            }
        }
    }

    async fn save(&self, id: &SandboxId) {
        let snapshots = self.snapshots();
        if let Some(oldest) = snapshots.iter().min().filter(|_| snapshots.len() >= SNAPSHOTS_MAX) {
            say(&format!("deleting {oldest}"));
            let _ = self.provider.delete_snapshot(oldest, &request().session_id).await;
        }
        let snapshot = SnapshotId::parse(&format!("snp_{}", self.id())).unwrap();
        if self.provider.snapshot(id, &snapshot).await.is_ok() {
            say(&format!("saved {snapshot}"));
        }
    }

    async fn stream(&self, id: &SandboxId, frames: u64) -> Option<()> {
        let mut stream = self.provider.exec(id, shell("yes")).await.ok()?;
        for _ in 0..frames {
            let ExecEvent::Output(_) = stream.output.next().await.ok()? else { return None };
        }
        say("streamed");
        Some(())
    }
}

/// What the killed processes have been told, and so what must hold.
#[derive(Default)]
struct Promises {
    /// Sandboxes that exist, with whether their files are filled in.
    created: BTreeMap<String, bool>,
    /// May be there or not.
    uncertain: BTreeSet<String>,
    saved: BTreeSet<String>,
    /// Told to go. Another task may tell of their creation only afterwards.
    doomed: BTreeSet<String>,
}

impl Promises {
    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let id = rest.to_owned();
        if matches!(word, "ending" | "deleting") {
            self.doomed.insert(id.clone());
        } else if word != "ended" && self.doomed.contains(&id) {
            return;
        }
        match word {
            "creating" => drop(self.uncertain.insert(id)),
            "created" => {
                self.uncertain.remove(&id);
                self.created.insert(id, false);
            }
            "marked" => drop(self.created.insert(id, true)),
            "ending" => {
                self.created.remove(&id);
                self.uncertain.insert(id);
            }
            "ended" => drop(self.uncertain.remove(&id)),
            "saved" => drop(self.saved.insert(id)),
            "deleting" => drop(self.saved.remove(&id)),
            _ => {}
        }
    }
}

struct Bridge {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Bridge {
    fn start(place: &Path, name: &str, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::as_a_bridge_that_works", "--nocapture", "--test-threads=1"])
            .env(PLACE, place)
            .env(NAME, name)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take().unwrap();
        Self { child, lines, input }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            match line.unwrap_or_else(|_| panic!("the bridge process says nothing")).unwrap() {
                // The test harness of that process may have begun the line.
                Some(line) => {
                    if let Some((_, line)) = line.split_once("~ ") {
                        return Some(line.to_owned());
                    }
                }
                None => return None,
            }
        }
    }

    /// Kills it; what it said until then counts.
    async fn kill(mut self, promises: &mut Promises) {
        self.child.start_kill().unwrap();
        while let Some(line) = self.line().await {
            promises.hear(&line);
        }
        self.child.wait().await.unwrap();
    }
}

/// Processes whose working directory is the state directory: launchers and witnesses.
fn witnesses(state: &Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place == state)).count()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Control groups of the provider with this state directory.
fn groups(state: &Path) -> BTreeSet<String> {
    use std::os::unix::fs::MetadataExt;
    let data = fs::metadata(state).unwrap();
    let name = format!("farhand-{:x}-{:x}", data.dev(), data.ino());
    let mut found = BTreeSet::new();
    let mut places: Vec<PathBuf> = vec!["/sys/fs/cgroup".into()];
    // Two levels of hierarchies and scopes are enough for where tests run.
    for _ in 0..3 {
        let next: Vec<PathBuf> =
            places.iter().flat_map(|place| names(place).into_iter().map(|name| place.join(name))).collect();
        for place in next.iter().filter(|place| place.ends_with(&name)) {
            found.extend(names(place));
        }
        places = next.into_iter().filter(|place| !place.ends_with(&name)).collect();
    }
    found
}

/// Reads what a new bridge found, and compares it with what was promised and with what is there.
async fn compare(bridge: &mut Bridge, promises: &mut Promises, place: &Path) {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let line = bridge.line().await.unwrap_or_else(|| panic!("the bridge process ended"));
        if line == "ready" {
            break;
        }
        let mut words = line.splitn(3, ' ');
        let (word, id, rest) =
            (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match word {
            "has" => drop(found.insert(id.to_owned(), rest.to_owned())),
            "exit" | "gone" => assert!(!promises.created.contains_key(id), "{id}: {line}"),
            other => panic!("{other}"),
        }
    }
    for (id, is_marked) in &promises.created {
        let mark = found.get(id).unwrap_or_else(|| panic!("{id} was promised and is gone"));
        assert!(!is_marked || mark == id, "{id} has the files of {mark}");
    }
    for id in found.keys() {
        assert!(
            promises.created.contains_key(id) || promises.uncertain.contains(id),
            "{id} was ended and is there"
        );
    }
    promises.uncertain.clear();
    for id in found.keys() {
        promises.created.entry(id.clone()).or_insert(false);
    }
    let (state, has) = (place.join("state"), found.into_keys().collect::<BTreeSet<_>>());
    until("the others' folders are gone", || names(&state.join("sandboxes")) == has).await;
    let layers = names(&state.join("layers"));
    assert!(layers.iter().all(|name| !name.starts_with('.')), "{layers:?}");
    assert!(promises.saved.is_subset(&layers), "{:?} of {layers:?}", promises.saved);
    until("the launchers of half made sandboxes are gone", || witnesses(&state) == has.len()).await;
    until("the groups of half made sandboxes are gone", || groups(&state).is_subset(&has)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_at_any_moment_leave_nothing_behind_and_break_no_promise() {
    if !can_isolate() || crate::runner::runner().is_none() {
        return;
    }
    let number = |name: &str, otherwise| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let (seed, kills) = (number("KILLS_SEED", 20_261_121), number("KILLS", KILLS));
    println!("KILLS_SEED={seed}");
    let (place, mut dice, mut promises) = (Place::new(), Dice(seed), Promises::default());
    let state = place.path().canonicalize().unwrap().join("state");
    let began = Instant::now();
    let said = Mutex::new(BTreeMap::<String, u32>::new());
    for round in 0..kills {
        let name = format!("t{}k{round:03}", std::process::id());
        let mut bridge = Bridge::start(place.path(), &name, dice.roll(u64::MAX));
        if dice.roll(10) == 0 {
            // While it starts and adopts.
            let lines = dice.roll(3);
            for _ in 0..lines {
                if bridge.line().await.is_none_or(|line| line == "ready") {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_micros(dice.roll(80_000))).await;
            bridge.child.start_kill().unwrap();
            bridge.child.wait().await.unwrap();
            continue;
        }
        compare(&mut bridge, &mut promises, place.path()).await;
        bridge.input.write_all(b"go\n").await.unwrap();
        for _ in 0..dice.roll(25) {
            let line = bridge.line().await.unwrap_or_else(|| panic!("the bridge process ended"));
            *said.lock().unwrap().entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
            promises.hear(&line);
        }
        tokio::time::sleep(Duration::from_micros(dice.roll(6_000))).await;
        bridge.kill(&mut promises).await;
    }
    println!("{kills} kills in {:?}; {:?}", began.elapsed(), said.lock().unwrap());
    settle(place, &state, &promises).await;
}

/// The last bridge finds all of it, restores from what was saved, and cleans up behind everything.
async fn settle(place: Place, state: &Path, promises: &Promises) {
    let provider = LocalProvider::start(settings(place.path()), Desk::default().router()).unwrap();
    let has: BTreeSet<String> =
        provider.list().into_iter().map(|record| record.sandbox_id.to_string()).collect();
    assert!(promises.created.keys().all(|id| has.contains(id)), "{has:?}");
    for (round, saved) in promises.saved.iter().enumerate() {
        let id = SandboxId::parse(&format!("sbx_t{}r{round}", std::process::id())).unwrap();
        let order: CreateSandboxRequest = from_snapshot(&SnapshotId::parse(saved).unwrap());
        provider.create(&id, &of(&order), &secrets()).await.unwrap();
        // A sandbox may have been saved before it was filled, but never with half of a file that was there.
        let (seen, _, exit) =
            run(&provider, &id, "if test -e mark; then ls d | wc -l; else echo 40; fi").await;
        assert_eq!((seen.trim(), exit.code), ("40", Some(0)), "{saved}");
        provider.terminate(&id).await.unwrap();
    }
    for record in provider.list() {
        provider.terminate(&record.sandbox_id).await.unwrap();
        let marker = format!("FARHAND_SANDBOX_ID={}", record.sandbox_id);
        assert_eq!(processes_with(&marker), Vec::<i32>::new());
    }
    for snapshot in names(&state.join("layers")).iter().filter_map(|name| SnapshotId::parse(name).ok()) {
        provider.delete_snapshot(&snapshot, &request().session_id).await.unwrap();
    }
    assert_eq!(names(&state.join("sandboxes")), BTreeSet::new());
    until("the layers are gone", || names(&state.join("layers")) == BTreeSet::from(["base".to_owned()]))
        .await;
    // A hundred bridges left some, and it is emptied behind all other work: it may take as long as it gets less.
    let trash = || names(&state.join("trash")).len();
    let mut left = trash();
    while left > 0 {
        until("the trash gets less", || trash() < left).await;
        left = trash();
    }
    until("no launcher is left", || witnesses(state) == 0).await;
    until("no group is left", || groups(state).is_empty()).await;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*state.to_string_lossy()), "{mounts}");
}
