//! The routes about a repository's warm sandboxes and images, those of [`protocol::repository`]; builds are in `image`.
//!
//! A claim is written down by the provider before it is answered; who else comes is told that the sandbox is somebody's.

use super::Failure;
use super::sandboxes::{
    Answer, Ending, PathOf, Shared, check_branch, create_recorded, end, failure, in_own_task, is_here, parse,
};
use crate::provider::{Owner, ProviderError, SandboxOrder, SandboxProvider, SandboxRecord, SessionOwner};
use crate::trace;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use protocol::bridge::{Capabilities, SandboxCreated};
use protocol::error::ErrorCode;
use protocol::id::{ImageId, SandboxId};
use protocol::repository::{
    ClaimSandboxRequest, Inventory, RepositoryRequest, SandboxClaimed, WarmSandboxRequest,
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the runner of a sandbox that is claimed may take to say that it is there.
const ALIVE_TIME: Duration = Duration::from_secs(1);

pub(super) async fn warm<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SandboxId>,
    body: Bytes,
) -> Answer<Json<SandboxCreated>> {
    let Path(sandbox_id) = path?;
    let request: WarmSandboxRequest = parse(&body)?;
    trace::about(&sandbox_id, None);
    let record = SandboxRecord::new(sandbox_id, SandboxOrder::of_pool(&request));
    in_own_task(async move {
        let sandbox = create_recorded(&api, record).await?;
        tracing::info!(sandbox = %sandbox.record.sandbox_id, repository = %request.repository.id, "warm sandbox created");
        let Capabilities { provider, isolation, .. } = api.provider.capabilities();
        Ok(Json(SandboxCreated { provider, isolation }))
    })
    .await
}

pub(super) async fn claim<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SandboxId>,
    body: Bytes,
) -> Answer<Json<SandboxClaimed>> {
    let Path(sandbox_id) = path?;
    let request: ClaimSandboxRequest = parse(&body)?;
    let sandbox = api.hub.locate(&sandbox_id).await?.ok_or_else(|| gone(&sandbox_id))?;
    let order = &sandbox.record.order;
    check_branch(&request.branch, &order.repository.default_branch)?;
    if order.repository.id != request.repository || !matches!(order.owner, Owner::Warm { .. }) {
        let message = format!("{sandbox_id} is no warm sandbox of {}", request.repository);
        return Err(Failure::new(ErrorCode::IdConflict, message));
    }
    let session = SessionOwner::from(request);
    trace::about(&sandbox_id, Some((&session.session_id, session.generation)));
    in_own_task(async move {
        // Whoever comes second need not wait for the one before to be done.
        if sandbox.session().is_none() {
            let _alone = sandbox.operations.lock().await;
            if sandbox.session().is_none() {
                if !is_here(&api, &sandbox) {
                    return Err(gone(&sandbox_id));
                }
                api.hub.check_claim(&session)?;
                if !sandbox.is_alive(ALIVE_TIME).await {
                    let message = format!("the runner of {sandbox_id} is not connected here; claim another");
                    return Err(Failure::new(ErrorCode::Unavailable, message));
                }
                let given = api.provider.give(&sandbox_id, &session).await;
                given.map_err(|error| failure("claim", sandbox_id.as_str(), &error))?;
                api.hub.claim(&sandbox, session.clone())?;
                tracing::info!(sandbox = %sandbox_id, session = %session.session_id, generation = session.generation, "sandbox claimed");
            }
        }
        let is_its = sandbox.session().is_some_and(|its| {
            (&its.session_id, its.generation) == (&session.session_id, session.generation)
        });
        if !is_its {
            let message = format!("another session has {sandbox_id}; claim another sandbox");
            return Err(Failure::new(ErrorCode::IdConflict, message));
        }
        let Capabilities { provider, isolation, .. } = api.provider.capabilities();
        Ok(Json(SandboxClaimed { provider, isolation }))
    })
    .await
}

pub(super) async fn discard<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<SandboxId>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Path(sandbox_id) = path?;
    let RepositoryRequest { repository } = parse(&body)?;
    in_own_task(async move {
        let taken = |whose: &str| {
            Err(Failure::new(ErrorCode::IdConflict, format!("{sandbox_id} is {whose}; it is not discarded")))
        };
        if let Some(sandbox) = api.hub.locate(&sandbox_id).await? {
            let order = &sandbox.record.order;
            if order.repository.id != repository {
                return taken("another repository's");
            }
            if !matches!(order.owner, Owner::Warm { .. }) {
                return taken("no warm sandbox");
            }
        }
        if !end(&api, &sandbox_id, Ending::Warm).await? {
            return taken("a session's");
        }
        Ok(Json(json!({})))
    })
    .await
}

pub(super) async fn delete_image<P: SandboxProvider>(
    State(api): Shared<P>,
    path: PathOf<ImageId>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let Path(image_id) = path?;
    let RepositoryRequest { repository } = parse(&body)?;
    in_own_task(async move {
        match api.provider.delete_image(&image_id, &repository).await {
            Ok(()) => tracing::info!(image = %image_id, %repository, "image deleted"),
            Err(ProviderError::NotFound(_)) => {}
            Err(ProviderError::Rejected(why)) => {
                tracing::warn!(image = %image_id, %repository, why, "image not deleted");
                return Err(Failure::new(ErrorCode::Forbidden, why));
            }
            Err(error) => return Err(failure("delete the image of", repository.as_str(), &error)),
        }
        Ok(Json(json!({})))
    })
    .await
}

pub(super) async fn inventory<P: SandboxProvider>(
    State(api): Shared<P>,
    body: Bytes,
) -> Answer<Json<Inventory>> {
    let RepositoryRequest { repository } = parse(&body)?;
    let listed = tokio::try_join!(api.provider.images(&repository), api.provider.survey(&repository));
    let (images, sandboxes) =
        listed.map_err(|error| failure("list what is there of", repository.as_str(), &error))?;
    let mut builds = api.builds.of(&repository);
    let mut warm = Vec::new();
    for record in sandboxes {
        let is_here = api.hub.find(&record.sandbox_id).is_some();
        match &record.order.owner {
            // Of another replica; this one's own are told by who works on them.
            Owner::Build { build_id } if !is_here && !builds.contains(build_id) => {
                builds.push(build_id.clone());
            }
            Owner::Warm { .. } => {
                let sandbox = api.hub.take_in(record).filter(|sandbox| sandbox.session().is_none());
                warm.extend(sandbox.map(|sandbox| sandbox.record.sandbox_id.clone()));
            }
            Owner::Build { .. } | Owner::Session(_) => {}
        }
    }
    warm.sort();
    let images = images.into_iter().map(|image| image.record.image_id).collect();
    Ok(Json(Inventory { warm, builds, images }))
}

fn gone(sandbox_id: &SandboxId) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("{sandbox_id} is not a sandbox of this bridge"))
}
