//! Golden vectors of what goes along with prompts: to the session, in its timeline, and on to the runner.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod golden;

use golden::check;
use protocol::attachment::{Attachment, Picture};
use protocol::client::{
    AttachmentLimits, CaptureSupport, ClientMessage, Configuration, PromptRequest, SignInMethod,
};
use protocol::id::{ArtifactId, PromptId, TurnId, UserId};
use protocol::runner::{Author, RunnerCommand, TurnOrder};
use protocol::time::Timestamp;
use protocol::timeline::{
    AttachmentKind, Delivery, PictureFacts, Prompt, PromptAttachment, PromptOrigin, PromptState, SessionEvent,
};

fn attachments() -> Vec<Attachment> {
    let picture =
        Picture { media_type: "image/webp".into(), data: "UklGRgAAAABXRUJQ".into(), width: 640, height: 480 };
    let capture = serde_json::from_str(
        r#"{"version":1,"page":{"url":"https://shop.example/","title":"","width":1280,"height":800,"pixelRatio":1},
        "kind":"element","selection":[24,80.5,62,20],"components":["Shop"],"nodes":[{"tag":"button","name":"Buy"}],
        "counts":{"seen":1,"kept":1,"collapsed":0,"repeated":0,"redacted":0,"truncated":0,"frames":0}}"#,
    );
    vec![
        Attachment::Capture { capture: capture.unwrap(), picture: Some(picture.clone()) },
        Attachment::Image { name: "sketch.webp".into(), picture },
        Attachment::Text { name: "build.log".into(), text: "error: no\n".into() },
    ]
}

fn artifact(name: &str) -> ArtifactId {
    ArtifactId::parse(&format!("art_{name}")).unwrap()
}

fn told() -> Vec<PromptAttachment> {
    let picture = PictureFacts {
        artifact_id: artifact("2"),
        media_type: "image/webp".into(),
        width: 640,
        height: 480,
        bytes: 12,
    };
    vec![
        PromptAttachment {
            kind: AttachmentKind::Capture,
            name: "Shop".into(),
            bytes: 300,
            text_id: Some(artifact("1")),
            picture: Some(picture.clone()),
            page_url: Some("https://shop.example/".into()),
            elements: Some(1),
        },
        PromptAttachment {
            kind: AttachmentKind::Text,
            name: "build.log".into(),
            bytes: 10,
            text_id: Some(artifact("3")),
            picture: None,
            page_url: None,
            elements: None,
        },
    ]
}

fn author() -> Author {
    Author { name: "Ada Lovelace".into(), email: "ada@example.com".into() }
}

#[test]
fn every_message_is_decoded_as_before() {
    let request = PromptRequest {
        id: PromptId::parse("prm_1").unwrap(),
        text: "Make it blue".into(),
        model: None,
        effort: None,
        origin: PromptOrigin::Extension,
        delivery: Delivery::Queue,
        attachments: attachments(),
        traceparent: None,
    };
    check("prompt_with_attachments", &ClientMessage::Prompt { prompt: request });
    let prompt = Prompt {
        id: PromptId::parse("prm_1").unwrap(),
        author: UserId::parse("usr_ada").unwrap(),
        origin: PromptOrigin::Extension,
        text: "Make it blue".into(),
        model: None,
        effort: None,
        submitted_at: Timestamp(1_795_000_000_000),
        state: PromptState::Queued,
        delivery: Delivery::Queue,
        steered_into: None,
        edited_by: None,
        cancelled_by: None,
        attachments: told(),
        traceparent: None,
    };
    check("prompt_queued_with_attachments", &SessionEvent::PromptQueued { prompt });
    let (turn_id, prompt) = (TurnId::parse("trn_1").unwrap(), "Make it blue".to_owned());
    let turn = TurnOrder {
        turn_id: turn_id.clone(),
        attempt: 1,
        prompt: prompt.clone(),
        author: author(),
        model: "demo/demo-1".into(),
        effort: None,
        digest: None,
        attachments: attachments(),
        traceparent: None,
        means: None,
    };
    let prompt_id = PromptId::parse("prm_1").unwrap();
    let steer =
        RunnerCommand::SteerTurn { turn_id, prompt_id, prompt, author: author(), attachments: attachments() };
    check("runner_commands_with_attachments", &vec![RunnerCommand::StartTurn { turn }, steer]);
    check(
        "configuration_with_attachments",
        &Configuration {
            protocol_version: 1,
            sign_in: SignInMethod::Github,
            models: vec!["demo/demo-1".into()],
            thinking_models: Vec::new(),
            captures: Some(CaptureSupport { version: 1 }),
            attachments: Some(AttachmentLimits { attachments_max: 5, captures_max: 3, bytes_max: 184_320 }),
        },
    );
}
