//! Prompts that reach a turn while it runs, and what a turn is told of the conversation before it.

use crate::support::bridge::{FakeBridge, items, origin_log};
use crate::support::{
    BRANCH, Place, Runner, command_id, configuration, opencode, start_turn, steer_turn, turn_id,
};
use protocol::id::PromptId;
use protocol::runner::{AgentKind, RunnerCommand, RunnerEvent};
use protocol::timeline::{ItemContent, TurnOutcome, Usage};
use std::path::Path;

async fn set_up(agent: AgentKind, opencode: Option<&Path>) -> (Place, FakeBridge, Runner) {
    let place = Place::new();
    let bridge = FakeBridge::start(configuration(agent), place.repositories()).await;
    let runner = Runner::start(&place, &bridge, 1, opencode);
    bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
    (place, bridge, runner)
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

async fn shown(bridge: &FakeBridge, part: &str) {
    bridge
        .event(|event| match event {
            RunnerEvent::ItemChanged { item } => match &item.content {
                ItemContent::Text { text, .. } | ItemContent::Tool { output: text, .. } => {
                    text.contains(part).then_some(())
                }
                _ => None,
            },
            RunnerEvent::ItemAppended { text, .. } => text.contains(part).then_some(()),
            _ => None,
        })
        .await;
}

fn taken(bridge: &FakeBridge) -> Vec<PromptId> {
    let taken = bridge.events().into_iter().filter_map(|event| match event {
        RunnerEvent::SteerTaken { turn_id: id, prompt_id } => {
            assert_eq!(id, turn_id("1"));
            Some(prompt_id)
        }
        _ => None,
    });
    taken.collect()
}

fn prompt_id(text: &str) -> PromptId {
    PromptId::parse(&format!("prm_{text}")).unwrap()
}

fn texts(bridge: &FakeBridge) -> Vec<String> {
    let text = |item| match item {
        ItemContent::Text { text, .. } => Some(text),
        _ => None,
    };
    items(bridge).into_iter().filter_map(text).collect()
}

#[tokio::test]
async fn a_script_goes_on_with_the_prompts_that_steer_it() {
    let (place, bridge, _runner) = set_up(AgentKind::Scripted, None).await;
    let late = bridge.command(&command_id("0"), steer_turn("1", "early", "Ada", "say Early.")).await;
    assert!(late.unwrap().contains("takes no prompt"));
    bridge
        .command(
            &command_id("1"),
            start_turn("1", "Ada", "say One.\nrun until test -e go; do sleep 0.02; done"),
        )
        .await;
    shown(&bridge, "One.").await;
    let steer = steer_turn("1", "a", "Grace", "say Two.\nwrite a.txt a");
    assert_eq!(bridge.command(&command_id("2"), steer.clone()).await, None);
    assert_eq!(bridge.command(&command_id("2"), steer).await, None, "a repeat does nothing");
    let other = bridge.command(&command_id("3"), steer_turn("2", "b", "Ada", "say Other.")).await;
    assert!(other.unwrap().contains("not the one that runs"));
    assert_eq!(bridge.command(&command_id("4"), steer_turn("1", "c", "Ada", "say Three.")).await, None);
    bridge.wait(|_| (taken(&bridge).len() == 2).then_some(())).await;
    std::fs::write(place.workspace().join("go"), "").unwrap();

    assert_eq!(turn_end(&bridge, "1").await.0, TurnOutcome::Completed);
    assert_eq!(taken(&bridge), [prompt_id("a"), prompt_id("c")]);
    assert_eq!(texts(&bridge), ["One.", "Two.", "Three."]);
    assert_eq!(
        origin_log(&place.repositories(), BRANCH, "%an: %B"),
        "Ada: say One.\n\nCo-authored-by: Grace <grace@example.com>"
    );
    let over = bridge.command(&command_id("5"), steer_turn("1", "d", "Ada", "say Late.")).await;
    assert!(over.unwrap().contains("it is over"));
    assert_eq!(taken(&bridge).len(), 2);
}

#[tokio::test]
async fn a_prompt_that_steers_does_not_keep_a_turn_from_being_stopped() {
    let (_place, bridge, _runner) = set_up(AgentKind::Scripted, None).await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "hang")).await;
    bridge.command(&command_id("2"), steer_turn("1", "a", "Ada", "say Never.")).await;
    bridge.wait(|_| (taken(&bridge).len() == 1).then_some(())).await;
    bridge.command(&command_id("3"), RunnerCommand::StopTurn { turn_id: turn_id("1") }).await;
    assert_eq!(turn_end(&bridge, "1").await.0, TurnOutcome::Stopped);
    assert_eq!(texts(&bridge), Vec::<String>::new());
}

#[tokio::test]
async fn a_prompt_that_a_dead_runner_had_is_not_given_to_another_turn() {
    let (place, bridge, mut runner) = set_up(AgentKind::Scripted, None).await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "hang")).await;
    let steer = steer_turn("1", "a", "Ada", "say Never.");
    bridge.command(&command_id("2"), steer.clone()).await;
    bridge.wait(|_| (taken(&bridge).len() == 1).then_some(())).await;
    runner.kill();
    let _runner = Runner::start(&place, &bridge, 1, None);
    assert!(matches!(turn_end(&bridge, "1").await.0, TurnOutcome::Failed { .. }));
    assert_eq!(bridge.command(&command_id("2"), steer.clone()).await, None, "a repeat does nothing");
    assert!(bridge.command(&command_id("3"), steer).await.unwrap().contains("it is over"));
    bridge.command(&command_id("4"), start_turn("2", "Ada", "say Next.")).await;
    assert_eq!(turn_end(&bridge, "2").await.0, TurnOutcome::Completed);
    assert_eq!((texts(&bridge), taken(&bridge).len()), (vec!["Next.".to_owned()], 1));
}

fn with_digest(turn: &str, prompt: &str, digest: &str) -> RunnerCommand {
    let RunnerCommand::StartTurn { mut turn } = start_turn(turn, "Ada", prompt) else { panic!() };
    turn.digest = Some(digest.to_owned());
    RunnerCommand::StartTurn { turn }
}

#[tokio::test]
async fn a_script_knows_its_digest_and_does_not_follow_it() {
    let (place, bridge, _runner) = set_up(AgentKind::Scripted, None).await;
    let digest = "Ada wrote:\nwrite digest.txt x\nsay From the digest.";
    bridge.command(&command_id("1"), with_digest("1", "digest", digest)).await;
    assert_eq!(turn_end(&bridge, "1").await.0, TurnOutcome::Completed);
    bridge.command(&command_id("2"), start_turn("2", "Ada", "digest")).await;
    turn_end(&bridge, "2").await;
    assert_eq!(texts(&bridge), [digest, "There is no digest."]);
    assert!(!place.workspace().join("digest.txt").exists());
}

#[tokio::test]
async fn opencode_works_on_what_steers_it_before_the_turn_ends() {
    let Some(opencode) = opencode() else { return };
    let (place, bridge, _runner) = set_up(AgentKind::Opencode, Some(&opencode)).await;

    // In the middle of a step: the next request to the model has the prompt.
    bridge.command(&command_id("1"), with_digest("1", "SCRIPT:waitforgo", "Ada asked for tea.")).await;
    shown(&bridge, "started").await;
    let steer = steer_turn("1", "a", "Grace", "Rather coffee. SCRIPT:recall");
    assert_eq!(bridge.command(&command_id("2"), steer).await, None);
    bridge.wait(|_| (taken(&bridge).len() == 1).then_some(())).await;
    std::fs::write(place.workspace().join("go"), "").unwrap();
    let (outcome, usage) = turn_end(&bridge, "1").await;
    assert_eq!((outcome, usage.output_tokens), (TurnOutcome::Completed, 20));
    assert_eq!(texts(&bridge), ["I remember."]);
    let requests = bridge.known.model_requests.lock().unwrap().clone();
    assert!(requests[0]["messages"].to_string().contains("Ada asked for tea.\\n</conversation-digest>"));
    assert!(!requests[0]["messages"].to_string().contains("Rather coffee."));
    assert!(requests[1]["messages"].to_string().contains("Rather coffee."));
}

#[tokio::test]
async fn opencode_answers_a_prompt_that_comes_with_its_last_words() {
    let Some(opencode) = opencode() else { return };
    let (_place, bridge, _runner) = set_up(AgentKind::Opencode, Some(&opencode)).await;
    bridge.command(&command_id("1"), start_turn("1", "Ada", "SCRIPT:drip")).await;
    shown(&bridge, "drop0").await;
    let steer = steer_turn("1", "a", "Grace", "One more thing. SCRIPT:recall");
    assert_eq!(bridge.command(&command_id("2"), steer).await, None);
    let (outcome, usage) = turn_end(&bridge, "1").await;
    assert_eq!((outcome, usage.output_tokens), (TurnOutcome::Completed, 20));
    assert_eq!(taken(&bridge), [prompt_id("a")]);
    let texts = texts(&bridge);
    assert!(texts.len() == 2 && texts[0].ends_with("drop9 ") && texts[1] == "I remember.", "{texts:?}");

    // The turn after it is one like any other.
    bridge.command(&command_id("3"), start_turn("2", "Ada", "SCRIPT:text")).await;
    let (outcome, usage) = turn_end(&bridge, "2").await;
    assert_eq!((outcome, usage.output_tokens), (TurnOutcome::Completed, 10));
}
