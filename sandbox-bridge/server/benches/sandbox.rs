//! B9 and the provider's part of B12, on this machine's namespaces: `cargo bench --profile native -p sandbox-bridge --bench sandbox`.
//!
//! The last line of standard output is one JSON object. The runner is the static build of the same profile, or the one that
//! `TEST_RUNNER` names. Called by `cargo xtask bench`.

use anyhow::{Context, bail};
use protocol::bridge::{CreateSandboxRequest, RepositorySource, SandboxLimits, SandboxSource};
use protocol::id::{RepositoryId, SandboxId, SessionId};
use protocol::runner::AgentKind;
use protocol::supervisor::{ExecCommand, ExecExit};
use sandbox_bridge::provider::exec::ExecEvent;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use sandbox_bridge::provider::{BootSecrets, SandboxProvider};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const WARM_UP: usize = 5;
const ROUNDS: usize = 60;
const AT_ONCE: usize = 20;
const BATCHES: usize = 7;
const IDLE: usize = 100;
const STREAMING: usize = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let bench = Bench::start(place.path().join("state"))?;
    let (first, last) = (bench.one_by_one().await?, bench.at_once().await?);
    let (idle, streaming) = (bench.idle().await?, bench.streaming().await?);
    eprintln!("create → first command: p50 {first:.1} ms; {AT_ONCE} at once, last: {last:.1} ms");
    eprintln!("memory of the provider per sandbox: idle {idle:.1} kB, streaming {streaming:.1} kB");
    println!(
        "{}",
        json!({
            "B9": {"first_exec_p50_ms": rounded(first), "twenty_last_ms": rounded(last)},
            "B12": {"provider_idle_kb": rounded(idle), "provider_streaming_kb": rounded(streaming)},
        })
    );
    Ok(())
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut samples: Vec<f64>) -> anyhow::Result<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().context("nothing was measured")
}

/// Memory of this process that is its own, in kB.
fn own_memory_kb() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("no RssAnon")?;
    Ok(number.parse()?)
}

struct Bench {
    provider: LocalProvider,
    next: std::sync::atomic::AtomicU64,
}

impl Bench {
    fn start(state: PathBuf) -> anyhow::Result<Self> {
        let launcher = PathBuf::from(env!("CARGO_BIN_EXE_sandbox-bridge"));
        let runner = match std::env::var_os("TEST_RUNNER") {
            Some(named) => PathBuf::from(named),
            None => {
                let folder = launcher.parent().context("the bridge is in no folder")?;
                let profile = folder.file_name().context("the bridge is in no folder")?;
                let target = folder.parent().context("the bridge is in no folder")?;
                target.join("x86_64-unknown-linux-musl").join(profile).join("runner")
            }
        };
        if !runner.exists() {
            bail!("{} is missing: build the runner with the same profile", runner.display());
        }
        let mut config = LocalConfig { launcher, ..LocalConfig::new(state, runner) };
        config.command.extend(["--", "/bin/sleep", "100000"].map(str::to_owned));
        let provider = LocalProvider::start(config, axum::Router::new())?;
        if !provider.preflight().namespaces {
            bail!("this machine cannot isolate sandboxes: {}", provider.preflight().missing().join(" "));
        }
        Ok(Self { provider, next: 1.into() })
    }

    async fn create(&self) -> anyhow::Result<SandboxId> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = SandboxId::parse(&format!("sbx_b{}n{number}", std::process::id()))?;
        let secrets = BootSecrets { sandbox_token: "token".to_owned(), stand_ins: BTreeMap::new() };
        self.provider.create(&id, &request()?, &secrets).await?;
        Ok(id)
    }

    async fn create_and_run(&self) -> anyhow::Result<(SandboxId, f64)> {
        let began = Instant::now();
        let id = self.create().await?;
        let command = ExecCommand { arguments: vec!["/bin/true".to_owned()], ..ExecCommand::default() };
        let (_, _, exit) = self.provider.exec(&id, command).await?.collect(0).await?;
        let took = ms(began.elapsed());
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
            samples.push(ms(began.elapsed()));
            let ids: Vec<SandboxId> = made.into_iter().map(|(id, _)| id).collect();
            self.end(&ids).await?;
        }
        median(samples)
    }

    /// What each more sandbox costs; those before have paid for what is there once.
    async fn idle(&self) -> anyhow::Result<f64> {
        let mut ids = Vec::new();
        let mut before = 0.0;
        for number in 0..IDLE + AT_ONCE {
            if number == AT_ONCE {
                before = own_memory_kb()?;
            }
            ids.push(self.create().await?);
        }
        let each = (own_memory_kb()? - before) / IDLE as f64;
        self.end(&ids).await?;
        Ok(each)
    }

    /// What each command costs whose output is read all the time.
    async fn streaming(&self) -> anyhow::Result<f64> {
        let mut ids = Vec::new();
        for _ in 0..STREAMING {
            ids.push(self.create().await?);
        }
        let before = own_memory_kb()?;
        let mut streams = Vec::new();
        for id in &ids {
            let arguments = ["cat", "/dev/zero"].map(str::to_owned).to_vec();
            streams.push(
                self.provider.exec(id, ExecCommand { arguments, ..ExecCommand::default() }).await?.output,
            );
        }
        for _ in 0..200 {
            for stream in &mut streams {
                let ExecEvent::Output(_) = stream.next().await? else { bail!("a stream ended") };
            }
        }
        let each = (own_memory_kb()? - before) / STREAMING as f64;
        drop(streams);
        self.end(&ids).await?;
        Ok(each)
    }
}

fn request() -> anyhow::Result<CreateSandboxRequest> {
    Ok(CreateSandboxRequest {
        session_id: SessionId::parse("ses_bench")?,
        generation: 1,
        repository: RepositorySource {
            id: RepositoryId::parse("octo/demo")?,
            clone_url: "http://127.0.0.1:1/octo/demo.git".to_owned(),
            default_branch: "main".to_owned(),
        },
        branch: "farhand/bench".to_owned(),
        source: SandboxSource::Base,
        limits: SandboxLimits::default(),
        agent: AgentKind::Scripted,
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    })
}
