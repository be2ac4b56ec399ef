//! B3: what one viewer is sent while 42 kB of English prose arrive in 2,000 deltas at 200 a second, in the batches of a bridge.

use super::load::{DELTA, prose};
use super::server::Server;
use super::session::Session;
use super::viewer::Viewer;
use super::{Pair, Side};
use crate::bench::report::{Figure, Row};
use crate::bench::statistics::{Spread, rounded};
use anyhow::ensure;
use protocol::limit::BATCH_DELAY_MS_MAX;
use protocol::runner::RunnerEvent;
use protocol::timeline::{Item, ItemContent};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

const DELTAS: usize = 2000;
const DELTAS_PER_SECOND: u64 = 200;
const ROUNDS: usize = 2;

/// Bytes sent ÷ the text, and frames.
async fn round(server: &Server, side: Side) -> anyhow::Result<(f64, usize)> {
    let text = prose(DELTA * DELTAS)?;
    let text = text.get(..DELTA * DELTAS).unwrap_or_default().to_owned();
    let mut session = Session::start(server, side).await?;
    let mut viewer = Viewer::connect(&session.object, 1).await?;
    viewer.subscribe(None).await?;
    viewer.until("presence").await?;
    let before = viewer.bytes;
    let item = session.runner.item(ItemContent::Text { text: String::new(), done: false });
    let done = Item { content: ItemContent::Text { text: text.clone(), done: true }, ..item.clone() };
    let reading = tokio::spawn(async move { read(viewer, before).await });

    let begin = session.runner.batch(vec![RunnerEvent::ItemChanged { item: item.clone() }]);
    session.send(&begin).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(BATCH_DELAY_MS_MAX));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let per_batch = usize::try_from(DELTAS_PER_SECOND * BATCH_DELAY_MS_MAX / 1000)?;
    for first in (0..DELTAS).step_by(per_batch) {
        ticks.tick().await;
        let deltas = (first..first + per_batch).map(|index| {
            let offset = index * DELTA;
            let piece = text.get(offset..offset + DELTA).unwrap_or_default().to_owned();
            RunnerEvent::ItemAppended { item_id: item.id.clone(), offset: offset as u64, text: piece }
        });
        let batch = session.runner.batch(deltas.collect());
        session.send(&batch).await?;
    }
    let end = session.runner.batch(vec![RunnerEvent::ItemChanged { item: done }]);
    session.send(&end).await?;
    let (bytes, frames, shown) = reading.await??;
    ensure!(shown == text, "the viewer shows another text than the agent wrote");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let ratio = bytes as f64 / text.len() as f64;
    Ok((ratio, frames))
}

/// Reads until the text is done; answers bytes, frames and the text as a client shows it.
async fn read(mut viewer: Viewer, before: usize) -> anyhow::Result<(usize, usize, String)> {
    let mut shown = String::new();
    let mut frames = 0;
    loop {
        let frame = viewer.next().await?;
        frames += 1;
        let frame: Value = serde_json::from_str(&frame.text)?;
        let single = [frame.clone()];
        let events = frame.get("events").and_then(Value::as_array).map_or(single.as_slice(), Vec::as_slice);
        for event in events.iter().filter_map(|record| record.get("event")) {
            let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let is_done = event.pointer("/item/content/done").and_then(Value::as_bool) == Some(true);
            match text("/type") {
                "item_appended" => shown.push_str(text("/text")),
                "item_changed" => text("/item/content/text").clone_into(&mut shown),
                _ => {}
            }
            if is_done {
                return Ok((viewer.bytes - before, frames, shown));
            }
        }
    }
}

/// B3.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Figure> {
    let mut ratios: Pair<Vec<f64>> = Pair::default();
    let mut frames: Pair<usize> = Pair::default();
    for _ in 0..ROUNDS {
        // Bytes are counted and not times, so both sides may run at once.
        let (rust, plain) = tokio::try_join!(round(server, Side::Rust), round(server, Side::Plain))?;
        ratios.rust.push(rust.0);
        ratios.plain.push(plain.0);
        frames = Pair { rust: rust.1, plain: plain.1 };
    }
    let ratio = Spread::of(&ratios.rust)?;
    let text = |ratio: &Spread, frames| format!("{}, {frames} frames", ratio.text(2, "×"));
    let row = Row::new("bytes to a viewer ÷ 42 kB of prose", text(&ratio, frames.rust))
        .plain(text(&Spread::of(&ratios.plain)?, frames.plain))
        .ratio(&Spread::of_ratios(&ratios.rust, &ratios.plain)?)
        .target("≤ 1.6", ratio.median <= 1.6);
    Ok(Figure { value: json!(rounded(ratio.median)), rows: vec![row] })
}
