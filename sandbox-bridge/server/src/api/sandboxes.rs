//! The routes about sandboxes and their snapshots. Each may be repeated and then gives the same answer.
//!
//! What the provider does runs in tasks of its own, one at a time for each sandbox, so that a caller who hangs up leaves nothing
//! half done.

use super::{Api, Failure};
use crate::clock;
use crate::hub::Sandbox;
use crate::provider::{BootSecrets, Owner, ProviderError, SandboxOrder, SandboxProvider, SandboxRecord};
use crate::trace;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use protocol::bridge::{
    Capabilities, CommandRequest, CreateSandboxRequest, DeleteSnapshotRequest, SandboxCreated,
    SnapshotRequest, SnapshotTaken, TerminateRequest,
};
use protocol::budget::AllowanceRequest;
use protocol::error::ErrorCode;
use protocol::id::{CommandId, SandboxId, SnapshotId};
use protocol::runner::RunnerCommand;
use protocol::sign::{Audience, SandboxClaims, sign};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use tracing::Instrument as _;

/// How long a sandbox's token outlives the sandbox: its end takes a moment.
const TOKEN_MARGIN_MS: u64 = 10 * 60_000;

pub(crate) type Answer<T> = Result<T, Failure>;
pub(crate) type Shared<P> = State<Arc<Api<P>>>;
pub(crate) type PathOf<T> = Result<Path<T>, PathRejection>;

pub(super) async fn capabilities<P: SandboxProvider>(State(api): Shared<P>) -> Json<Capabilities> {
    Json(api.provider.capabilities())
}

pub(super) async fn create<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SandboxId>,
    body: Bytes,
) -> Answer<Json<SandboxCreated>> {
    let Path(sandbox_id) = path?;
    let request: CreateSandboxRequest = parse(&body)?;
    check_branch(&request.branch, &request.repository.default_branch)?;
    trace::about(&sandbox_id, Some((&request.session_id, request.generation)));
    let record = SandboxRecord::new(sandbox_id, SandboxOrder::of_session(&request));
    in_own_task(async move {
        let sandbox = create_recorded(&api, record).await?;
        let record = &sandbox.record;
        tracing::info!(sandbox = %record.sandbox_id, session = %request.session_id, generation = request.generation, "sandbox created");
        let Capabilities { provider, isolation, .. } = api.provider.capabilities();
        Ok(Json(SandboxCreated { provider, isolation }))
    })
    .await
}

/// Makes a sandbox, or finds the one that was made by the same order.
pub(super) async fn create_recorded<P: SandboxProvider>(
    api: &Api<P>,
    record: SandboxRecord,
) -> Answer<Arc<Sandbox>> {
    let sandbox = api.hub.admit(record)?;
    {
        let _alone = sandbox.operations.lock().await;
        let record = &sandbox.record;
        if !is_here(api, &sandbox) {
            let message = "the sandbox ended or failed in between; try again";
            return Err(Failure::new(ErrorCode::Unavailable, message));
        }
        let secrets = BootSecrets {
            sandbox_token: token(api, record),
            stand_ins: api.egress.stand_ins(record),
            direct_hosts: api.egress.direct_hosts(record),
        };
        let booting = api.provider.create(&record.sandbox_id, &record.order, &secrets);
        if let Err(error) = booting.instrument(tracing::info_span!("boot")).await {
            api.hub.withdraw(&record.sandbox_id);
            return Err(failure("create", record.sandbox_id.as_str(), &error));
        }
        if let Some(folder) = api.provider.folder(&record.sandbox_id) {
            sandbox.models.keep_in(&folder);
        }
    }
    Ok(sandbox)
}

/// Whether it is still the sandbox of its id.
pub(super) fn is_here<P: SandboxProvider>(api: &Api<P>, sandbox: &Arc<Sandbox>) -> bool {
    api.hub.find(&sandbox.record.sandbox_id).is_some_and(|current| Arc::ptr_eq(&current, sandbox))
}

pub(super) async fn command<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<(SandboxId, CommandId)>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let Path((sandbox_id, command_id)) = path?;
    let CommandRequest { generation, mut command } = parse(&body)?;
    let sandbox = api.hub.locate_current(&sandbox_id, generation).await?;
    let session = sandbox.session().map(|its| (&its.session_id, its.generation));
    trace::about(&sandbox_id, session);
    if let RunnerCommand::StartTurn { turn } = &mut command
        && let Some((session, generation)) = session
    {
        sandbox.turn.begin(turn, (session.as_str(), generation));
    }
    sandbox.command(command_id, command).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// How far the sandbox's model calls may go.
pub(super) async fn allow<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SandboxId>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Path(sandbox_id) = path?;
    let AllowanceRequest { generation, allowance } = parse(&body)?;
    api.hub.locate_current(&sandbox_id, generation).await?.models.allow(allowance);
    Ok(Json(json!({})))
}

pub(super) async fn snapshot<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<(SandboxId, SnapshotId)>,
    body: Bytes,
) -> Answer<Json<SnapshotTaken>> {
    let Path((sandbox_id, snapshot_id)) = path?;
    let SnapshotRequest { generation } = parse(&body)?;
    let sandbox = api.hub.locate_current(&sandbox_id, generation).await?;
    trace::about(&sandbox_id, sandbox.session().map(|its| (&its.session_id, its.generation)));
    in_own_task(async move {
        let _alone = sandbox.operations.lock().await;
        let taken = api.provider.snapshot(&sandbox_id, &snapshot_id).await;
        let taken = taken.map_err(|error| failure("snapshot", sandbox_id.as_str(), &error))?;
        tracing::info!(sandbox = %sandbox_id, snapshot = %snapshot_id, size_bytes = taken.size_bytes, "snapshot taken");
        Ok(Json(taken))
    })
    .await
}

pub(super) async fn delete_snapshot<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SnapshotId>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Path(snapshot_id) = path?;
    let DeleteSnapshotRequest { session_id } = parse(&body)?;
    in_own_task(async move {
        match api.provider.delete_snapshot(&snapshot_id, &session_id).await {
            Ok(()) => tracing::info!(snapshot = %snapshot_id, session = %session_id, "snapshot deleted"),
            Err(ProviderError::NotFound(_)) => {}
            Err(ProviderError::Rejected(why)) => {
                tracing::warn!(snapshot = %snapshot_id, session = %session_id, why, "snapshot not deleted");
                return Err(Failure::new(ErrorCode::Forbidden, why));
            }
            Err(error) => return Err(failure("delete the snapshot of", session_id.as_str(), &error)),
        }
        Ok(Json(json!({})))
    })
    .await
}

pub(super) async fn terminate<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SandboxId>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Path(sandbox_id) = path?;
    let request: TerminateRequest = parse(&body)?;
    in_own_task(async move {
        let ending = evaluate_ending(&api, &sandbox_id, &request).await?;
        if !end(&api, &sandbox_id, ending).await? {
            // It was given away at this very moment: perhaps to who asks.
            match evaluate_ending(&api, &sandbox_id, &request).await? {
                Ending::Any => end(&api, &sandbox_id, Ending::Any).await?,
                Ending::Warm => {
                    let message = format!("whose {sandbox_id} is changes at the moment; try again");
                    return Err(Failure::new(ErrorCode::Unavailable, message));
                }
            };
        }
        Ok(Json(json!({})))
    })
    .await
}

/// How a session's sandbox is to end, if it is the session's to end.
async fn evaluate_ending<P: SandboxProvider>(
    api: &Api<P>,
    sandbox_id: &SandboxId,
    request: &TerminateRequest,
) -> Answer<Ending> {
    // What nobody knows, the provider may still have; ending it twice does nothing.
    let Some(sandbox) = api.hub.locate(sandbox_id).await? else { return Ok(Ending::Any) };
    let asks = request.session_id.as_ref();
    match (sandbox.session(), asks) {
        (None, Some(_)) if matches!(sandbox.record.order.owner, Owner::Warm { .. }) => Ok(Ending::Warm),
        (Some(its), Some(asks)) if its.session_id != *asks => {
            let message = format!("another session has {sandbox_id}; it is not ended");
            Err(Failure::new(ErrorCode::IdConflict, message))
        }
        (Some(_) | None, _) => {
            api.hub.find_current(sandbox_id, request.generation)?;
            Ok(Ending::Any)
        }
    }
}

/// What is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The sandbox, whosever it is.
    Any,
    /// Only a warm one that no session has.
    Warm,
}

/// Ends a sandbox, whatever it is doing, and forgets it; `false` when a session has it and only a warm one was to end. Nothing else
/// can happen to it meanwhile, here or at another replica. Also called for those that have nobody to work for.
pub(super) async fn end<P: SandboxProvider>(
    api: &Api<P>,
    sandbox_id: &SandboxId,
    ending: Ending,
) -> Answer<bool> {
    let sandbox = api.hub.find(sandbox_id);
    let _alone = match &sandbox {
        Some(sandbox) => Some(sandbox.operations.lock().await),
        None => None,
    };
    if ending == Ending::Warm {
        if sandbox.as_ref().is_some_and(|sandbox| sandbox.session().is_some()) {
            return Ok(false);
        }
        match api.provider.withhold(sandbox_id).await {
            Ok(()) => {}
            Err(ProviderError::Taken(_)) => return Ok(false),
            Err(error) => return Err(failure("terminate", sandbox_id.as_str(), &error)),
        }
    }
    api.provider
        .terminate(sandbox_id)
        .await
        .map_err(|error| failure("terminate", sandbox_id.as_str(), &error))?;
    api.hub.forget(sandbox_id);
    tracing::info!(sandbox = %sandbox_id, "sandbox terminated");
    Ok(true)
}

fn token<P: SandboxProvider>(api: &Api<P>, record: &SandboxRecord) -> String {
    let claims = SandboxClaims { sandbox_id: record.sandbox_id.clone() };
    let now = clock::now();
    let expires_at = now.plus_ms(record.order.limits.life_ms).plus_ms(TOKEN_MARGIN_MS);
    sign(&api.keys.gateway, Audience::Gateway, claims, now, expires_at)
}

/// The branch is what the git gateway compares pushes with: it must be a plain name, and not the one that must not be pushed.
pub(super) fn check_branch(branch: &str, default_branch: &str) -> Answer<()> {
    let plain = !branch.is_empty()
        && branch.len() <= 200
        && branch.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && branch
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with(['-', '.']) && !part.ends_with(".lock"))
        && !branch.contains("..");
    if !plain {
        return Err(Failure::new(ErrorCode::BadRequest, "the branch is not a plain branch name"));
    }
    if branch == default_branch {
        return Err(Failure::new(
            ErrorCode::BadRequest,
            "the session's branch must not be the default branch",
        ));
    }
    Ok(())
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the body is not as expected: {error}")))
}

pub(super) async fn in_own_task<T: Send + 'static>(
    work: impl Future<Output = Answer<T>> + Send + 'static,
) -> Answer<T> {
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a task about a sandbox failed");
        Err(Failure::new(ErrorCode::Internal, "a defect of the bridge; its log has more"))
    })
}

pub(crate) fn failure(what: &'static str, whose: &str, error: &ProviderError) -> Failure {
    let code = match error {
        ProviderError::Rejected(_) => ErrorCode::SandboxUnavailable,
        ProviderError::Taken(_) => ErrorCode::IdConflict,
        ProviderError::NotFound(_) | ProviderError::SnapshotUnusable(_) => ErrorCode::NotFound,
        ProviderError::Unavailable { .. } => ErrorCode::Unavailable,
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    tracing::warn!(whose, what, error = text, "the provider did not do it");
    Failure::new(code, text)
}
