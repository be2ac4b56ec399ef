//! Pictures that the agent looks at and files that it leaves, from the sandbox to everybody in the session.

use crate::{Observer, scripted, session};
use anyhow::{Context, ensure};
use protocol::attachment::TEXT_TYPE;
use protocol::id::ArtifactId;
use protocol::timeline::{ArtifactContent, Extent, ItemContent, TurnOutcome};
use stack::{Options, Stack};

/// Two pixels, red.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR42mP4z8AARAAI/gH/GcBr5wAAAABJRU5ErkJggg==";

/// The one file of the session: the title of the step that brought it, and its content.
fn picture(observer: &Observer) -> Option<(String, ArtifactId)> {
    observer.view.artifacts.iter().find_map(|artifact| {
        let ArtifactContent::File { name, item_id, content_id, media_type, extent, .. } = &artifact.content
        else {
            return None;
        };
        let item = observer.view.items.iter().find(|item| Some(&item.id) == item_id.as_ref())?;
        let ItemContent::Tool { title, .. } = &item.content else { return None };
        let is_picture = name == "cart.png" && media_type == "image/png";
        (is_picture && *extent == Some(Extent { width: 2, height: 1 }))
            .then(|| (title.clone(), content_id.clone()))
    })
}

#[tokio::test]
async fn a_picture_that_opencode_reads_is_kept_and_shown() -> anyhow::Result<()> {
    let stack = Stack::start(Options { copies_worker: true, ..Options::new("files") }).await?;
    let ada = stack.sign_in("ada").await?;
    let prompt = format!("Run `printf {PNG} | base64 -d > cart.png`. Then read `cart.png`.");
    let (id, mut observer) = session(&ada, &prompt).await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let (title, content_id) = picture(&observer)
        .with_context(|| format!("{:?}", (&observer.view.artifacts, &observer.view.items)))?;
    ensure!(title.ends_with("cart.png"), "{title}");
    let content = ada.artifact(&id, &content_id).await?;
    ensure!(content.contains("PNG\r\n") && content.contains("IHDR"), "{content:?}");
    let mut later = Observer::join(&ada, &id).await?;
    later.until("the snapshot", |later| later.seq >= observer.seq).await?;
    ensure!(picture(&later).as_ref() == Some(&(title, content_id)), "{:?}", later.view.artifacts);
    Ok(())
}

#[tokio::test]
async fn what_the_agent_leaves_for_people_is_shown_and_never_committed() -> anyhow::Result<()> {
    let stack = scripted("left").await?;
    let ada = stack.sign_in("ada").await?;
    let prompt = "write .farhand/artifacts/report.md All is well.\nwrite NOTES.md hello";
    let (id, mut observer) = session(&ada, prompt).await?;
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let change = end.change.context("nothing was pushed")?;
    let committed = stack
        .github()
        .git("acme/shop", &["show", "--format=", "--name-only", &format!("refs/heads/{}", change.branch)])
        .await?;
    assert_eq!(committed.trim(), "NOTES.md");
    let left = observer.view.artifacts.iter().find_map(|artifact| match &artifact.content {
        ArtifactContent::File { name, item_id: None, content_id, media_type, .. } => {
            Some((name.as_str(), media_type.as_str(), content_id.clone()))
        }
        ArtifactContent::File { .. }
        | ArtifactContent::Branch { .. }
        | ArtifactContent::Diff { .. }
        | ArtifactContent::PullRequest { .. }
        | ArtifactContent::Unknown => None,
    });
    let (name, media_type, content_id) = left.with_context(|| format!("{:?}", observer.view.artifacts))?;
    assert_eq!((name, media_type), ("report.md", TEXT_TYPE));
    assert_eq!(ada.artifact(&id, &content_id).await?.trim(), "All is well.");
    Ok(())
}
