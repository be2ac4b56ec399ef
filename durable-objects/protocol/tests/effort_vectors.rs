//! Golden vectors of how much a model is to think: as clients may ask, as it stands in the timeline, and as the runner is told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod golden;

use golden::check;
use protocol::client::{ClientMessage, Configuration, PromptRequest, SignInMethod};
use protocol::effort::Effort;
use protocol::id::{PromptId, TurnId, UserId};
use protocol::runner::{Author, RunnerCommand, TurnOrder};
use protocol::time::Timestamp;
use protocol::timeline::{Delivery, Prompt, PromptOrigin, PromptState, SessionEvent};

#[test]
fn every_message_is_decoded_as_before() {
    let (id, text) = (PromptId::parse("prm_1").unwrap(), "Make it blue".to_owned());
    let (model, origin, delivery) = (Some("openai/gpt-5".to_owned()), PromptOrigin::Web, Delivery::Queue);
    let request = PromptRequest {
        id: id.clone(),
        text: text.clone(),
        model: model.clone(),
        effort: Some(Effort::High),
        origin,
        delivery,
        attachments: Vec::new(),
        traceparent: None,
    };
    check("prompt_with_effort", &ClientMessage::Prompt { prompt: request });
    let prompt = Prompt {
        id,
        author: UserId::parse("usr_ada").unwrap(),
        origin,
        text: text.clone(),
        model,
        effort: Some(Effort::Medium),
        submitted_at: Timestamp(1_795_000_000_000),
        state: PromptState::Queued,
        delivery,
        steered_into: None,
        edited_by: None,
        cancelled_by: None,
        attachments: Vec::new(),
        traceparent: None,
    };
    check("prompt_queued_with_effort", &SessionEvent::PromptQueued { prompt });
    let turn = TurnOrder {
        turn_id: TurnId::parse("trn_1").unwrap(),
        attempt: 1,
        prompt: text,
        author: Author { name: "Ada Lovelace".into(), email: "ada@example.com".into() },
        model: "openai/gpt-5".into(),
        effort: Some(Effort::Low),
        digest: None,
        attachments: Vec::new(),
        means: None,
        traceparent: None,
    };
    check("start_turn_with_effort", &RunnerCommand::StartTurn { turn });
    check(
        "configuration_with_thinking_models",
        &Configuration {
            protocol_version: 1,
            sign_in: SignInMethod::Github,
            models: vec!["openai/gpt-5".into(), "openai/gpt-4o".into()],
            thinking_models: vec!["openai/gpt-5".into()],
            captures: None,
            attachments: None,
        },
    );
}
