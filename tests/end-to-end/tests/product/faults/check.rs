//! The invariants that hold after every fault, once everything has settled.

use super::{REPOSITORY, eventually, sandboxes_of};
use crate::Observer;
use anyhow::ensure;
use end_to_end::{is_over, no_secrets};
use protocol::id::SessionId;
use protocol::timeline::{ItemContent, SessionEvent, ToolState};
use stack::{Client, Stack};
use std::collections::BTreeSet;

/// What is to be there in the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Prompts that were accepted.
    pub(super) prompts: usize,
    /// Commits on the session's branch that the default branch does not have.
    pub(super) commits: usize,
}

/// Waits until nothing is on its way, and looks at everything that must hold then.
pub(super) async fn settled(
    stack: &Stack,
    client: &Client,
    session: &SessionId,
    observer: &mut Observer,
    expected: Expected,
) -> anyhow::Result<()> {
    observer.prompts_over(expected.prompts).await?;
    if expected.commits > 0 {
        observer.until("the pull request", |observer| observer.pull_request().is_some()).await?;
    }
    same_for_all(client, session, observer).await?;
    prompts_and_turns(observer, expected.prompts)?;
    effects(stack, observer, expected.commits).await?;
    eventually("the end of all sandboxes but one", || sandboxes_of(stack, session).len() <= 1).await?;
    no_secrets(stack, [&observer.view])
}

/// Who joins afresh sees what this one sees that was here all the time.
pub(crate) async fn same_for_all(
    client: &Client,
    session: &SessionId,
    observer: &mut Observer,
) -> anyhow::Result<()> {
    let mut fresh = Observer::join(client, session).await?;
    let newest = fresh.seq;
    observer.until("what the newcomer knows", |observer| observer.seq >= newest).await?;
    let newest = observer.seq;
    fresh.until("what the old hand knows", |fresh| fresh.seq >= newest).await?;
    ensure!(fresh.seq == observer.seq, "{} is not {}", fresh.seq, observer.seq);
    assert_eq!(fresh.view, observer.view, "a newcomer sees something else");
    Ok(())
}

fn prompts_and_turns(observer: &Observer, prompts: usize) -> anyhow::Result<()> {
    let view = &observer.view;
    let ids: BTreeSet<_> = view.prompts.iter().map(|prompt| prompt.id.clone()).collect();
    ensure!(ids.len() == prompts && view.prompts.len() == prompts, "prompts: {:#?}", view.prompts);
    ensure!(view.prompts.iter().all(|prompt| is_over(prompt.state)), "prompts: {:#?}", view.prompts);
    ensure!(view.queue.is_empty() && observer.running().is_none(), "something waits or runs still");
    for prompt in &view.prompts {
        let tries: Vec<_> = view.turns.iter().filter(|turn| turn.prompt_id == prompt.id).collect();
        ensure!(tries.len() <= 4, "too many tries: {tries:#?}");
    }
    let mut running = None;
    for record in &observer.events {
        if let SessionEvent::TurnStarted { turn } = &record.event {
            ensure!(running.replace(turn.id.clone()).is_none(), "two turns at once");
        }
        if let SessionEvent::TurnEnded { turn_id, .. } = &record.event {
            // One that began before this observer came is not known here.
            ensure!(running.take().is_none_or(|known| known == *turn_id), "another turn ended");
        }
    }
    let open = view.items.iter().find(|item| match &item.content {
        ItemContent::Text { done, .. } | ItemContent::Reasoning { done, .. } => !done,
        ItemContent::Tool { state, .. } => *state == ToolState::Running,
        ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => false,
    });
    ensure!(open.is_none(), "still open: {open:?}");
    Ok(())
}

async fn effects(stack: &Stack, observer: &Observer, commits: usize) -> anyhow::Result<()> {
    let branch = &observer.view.session.branch;
    let pulls = stack.github().pulls(REPOSITORY);
    let own: Vec<_> = pulls.iter().filter(|pull| pull.head == *branch).collect();
    ensure!(own.len() == usize::from(commits > 0), "pull requests: {own:#?}");
    let found = commits_of(stack, branch).await?;
    ensure!(found.len() == commits, "commits: {found:#?}");
    for change in observer.ends().filter_map(|end| end.change.as_ref()) {
        ensure!(found.contains(&change.commit), "{} was reported and is not there", change.commit);
    }
    Ok(())
}

/// Commits of the session's branch at the code host, oldest first.
pub(super) async fn commits_of(stack: &Stack, branch: &str) -> anyhow::Result<Vec<String>> {
    let name = format!("refs/heads/{branch}");
    if stack.github().git(REPOSITORY, &["for-each-ref", &name]).await?.is_empty() {
        return Ok(Vec::new());
    }
    let range = format!("refs/heads/main..{name}");
    let listed = stack.github().git(REPOSITORY, &["rev-list", "--reverse", &range]).await?;
    Ok(listed.lines().map(str::to_owned).collect())
}
