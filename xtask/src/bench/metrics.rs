//! Metrics of a million sessions of one year: what one answer costs the database, here SQLite on this machine.

use super::native;
use super::report::{Figure, Row};
use crate::progress::Progress;

pub(super) fn measure(progress: &Progress) -> anyhow::Result<Figure> {
    let answer = native::run("metrics", "million", "METRICS", progress)?;
    let ms = |name: &str| answer.number(name);
    let (all, some) = (ms("adoption_ms")?, ms("adoption_of_some_ms")?);
    let (page, scrape) = (ms("page_ms")?, ms("scrape_ms")?);
    let rows = vec![
        Row::new("adoption of all repositories", format!("{all:.0} ms")).target("≤ 200 ms", all <= 200.0),
        Row::new("adoption of 15 of 20 repositories", format!("{some:.0} ms"))
            .target("≤ 200 ms", some <= 200.0),
        Row::new("everything on the page", format!("{page:.0} ms")).target("≤ 1,000 ms", page <= 1_000.0),
        Row::new("what a scraper gets", format!("{scrape:.0} ms")),
    ];
    Ok(Figure { value: answer.value, rows })
}
