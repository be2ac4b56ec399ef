//! How the session page feels in a browser while an agent writes: `tests/browser/streaming.bench.ts`, with the built client and a played
//! deployment.

use super::report::{Figure, Row};
use crate::shell;
use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Milliseconds from a key to its handler that nobody notices.
const INPUT_MS_MAX: f64 = 50.0;
/// Pictures per second below which movement is seen to stumble.
const FPS_MIN: f64 = 55.0;

/// Streams 100 tokens a second into the page while somebody types.
pub(super) fn measure() -> anyhow::Result<Figure> {
    let output = shell::node_command("playwright", &["test", "--reporter=line"])
        .current_dir(stack::root().join("tests/browser"))
        .env("FARHAND_MEASURE", "1")
        .env_remove("FARHAND_URL")
        .output()
        .context("cannot run Playwright")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the measurement in the browser failed:\n{text}");
    let line = text.lines().find(|line| line.starts_with('{')).context("the browser told no figures")?;
    let value: Value = serde_json::from_str(line).with_context(|| format!("{line:?}"))?;
    let number = |name: &str| value.get(name).and_then(Value::as_f64).with_context(|| format!("no {name}"));
    let (p95, worst, fps) = (number("input_p95_ms")?, number("input_worst_ms")?, number("fps")?);
    let rows = vec![
        Row::new("100 tokens/s: key to handler, p95", format!("{p95} ms"))
            .target("≤ 50 ms", p95 <= INPUT_MS_MAX),
        Row::new("the slowest of 100 keys", format!("{worst} ms")),
        Row::new("pictures per second", fps.to_string()).target("≥ 55", fps >= FPS_MIN),
    ];
    Ok(Figure { value, rows })
}
