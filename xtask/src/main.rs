//! `cargo xtask`: sets up what is missing, then runs, tests, measures or examines the whole product.
//!
//! Every command exits 0 only when all of it worked. Progress goes to standard error, results to standard output; with `--json` the
//! last line of standard output is one JSON object.

mod bench;
mod check;
mod demo;
mod deploy;
mod dev;
mod doctor;
mod progress;
mod setup;
mod shell;
mod soak;

use clap::{Args, Parser, Subcommand, ValueEnum};
use progress::Progress;
use setup::{NativeProfile, Optimise, Setup};
use stack::Agent;
use std::process::ExitCode;

/// Runs, tests, measures and examines Farhand.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one real session from prompt to pull request, live, and exit.
    Demo(demo::Arguments),
    /// Keep the whole stack running: open the address it prints.
    Dev(dev::Arguments),
    /// Run everything that CI runs.
    Test(check::Arguments),
    /// Measure.
    Bench(bench::Arguments),
    /// Run many sessions while processes die and wires break, and check what must hold then.
    Soak(soak::Arguments),
    /// Bring a deployment to Cloudflare, or up to date.
    Deploy(deploy::Arguments),
    /// Say what this machine can and cannot do.
    Doctor(doctor::Arguments),
    /// Build, without running anything.
    Build(BuildArguments),
}

#[derive(Args)]
struct BuildArguments {
    /// What to build; everything where absent.
    part: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The Worker, optimised for a deployment.
    Edge,
    /// Bridge and runner, static and optimised for a deployment.
    Native,
    /// The web client.
    Web,
}

/// Which agent works in the sandboxes.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum AgentChoice {
    /// OpenCode.
    #[default]
    Opencode,
    /// Deterministic, for tests.
    Scripted,
}

impl From<AgentChoice> for Agent {
    fn from(choice: AgentChoice) -> Self {
        match choice {
            AgentChoice::Opencode => Self::Opencode,
            AgentChoice::Scripted => Self::Scripted,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("xtask: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    // On this thread and not on a worker's: children are tied to the process, and dropping a stack may block.
    let result = runtime.block_on(async {
        match cli.command {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Dev(arguments) => dev::run(arguments).await,
            Command::Test(arguments) => check::run(&arguments).await,
            Command::Bench(arguments) => bench::run(arguments).await,
            Command::Soak(arguments) => soak::run(&arguments),
            Command::Deploy(arguments) => deploy::run(&arguments).await,
            Command::Doctor(arguments) => doctor::run(&arguments),
            Command::Build(arguments) => build(&arguments),
        }
    });
    result.unwrap_or_else(|error| {
        eprintln!("\nxtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn build(arguments: &BuildArguments) -> anyhow::Result<ExitCode> {
    // wrangler's build step calls this; where the caller has built already there is nothing to do.
    if arguments.part == Some(Part::Edge)
        && std::env::var_os("FARHAND_EDGE_PREBUILT").is_some_and(|value| value == "1")
    {
        return Ok(ExitCode::SUCCESS);
    }
    let setup = Setup::new(Progress::new());
    setup.prerequisites()?;
    setup.node_modules()?;
    let all = arguments.part.is_none();
    if all || arguments.part == Some(Part::Edge) {
        setup.edge(if all { Optimise::No } else { Optimise::Yes })?;
    }
    if all || arguments.part == Some(Part::Native) {
        setup.native(if all { NativeProfile::Dev } else { NativeProfile::Native })?;
    }
    if all || arguments.part == Some(Part::Web) {
        setup.web()?;
    }
    Ok(ExitCode::SUCCESS)
}
