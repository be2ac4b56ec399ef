//! B11: seeds of the simulator in two minutes on two processors. A seed that breaks an invariant fails the measurement.

use super::report::{Figure, Row};
use crate::progress::Progress;
use crate::shell;
use anyhow::{Context as _, bail};
use serde_json::{Value, json};

const SECONDS: &str = "120";
const JOBS: &str = "2";
const TARGET: u64 = 10_000;

/// Builds the simulator as the native binaries of a deployment are built, and runs it.
pub(super) fn measure(progress: &Progress) -> anyhow::Result<Figure> {
    let simulator = |command: &str| {
        let mut cargo = shell::cargo();
        cargo.current_dir(stack::root()).args([command, "--profile", "native", "--package", "simulation"]);
        cargo.args(["--bin", "simulate"]);
        cargo
    };
    progress.step("simulator, optimised", || {
        shell::run(&mut simulator("build"), &stack::root().join("target/logs/simulator.log"))?;
        anyhow::Ok(crate::progress::Done::Worked)
    })?;
    let mut run = simulator("run");
    run.args(["--quiet", "--", "--seconds", SECONDS, "--jobs", JOBS, "--json"]);
    let output = run.output().context("cannot run the simulator")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    if !output.status.success() {
        bail!("the simulator found a violation: {line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let answer: Value = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
    let number = |name: &str| answer.get(name).and_then(Value::as_u64);
    let seeds = number("seeds").context("the simulator counts no seeds")?;
    let what = format!("seeds in {SECONDS} s, {JOBS} threads");
    let ours =
        format!("{seeds}, {} steps, {} faults", number("steps").unwrap_or(0), number("faults").unwrap_or(0));
    let row = Row::new(what, ours).target("≥ 10,000", seeds >= TARGET);
    Ok(Figure { value: json!(seeds), rows: vec![row] })
}
