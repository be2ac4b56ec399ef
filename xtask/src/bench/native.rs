//! Builds a bench of a package as the native binaries of a deployment are built, and runs it for one figure.

use crate::progress::{Done, Progress};
use crate::shell;
use anyhow::{Context as _, bail};
use serde_json::Value;

/// What the bench said about one figure.
pub(super) struct Answer {
    pub(super) value: Value,
}

/// Runs the bench of this name.
pub(super) fn run(package: &str, bench: &str, figure: &str, progress: &Progress) -> anyhow::Result<Answer> {
    let command = || {
        let mut cargo = shell::cargo();
        cargo.current_dir(stack::root()).args(["bench", "--profile", "native", "--package"]);
        cargo.args([package, "--bench", bench]);
        cargo
    };
    progress.step(&format!("bench of {bench}, optimised"), || {
        let log = stack::root().join(format!("target/logs/bench-{bench}.log"));
        shell::run(command().arg("--no-run"), &log)?;
        anyhow::Ok(Done::Worked)
    })?;
    let output = command().args(["--quiet", "--", figure]).output();
    let output = output.with_context(|| format!("cannot run the bench of {bench}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the bench of {bench} failed: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let line = text.lines().last().unwrap_or_default();
    let answer: Value = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
    let value = answer.get(figure).cloned().with_context(|| format!("not an answer: {line}"))?;
    Ok(Answer { value })
}

impl Answer {
    /// One number of it.
    pub(super) fn number(&self, name: &str) -> anyhow::Result<f64> {
        self.value.get(name).and_then(Value::as_f64).with_context(|| format!("the bench says no {name}"))
    }
}
