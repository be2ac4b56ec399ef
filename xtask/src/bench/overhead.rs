//! B6: what Farhand itself adds, on a warm session with the scripted agent.
//!
//! - `prompt_to_agent_ms`: the session accepts a prompt (its `submitted_at`) → the runner has the turn (its time of the first words less
//!   its own measure of how long they took). Whole milliseconds, as both clocks write them.
//! - `first_delta_ms`: the runner has the first words of a quiet stream (`started_at`) → a viewer has read them.
//! - `agent_to_viewer_ms`: a command in the sandbox prints the time → each of 100 viewers has read that line.

use super::report::{Figure, Row};
use super::statistics::{percentile, rounded};
use super::turn::{as_ms, now_ms, prompt, quiet, submit};
use crate::progress::Progress;
use crate::setup::NativeProfile;
use anyhow::{Context as _, bail};
use protocol::client::ServerMessage;
use protocol::id::SessionId;
use protocol::timeline::{SessionEvent, TurnOutcome};
use serde_json::json;
use stack::{Agent, Binaries, Client, Options, SessionSocket, Stack};
use std::time::Duration;

/// Measured prompts, after the ones that warm up.
const PROMPTS: usize = 150;
const WARM_UP: usize = 10;
const VIEWERS: usize = 100;
/// A viewer's stream: lines, and the time between two.
const LINES: usize = 200;
const COLD_TIMEOUT: Duration = Duration::from_secs(120);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Measures B6.
pub(super) async fn measure(progress: &Progress) -> anyhow::Result<Figure> {
    let mut options = Options::new("bench");
    options.agent = Agent::Scripted;
    options.binaries = Binaries::of_profile(NativeProfile::Native.folder());
    options.weak_sandbox = crate::demo::weak_sandbox(false, false, &options.binaries, progress)?;
    let stack = Stack::start(options).await?;
    let client = stack.sign_in("ada").await?;
    let session = client.create_session("acme/shop", Some(Client::prompt("say warm"))).await?;
    let mut socket = client.socket(&session, None).await?;
    settle(&mut socket, COLD_TIMEOUT).await?;

    let (mut accepted, mut first) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + PROMPTS {
        let sample = prompt(&mut socket, "say x", TIMEOUT).await?;
        if round >= WARM_UP {
            accepted.push(sample.accepted_to_agent_ms);
            first.push(sample.first_delta_ms);
        }
        quiet(&mut socket).await?;
    }
    let viewers = viewers(&client, &session, &mut socket).await?;
    drop(stack);
    report(&accepted, &first, &viewers)
}

fn report(accepted: &[f64], first: &[f64], viewers: &[f64]) -> anyhow::Result<Figure> {
    let at = |samples: &[f64], share| percentile(samples, share).context("nothing was measured");
    let (p50, p99) = (at(accepted, 0.5)?, at(accepted, 0.99)?);
    let (delta, steady) = (at(first, 0.5)?, at(viewers, 0.5)?);
    let tail = |samples: &[f64]| anyhow::Ok(format!("p99 {:.1}", at(samples, 0.99)?));
    let rows = vec![
        Row::new("prompt accepted → runner has it", format!("p50 {p50:.1}, p99 {p99:.1} ms"))
            .target("≤ 5, p99 ≤ 15 ms", p50 <= 5.0 && p99 <= 15.0),
        Row::new("first delta of a quiet stream → viewer", format!("p50 {delta:.1}, {} ms", tail(first)?))
            .target("≤ 8 ms", delta <= 8.0),
        Row::new("steady stream → each of 100 viewers", format!("p50 {steady:.1}, {} ms", tail(viewers)?))
            .target("≤ 30 ms", steady <= 30.0),
    ];
    let value = json!({
        "prompt_to_agent_ms": rounded(p50),
        "prompt_to_agent_p99_ms": rounded(p99),
        "first_delta_ms": rounded(delta),
        "agent_to_viewer_ms": rounded(steady),
    });
    Ok(Figure { value, rows })
}

/// Waits for the end of the first turn.
async fn settle(socket: &mut SessionSocket, timeout: Duration) -> anyhow::Result<()> {
    let ended = socket.until("the end of the first turn", timeout, |message| match message {
        ServerMessage::Event { event: SessionEvent::TurnEnded { end, .. }, .. } => Some(end.outcome.clone()),
        ServerMessage::Snapshot { snapshot, .. } => {
            snapshot.turns.last().and_then(|turn| turn.end.as_ref()).map(|end| end.outcome.clone())
        }
        ServerMessage::Event { .. }
        | ServerMessage::Events { .. }
        | ServerMessage::CaughtUp { .. }
        | ServerMessage::Presence { .. }
        | ServerMessage::PresenceChanged { .. }
        | ServerMessage::Typing { .. }
        | ServerMessage::Lagging
        | ServerMessage::PromptAccepted { .. }
        | ServerMessage::Rejected { .. }
        | ServerMessage::Unknown => None,
    });
    match ended.await? {
        TurnOutcome::Completed => quiet(socket).await,
        other @ (TurnOutcome::Stopped | TurnOutcome::Failed { .. }) => {
            bail!("the first turn ended as {other:?}")
        }
    }
}

/// How old each printed line is when a viewer has read it.
async fn viewers(
    client: &Client,
    session: &SessionId,
    socket: &mut SessionSocket,
) -> anyhow::Result<Vec<f64>> {
    let mut tasks = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = client.socket(session, None).await?;
        tasks.push(tokio::spawn(async move { watch(&mut viewer).await }));
    }
    let command = format!("run i=0; while [ $i -lt {LINES} ]; do date +%s%N; sleep 0.02; i=$((i+1)); done");
    submit(socket, &command).await?;
    let mut ages = Vec::new();
    for task in tasks {
        ages.extend(task.await.context("a viewer was lost")??);
    }
    Ok(ages)
}

async fn watch(viewer: &mut SessionSocket) -> anyhow::Result<Vec<f64>> {
    let mut ages = Vec::new();
    let mut cut = String::new();
    let mut has_begun = false;
    loop {
        let ServerMessage::Event { event, .. } = viewer.next(TIMEOUT).await? else { continue };
        let read_at = now_ms();
        if matches!(event, SessionEvent::TurnStarted { .. }) {
            has_begun = true;
        } else if let (true, SessionEvent::ItemAppended { text, .. }) = (has_begun, &event) {
            cut.push_str(text);
            while let Some((line, rest)) = cut.split_once('\n') {
                if let Ok(nanoseconds) = line.trim().parse::<u64>() {
                    ages.push(read_at - as_ms(nanoseconds / 1000) / 1000.0);
                }
                cut = rest.to_owned();
            }
        } else if has_begun && matches!(event, SessionEvent::TurnEnded { .. }) {
            anyhow::ensure!(ages.len() * 2 > LINES, "a viewer saw only {} of {LINES} lines", ages.len());
            return Ok(ages);
        }
    }
}
