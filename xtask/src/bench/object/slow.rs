//! B4, its other half: what one viewer that reads nothing costs the hundred beside it, and the server's memory.

use super::Side;
use super::broadcast::join;
use super::server::Server;
use super::viewer::Viewer;
use crate::bench::report::Row;
use crate::bench::statistics::Spread;
use anyhow::Context as _;

const PEOPLE: usize = 100;
const ROUNDS: usize = 10;
/// So long that the window of the one who does not read is full after half of the rounds.
const LINE_BYTES: usize = 15_000;

/// Two sessions of ours, one of them with a viewer that reads nothing, by turns.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Vec<Row>> {
    let mut alone = join(server, Side::Rust, PEOPLE).await?;
    let mut beside = join(server, Side::Rust, PEOPLE).await?;
    let mut idle = Viewer::connect(&beside.session.object, PEOPLE + 1).await?;
    idle.subscribe(None).await?;
    idle.until("presence").await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut memory = Vec::new();
    for index in 0..=ROUNDS {
        let (_, first) = alone.round(LINE_BYTES).await.context("everybody reads")?;
        let (_, second) = beside.round(LINE_BYTES).await.context("one does not read")?;
        // The first round warms up.
        if index > 0 {
            without.push(first);
            with.push(second);
            memory.extend(server.memory_mb());
        }
    }
    idle.close().await.context("the viewer that did not read")?;
    let ratio = Spread::of_ratios(&with, &without)?;
    let mut rows = vec![
        Row::new("p99 to 100 viewers beside one that reads nothing", Spread::of(&with)?.text(1, "ms"))
            .plain(format!("{} (all read)", Spread::of(&without)?.text(1, "ms")))
            .ratio(&ratio)
            .target("ratio ≤ 1.2", ratio.median <= 1.2),
    ];
    if !memory.is_empty() {
        rows.push(Row::new("memory of workerd meanwhile", Spread::of(&memory)?.text(0, "MB")));
    }
    Ok(rows)
}
