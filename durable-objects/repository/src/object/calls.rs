//! The calls of edge and sessions: reads them, hands them to the shell, writes the answers.

use super::shell::Shell;
use crate::call::{
    Call, ClaimAnswer, ClaimCall, EndedCall, LOG_END_HEADER, LogCall, ReleaseCall, ReserveCall, WarmCall,
};
use crate::core::{Input, Reply};
use platform::answer::{json, query, read, refuse, text};
use platform::failure::Failure;
use platform::host::now;
use protocol::error::ErrorCode;
use protocol::id::{BuildId, ReservationId, SandboxId, SessionId, UserId};
use protocol::limit::REQUEST_BYTES_MAX;
use protocol::repository::{BuildEnded, BuildLogAck, BuildLogPiece, RepositoryStatus, WarmReport};
use serde::Deserialize;
use std::rc::Rc;
use worker::{Request, Response, Result};

protocol::objects!(read: Body);

/// Answers one call.
pub(super) async fn answer(shell: &Rc<Shell>, mut request: Request) -> Result<Response> {
    let Some(call) = Call::find(request.method().as_ref(), &request.path()) else {
        return refuse(
            Failure::refused(ErrorCode::NotFound, "a repository has no such call"),
            &shell.about(),
        );
    };
    match carry_out(shell, call, &mut request).await {
        Ok(response) => Ok(response),
        Err(failure) => refuse(failure, &shell.about()),
    }
}

async fn carry_out(
    shell: &Rc<Shell>,
    call: Call,
    request: &mut Request,
) -> std::result::Result<Response, Failure> {
    let reply = match call {
        Call::Configure => shell.configure(read(request, REQUEST_BYTES_MAX).await?)?,
        Call::Status => {
            // Asked first: without a repository there are no tables.
            let repository = shell.repository()?;
            let backlog = Some(shell.store.load_backlog()?);
            return json(200, &RepositoryStatus { backlog, ..repository.render_status(now()) });
        }
        Call::BuildLog => return build_log(shell, request),
        Call::Build => shell.apply(Input::BuildRequested)?,
        Call::Poke => return poke(shell),
        Call::Claim
        | Call::Release
        | Call::Reserve
        | Call::LogReported
        | Call::BuildEnded
        | Call::WarmReported => report(shell, call, read(request, REQUEST_BYTES_MAX).await?)?,
    };
    match reply {
        Reply::Done => json(200, &serde_json::json!({})),
        Reply::Accepted => json(202, &serde_json::json!({})),
        Reply::Claim(answer) => json(200, &answer),
        Reply::LogAcked { offset } => json(200, &BuildLogAck { offset }),
        Reply::Refused(error) => Err(Failure::Refused(error)),
    }
}

fn poke(shell: &Rc<Shell>) -> std::result::Result<Response, Failure> {
    if let Reply::Refused(error) = shell.apply(Input::DeadlineReached)? {
        return Err(Failure::Refused(error));
    }
    let built_at = shell.repository()?.current_image().map(|image| image.built_at);
    json(200, &serde_json::json!({ "imageBuiltAt": built_at }))
}

/// The bodies of several calls in one: what reads JSON is a large part of the module.
#[derive(Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
struct Body {
    session_id: Option<SessionId>,
    generation: Option<u64>,
    reservation: Option<ReservationId>,
    by: Option<UserId>,
    build_id: Option<BuildId>,
    sandbox_id: Option<SandboxId>,
    piece: Option<BuildLogPiece>,
    ended: Option<BuildEnded>,
    report: Option<WarmReport>,
}

fn report(shell: &Rc<Shell>, call: Call, body: Body) -> std::result::Result<Reply, Failure> {
    let is_configured = shell.is_configured()?;
    let lacks = |name: &str| Failure::refused(ErrorCode::BadRequest, format!("the body lacks `{name}`"));
    let session = body.session_id.ok_or_else(|| lacks("sessionId"));
    let generation = body.generation.ok_or_else(|| lacks("generation"));
    let build_id = body.build_id.ok_or_else(|| lacks("buildId"));
    let input = match call {
        Call::Claim | Call::Release | Call::Reserve if !is_configured => {
            return Ok(answer_unconfigured(call));
        }
        Call::Claim => {
            let (session_id, generation) = (session?, generation?);
            let seen = shell.store.load_claimant(&session_id)?;
            let call = ClaimCall { session_id, generation, reservation: body.reservation };
            Input::Claimed { call, seen }
        }
        Call::Release => {
            let (session_id, generation) = (session?, generation?);
            let seen = shell.store.load_claimant(&session_id)?;
            Input::Released { call: ReleaseCall { session_id, generation }, seen }
        }
        Call::Reserve => {
            let reservation = body.reservation.ok_or_else(|| lacks("reservation"))?;
            Input::Reserved(ReserveCall { reservation, by: body.by.ok_or_else(|| lacks("by"))? })
        }
        Call::LogReported => {
            let piece = body.piece.ok_or_else(|| lacks("piece"))?;
            Input::LogReported(LogCall { build_id: build_id?, piece })
        }
        Call::BuildEnded => {
            let ended = body.ended.ok_or_else(|| lacks("ended"))?;
            Input::BuildEnded(EndedCall { build_id: build_id?, ended })
        }
        Call::WarmReported => {
            let sandbox_id = body.sandbox_id.ok_or_else(|| lacks("sandboxId"))?;
            let claimed = is_configured && shell.store.is_claimed(&sandbox_id)?;
            let report = body.report.ok_or_else(|| lacks("report"))?;
            Input::WarmReported { call: WarmCall { sandbox_id, report }, claimed }
        }
        Call::Configure | Call::Status | Call::Build | Call::BuildLog | Call::Poke => return Ok(Reply::Done),
    };
    shell.apply(input)
}

/// A repository that nobody configured has nothing to hand out, which is an answer like any other.
fn answer_unconfigured(call: Call) -> Reply {
    if call != Call::Claim {
        return Reply::Done;
    }
    let reason = "this repository has no images yet".to_owned();
    Reply::Claim(ClaimAnswer::None { image_id: None, reason, has_failed: false })
}

fn build_log(shell: &Rc<Shell>, request: &Request) -> std::result::Result<Response, Failure> {
    let bad = |message: &str| Failure::refused(ErrorCode::BadRequest, message);
    let id = query(request, "id").and_then(|id| BuildId::parse(&id).ok());
    let id = id.ok_or_else(|| bad("`id` is the id of a build, as the repository's status names it"))?;
    let from = query(request, "from").map_or(Ok(0), |from| from.parse::<u64>());
    let from = from.map_err(|_| bad("`from` is a number of bytes"))?;
    let is_known = shell.repository()?.builds.iter().any(|build| build.id == id);
    if !is_known {
        return Err(Failure::refused(
            ErrorCode::NotFound,
            "there is no such build; the status lists the latest ones",
        ));
    }
    let part = shell.store.load_log(&id, from)?;
    let mut response = text(part.text)?;
    response.headers_mut().set(LOG_END_HEADER, &part.end.to_string())?;
    Ok(response)
}
