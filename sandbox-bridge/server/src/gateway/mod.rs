//! What a sandbox reaches of the world: its runner's socket, its session's repository, the models, and a proxy to allowed hosts.
//!
//! Every request to the first three carries the sandbox's own token, which is checked against the sandbox that runs, and against the
//! socket where there is one for each sandbox; then it is taken off, and only here are real credentials put on. The proxy knows the
//! sandbox by its socket alone. Providers serve this router.

pub mod credential;
pub mod egress;
mod git;
pub mod listen;
mod model;
mod model_request;
mod newest;
mod receive_pack;
pub(crate) mod redact;
pub mod spending;
pub(crate) mod tunnel;
mod upstream;
pub mod usage;

pub use newest::NewestError;

use crate::api::Failure;
use crate::clock;
use crate::config::ModelProvider;
use crate::hub::{self, Hub, Sandbox};
use crate::provider::{MemorySource, OnlyThisSandbox, SocketSandbox};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credential::CredentialSource;
use egress::Egress;
use egress::policy::Policy;
use egress::reason::{Reason, Refused};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::RepositoryId;
use protocol::runner::SandboxMemory;
use protocol::sign::{Audience, Key, SandboxClaims, SignatureError, verify};
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;
use upstream::Upstream;

/// How long a request waits for a bridge that is just starting.
const OPENING_TIMEOUT: Duration = Duration::from_secs(20);
/// Where Anthropic's libraries put their key, here the sandbox's token.
const API_KEY_HEADER: &str = "x-api-key";

/// What the sandbox-facing router works with.
pub struct Gateway {
    hub: Arc<Hub>,
    keys: Vec<Key>,
    credentials: Arc<dyn CredentialSource>,
    models: BTreeMap<String, ModelProvider>,
    upstream: Upstream,
    egress: Arc<Egress>,
}

impl Gateway {
    /// A gateway for the sandboxes of `hub`, whose tokens are signed with one of `keys`.
    pub fn new(
        hub: Arc<Hub>,
        keys: Vec<Key>,
        credentials: Arc<dyn CredentialSource>,
        models: BTreeMap<String, ModelProvider>,
        egress: Arc<Egress>,
        extra_authorities: &[CertificateDer<'static>],
    ) -> Result<Arc<Self>, reqwest::Error> {
        let upstream = Upstream::new(extra_authorities)?;
        Ok(Arc::new(Self { hub, keys, credentials, models, upstream, egress }))
    }

    /// What a repository's sandboxes may reach.
    pub(crate) fn policy(&self, repository: &RepositoryId) -> &Arc<Policy> {
        self.egress.policy(repository)
    }
}

/// Everything that a sandbox can ask of the bridge.
pub fn inside_router(gateway: Arc<Gateway>) -> Router {
    let own = own_router(gateway.clone());
    // What is asked of a proxy has no path that a router could go by, or one of somebody else's.
    Router::new().fallback(async move |request: Request| {
        let to_proxy = request.method() == Method::CONNECT || request.uri().authority().is_some();
        if to_proxy {
            return proxy(&gateway, request).await;
        }
        own.oneshot(request).await.into_response()
    })
}

async fn proxy(gateway: &Gateway, request: Request) -> Response {
    let socket = request.extensions().get::<SocketSandbox>().cloned();
    let is_own = request.extensions().get::<OnlyThisSandbox>().is_some();
    let opened = tokio::time::timeout(OPENING_TIMEOUT, gateway.hub.opened()).await.is_ok();
    let sandbox = socket.filter(|_| is_own && opened).and_then(|socket| gateway.hub.find(&socket.0));
    match sandbox {
        Some(sandbox) => gateway.egress.handle(sandbox, request).await,
        None => {
            let authority = request.uri().authority().map(|authority| authority.as_str());
            Refused::unread(authority.unwrap_or_default(), Reason::NoProxy).response()
        }
    }
}

fn own_router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/runner", get(runner))
        .route("/memory", get(memory))
        .route("/git/{owner}/{repository}/{*service}", any(git::handle))
        .route("/model/{provider}/{*path}", any(model::handle))
        .fallback(async || {
            Failure(ErrorBody::new(
                ErrorCode::NotFound,
                "the gateway has /runner, /memory, /git and /model only",
            ))
        })
        .layer(axum::middleware::from_fn_with_state(gateway.clone(), authenticate))
        .with_state(gateway)
}

async fn runner(
    State(gateway): State<Arc<Gateway>>,
    Extension(sandbox): Extension<Arc<Sandbox>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    hub::attach(gateway.hub.clone(), sandbox, upgrade)
}

/// What a runner needs to say why an agent was killed: no sandbox sees its own control group.
async fn memory(
    Extension(sandbox): Extension<Arc<Sandbox>>,
    source: Option<Extension<MemorySource>>,
) -> Result<Json<SandboxMemory>, Failure> {
    let known = source.and_then(|Extension(MemorySource(read))| read(&sandbox.record.sandbox_id));
    known.map(Json).ok_or_else(|| {
        Failure(ErrorBody::new(ErrorCode::NotFound, "the memory of this sandbox is not limited as a whole"))
    })
}

/// Finds out which sandbox asks and takes its token off the request.
async fn authenticate(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let token = sandbox_token(request.headers());
    for credential in [header::AUTHORIZATION.as_str(), API_KEY_HEADER, "cookie", "proxy-authorization"] {
        request.headers_mut().remove(credential);
    }
    let socket = request.extensions().get::<SocketSandbox>().cloned();
    match identify(&gateway, token, socket).await {
        Ok(sandbox) => {
            request.extensions_mut().insert(sandbox);
            next.run(request).await
        }
        Err(failure) => {
            tracing::warn!(
                path = request.uri().path(),
                code = failure.0.code.as_str(),
                "request from a sandbox refused"
            );
            let mut response = failure.into_response();
            // git sends what it has only when it is asked for it.
            let ask = HeaderValue::from_static("Basic realm=\"farhand sandbox\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
            response
        }
    }
}

async fn identify(
    gateway: &Gateway,
    token: Option<String>,
    socket: Option<SocketSandbox>,
) -> Result<Arc<Sandbox>, Failure> {
    let refused = |why: &str| Failure(ErrorBody::new(ErrorCode::TokenInvalid, why));
    let token = token.ok_or_else(|| refused("send FARHAND_SANDBOX_TOKEN as bearer token or password"))?;
    let read = |key: &Key| verify::<SandboxClaims>(key, Audience::Gateway, &token, clock::now());
    let mut claims = Err(SignatureError::Wrong);
    for key in &gateway.keys {
        claims = read(key);
        if claims != Err(SignatureError::Wrong) {
            break;
        }
    }
    let claims = claims.map_err(|error| refused(&error.to_string()))?;
    if socket.is_some_and(|socket| socket.0 != claims.sandbox_id) {
        return Err(refused("this is the token of another sandbox"));
    }
    if tokio::time::timeout(OPENING_TIMEOUT, gateway.hub.opened()).await.is_err() {
        return Err(Failure(ErrorBody::new(ErrorCode::Unavailable, "the bridge is starting; try again")));
    }
    // Another replica may have made it, or given it to a session.
    let found = gateway.hub.locate(&claims.sandbox_id).await?;
    found.ok_or_else(|| refused("the sandbox of this token is gone"))
}

/// The token as git, OpenAI's and Anthropic's clients send it.
fn sandbox_token(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(key) = text(API_KEY_HEADER) {
        return Some(key.to_owned());
    }
    let (scheme, value) = text(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
        return decoded.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_where_clients_put_it() {
        for (name, value, expected) in [
            ("authorization", "Bearer t", Some("t")),
            ("authorization", "bearer t", Some("t")),
            ("authorization", "Basic YW55OnQ=", Some("t")),
            ("x-api-key", "t", Some("t")),
            ("authorization", "t", None),
            ("authorization", "Basic !", None),
            ("authorization", "Digest t", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(sandbox_token(&headers).as_deref(), expected, "{name}: {value}");
        }
    }
}
