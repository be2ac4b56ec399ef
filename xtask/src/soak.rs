//! `soak`: many sessions on the whole product while processes die and wires break; `tests/end-to-end` has what is done and checked, and
//! the program's own options.

use crate::progress::Progress;
use crate::setup::{NativeProfile, Setup};
use crate::shell;
use anyhow::Context as _;
use clap::Args;
use std::ffi::OsString;
use std::process::ExitCode;

/// `cargo xtask soak`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// What the program takes; `--help` tells.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Builds everything, and runs it to its end.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Setup::new(Progress::new()).stack(NativeProfile::Dev)?;
    let mut command = shell::cargo();
    command.args(["run", "--quiet", "--package", "end-to-end", "--bin", "soak", "--"]);
    let status = command.args(&arguments.options).status().context("cannot run the soak")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
