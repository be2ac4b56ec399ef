//! B4: a thousand people join, and then each line that the agent writes reaches all of them.

use super::server::Server;
use super::session::{Session, Way};
use super::viewer::Viewer;
use super::{Pair, Side};
use crate::bench::report::{Figure, Row};
use crate::bench::statistics::{Spread, percentile, rounded};
use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

const PEOPLE: usize = 1000;
/// Connections that are on their way at once.
const CONNECTING: usize = 100;
const JOINS: usize = 3;
/// Pairs of rounds, and the lines of a round.
const ROUNDS: usize = 7;
const LINES: usize = 12;
/// A quiet stream: each line is a frame of its own.
const PAUSE: Duration = Duration::from_millis(150);
const MARK: &str = "line number ";

#[derive(Deserialize)]
struct Presence {
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    joined: Vec<String>,
    #[serde(default)]
    left: Vec<String>,
}

/// A session with everybody in it, each of them reading on.
pub(super) struct Hall {
    pub(super) session: Session,
    people: usize,
    seen: UnboundedReceiver<Seen>,
    lines: usize,
    joins_s: f64,
    /// Processor time of workerd for each person that came, in ms.
    processor_ms: Option<f64>,
    /// They end with the hall.
    _viewers: JoinSet<()>,
}

/// A line that a viewer has read: its number, and when.
type Seen = (usize, Instant);

/// Everybody joins; done when each has the session's state and the first one has been told of all.
pub(super) async fn join(server: &Server, side: Side, people: usize) -> anyhow::Result<Hall> {
    let session = Session::start(server, side).await?;
    let object = session.object.clone();
    let (sender, seen) = unbounded_channel();
    let mut viewers = JoinSet::new();
    let before = server.processor_ms();
    let started = Instant::now();
    let mut first = Viewer::connect(&object, 1).await?;
    first.subscribe(None).await?;
    let watching = tokio::spawn(async move {
        count_people(&mut first, people).await?;
        anyhow::Ok((first, Instant::now()))
    });
    let mut others = futures::stream::iter(2..=people)
        .map(|number| {
            let object = object.clone();
            async move {
                let mut viewer = Viewer::connect(&object, number).await?;
                viewer.subscribe(None).await?;
                viewer.until("presence").await?;
                anyhow::Ok(viewer)
            }
        })
        .buffer_unordered(CONNECTING);
    while let Some(viewer) = others.next().await {
        viewers.spawn(watch(viewer?, sender.clone()));
    }
    let last_joined = Instant::now();
    let (first, knows_all) = watching.await.context("the first viewer was lost")??;
    viewers.spawn(watch(first, sender));
    let joins_s = knows_all.max(last_joined).duration_since(started).as_secs_f64();
    let used_ms = server.processor_ms().zip(before).map(|(after, before)| after - before);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let processor_ms = used_ms.map(|used| used / people as f64);
    Ok(Hall { session, people, seen, lines: 0, joins_s, processor_ms, _viewers: viewers })
}

/// Reads until everybody is present.
async fn count_people(viewer: &mut Viewer, people: usize) -> anyhow::Result<()> {
    let mut present = BTreeSet::new();
    while present.len() < people {
        let frame = viewer.next().await?;
        let kind = frame.kind();
        if kind != "presence" && kind != "presence_changed" {
            continue;
        }
        let presence: Presence = serde_json::from_str(&frame.text)?;
        if kind == "presence" {
            present = presence.users.into_iter().collect();
        }
        present.extend(presence.joined);
        for user in presence.left {
            present.remove(&user);
        }
    }
    Ok(())
}

/// Reads on, and tells of every line.
async fn watch(mut viewer: Viewer, seen: UnboundedSender<Seen>) {
    while let Ok(frame) = viewer.wait().await {
        for found in frame.text.as_str().split(MARK).skip(1) {
            let digits = found.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            if let Ok(number) = digits.parse() {
                // Nobody asks any more when the hall is left.
                let _ = seen.send((number, frame.read_at));
            }
        }
    }
}

/// Writes one line of this many bytes or more, and answers how long it took to each viewer.
async fn line(hall: &mut Hall, bytes: usize) -> anyhow::Result<Vec<f64>> {
    hall.lines += 1;
    let Hall { session, people, seen, lines: number, .. } = hall;
    let (people, number) = (*people, *number);
    let batch = session.runner.notice(format!("{MARK}{number}. {}", "-".repeat(bytes)));
    let post = Session::prepare(&batch)?;
    let sent = Instant::now();
    session.post(&post, Way::Direct).await?;
    let mut times = Vec::with_capacity(people);
    while times.len() < people {
        let next = tokio::time::timeout(Duration::from_secs(10), seen.recv()).await;
        let (which, read_at) = next
            .ok()
            .flatten()
            .with_context(|| format!("line {number} reached only {} of {people} viewers", times.len()))?;
        ensure!(which == number, "line {which} came while line {number} was awaited");
        times.push(read_at.duration_since(sent).as_secs_f64() * 1000.0);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(times)
}

impl Hall {
    /// 50th and 99th percentile of a round.
    pub(super) async fn round(&mut self, line_bytes: usize) -> anyhow::Result<(f64, f64)> {
        let mut times = Vec::new();
        for _ in 0..LINES {
            times.extend(line(self, line_bytes).await?);
        }
        let at = |share| percentile(&times, share).context("nothing was measured");
        Ok((at(0.5)?, at(0.99)?))
    }
}

/// B4.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Figure> {
    let mut joins: Pair<Vec<f64>> = Pair::default();
    let mut used: Pair<Vec<f64>> = Pair::default();
    let mut halls: Pair<Option<Hall>> = Pair::default();
    for index in 0..JOINS {
        for side in Side::pair(index) {
            drop(halls.of(side).take());
            let hall = join(server, side, PEOPLE).await?;
            joins.of(side).push(hall.joins_s);
            used.of(side).extend(hall.processor_ms);
            *halls.of(side) = Some(hall);
        }
    }
    let (Some(rust), Some(plain)) = (halls.rust, halls.plain) else { bail!("nobody joined") };
    let mut halls = Pair { rust, plain };
    let mut medians: Pair<Vec<f64>> = Pair::default();
    let mut tails: Pair<Vec<f64>> = Pair::default();
    for index in 0..=ROUNDS {
        for side in Side::pair(index) {
            let (median, tail) = halls.of(side).round(0).await.with_context(|| format!("{side:?}"))?;
            // The first round warms up.
            if index > 0 {
                medians.of(side).push(median);
                tails.of(side).push(tail);
            }
        }
    }
    let mut figure = report(&joins, &used, &medians, &tails)?;
    drop(halls);
    figure.rows.extend(super::slow::measure(server).await?);
    Ok(figure)
}

fn report(
    joins: &Pair<Vec<f64>>,
    used: &Pair<Vec<f64>>,
    medians: &Pair<Vec<f64>>,
    tails: &Pair<Vec<f64>>,
) -> anyhow::Result<Figure> {
    let ratio = Spread::of_ratios(&tails.rust, &tails.plain)?;
    let joined = Spread::of(&joins.rust)?;
    let both = |pair: &Pair<Vec<f64>>, digits, unit| {
        anyhow::Ok((Spread::of(&pair.rust)?.text(digits, unit), Spread::of(&pair.plain)?.text(digits, unit)))
    };
    let (tail, plain_tail) = both(tails, 1, "ms")?;
    let (median, plain_median) = both(medians, 1, "ms")?;
    let (join, plain_join) = both(joins, 2, "s")?;
    let mut rows = vec![
        Row::new("a line to 1,000 viewers, p99", tail)
            .plain(plain_tail)
            .ratio(&ratio)
            .target("ratio ≤ 1.1", ratio.median <= 1.1),
        Row::new("the same, p50", median)
            .plain(plain_median)
            .ratio(&Spread::of_ratios(&medians.rust, &medians.plain)?),
        Row::new("1,000 people join", join)
            .plain(plain_join)
            .ratio(&Spread::of_ratios(&joins.rust, &joins.plain)?)
            .target("≤ 2 s", joined.median <= 2.0),
    ];
    if let Ok((spent, plain_spent)) = both(used, 2, "ms") {
        let ratio = Spread::of_ratios(&used.rust, &used.plain)?;
        rows.push(Row::new("processor time of workerd for each", spent).plain(plain_spent).ratio(&ratio));
    }
    let value: Value =
        json!({"broadcast_p99_ratio": rounded(ratio.median), "joins_s": rounded(joined.median)});
    Ok(Figure { value, rows })
}
