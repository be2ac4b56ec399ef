//! What the sandbox bridge, GitHub and Slack tell, each with a signature over what it sends.

use super::operation::{JSON, Operation, count, object, operation, text};
use protocol::bridge::{EgressReport, EventBatch, EventsAck, RunnerAttached, SandboxEnded};
use protocol::error::ErrorCode;
use protocol::repository::{BuildEnded, BuildLogAck, BuildLogPiece, WarmReport};
use protocol::sign::ANSWER_HEADER;
use serde_json::json;

const DONE: &str = "It is stored.";
const SIGNED: &str = "The signature of the answer.";

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = of_sessions();
    operations.extend(of_repositories());
    operations.extend(from_outside());
    operations
}

fn of_sessions() -> Vec<Operation> {
    let stale = [ErrorCode::GenerationStale];
    vec![
        operation("POST", "/api/bridge/sessions/{id}/attached", "runnerAttached", "A runner has dialled in.")
            .takes::<RunnerAttached>()
            .answers::<EventsAck>(200, "How far its events are stored.")
            .with_header(ANSWER_HEADER, SIGNED)
            .refuses(&stale),
        operation(
            "POST",
            "/api/bridge/sessions/{id}/events",
            "runnerEvents",
            "Events of a sandbox, in order; at most 4 MiB.",
        )
        .takes::<EventBatch>()
        .answers::<EventsAck>(200, "How far they are stored.")
        .with_header(ANSWER_HEADER, SIGNED)
        .refuses(&[ErrorCode::GenerationStale, ErrorCode::EventGap]),
        operation(
            "POST",
            "/api/bridge/sessions/{id}/ended",
            "sandboxEnded",
            "A sandbox is gone without having been told to.",
        )
        .takes::<SandboxEnded>()
        .answers_done(200, DONE)
        .with_header(ANSWER_HEADER, SIGNED)
        .refuses(&stale),
        operation(
            "POST",
            "/api/bridge/sessions/{id}/egress",
            "egressDenied",
            "Connections out of a sandbox were refused.",
        )
        .takes::<EgressReport>()
        .answers_done(200, DONE)
        .with_header(ANSWER_HEADER, SIGNED)
        .refuses(&stale),
    ]
}

fn of_repositories() -> Vec<Operation> {
    vec![
        operation(
            "POST",
            "/api/bridge/repositories/{owner}/{name}/builds/{build_id}/log",
            "buildLogReported",
            "A piece of a build's log.",
        )
        .takes::<BuildLogPiece>()
        .answers::<BuildLogAck>(200, "How far the log is stored.")
        .with_header(ANSWER_HEADER, SIGNED),
        operation(
            "POST",
            "/api/bridge/repositories/{owner}/{name}/builds/{build_id}/ended",
            "buildEnded",
            "A build is over.",
        )
        .takes::<BuildEnded>()
        .answers_done(200, DONE)
        .with_header(ANSWER_HEADER, SIGNED),
        operation(
            "POST",
            "/api/bridge/repositories/{owner}/{name}/sandboxes/{sandbox_id}",
            "warmReported",
            "How a warm sandbox is.",
        )
        .takes::<WarmReport>()
        .answers_done(200, DONE)
        .with_header(ANSWER_HEADER, SIGNED),
        operation(
            "POST",
            "/api/bridge/repositories/{owner}/{name}/credential",
            "repositoryCredential",
            "What opens a repository at the code host.",
        )
        .answers_object(
            200,
            "A token for this one repository.",
            [
                ("token", text("Of the GitHub App.")),
                ("expiresAt", count("When it ends.")),
                ("origin", text("Where git may use it.")),
            ],
        )
        .with_header(ANSWER_HEADER, SIGNED)
        .refuses(&[ErrorCode::RepositoryUnreachable]),
    ]
}

fn from_outside() -> Vec<Operation> {
    let form = object([("payload", text("The interaction, as JSON."))]);
    vec![
        operation("POST", "/api/webhooks/github", "githubDelivery", "GitHub tells what happened there; at most 2 MiB.")
            .needs_header("X-GitHub-Event", "Which event.", json!({ "type": "string", "minLength": 1 }))
            .needs_header("X-GitHub-Delivery", "Its id; a delivery is taken once.", json!({ "type": "string", "minLength": 1, "maxLength": 100 }))
            .takes_as(JSON, |_| json!({ "type": "object", "description": "As GitHub describes it for the event." }))
            .answers_object(200, "It is stored.", [("sessions", count("For so many sessions."))]),
        operation("POST", "/api/slack/events", "slackEvent", "Slack tells what was written; at most 1 MiB.")
            .needs_header("X-Slack-Request-Timestamp", "Seconds since 1970; part of what is signed.", json!({ "type": "string", "pattern": "^[0-9]+$" }))
            .takes_as(JSON, |_| json!({ "type": "object", "description": "As the Events API has it." }))
            .answers_as(200, "It is stored.", JSON, |_| {
                json!({ "type": "object", "properties": { "challenge": { "type": "string" } }, "additionalProperties": false })
            }),
        operation("POST", "/api/slack/interactions", "slackInteraction", "Slack tells what was clicked; at most 1 MiB.")
            .needs_header("X-Slack-Request-Timestamp", "Seconds since 1970; part of what is signed.", json!({ "type": "string", "pattern": "^[0-9]+$" }))
            .takes_as("application/x-www-form-urlencoded", move |_| form.clone())
            .answers_done(200, "It is stored."),
    ]
}
