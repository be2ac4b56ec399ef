//! B12: memory of the bridge's process for each sandbox with an attached runner, idle, and with events and a model's answer streaming.

use super::native;
use super::report::{Figure, Row};
use crate::progress::Progress;
use crate::setup::{NativeProfile, Setup};

pub(super) fn measure(setup: &Setup, progress: &Progress) -> anyhow::Result<Figure> {
    setup.runner(NativeProfile::Native)?;
    let answer = native::run("sandbox-bridge", "sandbox", "B12", progress)?;
    let (idle, streaming) = (answer.number("idle_kb")?, answer.number("streaming_kb")?);
    let rows = vec![
        Row::new("per idle session", format!("{idle:.1} kB")).target("≤ 64 kB", idle <= 64.0),
        Row::new("per streaming session", format!("{streaming:.1} kB"))
            .target("≤ 512 kB", streaming <= 512.0),
    ];
    Ok(Figure { value: answer.value, rows })
}
