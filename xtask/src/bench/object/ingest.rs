//! B1 and B2: batches of 50 events of an agent at work, each acknowledged when it is stored.
//!
//! One batch is on its way at a time, as bridges send them, so each waits once for the disk. The processor time of workerd says what a
//! faster disk would allow.

use super::server::Server;
use super::session::{Session, Way};
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
        posts.push(Session::prepare(&session.runner.work())?);
    }
    let (warm_up, measured) = posts.split_at(WARM_UP);
    for post in warm_up {
        session.post(post, way).await?;
    }
    let before = server.processor_ms();
    let started = Instant::now();
    for post in measured {
        session.post(post, way).await?;
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
    let row = |what: &str, pair: &Pair<Vec<f64>>, unit: &str| {
        let row = Row::new(what, Spread::of(&pair.rust)?.text(0, unit));
        anyhow::Ok(
            row.plain(Spread::of(&pair.plain)?.text(0, unit))
                .ratio(&Spread::of_ratios(&pair.rust, &pair.plain)?),
        )
    };
    let ratio = Spread::of_ratios(&rates.rust, &rates.plain)?.median;
    let mut rows = vec![row("durable ingest, batches of 50", &rates, "ev/s")?.target("≥ 1.0", ratio >= 1.0)];
    rows.extend(row("processor time of workerd for it", &used, "µs/ev"));
    Ok(Figure { value: json!(rounded(ratio)), rows })
}

/// B2.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Figure> {
    let mut rates = Vec::new();
    let mut used = Vec::new();
    for _ in 0..ROUNDS {
        let round = round(server, Side::Rust, Way::Signed).await?;
        rates.push(round.events_per_second);
        used.extend(round.processor_us);
    }
    let rate = Spread::of(&rates)?;
    let row = Row::new("ingest through the Worker, signed", rate.text(0, "ev/s"));
    let mut rows = vec![row.target("≥ 30,000", rate.median >= 30_000.0)];
    rows.extend(
        Spread::of(&used).map(|used| Row::new("processor time of workerd for it", used.text(0, "µs/ev"))),
    );
    Ok(Figure { value: json!(rate.median.round()), rows })
}
