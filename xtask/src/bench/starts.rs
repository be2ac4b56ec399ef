//! `starts`: from a prompt that a session without a sandbox accepts to an agent that works on it, for each way to a sandbox.
//!
//! - `warm_p50_ms`, `warm_p95_ms`: a warm sandbox is claimed. `image_…`: the pool is empty, a sandbox starts from the repository's image.
//!   `snapshot_…`: the session's own was stopped, the next one is restored. Each until the runner has the turn, as B6's first figure.
//! - `cold_…`: no image. Clone, and until the install is done, which is the turn's first command.
//! - `modal_…`: the same at the stand-in for Modal, which takes as long for the creation of a sandbox as was measured of Modal itself.
//! - `warm_ratio`, `snapshot_ratio`, `cold_ratio`, and those of `modal_`: the median ÷ that of a start from the image, in the same run.
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
use stack::fakes::modal::ModalOptions;
use stack::{Agent, Binaries, Client, Options, Repository, SessionSocket, Stack};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Measured starts of each kind, after one that warms up, on this machine …
const ROUNDS: usize = 20;
/// … and at the stand-in for Modal, where each takes seconds.
const MODAL_ROUNDS: usize = 10;
/// Until a sandbox that was ordered of Modal takes its first command: the median of an independent measurement, because Modal publishes
/// no figure.
const MODAL_CREATION: Duration = Duration::from_millis(1700);
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
    let mut figure = Figure { value: Value::Null, rows: Vec::new() };
    let mut value = Map::new();
    for place in [Where::Here, Where::Modal] {
        let times = Times {
            images: with_images(&options(origin.path(), place, true, progress)?, place.rounds()).await?,
            base: without_images(&options(origin.path(), place, false, progress)?, place.rounds()).await?,
        };
        times.tell(place, &mut value, &mut figure.rows)?;
    }
    figure.value = Value::Object(value);
    Ok(figure)
}

/// Where sandboxes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// On this machine.
    Here,
    /// At the stand-in for Modal.
    Modal,
}

impl Where {
    fn rounds(self) -> usize {
        match self {
            Self::Here => ROUNDS,
            Self::Modal => MODAL_ROUNDS,
        }
    }

    /// What its names in the JSON object begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Here => "",
            Self::Modal => "modal_",
        }
    }

    fn told(self) -> String {
        match self {
            Self::Here => String::new(),
            Self::Modal => {
                format!("at Modal's stand-in, {:.1} s for a creation: ", MODAL_CREATION.as_secs_f64())
            }
        }
    }
}

/// All starts of one place, in milliseconds.
struct Times {
    images: WithImages,
    base: WithoutImages,
}

struct WithImages {
    warm: Vec<f64>,
    /// How many of them got no warm sandbox in the end.
    fallbacks: usize,
    image: Vec<f64>,
}

struct WithoutImages {
    cold: Vec<f64>,
    snapshot: Vec<f64>,
}

impl Times {
    fn tell(&self, place: Where, value: &mut Map<String, Value>, rows: &mut Vec<Row>) -> anyhow::Result<()> {
        let Self { images: WithImages { warm, fallbacks, image }, base } = self;
        let claims = format!("claim of a warm sandbox, {fallbacks} of {} came to nothing", place.rounds());
        let at = |times: &[f64], share| percentile(times, share).context("nothing was measured");
        let usual = at(image, 0.5)?;
        for (key, what, times) in [
            ("warm", claims.as_str(), warm),
            ("image", "start from the repository's image", image),
            ("snapshot", "restore from a snapshot", &base.snapshot),
            ("cold", "clone and install", &base.cold),
        ] {
            let (p50, p95, prefix) = (at(times, 0.5)?, at(times, 0.95)?, place.prefix());
            value.insert(format!("{prefix}{key}_p50_ms"), json!(rounded(p50)));
            value.insert(format!("{prefix}{key}_p95_ms"), json!(rounded(p95)));
            let mut told = format!("p50 {p50:.0}, p95 {p95:.0} ms");
            if key != "image" {
                value.insert(format!("{prefix}{key}_ratio"), json!(rounded(p50 / usual)));
                told.push_str(&format!(", {:.2} of a start from the image", p50 / usual));
            }
            rows.push(Row::new(format!("{}prompt → agent: {what}", place.told()), told));
        }
        Ok(())
    }
}

fn options(origin: &Path, place: Where, images: bool, progress: &Progress) -> anyhow::Result<Options> {
    let mut options = Options::new("bench-starts");
    options.agent = Agent::Scripted;
    options.images = images;
    options.repositories = vec![Repository::Import { origin: origin.display().to_string() }];
    options.binaries = Binaries::of_profile(NativeProfile::Native.folder());
    match place {
        Where::Here => {
            options.weak_sandbox = crate::demo::weak_sandbox(false, false, &options.binaries, progress)?;
        }
        Where::Modal => {
            let latencies = BTreeMap::from([("SandboxCreateV2", MODAL_CREATION)]);
            options.modal = Some(ModalOptions { latencies, ..ModalOptions::default() });
        }
    }
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

/// Starts by claim, then starts from the image.
async fn with_images(options: &Options, rounds: usize) -> anyhow::Result<WithImages> {
    let place = Place::start(options).await?;
    place.set_pool_target(2).await?;
    let (mut warm, mut fallbacks) = (Vec::new(), 0);
    for round in 0..=rounds {
        place.until("the warm pool", |status| status.pool.ready >= status.pool.target).await?;
        let sample = prompt(&mut place.session().await?, "say x", TIMEOUT).await?;
        if round > 0 {
            warm.push(sample.accepted_to_agent_ms);
            fallbacks += usize::from(is_own(&sample));
        }
    }
    ensure!(fallbacks * 2 < rounds, "{fallbacks} of {rounds} sessions got no warm sandbox");
    place.set_pool_target(0).await?;
    place.until("an empty pool", |status| status.pool.ready == 0).await?;
    let mut image = Vec::new();
    for round in 0..=rounds {
        let sample = prompt(&mut place.session().await?, "say x", TIMEOUT).await?;
        ensure!(is_own(&sample), "a session was given a sandbox: {:?}", sample.steps);
        image.extend((round > 0).then_some(sample.accepted_to_agent_ms));
    }
    Ok(WithImages { warm, fallbacks, image })
}

async fn without_images(options: &Options, rounds: usize) -> anyhow::Result<WithoutImages> {
    let place = Place::start(options).await?;
    let (mut cold, mut snapshot) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
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
    Ok(WithoutImages { cold, snapshot })
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
