//! `deploy`: brings one deployment to Cloudflare, or up to date: checks, builds, makes the database and the bucket where they are
//! missing, applies the migrations, asks for the secrets that are not set, deploys, and looks whether it answers.
//!
//! Each step finds what is there already, so that the command goes on where it was interrupted. With `--dry-run` nothing leaves this
//! machine, and no account is needed.

mod deployment;
mod secret;
mod wrangler;

use crate::progress::Progress;
use crate::setup::{Optimise, Setup};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use deployment::{Base, Deployment};
use secret::{Secret, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use wrangler::Wrangler;

/// The id in a dry run, where no database exists.
const NO_DATABASE: &str = "00000000-0000-0000-0000-000000000000";
/// From the generated configuration to the checkout.
const ROOT: &str = "../..";
/// How long a new address may take to be known.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const ANSWER_LOOK: Duration = Duration::from_secs(3);

/// `cargo xtask deploy`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What differs between deployments.
    #[arg(long, value_name = "FILE", default_value = "farhand.toml")]
    file: PathBuf,
    /// Write such a file, to be filled in, and do nothing else.
    #[arg(long, conflicts_with = "dry_run")]
    init: bool,
    /// Check and pack everything; send nothing, ask nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Deploys.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wrangler_toml = stack::root().join("wrangler.toml");
    let text = std::fs::read_to_string(&wrangler_toml)
        .with_context(|| format!("cannot read {}", wrangler_toml.display()))?;
    let base = Base::read(&text)?;
    if arguments.init {
        return init(&arguments.file, &base);
    }
    let file = arguments.file.display();
    let text = std::fs::read_to_string(&arguments.file)
        .with_context(|| format!("cannot read {file}; `cargo xtask deploy --init` writes one to fill in"))?;
    let deployment = Deployment::read(&text, &base).with_context(|| format!("{file} is not right"))?;
    let setup = Setup::new(Progress::new());
    setup.prerequisites()?;
    setup.node_modules()?;
    // In CI the module of the tests is packed: it differs in its size only.
    if std::env::var_os("FARHAND_EDGE_PREBUILT").is_none_or(|value| value != "1") {
        setup.edge(Optimise::Yes)?;
    }
    setup.web()?;
    if arguments.dry_run {
        let wrangler = configured(&deployment, &base, NO_DATABASE)?;
        println!("{}", wrangler.deploy(None, true)?);
        println!("\nA dry run: nothing was sent. {}", asked_later(&deployment, &base));
        return Ok(ExitCode::SUCCESS);
    }
    deploy(&deployment, &base).await?;
    Ok(ExitCode::SUCCESS)
}

fn init(file: &Path, base: &Base) -> anyhow::Result<ExitCode> {
    let mut output = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .with_context(|| format!("cannot make {}", file.display()))?;
    output.write_all(base.template().as_bytes())?;
    println!("Fill in {}, then run `cargo xtask deploy --dry-run`.", file.display());
    Ok(ExitCode::SUCCESS)
}

/// wrangler with the configuration of this deployment, which is written below `target`.
fn configured(deployment: &Deployment, base: &Base, database_id: &str) -> anyhow::Result<Wrangler> {
    let folder = stack::root().join("target/deploy");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let config = base.for_deployment(deployment, database_id, ROOT)?;
    let path = folder.join("wrangler.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    Ok(Wrangler::new(path))
}

fn asked_later(deployment: &Deployment, base: &Base) -> String {
    let asked = secret::missing(deployment, base, &BTreeSet::new());
    let asked = asked.iter().filter(|secret| !matches!(secret.source, Source::Made(_)));
    let names: Vec<&str> = asked.map(|secret| secret.name).collect();
    format!("A deployment asks for: {}.", names.join(", "))
}

async fn deploy(deployment: &Deployment, base: &Base) -> anyhow::Result<()> {
    let wrangler = configured(deployment, base, NO_DATABASE)?;
    wrangler.check_signed_in()?;
    let database_id = wrangler.database(&deployment.name)?;
    wrangler.bucket(&deployment.bucket())?;
    let wrangler = configured(deployment, base, &database_id)?;
    let set = wrangler.secrets()?;
    let secrets = collect(deployment, base, &set)?;
    // Before the code that reads it; a migration is such that the code before it goes on working.
    wrangler.migrate(&deployment.name)?;
    println!("{}", wrangler.deploy(Some(&secrets), false)?);
    if let Some(key) = secrets.get("BRIDGE_KEY") {
        hand_over(key)?;
    }
    wait_for_answer(&deployment.public_url).await
}

/// What is not set yet: made, from the environment, or asked for at the terminal.
fn collect(
    deployment: &Deployment,
    base: &Base,
    set: &BTreeSet<String>,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let (mut found, mut lacking) = (BTreeMap::new(), Vec::new());
    for secret in secret::missing(deployment, base, set) {
        let is_needed = secret.is_needed(deployment, base);
        let value = match (secret.source, std::env::var(secret.name)) {
            (_, Ok(value)) if !value.trim().is_empty() => Some(value),
            (Source::Made(form), _) => Some(secret::make(form, random()?)),
            (Source::Asked | Source::AskedAsFile, _) if std::io::stdin().is_terminal() => {
                ask(secret, is_needed)?
            }
            (Source::Asked | Source::AskedAsFile, _) => None,
        };
        match value {
            Some(value) => {
                found.insert(secret.name, value);
            }
            None if is_needed => lacking.push(format!("{}: {}", secret.name, secret.what)),
            None => {}
        }
    }
    ensure!(
        lacking.is_empty(),
        "secrets are missing; set them in the environment of this command, or run it at a terminal:\n{}",
        lacking.join("\n")
    );
    Ok(found)
}

/// Asks without showing what is typed; nothing where it may be left out.
fn ask(secret: &Secret, is_needed: bool) -> anyhow::Result<Option<String>> {
    let hint = if is_needed { "" } else { " (nothing: not now)" };
    loop {
        let prompt = format!("{}: {}{hint}: ", secret.name, secret.what);
        let typed = rpassword::prompt_password(prompt)?.trim().to_owned();
        match (typed.is_empty(), secret.source) {
            (true, _) if is_needed => eprintln!("{} is needed.", secret.name),
            (true, _) => return Ok(None),
            (false, Source::AskedAsFile) => match std::fs::read_to_string(&typed) {
                Ok(text) => return Ok(Some(text)),
                Err(error) => eprintln!("cannot read {typed}: {error}"),
            },
            (false, Source::Asked | Source::Made(_)) => return Ok(Some(typed)),
        }
    }
}

/// From the system's own source.
fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes))?;
    Ok(bytes)
}

/// The key that the bridge must have, too: Cloudflare shows no secret a second time.
fn hand_over(key: &str) -> anyhow::Result<()> {
    let path = stack::root().join("target/deploy/bridge-key");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&path)?.write_all(key.as_bytes())?;
    println!(
        "\nA new key for the bridge is in {}: give it to the bridge as FARHAND_BRIDGE_KEY, then delete the file.",
        path.display()
    );
    Ok(())
}

/// Waits until the deployment says that it is there: a new address takes a while.
async fn wait_for_answer(public_url: &str) -> anyhow::Result<()> {
    let url = format!("{}/api/health", public_url.trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(ANSWER_LOOK).build()?;
    let deadline = std::time::Instant::now() + ANSWER_TIMEOUT;
    loop {
        let why = match http.get(&url).send().await {
            Ok(answer) if answer.status().is_success() => {
                println!(
                    "\n{public_url} answers. Sign in there as an operator: Settings says what is still missing."
                );
                return Ok(());
            }
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        if std::time::Instant::now() >= deadline {
            bail!("deployed, but {url} does not answer: {why}");
        }
        tokio::time::sleep(ANSWER_LOOK).await;
    }
}
