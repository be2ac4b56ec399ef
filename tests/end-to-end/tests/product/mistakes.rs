//! Mistakes that keep a repository from its image: each is told, with what to do about it, by the repository's status and in the
//! sessions that work there; and these work all the same.

use crate::builds::{Watched, commit, told_of_image};
use anyhow::{Context as _, ensure};
use protocol::repository::{BuildOutcome, RepositoryStatus};
use protocol::timeline::TurnOutcome;
use serde_json::json;
use stack::{Agent, Client, Options, Repository, Stack};
use std::path::Path;

const RECIPE: &str = ".farhand/recipe.toml";

/// What is wrong with a repository.
struct Mistake {
    /// Of the repository.
    name: &'static str,
    recipe: &'static str,
    /// Where its build ends.
    step: &'static str,
    /// What people are told: the mistake, and where to mend it.
    told: &'static [&'static str],
}

const MISTAKES: [Mistake; 4] = [
    Mistake {
        name: "unreadable-recipe",
        recipe: "setup = []\n\nbulid = [\"make\"]\n",
        step: "reading the recipe",
        told: &[RECIPE, "line 3", "bulid", "build"],
    },
    Mistake {
        name: "failing-recipe",
        recipe: "setup = [\"echo the lock file is missing >&2; exit 7\"]\nbuild = []\nwarm = []\n",
        step: "echo the lock file is missing >&2; exit 7",
        told: &["exit code 7", "the lock file is missing"],
    },
    Mistake {
        name: "missing-secret",
        recipe: "secrets = [\"NPM_TOKEN\"]\n",
        step: "reading the recipe",
        told: &["the secret NPM_TOKEN", "local/missing-secret", "\"secrets\"", "FARHAND_REPOSITORY_POLICY"],
    },
    Mistake {
        name: "unknown-base",
        recipe: "base_image = \"nowhere:1\"\n",
        step: "starting a sandbox",
        told: &["\"nowhere:1\"", "Leave base_image out of the recipe", "--base-image"],
    },
];

/// One whose image is made, and then is lost.
const GOOD: (&str, &str) = ("lost-image", "setup = [\"echo good > built.txt\"]\nbuild = []\nwarm = []\n");

async fn start(folder: &Path) -> anyhow::Result<Stack> {
    let all = MISTAKES.iter().map(|mistake| (mistake.name, mistake.recipe)).chain([GOOD]);
    let mut repositories = Vec::new();
    for (name, recipe) in all {
        let origin = folder.join(name);
        commit(&origin, &[("README.md", "# A repository\n"), (RECIPE, recipe)]).await?;
        repositories.push(Repository::Import { origin: origin.display().to_string() });
    }
    let options = Options {
        agent: Agent::Scripted,
        copies_worker: true,
        images: true,
        repositories,
        ..Options::new("mistakes")
    };
    Ok(Stack::start(options).await?)
}

fn repository<'a>(client: &'a Client, name: &str) -> Watched<'a> {
    Watched { client, id: format!("local/{name}") }
}

/// How its newest build has failed.
fn failure(status: &RepositoryStatus) -> Option<(&str, &str)> {
    match status.builds.first()?.outcome.as_ref()? {
        BuildOutcome::Failed { step, reason } => Some((step, reason)),
        BuildOutcome::Built { .. } | BuildOutcome::Unchanged | BuildOutcome::Unknown => None,
    }
}

async fn is_told(client: &Client, mistake: &Mistake) -> anyhow::Result<()> {
    let repository = repository(client, mistake.name);
    repository.configure(&json!({})).await?;
    let status = repository.until("a failed build", |status| failure(status).is_some()).await?;
    let (step, reason) = failure(&status).context("the build has not failed")?;
    ensure!(step == mistake.step, "{}: {step}", mistake.name);
    ensure!(status.image.is_none(), "{} has an image", mistake.name);
    let mut session = repository.session("say hello").await?;
    let end = session.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{}: {end:?}", mistake.name);
    let told = told_of_image(&session);
    let told = told.with_context(|| format!("a session of {} was told nothing", mistake.name))?;
    for part in mistake.told {
        ensure!(reason.contains(part), "the status of {} lacks {part:?}: {reason}", mistake.name);
        ensure!(told.contains(part), "a session of {} lacks {part:?}: {told}", mistake.name);
    }
    ensure!(told.contains(mistake.step), "a session of {} does not say where: {told}", mistake.name);
    Ok(())
}

/// An image that is there no more when somebody wants to start from it.
async fn loss_is_told(stack: &Stack, client: &Client) -> anyhow::Result<()> {
    let repository = repository(client, GOOD.0);
    repository.configure(&json!({ "poolTarget": 0 })).await?;
    let status = repository.until("the image", |status| status.image.is_some()).await?;
    let image = status.image.context("there is no image")?.image_id;
    // Somebody has tidied up the machine.
    let layer = stack.directory().join("sandboxes/layers").join(image.as_str());
    std::fs::rename(&layer, stack.directory().join("away")).context("the image is kept elsewhere")?;

    let mut session = repository.session("say hello").await?;
    let end = session.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let told = told_of_image(&session).context("the session was not told of the loss")?;
    let says = |text: &str| text.contains(image.as_str()) && text.contains("is not on this machine");
    ensure!(says(&told), "{told}");

    // The warm pool meets the loss, and another image is made.
    repository.configure(&json!({ "poolTarget": 1 })).await?;
    let loss = |status: &RepositoryStatus| {
        status.builds.iter().any(|build| match &build.outcome {
            Some(BuildOutcome::Failed { step, reason }) => {
                step == "keeping the image" && says(reason) && reason.contains("another is built")
            }
            Some(BuildOutcome::Built { .. } | BuildOutcome::Unchanged | BuildOutcome::Unknown) | None => {
                false
            }
        })
    };
    repository.until("the loss", loss).await?;
    let is_mended = |status: &RepositoryStatus| {
        status.image.as_ref().is_some_and(|now| now.image_id != image) && status.pool.ready == 1
    };
    repository.until("another image", is_mended).await?;
    let mut session = repository.session("run grep good built.txt").await?;
    ensure!(session.turns_over(1).await?.outcome == TurnOutcome::Completed);
    ensure!(session.output().contains("good"), "{}", session.output());
    ensure!(told_of_image(&session).is_none(), "there is an image");
    Ok(())
}

#[tokio::test]
async fn every_mistake_is_told_with_its_remedy_by_the_repository_and_in_its_sessions() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let stack = start(folder.path()).await?;
    let ada = stack.sign_in("ada").await?;
    for mistake in &MISTAKES {
        is_told(&ada, mistake).await?;
    }
    loss_is_told(&stack, &ada).await
}
