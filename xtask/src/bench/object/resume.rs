//! B5: a client that missed 10,000 events connects again: until it has every one of them, in order.

use super::server::Server;
use super::session::Session;
use super::viewer::{Head, Viewer};
use super::{Pair, Side};
use crate::bench::report::{Figure, Row};
use crate::bench::statistics::{Spread, rounded};
use anyhow::ensure;
use protocol::limit::BATCH_EVENTS_MAX;
use serde_json::json;
use std::time::Instant;

const MISSED: u64 = 10_000;
const ROUNDS: usize = 9;

struct Resumed {
    ms: f64,
    bytes: usize,
    round_trips: usize,
}

/// Connects with `since`, and reads until the session says that nothing is missing.
async fn resume(session: &Session, since: u64, until: u64) -> anyhow::Result<Resumed> {
    let started = Instant::now();
    let mut viewer = Viewer::connect(&session.object, 0).await?;
    viewer.subscribe(Some(since)).await?;
    let mut round_trips = 1;
    let mut last = since;
    let read_at = loop {
        let frame = viewer.next().await?;
        let head = Head::read(&frame.text)?;
        if let Some((first, newest)) = head.events() {
            ensure!(first == last + 1, "event {first} came after {last}");
            last = newest;
        }
        match head.kind.as_str() {
            "caught_up" => break frame.read_at,
            "lagging" => {
                round_trips += 1;
                viewer.subscribe(Some(last)).await?;
            }
            "snapshot" => anyhow::bail!("the session sent a snapshot and not what was missed"),
            _ => {}
        }
    };
    ensure!(last >= until, "only events up to {last} of {until} came");
    let bytes = viewer.bytes;
    viewer.close().await?;
    let ms = read_at.duration_since(started).as_secs_f64() * 1000.0;
    Ok(Resumed { ms, bytes, round_trips })
}

/// A session with enough events, and where the client was.
async fn prepare(server: &Server, side: Side) -> anyhow::Result<(Session, u64, u64)> {
    let mut session = Session::start(server, side).await?;
    let since = session.seq().await?;
    while session.seq().await? < since + MISSED {
        for _ in 0..20 {
            let batch = session.runner.tools(BATCH_EVENTS_MAX);
            session.send(&batch).await?;
        }
    }
    let until = session.seq().await?;
    Ok((session, until - MISSED, until))
}

/// B5.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Figure> {
    let sessions =
        Pair { rust: prepare(server, Side::Rust).await?, plain: prepare(server, Side::Plain).await? };
    let mut times: Pair<Vec<f64>> = Pair::default();
    let mut bytes: Pair<usize> = Pair::default();
    let mut trips: Pair<usize> = Pair::default();
    for index in 0..=ROUNDS {
        for side in Side::pair(index) {
            let (session, since, until) = match side {
                Side::Rust => &sessions.rust,
                Side::Plain => &sessions.plain,
            };
            let resumed = resume(session, *since, *until).await?;
            // The first round warms up.
            if index > 0 {
                times.of(side).push(resumed.ms);
                *bytes.of(side) = resumed.bytes;
                *trips.of(side) = resumed.round_trips.max(*trips.of(side));
            }
        }
    }
    let ours = Spread::of(&times.rust)?;
    let text = |time: &Spread, trips, bytes| {
        format!("{}, {trips} round trip(s), {} kB", time.text(0, "ms"), bytes / 1000)
    };
    let row = Row::new("connect again after 10,000 missed events", text(&ours, trips.rust, bytes.rust))
        .plain(text(&Spread::of(&times.plain)?, trips.plain, bytes.plain))
        .ratio(&Spread::of_ratios(&times.rust, &times.plain)?)
        .target("1 round trip, ≤ 150 ms", ours.median <= 150.0 && trips.rust == 1);
    Ok(Figure { value: json!(rounded(ours.median)), rows: vec![row] })
}
