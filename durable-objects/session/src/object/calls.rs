//! The edge's calls: reads them, hands them to the shell, writes the answers.

use super::failure::Failure;
use super::shell::Shell;
use crate::call::{
    ArchiveCall, Call, CreateCall, DeleteCall, DismissCall, EraseCall, KEY_HEADER, MessageCall, StopCall,
    branch_name,
};
use crate::core::{Input, NewSession, Reply, Served, Session, serve_attachment};
use platform::answer::{json, query, read, refuse, text, written};
use protocol::attachment::BINARY_TYPE;
use protocol::bridge::{EventsAck, RunnerAttached, SandboxEnded};
use protocol::client::{CreateSessionResponse, PromptAccepted};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ArtifactId, UserId};
use protocol::limit::{REQUEST_BYTES_MAX, RUNNER_FRAME_BYTES_MAX};
use protocol::status::{Backlog, SessionLoad};
use protocol::timeline::Seq;
use serde::Serialize;
use std::rc::Rc;
use worker::{Request, Response, Result};

/// Body of the answer to a batch that leaves a gap.
#[derive(Serialize)]
struct Gap {
    #[serde(flatten)]
    error: ErrorBody,
    expected: Seq,
}

/// Answers one call.
pub(super) async fn answer(shell: &Rc<Shell>, mut request: Request) -> Result<Response> {
    let Some(call) = Call::find(request.method().as_ref(), &request.path()) else {
        return refuse(Failure::refused(ErrorCode::NotFound, "a session has no such call"), &shell.about());
    };
    match carry_out(shell, call, &mut request).await {
        Ok(response) => Ok(response),
        Err(failure) => refuse(failure, &shell.about()),
    }
}

async fn carry_out(shell: &Rc<Shell>, call: Call, request: &mut Request) -> Result<Response, Failure> {
    match call {
        Call::Create => create(shell, read(request, REQUEST_BYTES_MAX).await?),
        Call::Message => {
            let MessageCall { author, prompt } = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::PromptSubmitted { author, prompt })?)
        }
        Call::Status => {
            shell.require_session()?;
            json(200, &shell.store.load_session_status()?)
        }
        Call::History => {
            shell.require_session()?;
            let before = query(request, "before").and_then(|before| before.parse().ok());
            let before = before.ok_or_else(|| {
                Failure::refused(
                    ErrorCode::BadRequest,
                    "`before` is the number that a snapshot or page calls `earlier`",
                )
            })?;
            written(shell.store.render_history(before)?)
        }
        Call::Output => answer_output(shell, query(request, "id")),
        Call::Archive => {
            let ArchiveCall { by, archived } = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::ArchiveChanged { archived, by })?)
        }
        Call::Delete => {
            let DeleteCall { by } = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::DeletionRequested { by })?)
        }
        Call::Socket => shell.open_socket(request),
        Call::Attached => {
            let attached: RunnerAttached = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::RunnerAttached(attached))?)
        }
        Call::Events => {
            let batch = read(request, RUNNER_FRAME_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::RunnerEvents(batch))?)
        }
        Call::Ended => {
            let ended: SandboxEnded = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::SandboxEnded(ended))?)
        }
        Call::Egress => {
            let report = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::EgressDenied(report))?)
        }
        Call::Stop => {
            let StopCall { by, turn_id } = read(request, REQUEST_BYTES_MAX).await?;
            let by_id = by.id.clone();
            match shell.apply(Input::ParticipantJoined { user: by })? {
                Reply::Refused(error) => Err(Failure::Refused(error)),
                Reply::Done | Reply::PromptAccepted { .. } | Reply::Acked { .. } | Reply::EventGap { .. } => {
                    answer_reply(shell.apply(Input::StopRequested { turn_id, by: by_id })?)
                }
            }
        }
        Call::PullReported => {
            let report = read(request, REQUEST_BYTES_MAX).await?;
            answer_reply(shell.apply(Input::PullRequestReported(report))?)
        }
        Call::BudgetsChanged => answer_reply(shell.apply(Input::BudgetsChanged)?),
        Call::Dismiss => {
            let DismissCall { tickets, until } = read(request, REQUEST_BYTES_MAX).await?;
            shell.dismiss(&tickets, until)?;
            json(200, &serde_json::json!({}))
        }
        Call::Load => {
            let load = shell.with_session(|session| SessionLoad {
                session_id: session.info.id.clone(),
                queued: waiting(session),
                backlog: Backlog::default(),
                bridge_url: session.sandbox.as_ref().and_then(|sandbox| sandbox.bridge_url.clone()),
            })?;
            // Without a session there are no tables, and it was said above.
            json(200, &SessionLoad { backlog: shell.store.load_backlog()?, ..load })
        }
        Call::Export => {
            shell.require_session()?;
            let user = query(request, "user").and_then(|user| UserId::parse(&user).ok());
            let user =
                user.ok_or_else(|| Failure::refused(ErrorCode::BadRequest, "`user` is the id of a user"))?;
            let pairs = shell.store.export_person(&user)?;
            let pairs: Vec<String> = pairs.iter().map(|(kind, row)| format!("[\"{kind}\",{row}]")).collect();
            written(format!("[{}]", pairs.join(",")))
        }
        Call::Erase => {
            let EraseCall { user, pseudonym } = read(request, REQUEST_BYTES_MAX).await?;
            let outcome = shell.erase(&user, &pseudonym)?;
            json(200, &serde_json::json!({ "outcome": outcome.as_str() }))
        }
        Call::TestPanic if shell.settings.has_test_routes => test_panic(),
        Call::TestPanic => Err(Failure::refused(ErrorCode::NotFound, "a session has no such call")),
    }
}

#[expect(
    clippy::panic,
    reason = "tests prove that a panic is an immediate error and costs nobody else anything"
)]
fn test_panic() -> ! {
    panic!("asked for by a test")
}

fn create(shell: &Rc<Shell>, call: CreateCall) -> Result<Response, Failure> {
    let session_id = call.session_id.clone();
    let branch = branch_name(&shell.settings.branch_prefix, &session_id);
    let new = NewSession {
        id: call.session_id,
        created_by: call.created_by,
        repository: call.repository,
        clone_url: call.clone_url,
        default_branch: call.default_branch,
        branch,
        model: call.model,
        prompt: call.prompt,
        reservation: call.reservation,
    };
    shell.create(new, call.thread.as_deref())?;
    json(201, &CreateSessionResponse { session_id })
}

/// Prompts of the queue but the one whose turn runs.
fn waiting(session: &Session) -> u32 {
    let running = usize::from(session.turn.is_some());
    u32::try_from(session.queue.len().saturating_sub(running)).unwrap_or(u32::MAX)
}

/// What a caller hears of its input.
fn answer_reply(reply: Reply) -> Result<Response, Failure> {
    match reply {
        Reply::Done => json(200, &serde_json::json!({})),
        Reply::Acked { acked } => json(200, &EventsAck { acked }),
        Reply::EventGap { expected } => {
            let message = format!("event {expected} must come next; send again from there");
            json(409, &Gap { error: ErrorBody::new(ErrorCode::EventGap, message), expected })
        }
        Reply::PromptAccepted { prompt_id, seq } => json(202, &PromptAccepted { prompt_id, seq }),
        Reply::Refused(error) => Err(Failure::Refused(error)),
    }
}

fn answer_served(served: Option<Served>) -> Result<Response, Failure> {
    let (media_type, bytes) = match served {
        Some(Served::Text(outline)) => return text(outline),
        Some(Served::Picture { media_type, bytes }) => (media_type, bytes),
        Some(Served::Binary(bytes)) => (BINARY_TYPE.to_owned(), bytes),
        None => return Err(Failure::Bug("what was checked when it was taken cannot be read".to_owned())),
    };
    let mut response = Response::from_bytes(bytes)?;
    response.headers_mut().set("content-type", &media_type)?;
    Ok(response)
}

/// A tool's whole output, a file, or what went along with a prompt: while it is here, otherwise where it is.
fn answer_output(shell: &Rc<Shell>, id: Option<String>) -> Result<Response, Failure> {
    shell.require_session()?;
    let artifact_id = id.and_then(|id| ArtifactId::parse(&id).ok()).ok_or_else(|| {
        Failure::refused(ErrorCode::BadRequest, "`id` is the id of an artifact, as an item names it")
    })?;
    if let Some(output) = shell.store.load_output(&artifact_id)? {
        return answer_served(output.serve());
    }
    if let Some((attachment, as_picture)) = shell.store.load_attachment(&artifact_id)? {
        return answer_served(serve_attachment(attachment, as_picture));
    }
    let mut response = Response::empty()?.with_status(307);
    response.headers_mut().set(KEY_HEADER, &shell.artifact_key(&artifact_id)?)?;
    Ok(response)
}
