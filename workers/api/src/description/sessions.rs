//! Sessions: starting, listing, prompting, watching.

use super::operation::{Operation, operation, text};
use super::schemas::EXACT_MAX;
use protocol::client::{
    ArchiveRequest, CreateSessionRequest, CreateSessionResponse, HistoryPage, PromptAccepted, PromptRequest,
    SessionList, SessionStatus, TicketResponse,
};
use protocol::error::ErrorCode;
use serde_json::json;

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let number = || json!({ "type": "integer", "minimum": 0, "maximum": EXACT_MAX });
    let mut operations = prompting();
    operations.extend([
        operation("GET", "/api/sessions", "listSessions", "Lists sessions, newest activity first.")
            .about("Those about repositories that the user sees at the code host.")
            .query("before", "`updatedAt` of the last one on the page before.", number())
            .query("limit", "How many; 50 where absent.", json!({ "type": "integer", "minimum": 1, "maximum": 100 }))
            .query("archived", "Whether those that are archived; those that are not where absent.", json!({ "type": "boolean" }))
            .answers::<SessionList>(200, "A page of them.")
            .refuses(&[ErrorCode::BadRequest, ErrorCode::Forbidden]),
        operation("GET", "/api/sessions/{id}/status", "sessionStatus", "A session's state without its timeline.")
            .answers::<SessionStatus>(200, "What it is about, what it is doing, and its artifacts.")
            .refuses(&[ErrorCode::Forbidden]),
        operation("GET", "/api/sessions/{id}/history", "sessionHistory", "A page of what a snapshot leaves out.")
            .needs_query("before", "`earlier` of the snapshot, or of the page after this one.", number())
            .answers::<HistoryPage>(200, "Turns, their prompts and items.")
            .refuses(&[ErrorCode::BadRequest, ErrorCode::Forbidden]),
        operation("GET", "/api/sessions/{id}/artifacts/{artifact_id}", "artifact", "The whole text of an artifact, or the picture that it is.")
            .about("The whole output of a tool, a file or picture that went along with a prompt, a saved diff.")
            .answers_as(200, "As it is; never a page.", "text/plain", |_| text("The text."))
            .answers_as(200, "", "image/png", |_| json!({}))
            .answers_as(200, "", "image/jpeg", |_| json!({}))
            .answers_as(200, "", "image/webp", |_| json!({}))
            .refuses(&[ErrorCode::BadRequest, ErrorCode::Forbidden]),
        operation("PUT", "/api/sessions/{id}/archived", "archiveSession", "Archives a session, or takes it up again.")
            .about("An archived session takes no prompts.")
            .takes::<ArchiveRequest>()
            .example(json!({ "archived": true }))
            .answers_done(200, "It is so."),
        operation("DELETE", "/api/sessions/{id}", "deleteSession", "Removes a session for good.")
            .answers_done(200, "There is no such session any more; a repeat is answered 404."),
        operation("POST", "/api/sessions/{id}/ticket", "sessionTicket", "A ticket for a session's WebSocket.")
            .answers::<TicketResponse>(200, "Good for one socket, within a minute."),
        operation("GET", "/api/sessions/{id}/socket", "sessionSocket", "A session's WebSocket.")
            .about("Client frames are `ClientMessage`, the session's are `ServerMessage`, one JSON text each. A wrong ticket is told by the close code 4001.")
            .answers_nothing(101, "The WebSocket.")
            .refuses(&[ErrorCode::BadRequest, ErrorCode::VersionUnsupported]),
    ]);
    operations
}

fn prompting() -> Vec<Operation> {
    let refused = [
        ErrorCode::IdConflict,
        ErrorCode::ModelUnknown,
        ErrorCode::PromptEmpty,
        ErrorCode::QueueFull,
        ErrorCode::SessionArchived,
    ];
    let about_repository = [
        ErrorCode::IdConflict,
        ErrorCode::ModelUnknown,
        ErrorCode::PromptEmpty,
        ErrorCode::RepositoryUnknown,
        ErrorCode::RepositoryUnreachable,
        ErrorCode::NotFound,
    ];
    let prompt = json!({
        "id": "prm_0123456789abcdefghjkmnpqrs",
        "text": "The cart forgets the quantity on reload. Find out why, and mend it with a test.",
        "origin": "api",
    });
    vec![
        operation("POST", "/api/sessions", "createSession", "Starts a session.")
            .about("With its first prompt, where there is one already. Sending the same again, with the same id of the prompt, gives the same session.")
            .takes::<CreateSessionRequest>()
            .example(json!({ "repository": "acme/shop", "prompt": prompt }))
            .answers::<CreateSessionResponse>(201, "It is stored, and will be worked on.")
            .refuses(&about_repository),
        operation("POST", "/api/sessions/{id}/message", "promptSession", "Submits a prompt to a session.")
            .about("It waits for its turn, or steers the running one (`delivery`). Sending the same again, with the same id, does it once.")
            .takes::<PromptRequest>()
            .example(prompt)
            .answers::<PromptAccepted>(202, "It is stored.")
            .refuses(&refused),
    ]
}
