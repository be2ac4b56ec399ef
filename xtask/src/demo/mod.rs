//! `demo`: one real session from prompt to pull request, printed live.
//!
//! Ends with 0 only when the turn completed, its commit is pushed under the prompt's author, and the pull request is open.

mod report;
mod session;

use crate::setup::{NativeProfile, Setup};
use crate::{AgentChoice, doctor, progress::Progress};
use anyhow::{Context as _, bail};
use clap::Args;
use report::Report;
use stack::fakes::seed;
use stack::{Agent, Binaries, Model, Options, Repository, Stack};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Who writes the demo's prompt.
const LOGIN: &str = "ada";

/// What the scripted agent does with the demo repository.
const SCRIPT: &str = "say I follow a script: I repair the discount and run the tests.\n\
run sed -i 's|/ 1000|/ 100|' src/price.sh\n\
append CHANGELOG.md - The discount is ten percent again.\\n\n\
run sh test.sh";

/// `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Another prompt.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Another git repository; it is copied, what is committed comes along.
    #[arg(long, value_name = "PATH_OR_URL")]
    repository: Option<String>,
    /// Accept plain processes where namespaces are missing: nothing then keeps the agent from this machine's files and network.
    #[arg(long)]
    weak_sandbox: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    /// Who works on the prompt.
    #[arg(long, value_enum, default_value_t)]
    agent: AgentChoice,
    /// Keep the run's folder below `target/runs`: repositories, logs.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.json;
    let mut terminate = signal(SignalKind::terminate())?;
    let result = tokio::select! {
        result = perform(arguments) => result,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\nxtask: interrupted");
            return Ok(ExitCode::from(130));
        }
        _ = terminate.recv() => return Ok(ExitCode::from(143)),
    };
    match result {
        Ok(report) => {
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{}", report.summary());
            }
            if let Some(why) = report.shortfall() {
                eprintln!("\nxtask: {why}");
                return Ok(ExitCode::FAILURE);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if json {
                println!("{}", serde_json::to_string(&Report::failed(&format!("{error:#}")))?);
            }
            Err(error)
        }
    }
}

async fn perform(arguments: Arguments) -> anyhow::Result<Report> {
    let progress = Progress::new();
    if arguments.prompt.as_deref().is_some_and(|prompt| prompt.trim().is_empty()) {
        bail!("--prompt is empty: say what is to be done");
    }
    let setup = Setup::new(progress);
    setup.stack(NativeProfile::Dev)?;

    let agent = Agent::from(arguments.agent);
    let model = Model::from_environment(|name| std::env::var(name).ok());
    let is_own = arguments.repository.is_some() || !matches!(model, Model::Demo);
    let mut options = Options::new("demo");
    options.weak_sandbox = weak_sandbox(arguments.weak_sandbox, is_own, &options.binaries, &progress)?;
    options.keep = arguments.keep;
    options.agent = agent;
    options.model = model;
    options.repositories = vec![match arguments.repository {
        Some(origin) => Repository::Import { origin },
        None => Repository::Shop,
    }];
    let prompt = match (&arguments.prompt, options.repositories.first(), agent) {
        (Some(prompt), _, _) => prompt.clone(),
        (None, Some(Repository::Shop), Agent::Scripted) => SCRIPT.to_owned(),
        (None, Some(Repository::Shop), Agent::Opencode) => seed::SHOP_PROMPT.to_owned(),
        // Works on any repository.
        (None, _, Agent::Scripted) => "append FARHAND.md Farhand was here.\\n".to_owned(),
        (None, _, Agent::Opencode) => {
            "Create a file `FARHAND.md` with the content `Farhand was here.`".to_owned()
        }
    };
    let directory = options.directory.clone();
    let mut stack = progress.wait("stack", Stack::start(options)).await?;
    let result = session::run(&mut stack, LOGIN, &prompt, agent, &progress).await;
    if arguments.keep {
        progress.note(&format!("The run's files are in {}", directory.display()));
    }
    // Ending the stack takes a moment: sandboxes are ended in order.
    drop(stack);
    result
}

/// Whether the weak tier is to be accepted; refuses where it must be asked for.
pub(crate) fn weak_sandbox(
    accepted: bool,
    needs_isolation: bool,
    binaries: &Binaries,
    progress: &Progress,
) -> anyhow::Result<bool> {
    let isolation =
        doctor::isolation(&binaries.bridge).context("the bridge cannot say what this machine can isolate")?;
    if isolation.namespaces {
        return Ok(accepted);
    }
    let why = isolation.missing();
    if needs_isolation && !accepted {
        bail!(
            "this machine cannot isolate sandboxes, so only the demo repository with the demo model runs here.\n{why}\n\
             To go on without isolation, with an agent that can read this machine's files: add --weak-sandbox"
        );
    }
    progress.note(&format!(
        "! WEAK SANDBOX: this machine cannot isolate sandboxes. The agent is a plain process here and could read this machine's files.\n{why}"
    ));
    Ok(true)
}
