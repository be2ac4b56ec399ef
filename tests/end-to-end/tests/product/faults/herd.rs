//! A deployment cuts a thousand viewers in the same moment: they come back as the web client's own rule says, and miss nothing.
//!
//! The rule is not told again here: Node runs the web client's function. That it spreads a thousand clients well enough is a test of
//! the web client; it is checked here for the very waits that the sockets of this test take.

use super::check::{Expected, settled};
use super::{options, witness};
use crate::session;
use anyhow::{Context, bail, ensure};
use protocol::client::{ClientMessage, ServerMessage};
use protocol::id::SessionId;
use protocol::timeline::{EventRecord, Seq, SessionEvent};
use stack::{Client, Options, SessionSocket, Stack, StackError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const CLIENTS: usize = 1000;
/// Tries for which the waits are known.
const TRIES: usize = 12;
/// How many join at a time in the beginning.
const JOINING: usize = 50;
const PATIENCE: Duration = Duration::from_secs(120);

/// For each client its waits in milliseconds, from the same numbers each time (mulberry32).
const WAITS: &str = r"
let seed = 0xf12;
const random = () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const { backoffMs } = await import(process.argv[1]);
const [clients, tries] = process.argv.slice(2).map(Number);
const waits = Array.from({ length: clients }, () => Array.from({ length: tries }, (_, n) => backoffMs(n, random())));
console.log(JSON.stringify(waits));
";

async fn waits_of_web_clients(node: &std::path::Path) -> anyhow::Result<Vec<Vec<u64>>> {
    let policy = stack::root().join("workers/web/session-view/src/connection.ts");
    let output = tokio::process::Command::new(node)
        .args(["--no-warnings", "--experimental-transform-types", "--input-type=module", "--eval", WAITS])
        .arg(policy)
        .args([CLIENTS.to_string(), TRIES.to_string()])
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How many of these moments are in each second.
fn histogram(moments: impl Iterator<Item = u64>) -> Vec<usize> {
    let mut seconds = Vec::new();
    for moment in moments {
        let second = usize::try_from(moment / 1000).unwrap_or(usize::MAX);
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        if let Some(count) = seconds.get_mut(second) {
            *count += 1;
        }
    }
    seconds
}

/// What one of the thousand holds on to.
struct Returning {
    client: Client,
    session: SessionId,
    socket: SessionSocket,
    waits: Vec<u64>,
    seq: Seq,
    events: Vec<(Seq, u64)>,
    /// Between the loss of its socket and the beginning of the next one.
    away: Option<Duration>,
}

/// Short, because a thousand clients keep every event.
fn digest(record: &EventRecord) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(record).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

impl Returning {
    async fn join(client: Client, session: SessionId, waits: Vec<u64>) -> anyhow::Result<Self> {
        let mut socket = client.socket(&session, None).await?;
        let seq = |message: &ServerMessage| {
            if let ServerMessage::Snapshot { seq, .. } = message { Some(*seq) } else { None }
        };
        let seq = socket.until("the snapshot", PATIENCE, seq).await?;
        Ok(Self { client, session, socket, waits, seq, events: Vec::new(), away: None })
    }

    /// Watches until the turn is over; comes back with what it has.
    async fn watch(mut self, back: Arc<AtomicUsize>) -> anyhow::Result<Self> {
        loop {
            match self.socket.next(PATIENCE).await {
                Ok(ServerMessage::Event { seq, at, event }) => {
                    ensure!(seq == self.seq + 1, "event {seq} came after {}", self.seq);
                    self.seq = seq;
                    let is_end = matches!(event, SessionEvent::TurnEnded { .. });
                    self.events.push((seq, digest(&EventRecord { seq, at, event })));
                    if is_end {
                        return Ok(self);
                    }
                }
                Ok(ServerMessage::Snapshot { .. }) => bail!("a snapshot although {} is known", self.seq),
                Ok(ServerMessage::Lagging) => bail!("one that reads was told that it lags"),
                Ok(_) => {}
                Err(StackError::Socket(_)) => {
                    self.come_back().await?;
                    back.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn come_back(&mut self) -> anyhow::Result<()> {
        ensure!(self.away.is_none(), "it was cut twice");
        let lost = Instant::now();
        for wait in std::mem::take(&mut self.waits) {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if let Ok(socket) = self.client.socket(&self.session, Some(self.seq)).await {
                self.socket = socket;
                self.away = Some(lost.elapsed());
                return Ok(());
            }
        }
        bail!("{TRIES} tries were not enough")
    }
}

async fn join_all(
    stack: &Stack,
    session: &SessionId,
    waits: Vec<Vec<u64>>,
) -> anyhow::Result<Vec<Returning>> {
    let mut people = Vec::new();
    for login in ["ada", "grace", "alan"] {
        people.push(stack.sign_in(login).await?);
    }
    let (mut joining, door) = (JoinSet::new(), Arc::new(Semaphore::new(JOINING)));
    for (waits, client) in waits.into_iter().zip(people.iter().cycle().cloned()) {
        let (door, session) = (Arc::clone(&door), session.clone());
        joining.spawn(async move {
            let _permit = door.acquire_owned().await?;
            Returning::join(client, session, waits).await
        });
    }
    let mut all = Vec::new();
    while let Some(one) = joining.join_next().await {
        all.push(one??);
    }
    Ok(all)
}

#[tokio::test]
async fn a_thousand_viewers_come_back_one_after_the_other_and_miss_nothing() -> anyhow::Result<()> {
    stack::raise_file_limit()?;
    let options = Options { revives_workerd: true, ..options("herd") };
    let waits = waits_of_web_clients(&options.binaries.node).await?;
    let planned = histogram(waits.iter().filter_map(|waits| waits.first().copied()));
    ensure!(planned.iter().all(|count| *count <= CLIENTS / 5), "too many at once: {planned:?}");
    let mut stack = Stack::start(options).await?;
    let ada = stack.sign_in("ada").await?;
    let (session, _) = session(&ada, "stream 20000 400").await?;
    let mut observer = witness(&ada, &session).await?;
    observer.text_of(10).await?;
    let (mut watching, back) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for viewer in join_all(&stack, &session, waits).await? {
        watching.spawn(viewer.watch(Arc::clone(&back)));
    }
    let seq = observer.seq;
    observer.until("more", |observer| observer.seq > seq + 2).await?;
    stack.crash_workerd().await?;
    while back.load(Ordering::SeqCst) < CLIENTS {
        let seq = observer.seq;
        observer.until("more", |observer| observer.seq > seq).await?;
        if let Some(early) = watching.try_join_next() {
            early??;
            bail!("a viewer has seen an end that was not there");
        }
    }
    let turn_id = observer.running().context("no turn runs")?;
    observer.send(ClientMessage::Stop { turn_id }).await?;
    observer.turns_over(1).await?;
    let all: Vec<(Seq, u64)> = observer.events.iter().map(|record| (record.seq, digest(record))).collect();
    let mut away = Vec::new();
    while let Some(viewer) = watching.join_next().await {
        let viewer = viewer??;
        let first = viewer.events.first().map_or(0, |(seq, _)| *seq);
        let same = all.iter().filter(|(seq, _)| (first..=viewer.seq).contains(seq));
        ensure!(same.eq(viewer.events.iter()), "one has seen something else from {first} to {}", viewer.seq);
        away.push(viewer.away.context("a socket outlived workerd")?);
    }
    // What the clients plan is checked above; how fast this machine serves them is not.
    let came = histogram(away.iter().map(|away| u64::try_from(away.as_millis()).unwrap_or(u64::MAX)));
    eprintln!("planned first tries {planned:?}, back {came:?} in each second");
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 0 }).await
}
