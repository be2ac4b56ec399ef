//! B1 and B2: batches of 50 events of an agent at work, one in flight, each acknowledged when it is stored.

use super::server::Server;
use super::session::Session;
use super::{Pair, Side};
use crate::bench::report::{Figure, Row};
use crate::bench::statistics::{Spread, rounded};
use protocol::limit::BATCH_EVENTS_MAX;
use serde_json::json;
use std::time::Instant;

/// Batches of a round, after those that warm up.
const BATCHES: usize = 300;
const WARM_UP: usize = 60;
const ROUNDS: usize = 7;

/// How a batch reaches the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Past the Worker, the same on both sides.
    Direct,
    /// Signed, through the Worker.
    Signed,
}

/// What a fresh session does.
struct Round {
    events_per_second: f64,
    /// Processor time of workerd for each event, in µs.
    processor_us: Option<f64>,
}

async fn round(server: &Server, side: Side, way: Way) -> anyhow::Result<Round> {
    let mut session = Session::start(server, side).await?;
    let mut posts = Vec::with_capacity(WARM_UP + BATCHES);
    for _ in 0..WARM_UP + BATCHES {
        let batch = session.runner.work();
        posts.push(match way {
            Way::Direct => session.prepare(&batch)?,
            Way::Signed => session.prepare_signed(&batch)?,
        });
    }
    let mut posts = posts.into_iter();
    for post in posts.by_ref().take(WARM_UP) {
        session.post(post).await?;
    }
    let before = server.processor_ms();
    let started = Instant::now();
    for post in posts {
        session.post(post).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let used_ms = server.processor_ms().zip(before).map(|(after, before)| after - before);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let events = (BATCHES * BATCH_EVENTS_MAX) as f64;
    Ok(Round {
        events_per_second: events / seconds,
        processor_us: used_ms.map(|used| used * 1000.0 / events),
    })
}

/// B1.
pub(super) async fn compare(server: &Server) -> anyhow::Result<Figure> {
    let mut rates: Pair<Vec<f64>> = Pair::default();
    let mut used: Pair<Vec<f64>> = Pair::default();
    for index in 0..ROUNDS {
        for side in Side::pair(index) {
            let round = round(server, side, Way::Direct).await?;
            rates.of(side).push(round.events_per_second);
            used.of(side).extend(round.processor_us);
        }
    }
    let ratio = Spread::of_ratios(&rates.rust, &rates.plain)?;
    let text = |rates: &[f64]| anyhow::Ok(Spread::of(rates)?.text(0, "ev/s"));
    let row = Row::new("durable ingest, batches of 50", text(&rates.rust)?)
        .plain(text(&rates.plain)?)
        .ratio(&ratio)
        .target("≥ 1.0", ratio.median >= 1.0);
    let mut rows = vec![row];
    if let (Ok(rust), Ok(plain)) = (Spread::of(&used.rust), Spread::of(&used.plain)) {
        rows.push(
            Row::new("processor time of workerd for it", rust.text(0, "µs/ev"))
                .plain(plain.text(0, "µs/ev"))
                .ratio(&Spread::of_ratios(&used.rust, &used.plain)?),
        );
    }
    Ok(Figure { value: json!(rounded(ratio.median)), rows })
}

/// B2.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Figure> {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(round(server, Side::Rust, Way::Signed).await?.events_per_second);
    }
    let rate = Spread::of(&rates)?;
    let row = Row::new("the same through the Worker, signed", rate.text(0, "ev/s"))
        .target("≥ 30,000", rate.median >= 30_000.0);
    Ok(Figure { value: json!(rate.median.round()), rows: vec![row] })
}
