//! `dev`: the stack of the demo, kept running until Ctrl-C.

use crate::setup::{NativeProfile, Setup};
use crate::{AgentChoice, demo, progress::Progress};
use clap::Args;
use stack::{Model, Options, Repository, Stack};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the processes are looked after.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// As the cron trigger of a deployment; wrangler fires none by itself
/// (<https://developers.cloudflare.com/workers/configuration/cron-triggers/#test-cron-triggers-locally>).
const TRIGGER_EVERY: Duration = Duration::from_secs(60);

/// `cargo xtask dev`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to listen on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Who works on prompts.
    #[arg(long, value_enum, default_value_t)]
    agent: AgentChoice,
    /// Another git repository beside the demo's; it is copied.
    #[arg(long, value_name = "PATH_OR_URL")]
    repository: Option<String>,
    /// Forget everything at the end, where otherwise `target/dev` keeps it.
    #[arg(long)]
    ephemeral: bool,
    /// Accept plain processes where namespaces are missing.
    #[arg(long)]
    weak_sandbox: bool,
    /// Print the addresses as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the stack.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    Setup::new(progress).stack(NativeProfile::Dev)?;
    let mut options = Options::new("dev");
    if !arguments.ephemeral {
        options.directory = stack::root().join("target/dev");
        options.keep = true;
    }
    options.port = Some(arguments.port);
    options.images = true;
    options.agent = arguments.agent.into();
    options.model = Model::from_environment(|name| std::env::var(name).ok());
    let is_own = arguments.repository.is_some() || !matches!(options.model, Model::Demo);
    options.weak_sandbox = demo::weak_sandbox(arguments.weak_sandbox, is_own, &options.binaries, &progress)?;
    options.repositories.extend(arguments.repository.map(|origin| Repository::Import { origin }));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut stack = tokio::select! {
        stack = progress.wait("stack", Stack::start(options)) => stack?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
    };
    if arguments.json {
        let repositories: Vec<&str> =
            stack.repositories().iter().map(|seeded| seeded.repository.as_str()).collect();
        let people: Vec<&str> = stack.people().iter().map(|person| person.login).collect();
        let value = serde_json::json!({
            "url": stack.url(), "code_host": stack.github().url(), "slack": stack.slack().url(), "bridge": stack.bridge_url(),
            "repositories": repositories, "users": people, "directory": stack.directory(),
        });
        println!("{value}");
    } else {
        println!(
            "\n  Farhand     {}\n  code host   {}\n  Slack       {}\n  logs        {}\n\nCtrl-C ends it.",
            stack.url(),
            stack.github().url(),
            stack.slack().url(),
            stack.directory().join("logs").display()
        );
    }
    let triggers = tokio::spawn(fire_triggers(stack.url().to_owned()));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            () = tokio::time::sleep(CHECK_EVERY) => stack.check()?,
        }
    }
    triggers.abort();
    progress.note("ending …");
    drop(stack);
    Ok(ExitCode::SUCCESS)
}

/// What goes on by itself in a deployment does so here: access that ends, people who are removed. What fails is in the Worker's log.
async fn fire_triggers(url: String) {
    let client = reqwest::Client::new();
    let address = format!("{url}/cdn-cgi/handler/scheduled?cron=*+*+*+*+*");
    let mut every = tokio::time::interval(TRIGGER_EVERY);
    loop {
        every.tick().await;
        drop(client.get(&address).send().await);
    }
}
