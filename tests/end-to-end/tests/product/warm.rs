//! From the first session of a repository to its image, its warm sandboxes, and a session that takes one.

use crate::session;
use anyhow::{Context, bail, ensure};
use end_to_end::PATIENCE;
use protocol::repository::{BuildOutcome, RepositoryStatus};
use protocol::timeline::{SandboxStatus, SessionEvent, TurnOutcome};
use reqwest::Method;
use stack::fakes::modal::ModalOptions;
use stack::{Agent, Client, Options, Stack};
use std::time::{Duration, Instant};

const STATUS: &str = "/api/repositories/acme/shop/status";
/// Between two looks at a repository.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until the repository is as wanted.
async fn until(
    client: &Client,
    what: &str,
    wanted: impl Fn(&RepositoryStatus) -> bool,
) -> anyhow::Result<RepositoryStatus> {
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        let status: RepositoryStatus = client.request(Method::GET, STATUS, None::<&()>).await?;
        if wanted(&status) {
            return Ok(status);
        }
        if Instant::now() > deadline {
            bail!("{what} did not come: {status:#?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test]
async fn a_repository_gets_an_image_and_a_session_takes_a_warm_sandbox() -> anyhow::Result<()> {
    take_warm(Options::new("warm")).await
}

/// The stand-in answers while the stack waits for the bridge, which asks it at its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_gets_an_image_at_the_stand_in_for_modal_and_a_session_takes_a_warm_sandbox()
-> anyhow::Result<()> {
    take_warm(Options { modal: Some(ModalOptions::default()), ..Options::new("warm-modal") }).await
}

/// From the first session to a change from a warm sandbox.
async fn take_warm(options: Options) -> anyhow::Result<()> {
    let options = Options { agent: Agent::Scripted, copies_worker: true, images: true, ..options };
    let stack = Stack::start(options).await?;
    let ada = stack.sign_in("ada").await?;
    let (_, mut first) = session(&ada, "run echo first").await?;
    ensure!(first.turns_over(1).await?.outcome == TurnOutcome::Completed);

    let ready = until(&ada, "the warm pool", |status| status.pool.ready >= status.pool.target).await?;
    let image = ready.image.context("there are warm sandboxes without an image")?;
    let build = ready.builds.first().context("an image without a build")?;
    ensure!(
        matches!(&build.outcome, Some(BuildOutcome::Built { image_id, .. }) if *image_id == image.image_id)
    );
    let head = stack.github().git("acme/shop", &["rev-parse", "refs/heads/main"]).await?;
    assert_eq!(image.origin.commit, head.trim());

    let (_, mut second) = session(&ada, "write NOTES.md warm\nrun git log -1 --format=%an").await?;
    let end = second.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "{end:?}");
    let change = end.change.context("nothing was pushed from the warm sandbox")?;
    let steps: Vec<&str> = second
        .events
        .iter()
        .filter_map(|record| {
            if let SessionEvent::SandboxChanged { status: SandboxStatus::Starting { step, .. } } =
                &record.event
            {
                Some(step.as_str())
            } else {
                None
            }
        })
        .collect();
    ensure!(!steps.contains(&"booting the sandbox"), "the session made its own sandbox: {steps:?}");
    let tip = ["rev-parse", &format!("refs/heads/{}", change.branch)];
    assert_eq!(stack.github().git("acme/shop", &tip).await?.trim(), change.commit);

    // What was taken is made again, and nobody else gets it.
    until(&ada, "the next warm sandbox", |status| status.pool.ready >= status.pool.target).await?;
    Ok(())
}
