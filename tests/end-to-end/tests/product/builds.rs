//! A repository that cannot be built, beside one that can: what its people see, and that nobody else is held up.

use anyhow::{Context as _, bail, ensure};
use end_to_end::{Observer, PATIENCE};
use protocol::id::BuildId;
use protocol::repository::{BuildOutcome, RepositoryStatus};
use protocol::timeline::{SessionEvent, TurnOutcome};
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Agent, Client, Options, Repository, Stack};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at a repository.
const LOOK: Duration = Duration::from_millis(100);

/// A repository as its people see it.
pub(crate) struct Watched<'a> {
    pub(crate) client: &'a Client,
    pub(crate) id: String,
}

impl Watched<'_> {
    pub(crate) async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&RepositoryStatus) -> bool,
    ) -> anyhow::Result<RepositoryStatus> {
        let path = format!("/api/repositories/{}/status", self.id);
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            let status: RepositoryStatus = self.client.request(Method::GET, &path, None::<&()>).await?;
            if wanted(&status) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{what} of {} did not come: {status:#?}", self.id);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn configure(&self, settings: &Value) -> anyhow::Result<()> {
        let path = format!("/api/repositories/{}/settings", self.id);
        let _: Value = self.client.request(Method::PUT, &path, Some(settings)).await?;
        Ok(())
    }

    /// Saves settings, and waits until their build has failed; answers where and why.
    async fn failure_of(&self, settings: &Value) -> anyhow::Result<(String, String)> {
        let newest =
            self.until("the status", |_| true).await?.builds.first().map(|build| build.build_id.clone());
        self.failure_after(settings, newest).await
    }

    async fn failure_after(
        &self,
        settings: &Value,
        seen: Option<BuildId>,
    ) -> anyhow::Result<(String, String)> {
        self.configure(settings).await?;
        let has_ended = |status: &RepositoryStatus| {
            status
                .builds
                .first()
                .is_some_and(|build| Some(&build.build_id) != seen.as_ref() && build.outcome.is_some())
        };
        let status = self.until("the end of the build", has_ended).await?;
        match status.builds.first().and_then(|build| build.outcome.clone()) {
            Some(BuildOutcome::Failed { step, reason }) => Ok((step, reason)),
            other => bail!("the build of {settings} ended as {other:?}"),
        }
    }

    pub(crate) async fn session(&self, prompt: &str) -> anyhow::Result<Observer> {
        let session = self.client.create_session(&self.id, None).await?;
        let observer = Observer::join(self.client, &session).await?;
        self.client.submit(&session, &Client::prompt(prompt)).await?;
        Ok(observer)
    }
}

/// Makes a folder into a repository with one commit of these files.
pub(crate) async fn commit(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, content)?;
    }
    let identity = ["-c", "user.name=Acme", "-c", "user.email=other@acme.example"];
    let commit = [&identity[..], &["commit", "--quiet", "--message", "Begin"]].concat();
    for arguments in [&["init", "--quiet", "--initial-branch=main"][..], &["add", "--all"], &commit] {
        let status = tokio::process::Command::new("git").current_dir(folder).args(arguments).status().await?;
        ensure!(status.success(), "git {arguments:?} failed");
    }
    Ok(())
}

/// What a session was told of the image that it could not start from.
pub(crate) fn told_of_image(session: &Observer) -> Option<String> {
    session.events.iter().find_map(|record| {
        let SessionEvent::EffectFailed { what, reason } = &record.event else { return None };
        what.contains("starting from the repository's image").then(|| reason.clone())
    })
}

#[tokio::test]
async fn one_repository_that_fails_keeps_its_last_image_says_why_and_holds_nobody_up() -> anyhow::Result<()> {
    let origin = tempfile::tempdir()?;
    commit(origin.path(), &[("README.md", "# Other\n")]).await?;
    let options = Options {
        agent: Agent::Scripted,
        copies_worker: true,
        images: true,
        repositories: vec![
            Repository::Shop,
            Repository::Import { origin: origin.path().display().to_string() },
        ],
        ..Options::new("builds")
    };
    let stack = Stack::start(options).await?;
    let ada = stack.sign_in("ada").await?;
    let list = ada.repositories().await?.repositories;
    let other = list.iter().map(|found| found.id.to_string()).find(|id| id != "acme/shop");
    let shop = Watched { client: &ada, id: "acme/shop".to_owned() };
    let other = Watched { client: &ada, id: other.context("the second repository is missing")? };

    // A repository that was never built: its session works from the base image, and is told why.
    let unknown = json!({ "baseImage": "nixos:1", "poolTarget": 1 });
    let (step, reason) = other.failure_after(&unknown, None).await?;
    ensure!(step == "starting a sandbox", "{step}");
    ensure!(reason.contains("nixos:1") && reason.contains("--base-image"), "{reason}");
    let mut session = other.session("say hello").await?;
    ensure!(session.turns_over(1).await?.outcome == TurnOutcome::Completed);
    let told =
        told_of_image(&session).context("the session was not told that its image could not be built")?;
    ensure!(told.contains("nixos:1") && told.contains("--base-image"), "{told}");

    // Both get an image; then each mistake is told with its remedy, and the last good image stays and is used.
    let good = json!({ "setup": ["echo good > built.txt"], "build": [], "warm": [], "poolTarget": 1 });
    for repository in [&other, &shop] {
        repository.configure(&good).await?;
        repository.until("the warm pool", |status| status.image.is_some() && status.pool.ready == 1).await?;
    }
    let image = other.until("the image", |_| true).await?.image.context("there is no image")?.image_id;
    for (settings, at, parts) in [
        (
            json!({ "setup": ["echo cannot >&2; exit 7"] }),
            "echo cannot >&2; exit 7",
            ["exit code 7", "cannot"],
        ),
        (
            json!({ "secrets": ["NPM_TOKEN"] }),
            "reading the recipe",
            ["NPM_TOKEN", "FARHAND_REPOSITORY_POLICY"],
        ),
    ] {
        let (step, reason) = other.failure_of(&settings).await?;
        ensure!(step == at && parts.iter().all(|part| reason.contains(part)), "{step}: {reason}");
        let status = other.until("the status", |_| true).await?;
        ensure!(status.image.is_some_and(|kept| kept.image_id == image), "the last good image is gone");
    }
    let mut session = other.session("run cat built.txt && touch started").await?;
    let end = session.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed && end.change.is_some(), "{end:?}");

    // Meanwhile the other one is built as ever.
    let again = json!({ "setup": ["echo newer > built.txt"], "build": [], "warm": [], "poolTarget": 1 });
    let before = shop.until("the image", |_| true).await?.image.context("there is no image")?.image_id;
    shop.configure(&again).await?;
    let is_newer = |status: &RepositoryStatus| {
        status.image.as_ref().is_some_and(|image| image.image_id != before) && status.pool.ready == 1
    };
    shop.until("a newer image", is_newer).await?;
    Ok(())
}
