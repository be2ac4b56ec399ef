//! What must hold at the end, for every session and for the machine: I1 to I8 of the fault table.

use super::person::{Asked, PATIENCE, Visited, patiently};
use crate::{Observer, is_over};
use anyhow::{bail, ensure};
use protocol::client::{ServerMessage, SessionSnapshot};
use protocol::id::{PromptId, TurnId};
use protocol::timeline::{EventRecord, PromptState, SessionEvent};
use session::core::{apply_event, empty_snapshot};
use stack::{Client, Stack};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const REPOSITORY: &str = "acme/shop";
const POLL: Duration = Duration::from_millis(100);
/// Of two views where they begin to differ.
const LINES_AROUND: usize = 12;
/// Of one prompt, not counting turns that were handed over with their sandbox.
const ATTEMPTS_MAX: u32 = 3;

/// What a log adds up to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) turns: u64,
    pub(super) retries: u64,
}

/// Everything about one session.
pub(super) async fn judge(stack: &Stack, client: &Client, visited: &mut Visited) -> anyhow::Result<Tally> {
    let log = whole_log(client, visited).await?;
    let tally = check_log(&log, &visited.asked)?;
    check_views(client, visited, &log).await?;
    check_branch(stack, visited, tally.retries).await?;
    Ok(tally)
}

/// Every event from the first one.
async fn whole_log(client: &Client, visited: &Visited) -> anyhow::Result<Vec<EventRecord>> {
    let mut socket = patiently("the log", || client.socket(&visited.id, Some(0))).await?;
    let mut log = Vec::new();
    loop {
        match socket.next(PATIENCE).await? {
            ServerMessage::Event { seq, at, event } => log.push(EventRecord { seq, at, event }),
            ServerMessage::CaughtUp { seq } => {
                ensure!(log.last().is_none_or(|last| last.seq == seq), "the log ends before {seq}");
                return Ok(log);
            }
            ServerMessage::Snapshot { .. } => bail!("the beginning of the log is gone"),
            ServerMessage::Events { .. }
            | ServerMessage::Presence { .. }
            | ServerMessage::PresenceChanged { .. }
            | ServerMessage::Typing { .. }
            | ServerMessage::Lagging
            | ServerMessage::PromptAccepted { .. }
            | ServerMessage::Rejected { .. }
            | ServerMessage::Unknown => {}
        }
    }
}

/// Pure: numbers without holes, one turn at a time, and one end for each prompt.
fn check_log(log: &[EventRecord], asked: &[Asked]) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut running: Option<TurnId> = None;
    let mut queued: BTreeMap<PromptId, u32> = BTreeMap::new();
    for (place, record) in (1..).zip(log) {
        ensure!(record.seq == place, "event {} stands at place {place}", record.seq);
        tally.events = place;
        if let SessionEvent::PromptQueued { prompt } = &record.event {
            *queued.entry(prompt.id.clone()).or_default() += 1;
        }
        if let SessionEvent::TurnStarted { turn } = &record.event {
            ensure!(running.replace(turn.id.clone()).is_none(), "two turns at once, at {place}");
            ensure!(turn.attempt <= ATTEMPTS_MAX, "attempt {} at {place}", turn.attempt);
            tally.turns += 1;
            tally.retries += u64::from(turn.attempt > 1);
        }
        if let SessionEvent::TurnEnded { turn_id, .. } = &record.event {
            ensure!(running.take().as_ref() == Some(turn_id), "a turn ended that did not run, at {place}");
        }
    }
    ensure!(running.is_none(), "a turn never ended: {running:?}");
    let once: BTreeMap<PromptId, u32> = asked.iter().map(|asked| (asked.prompt_id.clone(), 1)).collect();
    ensure!(queued == once, "accepted {} prompts, and has {queued:?}", once.len());
    Ok(tally)
}

/// Who was here all the time, who joins afresh and who adds the log up see the same, and each prompt has ended as it should.
async fn check_views(client: &Client, visited: &mut Visited, log: &[EventRecord]) -> anyhow::Result<()> {
    let mut fresh = Observer::join_patiently(client, &visited.id).await?;
    let observer = &mut visited.observer;
    // A snapshot may be a little old, and what has happened since follows it.
    let newest = fresh.seq.max(observer.seq);
    fresh.until("what the others know", |fresh| fresh.seq >= newest).await?;
    observer.until("what the newcomer knows", |observer| observer.seq >= newest).await?;
    ensure!(fresh.seq == observer.seq, "{} is not {}", fresh.seq, observer.seq);
    same("a newcomer sees something else", &observer.view, &fresh.view)?;
    let mut sum = empty_snapshot(&fresh.view.session);
    for record in log {
        apply_event(&mut sum, record);
    }
    if fresh.view.earlier.is_none() {
        same("the log adds up to something else", &fresh.view, &sum)?;
    }
    for asked in &visited.asked {
        let prompt = sum.prompts.iter().find(|prompt| prompt.id == asked.prompt_id);
        let state = prompt.map(|prompt| prompt.state);
        ensure!(state.is_some_and(is_over), "a prompt has not ended: {prompt:#?}");
        let turns: Vec<_> = sum.turns.iter().filter(|turn| turn.prompt_id == asked.prompt_id).collect();
        ensure!(state == Some(asked.ends), "not {:?}: {prompt:#?} {turns:#?}", asked.ends);
    }
    ensure!(sum.queue.is_empty(), "something waits: {:?}", sum.queue);
    Ok(())
}

fn same(what: &str, one: &SessionSnapshot, other: &SessionSnapshot) -> anyhow::Result<()> {
    if one == other {
        return Ok(());
    }
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let mut places = one.lines().zip(other.lines()).enumerate();
    let place = places.find(|(_, (one, other))| one != other).map_or(0, |(place, _)| place);
    let around = |text: &str| {
        text.lines()
            .skip(place.saturating_sub(LINES_AROUND))
            .take(2 * LINES_AROUND)
            .collect::<Vec<_>>()
            .join("\n")
    };
    bail!("{what}:\n{}\n and:\n{}", around(&one), around(&other))
}

/// What was done is on the branch, in the order in which it was asked for, and one pull request offers it.
async fn check_branch(stack: &Stack, visited: &Visited, retries: u64) -> anyhow::Result<()> {
    let branch = &visited.observer.view.session.branch;
    let done = visited.asked.iter().filter(|asked| asked.ends == PromptState::Done);
    let expected: Vec<&str> = done.filter_map(|asked| asked.token.as_deref()).collect();
    let name = format!("refs/heads/{branch}");
    let exists = !stack.github().git(REPOSITORY, &["for-each-ref", &name]).await?.is_empty();
    ensure!(exists != expected.is_empty(), "the branch is there: {exists}, with {expected:?} to be on it");
    if exists {
        let found = stack.github().git(REPOSITORY, &["show", &format!("{branch}:log.txt")]).await?;
        check_file(&found, &expected, retries)?;
    }
    let pulls = stack.github().pulls(REPOSITORY);
    let own: Vec<_> = pulls.iter().filter(|pull| pull.head == *branch).collect();
    ensure!(own.len() == usize::from(exists), "pull requests: {own:#?}");
    let known = visited.observer.pull_request();
    ensure!(known == own.first().map(|pull| pull.number), "the session knows {known:?} of {own:#?}");
    Ok(())
}

/// Pure: nothing is missing, nothing is foreign, and something is there twice only where a turn was tried again: what its sandbox had
/// pushed before it died is where the next try begins.
fn check_file(found: &str, expected: &[&str], retries: u64) -> anyhow::Result<()> {
    let tokens: Vec<&str> = found.split_inclusive('>').collect();
    let mut last: Vec<&str> = Vec::new();
    for token in tokens.iter().rev() {
        if !last.contains(token) {
            last.insert(0, token);
        }
    }
    ensure!(last == expected, "the branch has {found:?} and not {expected:?}");
    let doubles = (tokens.len() - expected.len()) as u64;
    // A try may repeat what was steered into it too.
    ensure!(doubles <= 2 * retries, "{found:?} has {doubles} doubles after {retries} retries");
    Ok(())
}

/// Waits for a state that nobody announces; `missing` says what is not yet so. Patience begins anew whenever less is missing: layers are
/// deleted behind all other work of the machine.
pub(super) async fn eventually(what: &str, missing: impl Fn() -> Vec<String>) -> anyhow::Result<()> {
    let mut deadline = Instant::now() + PATIENCE;
    let mut least = usize::MAX;
    loop {
        let left = missing();
        if left.is_empty() {
            return Ok(());
        }
        if left.len() < least {
            least = left.len();
            deadline = Instant::now() + PATIENCE;
        }
        ensure!(Instant::now() < deadline, "{what}: for {} s there is still {left:#?}", PATIENCE.as_secs());
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::Timestamp;

    fn log(events: Vec<SessionEvent>) -> Vec<EventRecord> {
        (1..).zip(events).map(|(seq, event)| EventRecord { seq, at: Timestamp(0), event }).collect()
    }

    #[test]
    fn a_file_has_everything_in_order_and_doubles_only_after_retries() {
        assert!(check_file("<1.0><1.1>", &["<1.0>", "<1.1>"], 0).is_ok());
        assert!(check_file("<1.0><1.1><1.1>", &["<1.0>", "<1.1>"], 1).is_ok());
        assert!(check_file("<1.0><1.1><1.0><1.1>", &["<1.0>", "<1.1>"], 1).is_ok());
        for (wrong, retries) in
            [("<1.0>", 0), ("<1.1><1.0>", 0), ("<1.0><1.1><1.1>", 0), ("<1.0><1.1><2.0>", 1)]
        {
            assert!(check_file(wrong, &["<1.0>", "<1.1>"], retries).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_log_with_a_hole_or_an_end_from_nowhere_is_refused() {
        let unknown = || log(vec![SessionEvent::Unknown, SessionEvent::Unknown]);
        assert_eq!(check_log(&unknown(), &[]).map(|tally| tally.events).ok(), Some(2));
        let mut holed = unknown();
        holed.remove(0);
        assert!(check_log(&holed, &[]).is_err());
        let lost =
            [Asked { prompt_id: PromptId::from_random([1; 16]), ends: PromptState::Done, token: None }];
        assert!(check_log(&unknown(), &lost).is_err(), "an accepted prompt is not in the log");
    }
}
