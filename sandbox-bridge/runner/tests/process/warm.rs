//! A runner whose sandbox nobody has claimed yet: it gets ready, follows the default branch, and becomes a session's.

use crate::support::bridge::{FakeBridge, items, origin_log};
use crate::support::{BRANCH, Place, Runner, command_id, configuration, git, opencode, start_turn, turn_id};
use protocol::repository::WarmState;
use protocol::runner::{AgentKind, RunnerConfiguration, RunnerEvent};
use protocol::timeline::{ItemContent, TurnOutcome};
use std::path::Path;
use std::time::Instant;

/// A runner in a workspace as an image has it: cloned long ago, with what a build left.
async fn warm(agent: AgentKind, opencode: Option<&Path>) -> (Place, FakeBridge, Runner) {
    let place = Place::new();
    let (bridge, runner) = warm_at(&place, configuration(agent), opencode).await;
    (place, bridge, runner)
}

pub(crate) async fn warm_at(
    place: &Place,
    configuration: RunnerConfiguration,
    opencode: Option<&Path>,
) -> (FakeBridge, Runner) {
    let workspace = place.workspace();
    git(
        place.folder.path(),
        &["clone", "--quiet", place.origin().to_str().unwrap(), workspace.to_str().unwrap()],
    );
    git(&workspace, &["checkout", "--quiet", "--detach"]);
    std::fs::write(workspace.join("built.txt"), "built\n").unwrap();
    std::fs::write(workspace.join(".git/info/exclude"), "/built.txt\n").unwrap();
    place.push_as_other("main", "newer.txt");
    let bridge = FakeBridge::start(configuration, place.repositories()).await;
    bridge.known.claimed.send_replace(false);
    let runner = Runner::start(place, &bridge, 0, opencode);
    (bridge, runner)
}

pub(crate) async fn said(bridge: &FakeBridge, is_it: impl Fn(&WarmState) -> bool) {
    bridge.wait(|known| known.warm.lock().unwrap().iter().any(&is_it).then_some(())).await;
}

pub(crate) fn is_ready(state: &WarmState) -> bool {
    matches!(state, WarmState::Ready { .. })
}

pub(crate) async fn outcome_of(bridge: &FakeBridge, turn: &str) -> TurnOutcome {
    bridge
        .event(|event| match event {
            RunnerEvent::TurnEnded { turn_id: id, outcome, .. } if *id == turn_id(turn) => {
                Some(outcome.clone())
            }
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_warm_runner_follows_the_default_branch_and_starts_the_session_s_there() {
    let (place, mut bridge, _runner) = warm(AgentKind::Scripted, None).await;
    let newest = origin_log(&place.repositories(), "main", "%H");
    said(&bridge, is_ready).await;
    said(&bridge, |state| *state == WarmState::Synced { commit: newest.clone() }).await;
    // A bridge that comes back is told again.
    bridge.known.warm.lock().unwrap().clear();
    bridge.cut().await;
    bridge.come_back().await;
    said(&bridge, is_ready).await;
    said(&bridge, |state| *state == WarmState::Synced { commit: newest.clone() }).await;
    assert_eq!(bridge.events(), []);

    let claimed = Instant::now();
    bridge.known.claimed.send_replace(true);
    bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
    let turn = start_turn("1", "Ada", "run cat newer.txt built.txt\nwrite a.txt a");
    assert_eq!(bridge.command(&command_id("1"), turn).await, None);
    bridge.event(|event| matches!(event, RunnerEvent::TurnReceived { .. }).then_some(())).await;
    println!("claim → turn received: {:?}", claimed.elapsed());
    assert_eq!(outcome_of(&bridge, "1").await, TurnOutcome::Completed);
    println!("claim → end of the turn: {:?}", claimed.elapsed());
    assert!(matches!(bridge.events()[0], RunnerEvent::Ready { .. }));
    assert_eq!(git(&place.origin(), &["rev-parse", &format!("{BRANCH}~1")]), newest);
    assert_eq!(git(&place.origin(), &["diff", "--name-only", "main", BRANCH]), "a.txt");
}

#[tokio::test]
async fn while_the_newest_commit_is_on_its_way_the_agent_reads_and_edits_wait() {
    let (place, bridge, _runner) = warm(AgentKind::Scripted, None).await;
    // Only what is asked for from here on; the runner has not begun to fetch before it is ready.
    bridge.known.holding_fetches.send_replace(true);
    said(&bridge, is_ready).await;
    assert!(!place.workspace().join("newer.txt").exists());
    bridge.known.claimed.send_replace(true);
    bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
    let turn = start_turn("1", "Ada", "read README.md\nwrite a.txt a\nrun cat newer.txt");
    assert_eq!(bridge.command(&command_id("1"), turn).await, None);
    let has_read = |content: &ItemContent| matches!(content, ItemContent::Tool { output, .. } if output.contains("Welcome"));
    bridge.wait(|_| items(&bridge).iter().any(has_read).then_some(())).await;
    assert!(!place.workspace().join("a.txt").exists(), "the edit waits");
    bridge.known.holding_fetches.send_replace(false);
    assert_eq!(outcome_of(&bridge, "1").await, TurnOutcome::Completed);
    let newest = origin_log(&place.repositories(), "main", "%H");
    assert_eq!(git(&place.origin(), &["rev-parse", &format!("{BRANCH}~1")]), newest);
}

#[tokio::test]
async fn a_session_that_was_elsewhere_before_goes_on_from_its_branch() {
    let (place, bridge, _runner) = warm(AgentKind::Scripted, None).await;
    said(&bridge, |state| matches!(state, WarmState::Synced { .. })).await;
    git(&place.origin(), &["branch", BRANCH, "main"]);
    place.push_as_other(BRANCH, "mine.txt");
    bridge.known.claimed.send_replace(true);
    let turn = start_turn("1", "Ada", "run cat mine.txt");
    assert_eq!(bridge.command(&command_id("1"), turn).await, None);
    assert_eq!(outcome_of(&bridge, "1").await, TurnOutcome::Completed);
    let has_it = |content: &ItemContent| matches!(content, ItemContent::Tool { output, .. } if output.contains("from somebody else"));
    assert!(items(&bridge).iter().any(has_it));
}

#[tokio::test]
async fn an_image_without_a_clone_is_of_no_use() {
    let place = Place::new();
    let bridge = FakeBridge::start(configuration(AgentKind::Scripted), place.repositories()).await;
    bridge.known.claimed.send_replace(false);
    let _runner = Runner::start(&place, &bridge, 0, None);
    said(&bridge, |state| matches!(state, WarmState::Ended { reason } if reason.contains("no clone"))).await;
}

#[tokio::test]
async fn opencode_is_ready_before_the_session_comes() {
    let Some(opencode) = opencode() else { return };
    let (_place, bridge, _runner) = warm(AgentKind::Opencode, Some(&opencode)).await;
    said(&bridge, is_ready).await;
    let claimed = Instant::now();
    bridge.known.claimed.send_replace(true);
    bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
    assert_eq!(bridge.command(&command_id("1"), start_turn("1", "Ada", "text")).await, None);
    bridge.event(|event| matches!(event, RunnerEvent::TurnReceived { .. }).then_some(())).await;
    println!("claim → turn received with OpenCode: {:?}", claimed.elapsed());
    assert_eq!(outcome_of(&bridge, "1").await, TurnOutcome::Completed);
}
