//! `soak`: many sessions on the whole product while processes die and wires break; `tests/end-to-end` has what is done and checked.

use crate::progress::Progress;
use crate::setup::{NativeProfile, Setup};
use crate::shell;
use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use std::process::{ExitCode, Stdio};

/// `cargo xtask soak`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How long people come to sessions.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How many sessions.
    #[arg(long, default_value_t = 200)]
    sessions: usize,
    /// How many of them are worked on at a time.
    #[arg(long, default_value_t = 6)]
    working: usize,
    /// What is asked for and what breaks; one that nobody has seen where absent, and printed in any case.
    #[arg(long)]
    seed: Option<u64>,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
    /// Keep the run's folder below `target/runs`: repositories, logs.
    #[arg(long)]
    keep: bool,
}

/// Builds everything, and runs it to its end.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Setup::new(Progress::new()).stack(NativeProfile::Dev)?;
    let mut command = shell::cargo();
    command.args(["run", "--quiet", "--package", "end-to-end", "--bin", "soak", "--"]);
    command.arg(format!("--minutes={}", arguments.minutes));
    command.arg(format!("--sessions={}", arguments.sessions));
    command.arg(format!("--working={}", arguments.working));
    command.args(arguments.seed.map(|seed| format!("--seed={seed}")));
    command.args(arguments.keep.then_some("--keep"));
    let output = command.stderr(Stdio::inherit()).output().context("cannot run the soak")?;
    if !output.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let figures: Value = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
    if arguments.json {
        println!("{figures}");
    } else {
        println!("{figures:#}");
    }
    Ok(ExitCode::SUCCESS)
}
