//! The way of a commit to the code host: a push or a pull request that is cut off is never a success, and never there twice.

use super::check::{Expected, commits_of, settled};
use super::{breakable, eventually, only_sandbox, wires};
use crate::session;
use anyhow::{Context, ensure};
use protocol::timeline::TurnOutcome;
use stack::{Rule, Stack, Then};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A hook of the code host that keeps the first push waiting.
struct Gate {
    folder: PathBuf,
}

impl Gate {
    /// `hook` is git's name for the moment; the first push ends with `status` there.
    fn set(stack: &Stack, hook: &str, status: u8) -> anyhow::Result<Self> {
        let folder = stack.directory().join("gate");
        std::fs::create_dir_all(&folder)?;
        let file = stack.github().repository_directory("acme", "shop").join("hooks").join(hook);
        std::fs::create_dir_all(file.parent().context("no folder")?)?;
        let place = folder.display();
        let script = format!(
            "#!/bin/sh\ncat >/dev/null\nmkdir '{place}/came' 2>/dev/null || exit 0\n\
             while [ ! -e '{place}/go' ]; do sleep 0.02; done\nexit {status}\n"
        );
        std::fs::write(&file, script)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder })
    }

    async fn came(&self) -> anyhow::Result<()> {
        eventually("the push", || self.folder.join("came").exists()).await
    }

    fn open(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.join("go"), "")?)
    }
}

#[tokio::test]
async fn a_push_that_its_sandbox_does_not_outlive_is_tried_again() -> anyhow::Result<()> {
    let stack = breakable("push-cut").await?;
    let ada = stack.sign_in("ada").await?;
    let gate = Gate::set(&stack, "pre-receive", 1)?;
    let (session, mut observer) = session(&ada, "append a.txt once").await?;
    gate.came().await?;
    only_sandbox(&stack, &session)?.kill()?;
    gate.open()?;
    let end = observer.turns_over(2).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.attempts(), [1, 2]);
    let first = observer.ends().next().context("no first end")?;
    ensure!(matches!(first.outcome, TurnOutcome::Failed { .. }) && first.change.is_none(), "{first:?}");
    let change = end.change.context("the work is nowhere")?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    assert_eq!(commits_of(&stack, &change.branch).await?, [change.commit]);
    Ok(())
}

#[tokio::test]
async fn a_push_that_arrived_although_its_sandbox_died_is_found_by_the_next_try() -> anyhow::Result<()> {
    let stack = breakable("push-arrived").await?;
    let ada = stack.sign_in("ada").await?;
    // At this moment the branch has the commit, and the runner does not know it.
    let gate = Gate::set(&stack, "post-receive", 0)?;
    let (session, mut observer) = session(&ada, "write a.txt once").await?;
    gate.came().await?;
    let branch = observer.view.session.branch.clone();
    assert_eq!(commits_of(&stack, &branch).await?.len(), 1);
    only_sandbox(&stack, &session)?.kill()?;
    gate.open()?;
    let end = observer.turns_over(2).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    let change = end.change.context("the work is on the branch, and nobody is told")?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    assert_eq!(commits_of(&stack, &branch).await?, [change.commit]);
    Ok(())
}

#[tokio::test]
async fn a_push_that_the_code_host_refuses_is_a_failure_with_its_reason() -> anyhow::Result<()> {
    let stack = breakable("push-refused").await?;
    let ada = stack.sign_in("ada").await?;
    let gate = Gate::set(&stack, "pre-receive", 1)?;
    gate.open()?;
    let (session, mut observer) = session(&ada, "append a.txt once").await?;
    let end = observer.turns_over(1).await?;
    ensure!(
        matches!(&end.outcome, TurnOutcome::Failed { reason } if reason.contains("not at the code host")),
        "{end:?}"
    );
    ensure!(end.change.is_none(), "{end:?}");
    // The work is kept in the sandbox, and the next turn takes it along.
    ada.submit(&session, &stack::Client::prompt("say Again.")).await?;
    let end = observer.turns_over(2).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    ensure!(end.change.is_some(), "{end:?}");
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn a_pull_request_whose_answer_is_lost_is_adopted() -> anyhow::Result<()> {
    let stack = breakable("pull-request").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.code_host;
    let down = Then::Answer { status: 502, body: r#"{"message":"Bad Gateway"}"#.to_owned() };
    wire.add_rule(Rule::new("POST", "/pulls", down).times(1));
    wire.add_rule(Rule::new("POST", "/pulls", Then::LoseAnswer).times(1));
    let (session, mut observer) = session(&ada, "append a.txt once").await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Completed);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    assert_eq!((wire.counts().answered, wire.counts().lost_answers), (1, 1));
    let number = stack.github().pulls("acme/shop").first().map(|pull| pull.number);
    assert_eq!(observer.pull_request(), number);
    Ok(())
}
