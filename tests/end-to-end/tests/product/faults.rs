//! Processes die in the middle of a turn; nobody loses or doubles anything.

use crate::{Observer, scripted, session};
use anyhow::ensure;
use protocol::timeline::TurnOutcome;

const SCRIPT: &str = "stream 300 10\nwrite after.txt done";

fn all_words() -> String {
    (0..300).map(|word| format!("word{word} ")).collect()
}

#[tokio::test]
async fn a_turn_survives_the_death_of_the_bridge() -> anyhow::Result<()> {
    let mut stack = scripted("bridge-death").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, SCRIPT).await?;
    observer.text_of(300).await?;
    stack.kill_bridge();
    stack.restart_bridge()?;
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.view.turns.len(), 1, "the turn was tried again");
    assert_eq!(observer.text().trim_end(), all_words().trim_end());
    ensure!(end.change.is_some(), "the push was lost");
    observer.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    assert_eq!(Observer::join(&ada, &session).await?.view, observer.view);
    Ok(())
}

#[tokio::test]
async fn a_turn_survives_the_death_of_the_worker() -> anyhow::Result<()> {
    let mut stack = scripted("worker-death").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, SCRIPT).await?;
    observer.text_of(300).await?;
    stack.kill_workerd();
    stack.restart_workerd().await?;
    observer.rejoin(&ada, &session).await?;
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.view.turns.len(), 1, "the turn was tried again");
    assert_eq!(observer.text().trim_end(), all_words().trim_end());
    observer.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    assert_eq!(Observer::join(&ada, &session).await?.view, observer.view);
    assert_eq!(stack.github().pulls("acme/shop").len(), 1);
    Ok(())
}
