//! Viewers that are cut off, slow or silent: each shows in the end what one shows that was never away.

use super::check::{Expected, same_for_all, settled};
use super::{Dice, breakable, wires, witness, words};
use crate::{Observer, session};
use anyhow::{Context, ensure};
use protocol::client::{ClientMessage, ServerMessage};
use protocol::limit::{VIEWER_LAG_MS_MAX, VIEWER_WINDOW_BYTES};
use protocol::timeline::Seq;
use stack::{Client, Cut, CutAfter, Direction, Pace, SessionSocket};
use std::time::Duration;

#[tokio::test]
async fn a_viewer_cut_again_and_again_shows_what_one_shows_that_was_never_away() -> anyhow::Result<()> {
    const SEED: u64 = 0xf14;
    let stack = breakable("viewer-cuts").await?;
    let ada = stack.sign_in("ada").await?;
    let wire = &wires(&stack)?.clients;
    let grace = stack.sign_in_at(wire.url(), "grace").await?;
    let (session, mut observer) = session(&ada, "stream 2500 4\nwrite after.txt done").await?;
    let mut unlucky = Observer::join_patiently(&grace, &session).await?;
    observer.text_of(100).await?;
    let mut dice = Dice::new(SEED);
    wire.cut_next((0..40).map(|number| CutAfter {
        direction: Direction::Down,
        bytes: dice.between(200, 20_000),
        cut: if number % 2 == 0 { Cut::Reset } else { Cut::Finish },
    }));
    wire.cut(Cut::Reset);
    unlucky.turns_over(1).await?;
    ensure!(unlucky.rejoined >= 5, "seed {SEED:#x}: cut only {} times", unlucky.rejoined);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    let newest = observer.seq;
    unlucky.until("everything", |viewer| viewer.seq >= newest).await?;
    assert_eq!(unlucky.view, observer.view, "seed {SEED:#x}");
    // The very same events, each once and in order.
    let first = unlucky.events.first().map_or(0, |record| record.seq);
    let known: Vec<_> = observer.events.iter().filter(|record| record.seq >= first).collect();
    assert_eq!(known, unlucky.events.iter().collect::<Vec<_>>(), "seed {SEED:#x}");
    assert_eq!(unlucky.text(), words(2500));
    Ok(())
}

/// Comes back knowing the events up to `since`; the numbers that it gets until it is up to date.
async fn missed(client: &Client, session: &protocol::id::SessionId, since: Seq) -> anyhow::Result<Vec<Seq>> {
    let mut socket = client.socket(session, Some(since)).await?;
    let mut seqs = Vec::new();
    loop {
        let message = socket.next(Duration::from_secs(30)).await?;
        if let ServerMessage::Event { seq, .. } = message {
            seqs.push(seq);
        } else if let ServerMessage::CaughtUp { seq } = message {
            ensure!(seqs.last().is_none_or(|last| *last == seq), "caught up at {seq}");
            return Ok(seqs);
        } else {
            ensure!(
                !matches!(message, ServerMessage::Snapshot { .. }),
                "a snapshot although {since} is known"
            );
        }
    }
}

#[tokio::test]
async fn who_missed_twenty_or_ten_thousand_events_gets_these_and_no_others() -> anyhow::Result<()> {
    let stack = breakable("missed").await?;
    let ada = stack.sign_in("ada").await?;
    // Many small items, because what grows is sent in larger pieces.
    let script = format!("{}append after.txt done", "say a\n".repeat(5200));
    let (session, mut observer) = session(&ada, &script).await?;
    let mut late = witness(&ada, &session).await?;
    observer.until("many events", |observer| observer.seq > 2000).await?;
    // While live events come in between.
    late.rejoin().await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    let newest = observer.seq;
    late.until("everything", |late| late.seq >= newest).await?;
    assert_eq!(late.view, observer.view);
    ensure!(newest > 10_000, "only {newest} events");
    for count in [0, 1, 20, 10_000] {
        let seqs = missed(&ada, &session, newest - count).await?;
        ensure!(
            seqs == (newest - count + 1..=newest).collect::<Vec<_>>(),
            "{count} missed, {} came",
            seqs.len()
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_viewer_that_does_not_read_is_told_once_and_holds_up_nobody() -> anyhow::Result<()> {
    let stack = breakable("slow-viewer").await?;
    let (ada, grace) = (stack.sign_in("ada").await?, stack.sign_in("grace").await?);
    // More than a window of what is shown.
    let script = format!(
        "run head -c 30000 /dev/zero | tr '\\0' x > .git/large\nwait 1500\n{}append after.txt done",
        "read .git/large\n".repeat(50)
    );
    let (session, mut observer) = session(&ada, &script).await?;
    observer.until("the turn", |observer| observer.running().is_some()).await?;
    let mut idle = Observer::join(&grace, &session).await?;
    let wire = &wires(&stack)?.clients;
    let mut slow = Observer::join(&stack.sign_in_at(wire.url(), "alan").await?, &session).await?;
    wire.set_pace(Pace { delay: Duration::ZERO, bytes_per_second: Some(10_000) });
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(Observer::join(&grace, &session).await?);
    }
    let watching: Vec<_> = others
        .into_iter()
        .map(|mut viewer| {
            tokio::spawn(async move {
                viewer.turns_over(1).await?;
                anyhow::Ok(viewer)
            })
        })
        .collect();
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 1 }).await?;
    for viewer in watching {
        let mut viewer = viewer.await??;
        ensure!(viewer.lagged == 0, "one that reads was told that it lags");
        same_for_all(&ada, &session, &mut viewer).await?;
    }
    let bytes: usize =
        observer.events.iter().map(|record| serde_json::to_string(record).map_or(0, |json| json.len())).sum();
    ensure!(bytes > VIEWER_WINDOW_BYTES + 64 * 1024, "{bytes} bytes do not fill the window");
    // It begins to read: what was sent before the window was full, the notice, and after asking again the rest.
    let newest = observer.seq;
    idle.until("everything", |idle| idle.seq >= newest).await?;
    assert_eq!(idle.lagged, 1);
    assert_eq!(idle.view, observer.view);
    wire.set_pace(Pace::default());
    slow.until("everything", |slow| slow.seq >= newest).await?;
    assert_eq!(slow.lagged, 1);
    assert_eq!(slow.view, observer.view);
    // And it is heard as before.
    idle.send(ClientMessage::Prompt { prompt: Client::prompt("say Hello.") }).await?;
    idle.turns_over(2).await?;
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 2, commits: 1 }).await
}

/// Reads what was sent before its window was full and the notice that it lags, does nothing about that, and waits to be put out.
async fn until_put_out(mut socket: SessionSocket) -> anyhow::Result<String> {
    let notice = |message: &ServerMessage| matches!(message, ServerMessage::Lagging).then_some(());
    socket.until("the notice", LAG_PATIENCE, notice).await?;
    let more = |message: &ServerMessage| Some(format!("{message:?}"));
    match socket.until("the end", LAG_PATIENCE, more).await {
        Ok(message) => anyhow::bail!("one that lags was sent {message:.300}"),
        Err(error) => Ok(error.to_string()),
    }
}

/// Longer than a viewer may lag, and than the session takes to look at it.
const LAG_PATIENCE: Duration = Duration::from_millis(VIEWER_LAG_MS_MAX + 90_000);

#[tokio::test]
async fn viewers_that_have_stopped_or_are_cut_off_for_a_minute_are_put_out_and_may_come_back()
-> anyhow::Result<()> {
    let stack = breakable("stopped-viewers").await?;
    let (ada, grace) = (stack.sign_in("ada").await?, stack.sign_in("grace").await?);
    // Something else in between, so that it is not taken for an agent that goes in circles.
    let script = format!(
        "run head -c 30000 /dev/zero | tr '\\0' x > .git/large\nwait 1500\n{}say Flooded.\nstream 20000 20",
        "read .git/large\nrun true\n".repeat(50)
    );
    let (session, mut observer) = session(&ada, &script).await?;
    observer.until("the turn", |observer| observer.running().is_some()).await?;
    let stopped = grace.socket(&session, None).await?;
    let wire = &wires(&stack)?.clients;
    let mut cut_off =
        Observer::join_patiently(&stack.sign_in_at(wire.url(), "alan").await?, &session).await?;
    // Neither side is told.
    wire.hold();
    observer.until("the flood", |observer| observer.text().contains("Flooded.")).await?;
    let putting_out = tokio::spawn(until_put_out(stopped));
    // Meanwhile everybody else is served.
    while !putting_out.is_finished() {
        let seq = observer.seq;
        observer.until("more", |observer| observer.seq > seq).await?;
    }
    let end = putting_out.await??;
    ensure!(end.contains("4009"), "{end}");
    let turn_id = observer.running().context("no turn runs")?;
    observer.send(ClientMessage::Stop { turn_id }).await?;
    observer.turns_over(1).await?;
    ensure!(observer.lagged == 0 && observer.rejoined == 0, "one that reads was treated likewise");
    // The other one finds that it was put out too, and gets what it has missed, once.
    wire.release();
    let newest = observer.seq;
    cut_off.until("everything", |viewer| viewer.seq >= newest).await?;
    ensure!(cut_off.rejoined >= 1, "it was never put out");
    assert_eq!(cut_off.view, observer.view);
    settled(&stack, &ada, &session, &mut observer, Expected { prompts: 1, commits: 0 }).await
}
