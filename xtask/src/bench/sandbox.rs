//! B9: from the order of a local sandbox to the answer of the first command in it, alone and twenty at once.

use super::report::{Figure, Row};
use crate::progress::{Done, Progress};
use crate::setup::{NativeProfile, Setup};
use crate::shell;
use anyhow::{Context as _, bail};
use serde_json::Value;

/// Builds the bench of the bridge as the native binaries of a deployment are built, and runs it.
pub(super) fn measure(setup: &Setup, progress: &Progress) -> anyhow::Result<Figure> {
    setup.native(NativeProfile::Native)?;
    let bench = || {
        let mut cargo = shell::cargo();
        cargo.current_dir(stack::root()).args(["bench", "--profile", "native", "--package"]);
        cargo.args(["sandbox-bridge", "--bench", "sandbox"]);
        cargo
    };
    progress.step("bench of sandboxes, optimised", || {
        shell::run(bench().arg("--no-run"), &stack::root().join("target/logs/bench-sandbox.log"))?;
        anyhow::Ok(Done::Worked)
    })?;
    let output = bench().arg("--quiet").output().context("cannot run the bench of sandboxes")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the bench of sandboxes failed: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let line = text.lines().last().unwrap_or_default();
    let answer: Value = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
    let value = answer.get("B9").cloned().with_context(|| format!("not an answer: {line}"))?;
    let number = |name: &str| {
        value.get(name).and_then(Value::as_f64).with_context(|| format!("the bench says no {name}"))
    };
    let (first, last) = (number("first_exec_p50_ms")?, number("twenty_last_ms")?);
    let rows = vec![
        Row::new("create → first command", format!("p50 {first:.1} ms")).target("≤ 20 ms", first <= 20.0),
        Row::new("twenty at once, the last", format!("{last:.1} ms")).target("≤ 150 ms", last <= 150.0),
    ];
    Ok(Figure { value, rows })
}
