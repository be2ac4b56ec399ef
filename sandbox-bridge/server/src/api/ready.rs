//! Whether this bridge can work: for anybody at `/ready`, with details for the edge at `/status`.

use super::Api;
use super::sandboxes::Shared;
use crate::provider::SandboxProvider;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::bridge::Capabilities;
use protocol::status::{Readiness, Reason, ReasonCode, ReplicaStatus};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer of the provider counts: anybody may ask.
const KEPT: Duration = Duration::from_secs(5);
/// How long the provider may take.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(4);

/// What the provider said, and when.
pub(super) type Looked = (Instant, Vec<Reason>);

pub(super) async fn ready<P: SandboxProvider>(State(api): Shared<P>) -> (StatusCode, Json<Readiness>) {
    let readiness = Readiness::of(reasons(&api).await.into_iter().map(|reason| reason.code));
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

pub(super) async fn status<P: SandboxProvider>(State(api): Shared<P>) -> Json<ReplicaStatus> {
    let Capabilities { provider, .. } = api.provider.capabilities();
    let (sandboxes, attached, warm) = api.hub.load();
    Json(ReplicaStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: api.started_at,
        provider,
        sandboxes,
        attached,
        warm,
        reasons: reasons(&api).await,
    })
}

async fn reasons<P: SandboxProvider>(api: &Api<P>) -> Vec<Reason> {
    let mut reasons = look(api).await;
    if api.calls.is_closed() {
        let message = ReasonCode::Ending.message().to_owned();
        reasons.insert(0, Reason { code: ReasonCode::Ending, message });
    }
    reasons
}

/// Asks the provider, once for all who ask within [`KEPT`].
async fn look<P: SandboxProvider>(api: &Api<P>) -> Vec<Reason> {
    let mut looked = api.reasons.lock().await;
    if let Some((at, reasons)) = looked.as_ref()
        && at.elapsed() < KEPT
    {
        return reasons.clone();
    }
    let asked = tokio::time::timeout(PROVIDER_TIMEOUT, api.provider.check()).await;
    let reasons = asked.unwrap_or_else(|_| {
        let message = format!("it did not answer within {} s", PROVIDER_TIMEOUT.as_secs());
        vec![Reason { code: ReasonCode::Provider, message }]
    });
    *looked = Some((Instant::now(), reasons.clone()));
    reasons
}
