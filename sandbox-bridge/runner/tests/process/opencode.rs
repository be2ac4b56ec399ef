//! The runner with the real OpenCode, a small model, and a real git server. Skipped, saying so, where OpenCode is not installed.

use crate::support::bridge::{FakeBridge, items, origin_log};
use crate::support::{BRANCH, Place, Runner, command_id, configuration, opencode, start_turn, turn_id};
use protocol::runner::{AgentKind, RunnerCommand, RunnerEvent};
use protocol::timeline::{ItemContent, PlanStepState, ToolState, TurnOutcome, Usage};
use std::path::Path;

async fn set_up(place: &Place, opencode: &Path, generation: u64) -> (FakeBridge, Runner) {
    let bridge = FakeBridge::start(configuration(AgentKind::Opencode), place.repositories()).await;
    let runner = Runner::start(place, &bridge, generation, Some(opencode));
    let agent = bridge
        .event(|event| match event {
            RunnerEvent::Ready { agent } => Some(agent.clone()),
            RunnerEvent::SetupFailed { reason } => panic!("{reason}"),
            _ => None,
        })
        .await;
    assert!(agent.starts_with("opencode 1."), "{agent}");
    (bridge, runner)
}

async fn turn_end(bridge: &FakeBridge, turn: &str) -> (TurnOutcome, Usage) {
    bridge
        .event(|event| match event {
            RunnerEvent::TurnEnded { turn_id: id, outcome, usage, .. } if *id == turn_id(turn) => {
                Some((outcome.clone(), *usage))
            }
            _ => None,
        })
        .await
}

#[tokio::test]
async fn opencode_works_on_turns_and_remembers_them_in_the_next_sandbox() {
    let Some(opencode) = opencode() else { return };
    let place = Place::new();
    let (bridge, mut runner) = set_up(&place, &opencode, 1).await;

    bridge.command(&command_id("1"), start_turn("1", "Ada", "Write a greeting. SCRIPT:change")).await;
    let (outcome, usage) = turn_end(&bridge, "1").await;
    assert_eq!(outcome, TurnOutcome::Completed);
    assert_eq!(usage, Usage { input_tokens: 200, output_tokens: 20, cached_tokens: 80, cost_usd: 0.0 });
    assert_eq!(
        origin_log(&place.repositories(), BRANCH, "%an <%ae> %s"),
        "Ada <ada@example.com> Write a greeting. SCRIPT:change"
    );
    let shown = items(&bridge);
    assert_eq!(shown[0], ItemContent::Reasoning { text: "I need a file.".into(), done: false });
    assert_eq!(shown[1], ItemContent::Text { text: "I will write it.".into(), done: false });
    let ItemContent::Tool { name, title, output, state, .. } = &shown[2] else { panic!("{:?}", shown[2]) };
    assert_eq!((name.as_str(), output.as_str()), ("bash", "one\ntwo\n"));
    assert!(title.starts_with("printf"), "{title}");
    assert!(matches!(state, ToolState::Completed { exit_code: Some(3), .. }), "{state:?}");
    let ItemContent::Plan { steps } = &shown[3] else { panic!("{:?}", shown[3]) };
    assert_eq!((steps[0].text.as_str(), steps[0].state), ("Greet", PlanStepState::Running));
    assert_eq!(shown[4], ItemContent::Text { text: "All is done \u{e4}\u{1f600}.".into(), done: false });
    assert_eq!(shown.len(), 5);

    // A failure of the provider is the turn's, in words.
    bridge.command(&command_id("2"), start_turn("2", "Ada", "SCRIPT:refused")).await;
    let (outcome, _) = turn_end(&bridge, "2").await;
    assert!(
        matches!(&outcome, TurnOutcome::Failed { reason } if reason.contains("the key is wrong")),
        "{outcome:?}"
    );

    // The agent may not push by itself.
    bridge.command(&command_id("3"), start_turn("3", "Ada", "SCRIPT:push")).await;
    assert_eq!(turn_end(&bridge, "3").await.0, TurnOutcome::Completed);
    let refused = items(&bridge).into_iter().any(
        |item| matches!(item, ItemContent::Tool { state: ToolState::Failed { .. }, title, .. } if title.starts_with("git push")),
    );
    assert!(refused, "{:#?}", items(&bridge));

    // Right after an aborted turn the next one is not mistaken for ended.
    bridge.command(&command_id("4"), start_turn("4", "Ada", "SCRIPT:slow")).await;
    bridge.event(|event| matches!(event, RunnerEvent::ItemAppended { text, .. } if text == "started\n").then_some(())
        .or_else(|| matches!(event, RunnerEvent::ItemChanged { item } if matches!(&item.content, ItemContent::Tool { output, .. } if output == "started\n")).then_some(()))).await;
    bridge.command(&command_id("5"), RunnerCommand::StopTurn { turn_id: turn_id("4") }).await;
    assert_eq!(turn_end(&bridge, "4").await.0, TurnOutcome::Stopped);
    bridge.command(&command_id("6"), start_turn("5", "Grace", "SCRIPT:text")).await;
    let (outcome, usage) = turn_end(&bridge, "5").await;
    assert_eq!((outcome, usage.output_tokens), (TurnOutcome::Completed, 10));

    // The next sandbox, restored with home and workspace, has the conversation.
    runner.kill();
    drop(runner);
    let (next, _runner) = set_up(&place, &opencode, 2).await;
    next.command(&command_id("1"), start_turn("6", "Grace", "SCRIPT:recall")).await;
    assert_eq!(turn_end(&next, "6").await.0, TurnOutcome::Completed);
    let asked = next.known.model_requests.lock().unwrap().last().unwrap()["messages"].to_string();
    assert!(asked.contains("Write a greeting."), "{asked}");
}
