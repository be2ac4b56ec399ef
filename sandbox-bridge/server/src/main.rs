//! The binary `sandbox-bridge`: `serve` runs the bridge, `doctor` says what this machine can isolate, `snapshot` takes snapshots out
//! and in.
//!
//! Reads the configuration and ends with words for humans; everything else is the library's. As `__launch` it becomes a sandbox,
//! before any thread exists.

mod snapshot;

use anyhow::Context;
use clap::{Parser, Subcommand};
use nix::unistd::{Gid, Uid};
use sandbox_bridge::config::{ModalArguments, ProviderKind, Secrets, ServeArguments};
use sandbox_bridge::gateway::egress::EgressSettings;
use sandbox_bridge::gateway::egress::authority::{Authority, read_certificates};
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::local::{Account, DEFAULT_ACCOUNT, LocalConfig, LocalProvider, preflight};
use sandbox_bridge::provider::modal::{Credentials, ModalConfig, ModalProvider};
use sandbox_bridge::serve::{self, Bridge, Sandboxes, Settings};
use sandbox_bridge::{launcher, log};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The word that turns this binary into the launcher.
const LAUNCH: &str = "__launch";
/// What is started as the launcher: this very binary, even after an update has replaced its file.
const OWN_BINARY: &str = "/proc/self/exe";

/// Makes sandboxes, joins their runners to the sessions at the edge, and keeps the keys outside.
#[derive(Parser)]
#[command(name = "sandbox-bridge", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the bridge. Secrets come by environment: FARHAND_BRIDGE_KEY, FARHAND_GIT_CREDENTIALS, FARHAND_MODEL_PROVIDERS,
    /// FARHAND_REPOSITORY_POLICY, and with --provider modal MODAL_TOKEN_ID and MODAL_TOKEN_SECRET.
    Serve(Box<ServeArguments>),
    /// Try what this machine can isolate, and print it. Fails when sandboxes cannot be isolated at all.
    Doctor {
        /// Folder in which to try; where absent, the one for temporary files.
        #[arg(long, env = "FARHAND_STATE")]
        state: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Take a snapshot of the local provider out of its folder, or bring one in.
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == LAUNCH) {
        launcher::main();
    }
    let result = match Cli::parse().command {
        Command::Serve(arguments) => run(*arguments),
        Command::Doctor { state, json } => doctor(state, json),
        Command::Snapshot(command) => snapshot::run(command).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("sandbox-bridge: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: ServeArguments) -> anyhow::Result<ExitCode> {
    let spans = log::start()?;
    arguments.check()?;
    let secrets = Secrets::read(|name| std::env::var(name).ok())?;
    let modal = match arguments.provider {
        ProviderKind::Local => None,
        ProviderKind::Modal => Some(ModalArguments::credentials(|name| std::env::var(name).ok())?),
    };
    // What opens the collector is a secret like others.
    let of_collector = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]
        .map(|name| std::env::var(name).unwrap_or_default());
    let of_collector = of_collector.iter().flat_map(|headers| header_values(headers));
    let of_modal = modal.iter().flat_map(|modal| [modal.token_id.reveal(), modal.token_secret.reveal()]);
    log::conceal(secrets.all().chain(of_modal).chain(of_collector));
    // Processes of the same account, such as an agent in the weak tier, must not read the secrets out of this one.
    nix::sys::prctl::set_dumpable(false).context("could not close this process to others")?;
    raise_open_files();
    let outcome = tokio::runtime::Runtime::new()
        .context("could not start the runtime")?
        .block_on(run_bridge(arguments, secrets, modal));
    spans.flush();
    outcome
}

/// The values of `name=value,name=value`, which may hold a key. Words of a few letters are no secrets, and occur in every line.
fn header_values(headers: &str) -> impl Iterator<Item = &str> {
    let values = headers.split(',').filter_map(|header| Some(header.split_once('=')?.1.trim()));
    values.filter(|value| value.len() >= 8)
}

async fn run_bridge(
    arguments: ServeArguments,
    secrets: Secrets,
    modal: Option<Credentials>,
) -> anyhow::Result<ExitCode> {
    let signals = Signals::new().context("could not listen for signals")?;
    let blocked_commands = arguments.blocked_commands();
    let egress = egress(&arguments, &secrets)?;
    let ca_bundle = egress.authority.as_ref().map(|authority| authority.bundle().to_owned());
    let mut settings = Settings {
        listen: arguments.listen,
        public_url: arguments.public_url.clone(),
        edge_url: arguments.edge_url.clone(),
        secrets,
        egress,
        gateway: None,
    };
    let die_with_bridge = arguments.sandboxes_die_with_bridge;
    match modal {
        None => {
            let local = LocalConfig {
                blocked_commands,
                opencode: arguments.opencode,
                weak_sandbox: arguments.weak_sandbox,
                ca_bundle,
                tool_mounts: arguments.tools,
                base_images: arguments.base_images,
                launcher: PathBuf::from(OWN_BINARY),
                snapshot_driver: arguments.snapshot_driver,
                ..LocalConfig::new(arguments.state, arguments.runner)
            };
            let bridge = serve::start(settings, async |inside| LocalProvider::start(local, inside)).await?;
            until_told(bridge, signals, die_with_bridge).await
        }
        Some(credentials) => {
            let modal = arguments.modal.config(&arguments.state, arguments.runner)?;
            let modal = ModalConfig { blocked_commands, ca_bundle, ..modal };
            let address = arguments.modal.gateway_listen;
            let listener = std::net::TcpListener::bind(address)
                .with_context(|| format!("--gateway-listen: cannot listen on {address}"))?;
            settings.gateway = Some(listener);
            // Modal's sandboxes reach the gateway by its own address.
            let bridge =
                serve::start(settings, async |_| ModalProvider::start(modal, credentials).await).await?;
            until_told(bridge, signals, die_with_bridge).await
        }
    }
}

/// Says where the bridge listens, and ends it when it is told to.
async fn until_told<P: SandboxProvider>(
    bridge: Bridge<P>,
    mut signals: Signals,
    die_with_bridge: bool,
) -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::json!({ "listening": bridge.url }));
    std::io::stdout().flush().context("could not say where the bridge listens")?;

    signals.next().await;
    let sandboxes = if die_with_bridge { Sandboxes::End } else { Sandboxes::RunOn };
    tokio::select! {
        () = bridge.stop(sandboxes) => Ok(ExitCode::SUCCESS),
        () = signals.next() => {
            tracing::warn!("told to end a second time: ending at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The way out. The bridge has a certificate authority of its own only where it is needed.
fn egress(arguments: &ServeArguments, secrets: &Secrets) -> anyhow::Result<EgressSettings> {
    let extra_authorities = match &arguments.extra_ca {
        Some(path) => read_certificates(path)
            .with_context(|| format!("--extra-ca: could not read {}", path.display()))?,
        None => Vec::new(),
    };
    let inspects =
        secrets.repositories.values().any(|own| !own.secrets.is_empty() || !own.read_only_hosts.is_empty());
    let authority = (inspects || !extra_authorities.is_empty())
        .then(|| Authority::open(&arguments.state.join("egress"), &extra_authorities))
        .transpose()?;
    Ok(EgressSettings {
        allow_hosts: arguments.allow_hosts.clone(),
        private_hosts: arguments.private_hosts.clone(),
        extra_authorities,
        authority: authority.map(Arc::new),
        budget_micro_dollars: arguments.sandbox_budget,
        resolver: None,
    })
}

/// As many open files as may be had: each sandbox takes some, and the usual soft limit is for programs that use `select`.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// What ends the bridge.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn doctor(state: Option<PathBuf>, json: bool) -> anyhow::Result<ExitCode> {
    let state = state.unwrap_or_else(std::env::temp_dir);
    let own = Account { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() };
    let account = if own.uid == 0 { DEFAULT_ACCOUNT } else { own };
    let found = preflight(&state, Path::new(OWN_BINARY), account).with_context(|| {
        format!("could not try anything in {}; choose a folder with --state", state.display())
    })?;
    if json {
        println!("{}", serde_json::to_string(&found)?);
    } else {
        print!("{}", found.render());
    }
    Ok(if found.namespaces { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
