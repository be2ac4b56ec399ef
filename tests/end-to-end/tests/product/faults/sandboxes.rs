//! Sandboxes that are saved, restored, left and replaced: the conversation goes on, and people are told from what.

use super::check::{Expected, settled};
use super::{breakable, eventually, only_sandbox, options, sandboxes_of, status_until, wires};
use crate::{Observer, session};
use anyhow::{Context, ensure};
use protocol::id::SnapshotId;
use protocol::timeline::{Restoration, SandboxStatus, SessionEvent, TurnOutcome};
use stack::{Client, Options, Rule, Stack, Then};

/// What people were told of each replacement sandbox.
fn restorations(observer: &Observer) -> Vec<Restoration> {
    let notices = observer.view.notices.iter();
    notices
        .filter_map(|record| {
            if let SessionEvent::ConversationRestored { from, .. } = &record.event {
                Some(from.clone())
            } else {
                None
            }
        })
        .collect()
}

fn taken(observer: &Observer) -> Vec<SnapshotId> {
    let all = observer.events.iter();
    all.filter_map(|record| {
        if let SessionEvent::SnapshotTaken { snapshot_id } = &record.event {
            Some(snapshot_id.clone())
        } else {
            None
        }
    })
    .collect()
}

/// Takes a snapshot's files away, as a broken disk would.
fn lose_snapshot(stack: &Stack, snapshot: &SnapshotId) -> anyhow::Result<()> {
    let layer = stack.directory().join("sandboxes/layers").join(snapshot.as_str());
    std::fs::remove_dir_all(&layer).with_context(|| layer.display().to_string())
}

/// Damages a snapshot's description.
fn damage_snapshot(stack: &Stack, snapshot: &SnapshotId) -> anyhow::Result<()> {
    let file = stack.directory().join("sandboxes/layers").join(snapshot.as_str()).join("meta.json");
    std::fs::write(&file, "{\"format\":1,").with_context(|| file.display().to_string())
}

/// Ends the session's idle sandbox as an accident would.
async fn lose_idle_sandbox(
    stack: &Stack,
    observer: &mut Observer,
    session: &protocol::id::SessionId,
) -> anyhow::Result<()> {
    only_sandbox(stack, session)?.kill()?;
    observer
        .until("the loss of the sandbox", |observer| {
            matches!(observer.view.sandbox, SandboxStatus::Stopped { .. })
        })
        .await
}

#[tokio::test]
async fn a_snapshot_that_fails_is_told_and_the_next_prompt_runs() -> anyhow::Result<()> {
    let stack = breakable("snapshot-fails").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.commands;
    let body = r#"{"code":"sandbox_unavailable","message":"no space left for the snapshot"}"#.to_owned();
    let refusal = Then::AnswerAsBridge { status: 503, body, key: stack.bridge_key().to_owned() };
    wire.add_rule(Rule::new("PUT", "/snapshots/", refusal).times(1));
    let (session, mut observer) = session(&ada, "append a.txt one").await?;
    ada.submit(&session, &Client::prompt("append a.txt two")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    ensure!(
        observer.has_event(|event| matches!(event, SessionEvent::EffectFailed { reason, .. } if reason.contains("no space left"))),
        "nobody was told: {:?}",
        observer.view.notices
    );
    observer.until("the second snapshot", |observer| observer.snapshots() == 1).await?;
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 2 }).await
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_restored_leaves_an_older_one_then_the_branch() -> anyhow::Result<()> {
    let stack = breakable("restore-chain").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "append a.txt one\nrun echo 1 > .git/memory").await?;
    observer.until("the first snapshot", |observer| observer.snapshots() == 1).await?;
    ada.submit(&session, &Client::prompt("append a.txt two\nrun echo 2 > .git/memory")).await?;
    observer.turns_over(2).await?;
    observer.until("the second snapshot", |observer| observer.snapshots() == 2).await?;
    let snapshots = taken(&observer);
    let (first, second) =
        (snapshots.first().context("none")?.clone(), snapshots.get(1).context("none")?.clone());

    lose_idle_sandbox(&stack, &mut observer, &session).await?;
    lose_snapshot(&stack, &second)?;
    ada.submit(&session, &Client::prompt("digest\nrun cat a.txt .git/memory")).await?;
    let end = observer.turns_over(3).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(restorations(&observer), [Restoration::EarlierSnapshot { snapshot_id: first, turns: 1 }]);
    // The files are those of the branch, the memory is older, and the agent was told what it does not remember.
    assert_eq!(observer.output(), "onetwo1\n");
    ensure!(observer.text().contains("append a.txt two"), "{}", observer.text());
    ensure!(!observer.text().contains("append a.txt one"), "{}", observer.text());

    observer.until("the third snapshot", |observer| observer.snapshots() == 3).await?;
    lose_idle_sandbox(&stack, &mut observer, &session).await?;
    for snapshot in taken(&observer) {
        // The second one is gone already.
        let _ = lose_snapshot(&stack, &snapshot);
    }
    ada.submit(&session, &Client::prompt("digest\nrun cat a.txt; test -e .git/memory || echo forgotten"))
        .await?;
    assert_eq!(observer.turns_over(4).await?.outcome, TurnOutcome::Completed);
    assert_eq!(restorations(&observer).last(), Some(&Restoration::Digest { turns: 3 }));
    ensure!(observer.output().ends_with("onetwoforgotten\n"), "{}", observer.output());
    ensure!(observer.text().contains("append a.txt one"), "{}", observer.text());
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 4, commits: 2 }).await
}

#[tokio::test]
async fn a_snapshot_whose_description_is_damaged_is_refused_once_and_passed_over() -> anyhow::Result<()> {
    let stack = breakable("restore-damaged").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "append a.txt one").await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    let snapshot = taken(&observer).pop().context("none")?;
    lose_idle_sandbox(&stack, &mut observer, &session).await?;
    damage_snapshot(&stack, &snapshot)?;
    ada.submit(&session, &Client::prompt("run cat a.txt")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(observer.output(), "one");
    assert_eq!(restorations(&observer), [Restoration::Digest { turns: 1 }]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_snapshot_leaves_it_alone() -> anyhow::Result<()> {
    let stack = breakable("refusals").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "append a.txt one\nrun echo kept > .git/memory").await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    let snapshot_id = taken(&observer).pop().context("none")?;
    lose_idle_sandbox(&stack, &mut observer, &session).await?;
    let wire = &wires(&stack)?.commands;
    eventually("the end of the lost sandbox", || {
        wire.requests().iter().any(|request| request.ends_with("/terminated"))
    })
    .await?;
    // A key that is being changed, and a proxy that does not know the bridge.
    let keys = r#"{"code":"signature_invalid","message":"wrong key"}"#.to_owned();
    wire.add_rule(Rule::new("PUT", "/sandboxes/", Then::Answer { status: 401, body: keys }).times(1));
    let html = "<html>no such host</html>".to_owned();
    wire.add_rule(Rule::new("PUT", "/sandboxes/", Then::Answer { status: 404, body: html }).times(1));
    ada.submit(&session, &Client::prompt("run cat .git/memory")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(wire.counts().answered, 2);
    assert_eq!(observer.output(), "kept\n");
    assert_eq!(restorations(&observer), [Restoration::Snapshot { snapshot_id }]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn an_idle_sandbox_is_saved_stopped_and_restored_with_its_memory() -> anyhow::Result<()> {
    let variables = vec![("SANDBOX_IDLE_MS".to_owned(), "2000".to_owned())];
    let stack = Stack::start(Options { variables, ..options("idle") }).await?;
    let ada = stack.sign_in("ada").await?;
    let script = "append a.txt one\nrun echo remembered > .git/memory";
    let session = ada.create_session("acme/shop", Some(Client::prompt(script))).await?;
    // Nobody watches.
    let status = status_until(&ada, &session, "the idle stop", |status| {
        matches!(status.sandbox, SandboxStatus::Stopped { .. })
    })
    .await?;
    let SandboxStatus::Stopped { snapshot_id: Some(snapshot_id) } = status.sandbox else {
        anyhow::bail!("it was not saved: {:?}", status.sandbox)
    };
    eventually("the end of the sandbox", || sandboxes_of(&stack, &session).is_empty()).await?;

    let mut observer = Observer::join(&ada, &session).await?;
    ada.submit(&session, &Client::prompt("digest\nrun cat a.txt .git/memory")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(observer.output(), "oneremembered\n");
    assert_eq!(observer.text(), "There is no digest.");
    assert_eq!(restorations(&observer), [Restoration::Snapshot { snapshot_id }]);
    observer
        .until("the next idle stop", |observer| {
            matches!(observer.view.sandbox, SandboxStatus::Stopped { .. })
        })
        .await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn work_is_handed_over_before_the_sandboxs_life_ends() -> anyhow::Result<()> {
    let variables = vec![("SANDBOX_LIFE_MS".to_owned(), "24000".to_owned())];
    let stack = Stack::start(Options { variables, ..options("life") }).await?;
    let ada = stack.sign_in("ada").await?;
    // The first sandbox is kept busy until its end; the second finds what the first has left.
    let script =
        "run if [ -e .git/begun ]; then echo resumed; else touch .git/begun; sleep 600; fi\nappend a.txt one";
    let (session, mut observer) = session(&ada, script).await?;
    observer.until("the first sandbox", |observer| observer.running().is_some()).await?;
    let first = only_sandbox(&stack, &session)?;
    let ordered = std::fs::read_to_string(first.directory.join("state.json"))?;
    ensure!(ordered.contains("\"lifeMs\":24000"), "the bridge ends it at another time: {ordered}");
    observer.turns_over(2).await?;
    assert_eq!(observer.attempts(), [1, 1], "the end of a sandbox's life costs the prompt a try");
    let outcomes: Vec<_> = observer.ends().map(|end| end.outcome.clone()).collect();
    assert_eq!(outcomes, [TurnOutcome::Stopped, TurnOutcome::Completed]);
    ensure!(observer.output().ends_with("resumed\n"), "{}", observer.output());
    ensure!(
        matches!(restorations(&observer).as_slice(), [Restoration::Snapshot { .. }]),
        "{:?}",
        restorations(&observer)
    );
    eventually("the end of the first sandbox", || !first.is_alive()).await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}
