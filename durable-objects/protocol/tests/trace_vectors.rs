//! Golden vectors of what follows a prompt through the processes: its trace, the runner's lines and steps, and how a deployment is.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod golden;

use golden::check;
use protocol::client::{ClientMessage, PromptRequest};
use protocol::id::{PromptId, SessionId, TurnId};
use protocol::runner::{LogLevel, RunnerMessage, TurnStep};
use protocol::status::{Backlog, Readiness, Reason, ReasonCode, ReplicaStatus, SessionLoad};
use protocol::time::Timestamp;
use protocol::timeline::{Delivery, PromptOrigin};
use protocol::trace::TraceParent;

const AT: Timestamp = Timestamp(1_795_000_000_000);

fn parent() -> Option<TraceParent> {
    TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
}

fn turn_id() -> TurnId {
    TurnId::parse("trn_1").unwrap()
}

#[test]
fn every_message_is_decoded_as_before() {
    let prompt = PromptRequest {
        id: PromptId::parse("prm_1").unwrap(),
        text: "Fix the total".into(),
        model: None,
        effort: None,
        origin: PromptOrigin::Api,
        delivery: Delivery::Queue,
        attachments: Vec::new(),
        traceparent: parent(),
    };
    check("prompt_with_trace", &ClientMessage::Prompt { prompt });
    check(
        "runner_lines_and_steps",
        &vec![
            RunnerMessage::Log {
                level: LogLevel::Warn,
                turn_id: Some(turn_id()),
                text: "dialling again".into(),
            },
            RunnerMessage::Log { level: LogLevel::Error, turn_id: None, text: "the spool is damaged".into() },
            RunnerMessage::Step {
                turn_id: turn_id(),
                step: TurnStep::Agent,
                started_at: AT,
                duration_ms: 1200,
                traceparent: parent(),
            },
        ],
    );
    check("readiness", &Readiness::of([ReasonCode::Provider, ReasonCode::Room]));
    check(
        "replica_status",
        &ReplicaStatus {
            version: "0.1.0".into(),
            started_at: AT,
            provider: "local".into(),
            sandboxes: 3,
            attached: 2,
            warm: 1,
            reasons: vec![Reason { code: ReasonCode::Room, message: "only 12 MiB of disk are left".into() }],
        },
    );
    check(
        "session_load",
        &SessionLoad {
            session_id: SessionId::parse("ses_1").unwrap(),
            queued: 2,
            backlog: Backlog { waiting: 3, failing: 1, tries: 4 },
            bridge_url: Some("https://bridge-1.example".into()),
        },
    );
}

#[test]
fn a_trace_that_is_malformed_is_passed_over() {
    let text = r#"{"id":"prm_1","text":"Fix","origin":"web","traceparent":"00-nothing"}"#;
    assert_eq!(serde_json::from_str::<PromptRequest>(text).unwrap().traceparent, None);
    let text = r#"{"type":"log","level":"louder","text":"a line of a newer runner"}"#;
    let line = RunnerMessage::Log {
        level: LogLevel::Unknown,
        turn_id: None,
        text: "a line of a newer runner".into(),
    };
    assert_eq!(serde_json::from_str::<RunnerMessage>(text).unwrap(), line);
}
