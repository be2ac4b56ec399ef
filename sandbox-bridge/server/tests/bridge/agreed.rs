//! The bridge's program is killed at random moments of builds, fills, claims and expiries, beside the repository's real object in
//! workerd and with real sandboxes: one alarm's period later, ledger and provider agree again, nothing has leaked, nothing is twice.
//!
//! Needs the built Worker, node and the static runner; skipped where they are missing. `FARHAND_ROUNDS` says how often it is killed, 6
//! times where it is absent; `FARHAND_SEED` gives another run.

use crate::pool::claim_by;
use crate::support::code_host::CodeHost;
use crate::support::object::{EDGE_SECRET, Worker};
use crate::support::program::{Program, processes_of, runner};
use protocol::bridge::TerminateRequest;
use protocol::id::{RepositoryId, SandboxId, SessionId};
use protocol::repository::{Inventory, RepositoryRequest};
use protocol::sign::{Audience, BridgeKeys, sign_request};
use reqwest::StatusCode;
use sandbox_bridge::clock;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const REPOSITORY: &str = "acme/shop";
const POOL: usize = 2;
/// A warm sandbox is of no use any more.
const EXPIRY: Duration = Duration::from_secs(25 * 60);
/// From one comparison of ledger and provider to the next.
const ALARM: Duration = Duration::from_secs(5 * 60);
/// How long everybody may take to agree, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// What the bridge is at when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Build,
    Fill,
    Claim,
    Expire,
}

impl Work {
    /// Within which time it is killed, in milliseconds: a little more than such work takes.
    fn span(self) -> u64 {
        match self {
            Self::Build => 2500,
            Self::Fill => 1000,
            Self::Claim => 120,
            Self::Expire => 800,
        }
    }
}

/// A sandbox that a session was promised, and the bridge's answer to it.
struct Promise {
    id: SandboxId,
    session: String,
    answer: JoinHandle<bool>,
}

struct Scene {
    worker: Worker,
    program: Program,
    _host: CodeHost,
    address: String,
    /// Whose sandboxes are, as they were told.
    owners: BTreeMap<SandboxId, String>,
    sessions: usize,
    builds: usize,
}

impl Scene {
    async fn start() -> Option<Self> {
        let runner = runner()?;
        // The same for every life of the bridge.
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let address = format!("http://{listen}");
        let host = CodeHost::start().await;
        let worker = Worker::start(REPOSITORY, &address).await?;
        let mut program = Program::at(runner, &worker.origin, &host, "agreed");
        program.arguments = ["--sandboxes-die-with-bridge", "--listen", &listen].map(str::to_owned).to_vec();
        program.variables = vec![("FARHAND_BRIDGE_KEY".to_owned(), EDGE_SECRET.to_owned())];
        program.start().await;
        let clone_url = format!("{}/{REPOSITORY}.git", host.url);
        let source = json!({ "id": REPOSITORY, "cloneUrl": clone_url, "defaultBranch": "main" });
        let configured = json!({ "repository": source, "settings": settings(0) });
        assert_eq!(worker.ask("configure", &configured).await.0, json!({}));
        let owners = BTreeMap::new();
        Some(Self { worker, program, _host: host, address, owners, sessions: 0, builds: 0 })
    }

    /// A signed request to the bridge, which may be dead; answers status and body.
    fn ask<T: Serialize>(
        &self,
        path: &str,
        body: &T,
    ) -> impl Future<Output = Option<(StatusCode, Vec<u8>)>> + use<T> {
        let body = serde_json::to_vec(body).unwrap();
        let (key, nonce) = (BridgeKeys::parse(EDGE_SECRET).unwrap(), clock::random().unwrap());
        let signature = sign_request(&key, Audience::Bridge, "PUT", path, &body, nonce, clock::now());
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let call = http.put(format!("{}{path}", self.address)).header("authorization", signature).body(body);
        async move {
            let answer = call.send().await.ok()?;
            Some((answer.status(), answer.bytes().await.ok()?.to_vec()))
        }
    }

    /// Orders something of the bridge; answers what sessions were promised.
    async fn order(&mut self, work: Work, dice: &mut Dice) -> Vec<Promise> {
        match work {
            Work::Build => {
                self.builds += 1;
                let ledger = self.worker.ledger().await;
                let stored = ledger["repository"][0]["configuration"].as_str().unwrap();
                // Another recipe, so that there is something to build.
                let mut call: Value = serde_json::from_str(stored).unwrap();
                call["settings"] = settings(self.builds);
                assert_eq!(self.worker.ask("configure", &call).await.0, json!({}));
            }
            // What is taken away is made again.
            Work::Fill => {
                let claim = json!({ "sessionId": self.new_session(), "generation": 1 });
                self.worker.ask("claim", &claim).await;
                self.worker.ask("release", &claim).await;
            }
            Work::Claim => return self.claim(1 + dice.roll(POOL as u64) as usize).await,
            Work::Expire => self.worker.pass(EXPIRY).await,
        }
        Vec::new()
    }

    fn new_session(&mut self) -> String {
        self.sessions += 1;
        format!("ses_agreed{}", self.sessions)
    }

    /// So many sessions claim, and ask the bridge for what they were promised.
    async fn claim(&mut self, count: usize) -> Vec<Promise> {
        let mut promises = Vec::new();
        for _ in 0..count {
            let session = self.new_session();
            let claim = json!({ "sessionId": session, "generation": 1 });
            let (answer, _) = self.worker.ask("claim", &claim).await;
            if answer["type"] == "none" {
                continue;
            }
            let id = answer["sandboxId"].as_str().unwrap_or_else(|| panic!("{answer}"));
            let id = SandboxId::parse(id).unwrap();
            let binding = claim_by(session.trim_start_matches("ses_"), 1);
            let asked = self.ask(&format!("/sandboxes/{id}/claimed"), &binding);
            let answer =
                tokio::spawn(async move { asked.await.is_some_and(|(status, _)| status.is_success()) });
            promises.push(Promise { id, session, answer });
        }
        promises
    }

    /// What became of the promises. As sessions do, what was not given, or whose answer was lost, is given back and its end ordered.
    async fn settle(&mut self, promises: Vec<Promise>) {
        for Promise { id, session, answer } in promises {
            if answer.await.unwrap() {
                assert_eq!(self.owners.insert(id.clone(), session), None, "{id} has two owners");
                continue;
            }
            self.worker.ask("release", &json!({ "sessionId": session, "generation": 1 })).await;
            self.end(&id, &session).await;
        }
    }

    async fn end(&self, id: &SandboxId, session: &str) {
        let session_id = SessionId::parse(session).unwrap();
        let end = TerminateRequest { generation: 1, session_id: Some(session_id) };
        let (status, text) = self.ask(&format!("/sandboxes/{id}/terminated"), &end).await.unwrap();
        assert!(status.is_success(), "the end of {id}: {status} {}", String::from_utf8_lossy(&text));
    }

    /// An error says in what ledger and provider differ, or what is still to come.
    async fn compare(&self) -> Result<(), String> {
        let (status, ledger) = (self.worker.status().await, self.worker.ledger().await);
        let request = RepositoryRequest { repository: RepositoryId::parse(REPOSITORY).unwrap() };
        let Some((StatusCode::OK, text)) = self.ask("/inventory", &request).await else {
            return Err("there is no inventory".to_owned());
        };
        let inventory: Inventory = serde_json::from_slice(&text).unwrap();
        let column = |table: &str, name: &str| -> BTreeSet<String> {
            let rows = ledger[table].as_array().unwrap().iter();
            rows.map(|row| row[name].as_str().unwrap().to_owned()).collect()
        };
        let warm: BTreeSet<_> = inventory.warm.iter().map(ToString::to_string).collect();
        let images: BTreeSet<_> = inventory.images.iter().map(ToString::to_string).collect();
        let owned: BTreeSet<_> = self.owners.keys().map(ToString::to_string).collect();
        let folders = std::fs::read_dir(self.program.state.path().join("sandboxes")).unwrap();
        let made: BTreeSet<_> =
            folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let running: BTreeSet<_> = made.iter().filter(|id| !processes_of(id).is_empty()).cloned().collect();
        let is_full = status["pool"]["ready"] == POOL && status["pool"]["filling"] == 0;
        let is_settled = is_full && inventory.builds.is_empty() && status["builds"][0]["outcome"].is_object();
        let agrees = warm == column("sandboxes", "sandbox_id")
            && warm.len() == POOL
            && images == column("images", "image_id")
            // There are no objects of these sessions: what they were given, the bridge ends when it hears so.
            && made.is_superset(&warm)
            && made.is_subset(&(&warm | &owned))
            && warm.is_disjoint(&owned)
            && running == made;
        if is_settled && agrees {
            return Ok(());
        }
        Err(format!("{inventory:#?} {owned:?} {made:?} {running:?} {status:#} {ledger:#}"))
    }

    /// Waits until ledger and provider agree.
    async fn agree(&self, when: &str) {
        let begun = Instant::now();
        while let Err(seen) = self.compare().await {
            assert!(begun.elapsed() < PATIENCE, "{when}: {seen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One kill, and what comes of it.
    async fn round(&mut self, work: Work, dice: &mut Dice) {
        let mut promises = self.order(work, dice).await;
        let life = Duration::from_millis(dice.roll(work.span()));
        tokio::time::sleep(life).await;
        self.program.kill().await;
        if dice.roll(2) == 0 {
            // Somebody claims while it is away.
            promises.extend(self.claim(1).await);
        }
        self.program.start().await;
        self.settle(promises).await;
        self.worker.pass(ALARM).await;
        let when = format!("killed {life:?} after {work:?}");
        self.agree(&when).await;
        let owned = std::mem::take(&mut self.owners);
        for (id, session) in &owned {
            let theft = self.ask(&format!("/sandboxes/{id}/claimed"), &claim_by("thief", 1)).await;
            let (status, _) = theft.unwrap();
            let is_refused = matches!(status, StatusCode::CONFLICT | StatusCode::NOT_FOUND);
            assert!(is_refused, "{when}: {id} was given twice: {status}");
            self.end(id, session).await;
        }
    }
}

fn settings(number: usize) -> Value {
    let setup = format!("for i in 1 2 3 4 5 6 7 8; do echo {number} > built.$i; sleep 0.05; done");
    json!({ "setup": [setup], "build": [], "warm": [], "poolTarget": POOL })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_of_its_work_ledger_and_provider_agree_one_alarm_later() {
    let Some(mut scene) = Scene::start().await else { return };
    let number =
        |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().unwrap());
    let (rounds, seed) = (number("FARHAND_ROUNDS", 6), number("FARHAND_SEED", 20_261_121));
    println!("FARHAND_SEED={seed}");
    let mut dice = Dice(seed);
    scene.agree("at first").await;
    let (mut counts, begun) = (BTreeMap::<Work, u32>::new(), Instant::now());
    for work in [Work::Claim, Work::Build, Work::Fill, Work::Expire].into_iter().cycle().take(rounds as usize)
    {
        *counts.entry(work).or_default() += 1;
        scene.round(work, &mut dice).await;
    }
    scene.agree("at last").await;
    println!("{rounds} kills in {:?}: {counts:?}, {} sessions", begun.elapsed(), scene.sessions);
    scene.program.end().await;
    assert_eq!(scene.program.processes(), [], "nothing runs on");
}
