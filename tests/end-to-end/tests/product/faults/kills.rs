//! The bridge is killed a hundred times: in the middle of a batch, after it, and anywhere between.
//!
//! Where each kill happens follows from a seed and from how far the session has come, never from a clock.

use super::check::{Expected, settled};
use super::{Dice, only_sandbox, options, wires, words};
use crate::{Observer, session};
use anyhow::ensure;
use protocol::timeline::TurnOutcome;
use stack::{Cut, CutAfter, Direction, Options, Rule, Stack, Then};

/// How many times it is killed.
const KILLS: u64 = 100;

/// Waits for the moment at which the bridge is to die; answers what that was.
async fn moment_for_bridge(
    stack: &Stack,
    observer: &mut Observer,
    dice: &mut Dice,
) -> anyhow::Result<&'static str> {
    let wire = &wires(stack)?.events;
    match dice.between(0, 3) {
        0 => {
            let held = wire.counts().held_answers;
            wire.add_rule(Rule::new("POST", "/events", Then::HoldAnswer).times(1));
            wire.until("a held answer", |counts| counts.held_answers > held).await?;
            Ok("after a batch was stored")
        }
        1 => {
            // The bytes count from the beginning of a connection, so the ones that are there have to end.
            let cut = wire.counts().cut;
            let bytes = dice.between(1, 4000);
            wire.cut_next([CutAfter { direction: Direction::Up, bytes, cut: Cut::Reset }]);
            wire.cut(Cut::Reset);
            wire.until("a cut", |counts| counts.cut > cut).await?;
            Ok("in the middle of a batch")
        }
        _ => {
            let wanted = observer.seq + dice.between(1, 8);
            observer.until("progress", |observer| observer.seq >= wanted).await?;
            Ok("between two events")
        }
    }
}

#[tokio::test]
async fn a_bridge_killed_a_hundred_times_loses_nothing() -> anyhow::Result<()> {
    const SEED: u64 = 0xf04;
    const WORDS: usize = 12_000;
    let mut stack =
        Stack::start(Options { sandboxes_die_with_bridge: false, ..options("bridge-kills") }).await?;
    let ada = stack.sign_in("ada").await?;
    let (session, mut observer) = session(&ada, &format!("stream {WORDS} 4\nwrite after.txt done")).await?;
    observer.text_of(1000).await?;
    let mut dice = Dice::new(SEED);
    for kill in 1..=KILLS {
        let moment = moment_for_bridge(&stack, &mut observer, &mut dice).await?;
        ensure!(
            observer.running().is_some(),
            "seed {SEED:#x}: the turn was over before kill {kill}, {moment}"
        );
        stack.kill_bridge();
        wires(&stack)?.events.cut(Cut::Reset);
        stack.restart_bridge()?;
    }
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "seed {SEED:#x}: {end:?}");
    assert_eq!(observer.attempts(), [1], "seed {SEED:#x}: the turn was tried again");
    assert_eq!(observer.text(), words(WORDS), "seed {SEED:#x}");
    assert_eq!(only_sandbox(&stack, &session)?.generation, 1);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}
