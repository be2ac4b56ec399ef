//! The wire from bridge to Worker: events arrive once each, whatever is cut, lost or silent.

use super::check::{Expected, settled};
use super::{Dice, breakable, options, wires, words};
use crate::session;
use anyhow::ensure;
use protocol::timeline::{TurnOutcome, Usage};
use stack::fakes::seed::SHOP_PROMPT;
use stack::{Agent, Cut, CutAfter, Direction, Options, Rule, Stack, Then};

#[tokio::test]
async fn events_survive_a_wire_that_is_cut_at_random_bytes() -> anyhow::Result<()> {
    const SEED: u64 = 0xf01;
    const CUTS: usize = 60;
    let stack = breakable("wire-cuts").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.events;
    let (session, mut observer) = session(&ada, "run sleep 1\nstream 6000 1\nwrite after.txt done").await?;
    observer.until("the turn", |observer| observer.running().is_some()).await?;
    let mut dice = Dice::new(SEED);
    wire.cut_next((0..CUTS).map(|number| CutAfter {
        direction: if number % 3 == 0 { Direction::Down } else { Direction::Up },
        // An answer is short, a batch is not.
        bytes: if number % 3 == 0 { dice.between(1, 1200) } else { dice.between(1, 30_000) },
        cut: if number % 2 == 0 { Cut::Reset } else { Cut::Finish },
    }));
    wire.cut(Cut::Reset);
    let end = observer.turns_over(1).await?;
    ensure!(end.outcome == TurnOutcome::Completed, "seed {SEED:#x}: {end:?}");
    ensure!(wire.counts().cut >= 20, "seed {SEED:#x}: hardly anything was cut: {:?}", wire.counts());
    assert_eq!(observer.text(), words(6000), "seed {SEED:#x}");
    assert_eq!(observer.attempts(), [1], "seed {SEED:#x}: the turn was tried again");
    wire.cut_next([]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn a_batch_whose_acknowledgement_is_lost_counts_once() -> anyhow::Result<()> {
    let stack = breakable("lost-acks").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.events;
    wire.add_rule(Rule::new("POST", "/attached", Then::LoseAnswer).times(1));
    wire.add_rule(Rule::new("POST", "/events", Then::LoseAnswer).every(3).times(12));
    wire.add_rule(Rule::new("POST", "/events", Then::LoseRequest).every(5).times(3));
    let script = "stream 900 5\nrun echo once\nwrite a.txt a\nappend a.txt b\nsay The end.";
    let (session, mut observer) = session(&ada, script).await?;
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    let counts = wire.counts();
    ensure!(counts.lost_answers >= 10 && counts.lost_requests >= 1, "{counts:?}");
    assert_eq!(observer.text(), words(900) + "The end.");
    assert_eq!(observer.output(), "once\n");
    assert_eq!(observer.view.items.len(), 5, "{:#?}", observer.view.items);
    assert_eq!(observer.attempts(), [1]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn tokens_are_counted_once_when_acknowledgements_are_lost() -> anyhow::Result<()> {
    let options = Options { agent: Agent::Opencode, ..options("lost-acks-opencode") };
    let stack = Stack::start(options).await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.events;
    wire.add_rule(Rule::new("POST", "/events", Then::LoseAnswer).every(2));
    let (session, mut observer) = session(&ada, SHOP_PROMPT).await?;
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    ensure!(wire.counts().lost_answers > 5, "{:?}", wire.counts());
    let mut sum = Usage::default();
    for end in observer.ends() {
        sum.add(&end.usage);
    }
    ensure!(sum.input_tokens > 0 && sum.output_tokens > 0, "{sum:?}");
    assert_eq!(observer.view.usage, sum);
    assert_eq!(ada.status(&session).await?.usage, sum);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}

#[tokio::test]
async fn a_wire_that_is_silent_is_given_up_and_the_events_come_again() -> anyhow::Result<()> {
    let stack = breakable("half-open").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.events;
    let (session, mut observer) = session(&ada, "stream 900 20\nwrite after.txt done").await?;
    observer.text_of(300).await?;
    let before = wire.counts().accepted;
    wire.hold();
    // Nobody is told that the connection is dead; the bridge finds out by the silence.
    wire.until("a new connection", |counts| counts.accepted > before).await?;
    let end = observer.turns_over(1).await?;
    assert_eq!(end.outcome, TurnOutcome::Completed);
    assert_eq!(observer.text(), words(900));
    assert_eq!(observer.attempts(), [1]);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await
}
