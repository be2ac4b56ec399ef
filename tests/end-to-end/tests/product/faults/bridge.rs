//! The bridge dies, comes back, or cannot be reached: turns go on, and every order is carried out once.

use super::check::{Expected, settled};
use super::{breakable, eventually, only_sandbox, options, sandboxes_of, status_until, wires, words};
use crate::{Observer, session};
use anyhow::{Context, ensure};
use protocol::client::{Activity, ClientMessage};
use protocol::timeline::{Delivery, SandboxStatus, TurnOutcome};
use reqwest::Method;
use stack::{Client, Cut, Door, Options, Rule, Stack, Then};
use std::collections::BTreeSet;

/// A stack whose sandboxes outlive their bridge.
async fn with_lasting_sandboxes(name: &str) -> anyhow::Result<Stack> {
    Ok(Stack::start(Options { sandboxes_die_with_bridge: false, ..options(name) }).await?)
}

#[tokio::test]
async fn a_sandbox_that_died_while_the_bridge_was_away_is_replaced() -> anyhow::Result<()> {
    let mut stack = with_lasting_sandboxes("bridge-and-sandbox").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "stream 200 10\nwrite after.txt done").await?;
    observer.text_of(300).await?;
    let sandbox = only_sandbox(&stack, &session)?;
    stack.kill_bridge();
    sandbox.kill()?;
    eventually("the end of the sandbox", || !sandbox.is_alive()).await?;
    stack.restart_bridge()?;
    let end = observer.turns_over(2).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.attempts(), [1, 2]);
    let last = observer.view.turns.last().map(|turn| turn.id.clone());
    assert_eq!(last.map(|turn| observer.text_of_turn(&turn)), Some(words(200)));
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn orders_whose_answers_are_lost_are_carried_out_once() -> anyhow::Result<()> {
    let stack = breakable("lost-answers").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.commands;
    // The more special ones first, because all paths begin alike.
    for path in ["/commands/", "/snapshots/", "/terminated"] {
        wire.add_rule(Rule::new("PUT", path, Then::LoseAnswer).times(2));
    }
    wire.add_rule(Rule::new("PUT", "/sandboxes/", Then::LoseAnswer).times(2));
    let (session, mut observer) = session(&ada, "append a.txt once\nrun echo ran >> log.txt").await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Completed);
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    ada.submit(&session, &Client::prompt("run cat a.txt log.txt")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(observer.output(), "onceran\n", "something was done twice");
    assert_eq!(observer.attempts(), [1, 1]);
    ensure!(wire.counts().lost_answers >= 4, "{:?}", wire.counts());
    let sandboxes: BTreeSet<_> =
        wire.requests().iter().filter_map(|request| request.split('/').nth(2).map(str::to_owned)).collect();
    assert_eq!(sandboxes.len(), 1, "{:#?}", wire.requests());
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn the_queue_drives_itself_on_when_nobody_watches() -> anyhow::Result<()> {
    let mut stack = breakable("unwatched").await?;
    let ada = stack.sign_in("ada").await?;
    wires(&stack)?.commands.set_door(Door::Shut);
    let session = ada.create_session("acme/shop", Some(Client::prompt("append log.txt one"))).await?;
    for word in ["two", "three"] {
        ada.submit(&session, &Client::prompt(&format!("append log.txt {word}"))).await?;
    }
    // The prompt waits, and its people can see what for.
    status_until(&ada, &session, "the wait for the bridge", |status| {
        matches!(&status.sandbox, SandboxStatus::Starting { step, .. } if step.contains("waiting for"))
    })
    .await?;
    stack.restart_workerd().await?;
    wires(&stack)?.commands.set_door(Door::Open);
    let status = status_until(&ada, &session, "the end of the queue", |status| {
        status.activity == Activity::Idle && status.queued_prompts == 0
    })
    .await?;
    ensure!(status.artifacts.iter().any(|artifact| artifact.id.as_str().ends_with("branch")), "{status:#?}");
    let mut observer = Observer::join(&ada, &session).await?;
    assert_eq!(observer.attempts(), [1, 1, 1]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 3, commits: 3 }).await?;
    let branch = format!("{}:log.txt", observer.view.session.branch);
    assert_eq!(stack.github().git("acme/shop", &["show", &branch]).await?, "onetwothree");
    Ok(())
}

#[tokio::test]
async fn a_bridge_that_is_away_for_a_stop_and_a_snapshot_gets_them_later() -> anyhow::Result<()> {
    let stack = breakable("away").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.commands;
    let (session, mut observer) = session(&ada, "say Begun.\nwrite a.txt a\nwait 600000").await?;
    observer.until("the work", |observer| observer.view.items.len() == 2).await?;
    let away = Then::Answer { status: 503, body: r#"{"code":"unavailable","message":"away"}"#.to_owned() };
    wire.add_rule(Rule::new("PUT", "/commands/", away.clone()).times(3));
    wire.add_rule(Rule::new("PUT", "/snapshots/", away).times(3));
    let turn_id = observer.running().context("no turn runs")?;
    observer.send(ClientMessage::Stop { turn_id }).await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Stopped);
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    assert_eq!(wire.counts().answered, 6);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn orders_into_a_black_hole_are_given_up_and_sent_again() -> anyhow::Result<()> {
    let stack = breakable("black-hole").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.commands;
    let (session, mut observer) = session(&ada, "append a.txt one").await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    wire.set_door(Door::BlackHole);
    wire.cut(Cut::Finish);
    ada.submit(&session, &Client::prompt("append a.txt two")).await?;
    wire.until("the lost order", |counts| counts.swallowed > 0).await?;
    wire.set_door(Door::Open);
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed);
    assert_eq!(observer.attempts(), [1, 1]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 2 }).await
}

#[tokio::test]
async fn a_prompt_steered_over_a_bad_wire_reaches_the_turn_once() -> anyhow::Result<()> {
    let stack = breakable("steer").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "stream 150 20").await?;
    observer.text_of(100).await?;
    let wire = &wires(&stack)?.commands;
    wire.add_rule(Rule::new("PUT", "/commands/", Then::LoseRequest).times(1));
    wire.add_rule(Rule::new("PUT", "/commands/", Then::LoseAnswer).times(2));
    let mut prompt = Client::prompt("append a.txt steered");
    prompt.delivery = Delivery::Steer;
    ada.submit(&session, &prompt).await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Completed);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await?;
    assert_eq!(observer.view.turns.len(), 1, "it had a turn of its own: {:#?}", observer.view.turns);
    ensure!(observer.view.prompts.iter().any(|known| known.id == prompt.id && known.steered_into.is_some()));
    let counts = wire.counts();
    // The runner's word that it has the prompt may be there before the second try.
    ensure!(counts.lost_requests == 1 && counts.lost_answers >= 1, "{counts:?}");
    let branch = format!("{}:a.txt", observer.view.session.branch);
    assert_eq!(stack.github().git("acme/shop", &["show", &branch]).await?, "steered");
    Ok(())
}

#[tokio::test]
async fn a_session_deleted_while_the_bridge_is_away_leaves_nothing_behind() -> anyhow::Result<()> {
    let stack = breakable("deleted").await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, "append a.txt one").await?;
    observer.until("the snapshot", |observer| observer.snapshots() == 1).await?;
    ada.submit(&session, &Client::prompt("wait 600000")).await?;
    observer.until("the second turn", |observer| observer.view.turns.len() == 2).await?;
    let layers = stack.directory().join("sandboxes/layers");
    let layer_count = || std::fs::read_dir(&layers).map_or(0, Iterator::count);
    assert_eq!(layer_count(), 2, "the base and a snapshot");
    let wire = &wires(&stack)?.commands;
    wire.set_door(Door::Shut);
    wire.cut(Cut::Finish);
    let before = wire.counts().accepted;
    let _: serde_json::Value =
        ada.request(Method::DELETE, &format!("/api/sessions/{session}"), None::<&()>).await?;
    let end = observer.until("more", |_| false).await;
    ensure!(format!("{end:?}").contains("4004"), "{end:?}");
    wire.until("a refused order", |counts| counts.accepted > before).await?;
    wire.set_door(Door::Open);
    eventually("the end of the sandbox", || sandboxes_of(&stack, &session).is_empty()).await?;
    eventually("the end of the snapshots", || layer_count() == 1).await?;
    ensure!(ada.status(&session).await.is_err(), "it is still there");
    ensure!(ada.sessions().await?.sessions.is_empty(), "it is still listed");
    Ok(())
}
