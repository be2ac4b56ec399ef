//! How much a model is to think, as OpenCode asks the vendors for it.

use crate::support::bridge::FakeBridge;
use crate::support::{Place, Runner, command_id, configuration, opencode, start_turn, turn_id};
use protocol::effort::Effort;
use protocol::runner::{AgentKind, RunnerCommand, RunnerEvent};
use serde_json::{Value, json};
use std::path::Path;

/// Runs a turn for each effort, and gives the last request to the model that each made.
async fn asked(model: &str, opencode: &Path, efforts: &[Option<Effort>]) -> Vec<Value> {
    let place = Place::new();
    let mut configuration = configuration(AgentKind::Opencode);
    configuration.model = model.to_owned();
    configuration.models = vec![model.to_owned()];
    let bridge = FakeBridge::start(configuration, place.repositories()).await;
    let _runner = Runner::start(&place, &bridge, 1, Some(opencode));
    bridge.event(|event| matches!(event, RunnerEvent::Ready { .. }).then_some(())).await;
    let mut requests = Vec::new();
    for (number, effort) in (1..).zip(efforts) {
        let name = format!("{number}");
        let mut command = start_turn(&name, "Ada", "Think. SCRIPT:text");
        if let RunnerCommand::StartTurn { turn } = &mut command {
            (turn.model, turn.effort) = (model.to_owned(), *effort);
        }
        bridge.command(&command_id(&name), command).await;
        bridge
            .event(|event| match event {
                RunnerEvent::TurnEnded { turn_id: id, .. } => (*id == turn_id(&name)).then_some(()),
                _ => None,
            })
            .await;
        requests.extend(bridge.known.model_requests.lock().unwrap().last().cloned());
    }
    requests
}

#[tokio::test]
async fn a_model_of_openais_kind_is_told_a_word_and_nothing_where_nothing_was_chosen() {
    let Some(opencode) = opencode() else { return };
    let requests = asked("openai/o3", &opencode, &[None, Some(Effort::High), Some(Effort::Low), None]).await;
    let words: Vec<&Value> = requests.iter().map(|request| &request["reasoning_effort"]).collect();
    assert_eq!(words, [&Value::Null, &json!("high"), &json!("low"), &Value::Null]);
}

#[tokio::test]
async fn a_model_of_anthropic_is_told_how_many_tokens() {
    let Some(opencode) = opencode() else { return };
    let requests = asked("anthropic/claude-sonnet-4-5", &opencode, &[None, Some(Effort::High)]).await;
    let thinking: Vec<&Value> = requests.iter().map(|request| &request["thinking"]).collect();
    assert_eq!(thinking, [&Value::Null, &json!({ "type": "enabled", "budget_tokens": 24_576 })]);
}
