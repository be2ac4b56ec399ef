//! B10: restoring a snapshot of 44,000 files against copying them, and saving a sandbox in which 25 files were changed.

use super::report::{Figure, Row};
use crate::progress::{Done, Progress};
use crate::shell;
use anyhow::{Context as _, bail};
use serde_json::Value;

/// Builds the bench of the bridge as the native binaries of a deployment are built, and runs it.
pub(super) fn measure(progress: &Progress) -> anyhow::Result<Figure> {
    let bench = || {
        let mut cargo = shell::cargo();
        cargo.current_dir(stack::root()).args([
            "bench",
            "--profile",
            "native",
            "--package",
            "sandbox-bridge",
        ]);
        cargo.args(["--bench", "snapshots"]);
        cargo
    };
    progress.step("bench of snapshots, optimised", || {
        shell::run(bench().arg("--no-run"), &stack::root().join("target/logs/bench-snapshots.log"))?;
        anyhow::Ok(Done::Worked)
    })?;
    let output = bench().arg("--quiet").output().context("cannot run the bench of snapshots")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the bench of snapshots failed: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let line = text.lines().last().unwrap_or_default();
    let answer: Value = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
    let value = answer.get("B10").cloned().with_context(|| format!("not an answer: {line}"))?;
    let number = |name: &str| {
        value.get(name).and_then(Value::as_f64).with_context(|| format!("the bench says no {name}"))
    };
    let (restore, copy, times) = (number("restore_ms")?, number("cp_ms")?, number("restore_times_faster")?);
    let save = number("snapshot_25_ms")?;
    let rows = vec![
        Row::new("restore of 44,000 files; cp -a", format!("{restore:.1} ms; {copy:.0} ms: 1/{times:.0}"))
            .target("≤ 1/100", times >= 100.0),
        Row::new("snapshot after 25 changed files", format!("{save:.1} ms")).target("≤ 50 ms", save <= 50.0),
    ];
    Ok(Figure { value, rows })
}
