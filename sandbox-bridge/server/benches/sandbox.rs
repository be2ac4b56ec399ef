//! B9 and B12, on this machine's namespaces: `cargo bench --profile native -p sandbox-bridge --bench sandbox [-- B9|B12…]`.
//!
//! The last line of standard output is one JSON object. The runner is the static build of the same profile, or the one that
//! `TEST_RUNNER` names. Called by `cargo xtask bench`.

mod bridge;
mod shared;

use anyhow::{Context, bail};
use protocol::bridge::SandboxSource;
use protocol::id::SandboxId;
use protocol::supervisor::{ExecCommand, ExecExit};
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use sandbox_bridge::provider::{BootSecrets, SandboxOrder, SandboxProvider};
use serde_json::json;
use shared::{median, ms, order, require_isolation, rounded, session};
use std::path::{Path, PathBuf};
use std::time::Instant;

const WARM_UP: usize = 5;
const ROUNDS: usize = 60;
const AT_ONCE: usize = 20;
const BATCHES: usize = 7;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|own| own == name);
    let mut figures = serde_json::Map::new();
    if is_wanted("B9") {
        let place = tempfile::tempdir()?;
        let bench = Bench::start(place.path().join("state"))?;
        let (first, last) = (bench.one_by_one().await?, bench.at_once().await?);
        eprintln!("create → first command: p50 {first:.1} ms; {AT_ONCE} at once, last: {last:.1} ms");
        let value = json!({"first_exec_p50_ms": rounded(first), "twenty_last_ms": rounded(last)});
        figures.insert("B9".to_owned(), value);
    }
    if is_wanted("B12") {
        figures.insert("B12".to_owned(), bridge::measure(&static_runner()?).await?);
    }
    println!("{}", serde_json::Value::Object(figures));
    Ok(())
}

/// The static build of the same profile as the bridge.
fn static_runner() -> anyhow::Result<PathBuf> {
    let runner = match std::env::var_os("TEST_RUNNER") {
        Some(named) => PathBuf::from(named),
        None => {
            let launcher = Path::new(env!("CARGO_BIN_EXE_sandbox-bridge"));
            let folder = launcher.parent().context("the bridge is in no folder")?;
            let profile = folder.file_name().context("the bridge is in no folder")?;
            let target = folder.parent().context("the bridge is in no folder")?;
            target.join("x86_64-unknown-linux-musl").join(profile).join("runner")
        }
    };
    if !runner.exists() {
        bail!("{} is missing: build the runner with the same profile", runner.display());
    }
    Ok(runner)
}

struct Bench {
    provider: LocalProvider,
    next: std::sync::atomic::AtomicU64,
}

impl Bench {
    fn start(state: PathBuf) -> anyhow::Result<Self> {
        let launcher = PathBuf::from(env!("CARGO_BIN_EXE_sandbox-bridge"));
        let runner = static_runner()?;
        let mut config = LocalConfig { launcher, ..LocalConfig::new(state, runner) };
        config.command.extend(["--", "/bin/sleep", "100000"].map(str::to_owned));
        let provider = LocalProvider::start(config, axum::Router::new())?;
        require_isolation(&provider)?;
        Ok(Self { provider, next: 1.into() })
    }

    async fn create(&self) -> anyhow::Result<SandboxId> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = SandboxId::parse(&format!("sbx_b{}n{number}", std::process::id()))?;
        let secrets = BootSecrets { sandbox_token: "token".to_owned(), ..BootSecrets::default() };
        let order = SandboxOrder::of_session(&order(session()?, SandboxSource::Base)?);
        self.provider.create(&id, &order, &secrets).await?;
        Ok(id)
    }

    async fn create_and_run(&self) -> anyhow::Result<(SandboxId, f64)> {
        let began = Instant::now();
        let id = self.create().await?;
        let command = ExecCommand { arguments: vec!["/bin/true".to_owned()], ..ExecCommand::default() };
        let (_, _, exit) = self.provider.exec(&id, command).await?.collect(0).await?;
        let took = ms(began);
        if exit != (ExecExit { code: Some(0), signal: None }) {
            bail!("true ended with {exit:?}");
        }
        Ok((id, took))
    }

    async fn end(&self, ids: &[SandboxId]) -> anyhow::Result<()> {
        futures::future::try_join_all(ids.iter().map(|id| self.provider.terminate(id))).await?;
        Ok(())
    }

    async fn one_by_one(&self) -> anyhow::Result<f64> {
        let mut samples = Vec::new();
        for round in 0..WARM_UP + ROUNDS {
            let (id, took) = self.create_and_run().await?;
            if round >= WARM_UP {
                samples.push(took);
            }
            self.end(&[id]).await?;
        }
        median(samples)
    }

    async fn at_once(&self) -> anyhow::Result<f64> {
        let mut samples = Vec::new();
        for _ in 0..BATCHES {
            let began = Instant::now();
            let made = futures::future::try_join_all((0..AT_ONCE).map(|_| self.create_and_run())).await?;
            samples.push(ms(began));
            let ids: Vec<SandboxId> = made.into_iter().map(|(id, _)| id).collect();
            self.end(&ids).await?;
        }
        median(samples)
    }
}
