//! The routes about sandboxes and their snapshots. Each may be repeated and then gives the same answer.
//!
//! What the provider does runs in tasks of its own, one at a time for each sandbox, so that a caller who hangs up leaves nothing
//! half done.

use super::{Api, Failure};
use crate::clock;
use crate::provider::{BootSecrets, ProviderError, SandboxProvider, SandboxRecord};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use protocol::bridge::{
    Capabilities, CommandRequest, CreateSandboxRequest, DeleteSnapshotRequest, SandboxCreated,
    SnapshotRequest, SnapshotTaken, TerminateRequest,
};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{CommandId, SandboxId, SnapshotId};
use protocol::sign::{Audience, SandboxClaims, sign};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// How long a sandbox's token outlives the sandbox: its end takes a moment.
const TOKEN_MARGIN_MS: u64 = 10 * 60_000;

type Answer<T> = Result<T, Failure>;
type Shared<P> = State<Arc<Api<P>>>;
type PathOf<T> = Result<Path<T>, PathRejection>;

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
    check_branch(&request)?;
    let record = SandboxRecord {
        sandbox_id,
        session_id: request.session_id.clone(),
        generation: request.generation,
        request,
    };
    in_own_task(async move {
        let sandbox = api.hub.admit(record)?;
        let _alone = sandbox.operations.lock().await;
        let record = &sandbox.record;
        if !api.hub.find(&record.sandbox_id).is_some_and(|current| Arc::ptr_eq(&current, &sandbox)) {
            return Err(Failure::new(ErrorCode::Unavailable, "the sandbox ended or failed in between; try again"));
        }
        let secrets =
            BootSecrets { sandbox_token: token(&api, record), stand_ins: api.egress.stand_ins(record) };
        match api.provider.create(&record.sandbox_id, &record.request, &secrets).await {
            Ok(_) => {}
            Err(error) => {
                api.hub.withdraw(&record.sandbox_id);
                return Err(failure("create", record.sandbox_id.as_str(), &error));
            }
        }
        tracing::info!(sandbox = %record.sandbox_id, session = %record.session_id, generation = record.generation, "sandbox created");
        let Capabilities { provider, isolation, .. } = api.provider.capabilities();
        Ok(Json(SandboxCreated { provider, isolation }))
    })
    .await
}

pub(super) async fn command<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<(SandboxId, CommandId)>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let Path((sandbox_id, command_id)) = path?;
    let CommandRequest { generation, command } = parse(&body)?;
    let sandbox = api.hub.find_current(&sandbox_id, generation)?;
    sandbox.command(command_id, command).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

pub(super) async fn snapshot<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<(SandboxId, SnapshotId)>,
    body: Bytes,
) -> Answer<Json<SnapshotTaken>> {
    let Path((sandbox_id, snapshot_id)) = path?;
    let SnapshotRequest { generation } = parse(&body)?;
    let sandbox = api.hub.find_current(&sandbox_id, generation)?;
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
    let TerminateRequest { generation } = parse(&body)?;
    match api.hub.find_current(&sandbox_id, generation) {
        Ok(_) => {}
        // The provider may still have what the hub does not know; ending it twice does nothing.
        Err(ErrorBody { code: ErrorCode::NotFound, .. }) => {}
        Err(other) => return Err(other.into()),
    }
    in_own_task(async move {
        end(&api, &sandbox_id).await?;
        Ok(Json(json!({})))
    })
    .await
}

/// Ends a sandbox, whatever it is doing, and forgets it. Also called for those that have nobody to work for.
pub(super) async fn end<P: SandboxProvider>(api: &Api<P>, sandbox_id: &SandboxId) -> Answer<()> {
    let sandbox = api.hub.find(sandbox_id);
    let _alone = match &sandbox {
        Some(sandbox) => Some(sandbox.operations.lock().await),
        None => None,
    };
    api.provider
        .terminate(sandbox_id)
        .await
        .map_err(|error| failure("terminate", sandbox_id.as_str(), &error))?;
    api.hub.forget(sandbox_id);
    tracing::info!(sandbox = %sandbox_id, "sandbox terminated");
    Ok(())
}

fn token<P: SandboxProvider>(api: &Api<P>, record: &SandboxRecord) -> String {
    let claims = SandboxClaims {
        sandbox_id: record.sandbox_id.clone(),
        generation: record.generation,
        session_id: record.session_id.clone(),
    };
    let now = clock::now();
    let expires_at = now.plus_ms(record.request.limits.life_ms).plus_ms(TOKEN_MARGIN_MS);
    sign(&api.keys.gateway, Audience::Gateway, claims, now, expires_at)
}

/// The branch is what the git gateway compares pushes with: it must be a plain name, and not the one that must not be pushed.
fn check_branch(request: &CreateSandboxRequest) -> Answer<()> {
    let branch = request.branch.as_str();
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
    if branch == request.repository.default_branch {
        return Err(Failure::new(
            ErrorCode::BadRequest,
            "the session's branch must not be the default branch",
        ));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the body is not as expected: {error}")))
}

async fn in_own_task<T: Send + 'static>(work: impl Future<Output = Answer<T>> + Send + 'static) -> Answer<T> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a task about a sandbox failed");
        Err(Failure::new(ErrorCode::Internal, "a defect of the bridge; its log has more"))
    })
}

fn failure(what: &'static str, whose: &str, error: &ProviderError) -> Failure {
    let code = match error {
        ProviderError::Rejected(_) => ErrorCode::SandboxUnavailable,
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
