//! The bridge and workerd are killed a hundred times each, at places that say something about batches of events.
//!
//! Where each kill happens follows from a seed and from how far the session has come, never from a clock: on a slow machine there is
//! still something to interrupt at the last one.

use super::check::{Expected, settled};
use super::{Dice, only_sandbox, options, wires, witness, words};
use crate::{Observer, session};
use anyhow::{Context, ensure};
use protocol::client::ClientMessage;
use protocol::id::SessionId;
use protocol::timeline::TurnOutcome;
use stack::{Client, Counts, Cut, CutAfter, Direction, Options, Rule, Stack, Then};

/// How many times each is killed.
const KILLS: u64 = 100;
/// Of each prompt.
const WORDS: usize = 1500;
const STREAM: &str = "stream 1500 4";

/// Sees to it that a prompt waits; answers how many this took.
async fn feed(client: &Client, session: &SessionId) -> anyhow::Result<usize> {
    if client.status(session).await?.queued_prompts > 0 {
        return Ok(0);
    }
    client.submit(session, &Client::prompt(STREAM)).await?;
    Ok(1)
}

/// Everything was said once, in one try each; a last prompt is carried out like any other.
async fn nothing_is_lost(
    stack: &Stack,
    client: &Client,
    session: &SessionId,
    observer: &mut Observer,
    streams: usize,
) -> anyhow::Result<()> {
    client.submit(session, &Client::prompt("write after.txt done")).await?;
    observer.turns_over(streams + 1).await?;
    let failed = observer.ends().find(|end| end.outcome != TurnOutcome::Completed);
    ensure!(failed.is_none(), "{failed:?}");
    assert_eq!(observer.attempts(), vec![1; streams + 1], "a prompt was tried again");
    assert_eq!(observer.text(), words(WORDS).repeat(streams));
    assert_eq!(only_sandbox(stack, session)?.generation, 1);
    settled(stack, client, session, observer, Expected { prompts: streams + 1, commits: 1 }).await
}

/// A batch is stored, and its answer has not arrived.
async fn batch_without_answer(stack: &Stack) -> anyhow::Result<()> {
    let wire = &wires(stack)?.events;
    let held = wire.counts().held_answers;
    wire.add_rule(Rule::new("POST", "/events", Then::HoldAnswer).times(1));
    wire.until("a held answer", |counts| counts.held_answers > held).await?;
    Ok(())
}

/// So many bytes of a connection have arrived, and no more of them.
async fn part_of_batch(stack: &Stack, bytes: u64) -> anyhow::Result<()> {
    let wire = &wires(stack)?.events;
    let cut = wire.counts().cut;
    loop {
        let requests = wire.counts().requests;
        wire.cut_next([CutAfter { direction: Direction::Up, bytes, cut: Cut::Reset }]);
        // The bytes count from the beginning of a connection, so the ones that are there have to end.
        wire.cut(Cut::Reset);
        // One that came in between, or that carries something else, may have had the cut and not needed it.
        let is_over = |counts: &Counts| counts.cut > cut || counts.requests > requests + 20;
        if wire.until("a cut", is_over).await?.cut > cut {
            return Ok(());
        }
    }
}

/// So many batches were stored, and the bridge knows it: it sends one after the other.
async fn acknowledged(stack: &Stack, batches: u64) -> anyhow::Result<()> {
    let wire = &wires(stack)?.events;
    let before = wire.counts().requests;
    wire.until("acknowledged batches", |counts| counts.requests > before + batches).await?;
    Ok(())
}

async fn some_events(observer: &mut Observer, count: u64) -> anyhow::Result<()> {
    let wanted = observer.seq + count;
    observer.until("progress", |observer| observer.seq >= wanted).await
}

#[tokio::test]
async fn a_bridge_killed_a_hundred_times_loses_nothing() -> anyhow::Result<()> {
    const SEED: u64 = 0xf04;
    // More than is ever said: it is stopped after the last kill.
    const ENDLESS: usize = 60_000;
    let mut stack =
        Stack::start(Options { sandboxes_die_with_bridge: false, ..options("bridge-kills") }).await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, &format!("stream {ENDLESS} 4")).await?;
    observer.text_of(1000).await?;
    let mut dice = Dice::new(SEED);
    for kill in 1..=KILLS {
        let moment = dice.between(0, 3);
        let waited = match moment {
            0 => batch_without_answer(&stack).await,
            1 => part_of_batch(&stack, dice.between(1, 4000)).await,
            _ => some_events(&mut observer, dice.between(1, 8)).await,
        };
        waited.with_context(|| format!("seed {SEED:#x}, kill {kill} at moment {moment}"))?;
        stack.kill_bridge();
        wires(&stack)?.events.cut(Cut::Reset);
        stack.restart_bridge()?;
    }
    some_events(&mut observer, 8).await?;
    let turn_id = observer.running().with_context(|| format!("seed {SEED:#x}: the turn has ended"))?;
    observer.send(ClientMessage::Stop { turn_id }).await?;
    assert_eq!(observer.turns_over(1).await?.outcome, TurnOutcome::Stopped, "seed {SEED:#x}");
    let (text, whole) = (observer.text(), words(ENDLESS));
    ensure!(text.len() > 1000 && whole.starts_with(&text), "seed {SEED:#x}: {text}");
    ada.submit(&session, &Client::prompt("write after.txt done")).await?;
    assert_eq!(observer.turns_over(2).await?.outcome, TurnOutcome::Completed, "seed {SEED:#x}");
    assert_eq!(observer.attempts(), [1, 1], "seed {SEED:#x}: a prompt was tried again");
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

#[tokio::test]
async fn a_worker_killed_a_hundred_times_between_write_and_answer_has_every_event_once() -> anyhow::Result<()>
{
    const SEED: u64 = 0xf07;
    let mut stack = Stack::start(Options { revives_workerd: true, ..options("worker-kills") }).await?;
    let ada = stack.sign_in("ada").await?;
    let (session, _) = session(&ada, STREAM).await?;
    let mut observer = witness(&ada, &session).await?;
    let (mut dice, mut streams) = (Dice::new(SEED), 1);
    for kill in 1..=KILLS {
        streams += feed(&ada, &session).await?;
        // Now and then it dies again before anything was acknowledged: the same events, for the third time and more.
        if dice.between(0, 4) > 0 {
            acknowledged(&stack, dice.between(1, 4)).await?;
        }
        let waited = batch_without_answer(&stack).await;
        waited.with_context(|| format!("seed {SEED:#x}, kill {kill}"))?;
        stack.crash_workerd().await?;
        wires(&stack)?.events.cut(Cut::Reset);
    }
    let end = nothing_is_lost(&stack, &ada, &session, &mut observer, streams).await;
    end.with_context(|| format!("seed {SEED:#x}"))?;
    ensure!(observer.rejoined > 0, "the viewer's socket outlived workerd");
    Ok(())
}
