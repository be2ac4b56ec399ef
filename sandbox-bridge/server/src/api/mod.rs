//! The signed HTTP API for the edge; the routes and their bodies are those of [`protocol::bridge`] and
//! [`protocol::repository`].
//!
//! Says what is asked of the provider and the hub and how their answers look outside; decides nothing else. Work at the provider
//! goes on when the caller hangs up, so that a repeat finds it done. Built by `serve`.

mod authentication;
mod halt;
mod pool;
mod ready;
mod replay;
mod sandboxes;

pub use authentication::REQUEST_BYTES_MAX;
pub(crate) use sandboxes::{Answer, PathOf, Shared, failure, parse};

use crate::clock;
use crate::config::Keys;
use crate::gateway::Gateway;
use crate::gateway::egress::Egress;
use crate::hub::{Hub, Sandbox};
use crate::image::{self, Builds};
use crate::provider::{SandboxProvider, SandboxRecord};
use crate::trace;
use axum::extract::rejection::PathRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use protocol::bridge::Health;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SandboxId;
use protocol::time::Timestamp;
use replay::Replay;
use std::sync::{Arc, Mutex};
use tokio_util::task::TaskTracker;

/// What the API works with.
pub struct Api<P> {
    /// The sandboxes of this replica.
    pub hub: Arc<Hub>,
    /// Makes, saves and ends them.
    pub provider: Arc<P>,
    egress: Arc<Egress>,
    keys: Keys,
    /// Images that are being built.
    pub(crate) builds: Builds,
    started_at: Timestamp,
    replay: Mutex<Replay>,
    /// What keeps the provider from working, as it was when somebody asked last.
    reasons: tokio::sync::Mutex<Option<ready::Looked>>,
    /// Calls that are being answered; closed when there are to be no more.
    calls: TaskTracker,
}

impl<P: SandboxProvider> Api<P> {
    /// An API that begins to live now: what was signed earlier is refused.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        provider: Arc<P>,
        egress: Arc<Egress>,
        keys: Keys,
        builds: Builds,
    ) -> Arc<Self> {
        let started_at = clock::now();
        Arc::new(Self {
            hub,
            provider,
            egress,
            keys,
            builds,
            started_at,
            replay: Mutex::new(Replay::new()),
            reasons: tokio::sync::Mutex::new(None),
            calls: TaskTracker::new(),
        })
    }

    /// Refuses calls from here on, and waits for those that are being answered. The caller bounds the wait.
    pub async fn close(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    /// Leaves the builds that run to the next bridge.
    pub fn abandon_builds(&self) {
        self.builds.abandon();
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.builds.gateway
    }

    /// Makes a sandbox, or finds the one that was made by the same order.
    pub(crate) async fn create_recorded(&self, record: SandboxRecord) -> Answer<Arc<Sandbox>> {
        sandboxes::create_recorded(self, record).await
    }

    /// Ends a sandbox that has nobody to work for.
    pub async fn end(&self, sandbox_id: &SandboxId) -> Result<(), ErrorBody> {
        sandboxes::end(self, sandbox_id, sandboxes::Ending::Any).await.map(drop).map_err(|failure| failure.0)
    }

    /// All routes.
    pub fn router(self: Arc<Self>) -> Router {
        let signed = Router::new()
            .route("/capabilities", get(sandboxes::capabilities::<P>))
            .route("/status", get(ready::status::<P>))
            .route("/sandboxes/{sandbox_id}", put(sandboxes::create::<P>))
            .route("/sandboxes/{sandbox_id}/commands/{command_id}", put(sandboxes::command::<P>))
            .route("/sandboxes/{sandbox_id}/snapshots/{snapshot_id}", put(sandboxes::snapshot::<P>))
            .route("/sandboxes/{sandbox_id}/terminated", put(sandboxes::terminate::<P>))
            .route("/sandboxes/{sandbox_id}/allowance", put(sandboxes::allow::<P>))
            .route("/halted", put(halt::halt::<P>))
            .route("/snapshots/{snapshot_id}/deleted", put(sandboxes::delete_snapshot::<P>))
            .route("/sandboxes/{sandbox_id}/warm", put(pool::warm::<P>))
            .route("/sandboxes/{sandbox_id}/claimed", put(pool::claim::<P>))
            .route("/sandboxes/{sandbox_id}/discarded", put(pool::discard::<P>))
            .route("/builds/{build_id}", put(image::order::<P>))
            .route("/builds/{build_id}/cancelled", put(image::cancel::<P>))
            .route("/images/{image_id}/deleted", put(pool::delete_image::<P>))
            .route("/inventory", put(pool::inventory::<P>))
            .method_not_allowed_fallback(async || {
                Failure::new(ErrorCode::MethodNotAllowed, "this path takes another method")
            })
            .fallback(async || Failure::new(ErrorCode::NotFound, "the bridge has no such path"))
            .layer(axum::middleware::from_fn(trace::follow))
            .layer(axum::middleware::from_fn_with_state(self.clone(), authentication::check::<P>))
            .layer(axum::middleware::from_fn_with_state(self.clone(), admit::<P>))
            .with_state(self.clone());
        Router::new()
            .route("/health", get(health::<P>))
            .route("/ready", get(ready::ready::<P>))
            .with_state(self)
            .fallback_service(signed)
    }
}

/// A bridge that is ending answers what it is, with a status that sends balancers elsewhere.
async fn health<P: SandboxProvider>(State(api): State<Arc<Api<P>>>) -> (StatusCode, Json<Health>) {
    let status = if api.calls.is_closed() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let health = Health {
        protocol_version: protocol::PROTOCOL_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sandboxes: api.hub.count(),
    };
    (status, Json(health))
}

/// Counts a call, unless there are to be no more: the edge then asks again, and finds this bridge's successor.
async fn admit<P: SandboxProvider>(
    State(api): State<Arc<Api<P>>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let _counted = api.calls.token();
    // Counted first, so that none slips in between the question and the wait.
    if api.calls.is_closed() {
        return Err(Failure::new(ErrorCode::Unavailable, "this bridge is ending; ask again in a moment"));
    }
    Ok(next.run(request).await)
}

/// An error on its way out.
pub struct Failure(pub ErrorBody);

impl Failure {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(code, message))
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

impl From<PathRejection> for Failure {
    fn from(_: PathRejection) -> Self {
        Self::new(ErrorCode::BadRequest, "the path does not contain the ids that it should")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
