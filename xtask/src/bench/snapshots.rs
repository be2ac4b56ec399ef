//! B10: restoring a snapshot of 44,000 files against copying them, and saving a sandbox in which 25 files were changed.

use super::native;
use super::report::{Figure, Row};
use crate::progress::Progress;
use serde_json::json;

pub(super) fn measure(progress: &Progress) -> anyhow::Result<Figure> {
    let answer = native::run("sandbox-bridge", "snapshots", "B10", progress)?;
    let (restore, copy) = (answer.number("restore_ms")?, answer.number("cp_ms")?);
    let (times, save) = (answer.number("restore_times_faster")?, answer.number("snapshot_25_ms")?);
    let rows = vec![
        Row::new("restore of 44,000 files; cp -a", format!("{restore:.1} ms; {copy:.0} ms: 1/{times:.0}"))
            .target("≤ 1/100", times >= 100.0),
        Row::new("snapshot after 25 changed files", format!("{save:.1} ms")).target("≤ 50 ms", save <= 50.0),
    ];
    let value = json!({"restore_ratio": restore / copy, "snapshot_ms": save});
    Ok(Figure { value, rows })
}
