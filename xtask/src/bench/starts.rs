//! `starts`: from a prompt that a session without a sandbox accepts to an agent that works on it, for each way to a sandbox.
//!
//! - `warm_p50_ms`, `warm_p95_ms`: a warm sandbox is claimed. `image_…`: the pool is empty, a sandbox starts from the repository's image.
//!   `snapshot_…`: the session's own was stopped, the next one is restored. Each until the runner has the turn, as B6's first figure.
//! - `cold_…`: no image. Clone, and until the install is done, which is the turn's first command.
//!
//! With the scripted agent: what a start of OpenCode adds is paid by all but the warm one, before the prompt.

use super::report::{Figure, Row};
use super::statistics::{percentile, rounded};
use super::turn::{Sample, prompt};
use crate::progress::Progress;
use crate::setup::NativeProfile;
use anyhow::{Context as _, bail, ensure};
use protocol::client::ServerMessage;
use protocol::repository::RepositoryStatus;
use protocol::timeline::{SandboxStatus, SessionEvent};
use reqwest::Method;
use serde_json::{Map, Value, json};
use stack::{Agent, Binaries, Client, Options, Repository, SessionSocket, Stack};
use std::path::Path;
use std::time::{Duration, Instant};

/// Measured starts of each kind, after one that warms up.
const ROUNDS: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(180);
/// Between two looks at a repository.
const LOOK: Duration = Duration::from_millis(50);
/// The step that a session shows when it makes a sandbox of its own.
const CREATING: &str = "creating the sandbox";
/// A small project whose only dependency is a folder of its own, so that no registry is asked.
const FILES: &[(&str, &str)] = &[
    (
        "package.json",
        r#"{"name": "starts", "version": "1.0.0", "private": true, "dependencies": {"greeting": "file:greeting"}}"#,
    ),
    ("greeting/package.json", r#"{"name": "greeting", "version": "1.0.0", "main": "index.js"}"#),
    ("greeting/index.js", "module.exports = 'hello'\n"),
    (".gitignore", "node_modules\n"),
];
const INSTALL: &str = "npm install --no-audit --no-fund --no-save --offline";

/// Measures.
pub(super) async fn measure(progress: &Progress) -> anyhow::Result<Figure> {
    let origin = tempfile::tempdir()?;
    make_project(origin.path()).await?;
    let (warm, fallbacks, image) = with_images(&options(origin.path(), true, progress)?).await?;
    let claims = format!("claim of a warm sandbox, {fallbacks} of {ROUNDS} came to nothing");
    let (cold, snapshot) = without_images(&options(origin.path(), false, progress)?).await?;
    let ways = [
        ("warm", claims.as_str(), warm),
        ("image", "start from the repository's image", image),
        ("snapshot", "restore from a snapshot", snapshot),
        ("cold", "clone and install", cold),
    ];
    let (mut value, mut rows) = (Map::new(), Vec::new());
    for (key, what, times) in ways {
        let at = |share| percentile(&times, share).context("nothing was measured");
        let (p50, p95) = (at(0.5)?, at(0.95)?);
        value.insert(format!("{key}_p50_ms"), json!(rounded(p50)));
        value.insert(format!("{key}_p95_ms"), json!(rounded(p95)));
        rows.push(Row::new(format!("prompt → agent: {what}"), format!("p50 {p50:.0}, p95 {p95:.0} ms")));
    }
    Ok(Figure { value: Value::Object(value), rows })
}

fn options(origin: &Path, images: bool, progress: &Progress) -> anyhow::Result<Options> {
    let mut options = Options::new("bench-starts");
    options.agent = Agent::Scripted;
    options.images = images;
    options.repositories = vec![Repository::Import { origin: origin.display().to_string() }];
    options.binaries = Binaries::of_profile(NativeProfile::Native.folder());
    options.weak_sandbox = crate::demo::weak_sandbox(false, false, &options.binaries, progress)?;
    if !images {
        // The sandbox of a session is to stop between two prompts.
        options.variables = vec![("SANDBOX_IDLE_MS".to_owned(), "1000".to_owned())];
    }
    Ok(options)
}

async fn make_project(folder: &Path) -> anyhow::Result<()> {
    for (path, content) in FILES {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, content)?;
    }
    let identity = ["-c", "user.name=Acme", "-c", "user.email=shop@acme.example"];
    let commit = [&identity[..], &["commit", "--quiet", "--message", "A small project"]].concat();
    for arguments in [&["init", "--quiet", "--initial-branch=main"][..], &["add", "--all"], &commit] {
        let done = tokio::process::Command::new("git").current_dir(folder).args(arguments).status().await;
        ensure!(done.context("cannot run git")?.success(), "git {arguments:?} failed");
    }
    Ok(())
}

/// A stack with one person and one repository.
struct Place {
    _stack: Stack,
    client: Client,
    repository: String,
}

impl Place {
    async fn start(options: &Options) -> anyhow::Result<Self> {
        let stack = Stack::start(options.clone()).await?;
        let client = stack.sign_in("ada").await?;
        let repository = client.repositories().await?.repositories.first().map(|found| found.id.to_string());
        Ok(Self { _stack: stack, client, repository: repository.context("there is no repository")? })
    }

    /// A session without a sandbox, watched.
    async fn session(&self) -> anyhow::Result<SessionSocket> {
        let session = self.client.create_session(&self.repository, None).await?;
        Ok(self.client.socket(&session, None).await?)
    }

    /// Waits until the repository is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&RepositoryStatus) -> bool) -> anyhow::Result<()> {
        let path = format!("/api/repositories/{}/status", self.repository);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let status: RepositoryStatus = self.client.request(Method::GET, &path, None::<&()>).await?;
            if wanted(&status) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{what} did not come: {status:#?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn set_pool_target(&self, target: u32) -> anyhow::Result<()> {
        let path = format!("/api/repositories/{}/settings", self.repository);
        let settings = json!({ "setup": [INSTALL], "build": [], "warm": [], "poolTarget": target });
        let _: Value = self.client.request(Method::PUT, &path, Some(&settings)).await?;
        let built = |status: &RepositoryStatus| {
            status.image.is_some() && status.builds.iter().all(|build| build.outcome.is_some())
        };
        self.until("the image", |status| status.pool.target == target && built(status)).await
    }
}

/// Starts by claim, how many of them got no warm sandbox in the end, and starts from the image.
async fn with_images(options: &Options) -> anyhow::Result<(Vec<f64>, usize, Vec<f64>)> {
    let place = Place::start(options).await?;
    place.set_pool_target(2).await?;
    let (mut warm, mut fallbacks) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        place.until("the warm pool", |status| status.pool.ready >= status.pool.target).await?;
        let sample = prompt(&mut place.session().await?, "say x", TIMEOUT).await?;
        if round > 0 {
            warm.push(sample.accepted_to_agent_ms);
            fallbacks += usize::from(is_own(&sample));
        }
    }
    ensure!(fallbacks * 2 < ROUNDS, "{fallbacks} of {ROUNDS} sessions got no warm sandbox");
    place.set_pool_target(0).await?;
    place.until("an empty pool", |status| status.pool.ready == 0).await?;
    let mut image = Vec::new();
    for round in 0..=ROUNDS {
        let sample = prompt(&mut place.session().await?, "say x", TIMEOUT).await?;
        ensure!(is_own(&sample), "a session was given a sandbox: {:?}", sample.steps);
        image.extend((round > 0).then_some(sample.accepted_to_agent_ms));
    }
    Ok((warm, fallbacks, image))
}

async fn without_images(options: &Options) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let place = Place::start(options).await?;
    let (mut cold, mut snapshot) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mut socket = place.session().await?;
        let install = format!("run {INSTALL} && test -e node_modules/greeting/index.js\nsay x");
        let sample = prompt(&mut socket, &install, TIMEOUT).await?;
        ensure!(
            sample.exit_codes == [0],
            "the install ended with {:?}: is npm on this machine's PATH?",
            sample.exit_codes
        );
        ensure!(is_own(&sample), "a session was given a sandbox: {:?}", sample.steps);
        until_stopped(&mut socket).await?;
        let restored = prompt(&mut socket, "say x", TIMEOUT).await?;
        if round > 0 {
            cold.push(sample.accepted_to_words_ms);
            snapshot.push(restored.accepted_to_agent_ms);
        }
    }
    Ok((cold, snapshot))
}

fn is_own(sample: &Sample) -> bool {
    sample.steps.iter().any(|step| step == CREATING)
}

/// Waits until the session's sandbox is saved and gone.
async fn until_stopped(socket: &mut SessionSocket) -> anyhow::Result<()> {
    loop {
        if let ServerMessage::Event { event: SessionEvent::SandboxChanged { status }, .. } =
            socket.next(TIMEOUT).await?
            && let SandboxStatus::Stopped { snapshot_id } = status
        {
            ensure!(snapshot_id.is_some(), "the sandbox was stopped without a snapshot");
            return Ok(());
        }
    }
}
