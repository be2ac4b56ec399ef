//! B9: from the order of a local sandbox to the answer of the first command in it, alone and twenty at once.

use super::native;
use super::report::{Figure, Row};
use crate::progress::Progress;
use crate::setup::{NativeProfile, Setup};

pub(super) fn measure(setup: &Setup, progress: &Progress) -> anyhow::Result<Figure> {
    setup.runner(NativeProfile::Native)?;
    let answer = native::run("sandbox-bridge", "sandbox", "B9", progress)?;
    let (first, last) = (answer.number("first_exec_p50_ms")?, answer.number("twenty_last_ms")?);
    let rows = vec![
        Row::new("create → first command", format!("p50 {first:.1} ms")).target("≤ 20 ms", first <= 20.0),
        Row::new("twenty at once, the last", format!("{last:.1} ms")).target("≤ 150 ms", last <= 150.0),
    ];
    Ok(Figure { value: answer.value, rows })
}
