//! git smart HTTP of the session's repository, and read-only of those listed for it: `info/refs`, `git-upload-pack`,
//! `git-receive-pack`.
//!
//! The credential is added here and is taken out of whatever comes back; packs stream in both directions. A push is read up to its
//! pack and goes on only when it touches the session's branch alone. Refusals are words that git shows.

use super::receive_pack::{PRELUDE_BYTES_MAX, Prelude, Refusal};
use super::upstream::{relay, select};
use super::{Gateway, STANDARD};
use crate::config::{Secret, refuse_plain_http};
use crate::hub::Sandbox;
use axum::Extension;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    EXPIRES, PRAGMA, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use http_body_util::Limited;
use protocol::bridge::RepositorySource;
use protocol::id::RepositoryId;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;
use url::Url;

/// What git sends that the code host needs.
const REQUEST_HEADERS: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("git-protocol"),
];
/// What the code host answers that git needs.
const RESPONSE_HEADERS: [HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, PRAGMA];
/// Longest question of a fetch: it names what the client has.
const FETCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest push.
const PUSH_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// How much of a refused push is read, so that git hears the refusal and not a broken connection.
const REFUSED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a refused push is read.
const REFUSED_TIME_MAX: Duration = Duration::from_secs(60);

/// A request that goes no further, as git is told.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, [(CONTENT_TYPE, "text/plain; charset=utf-8")], self.1 + "\n").into_response()
    }
}

/// The two services of git smart HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    UploadPack,
    ReceivePack,
}

/// What is asked of the code host.
enum Operation {
    Refs(Service),
    Pack(Service),
}

pub(super) async fn handle(
    State(gateway): State<Arc<Gateway>>,
    Extension(sandbox): Extension<Arc<Sandbox>>,
    Path((owner, repository, service)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let asked = format!("{owner}/{}", repository.strip_suffix(".git").unwrap_or(&repository));
    let answer = match operation(request.method(), &service, request.uri().query()) {
        Some(operation) => match access(&gateway, &sandbox, &asked, &operation) {
            Ok(access) => {
                let span = tracing::info_span!(
                    parent: &sandbox.turn.span(),
                    "git",
                    otel.name = format!("git {service}"),
                    otel.kind = "client",
                );
                forward(&gateway, &sandbox, access, operation, request).instrument(span).await
            }
            Err(refused) => Err(refused),
        },
        None => Err(Refused(
            StatusCode::NOT_FOUND,
            "only clone, fetch and push go through this gateway".to_owned(),
        )),
    };
    answer.unwrap_or_else(|refused| {
        tracing::info!(sandbox = %sandbox.record.sandbox_id, status = refused.0.as_u16(), "git request refused");
        refused.into_response()
    })
}

fn operation(method: &Method, service: &str, query: Option<&str>) -> Option<Operation> {
    match (method.as_str(), service, query) {
        ("GET", "info/refs", Some("service=git-upload-pack")) => Some(Operation::Refs(Service::UploadPack)),
        ("GET", "info/refs", Some("service=git-receive-pack")) => Some(Operation::Refs(Service::ReceivePack)),
        ("POST", "git-upload-pack", None) => Some(Operation::Pack(Service::UploadPack)),
        ("POST", "git-receive-pack", None) => Some(Operation::Pack(Service::ReceivePack)),
        _ => None,
    }
}

/// A repository that this request may use, and whether the bridge's credential is put on for it.
struct Access {
    source: RepositorySource,
    has_credential: bool,
}

/// What the sandbox may do with the repository that it asks for: everything the rules of pushing allow with its own, fetch those that
/// the operator lists for it, and fetch without a credential where the code host is an allowed host anyway.
fn access(
    gateway: &Gateway,
    sandbox: &Sandbox,
    asked: &str,
    operation: &Operation,
) -> Result<Access, Refused> {
    let own = &sandbox.record.order.repository;
    if asked == own.id.as_str() {
        let is_push = matches!(
            operation,
            Operation::Refs(Service::ReceivePack) | Operation::Pack(Service::ReceivePack)
        );
        if is_push && sandbox.session().is_none() {
            let message = "nothing can be pushed from here: this sandbox belongs to no session".to_owned();
            return Err(Refused(StatusCode::FORBIDDEN, message));
        }
        return Ok(Access { source: own.clone(), has_credential: true });
    }
    let policy = gateway.egress.policy(&own.id);
    let is_listed = policy.repositories.iter().any(|listed| listed.as_str() == asked);
    let sibling = sibling(own, asked).filter(|other| is_listed || policy.allows_url(&other.clone_url));
    let Some(source) = sibling else {
        let message = format!(
            "this session works on {}; for other repositories of its code host, such as submodules, the operator lists {asked:?} under \"repositories\" in FARHAND_REPOSITORY_POLICY",
            own.id
        );
        return Err(Refused(StatusCode::FORBIDDEN, message));
    };
    match operation {
        Operation::Refs(Service::UploadPack) | Operation::Pack(Service::UploadPack) => {
            Ok(Access { source, has_credential: is_listed })
        }
        Operation::Refs(Service::ReceivePack) | Operation::Pack(Service::ReceivePack) => {
            Err(Refused(StatusCode::FORBIDDEN, format!("{asked} can only be fetched from this session")))
        }
    }
}

/// Another repository of the same code host, at the place that the own one's URL suggests.
fn sibling(own: &RepositorySource, asked: &str) -> Option<RepositorySource> {
    let id = RepositoryId::parse(asked).ok()?;
    let (stem, end) = match own.clone_url.strip_suffix(".git") {
        Some(stem) => (stem, ".git"),
        None => (own.clone_url.as_str(), ""),
    };
    let base = stem.strip_suffix(own.id.as_str()).filter(|base| base.ends_with('/'))?;
    Some(RepositorySource { clone_url: format!("{base}{id}{end}"), default_branch: String::new(), id })
}

async fn forward(
    gateway: &Gateway,
    sandbox: &Sandbox,
    Access { source, has_credential }: Access,
    operation: Operation,
    request: Request,
) -> Result<Response, Refused> {
    let secret = match has_credential {
        true => Some(credential(gateway, sandbox, &source).await?),
        false => None,
    };
    let (path, query) = match operation {
        Operation::Refs(service) => ("info/refs", Some(format!("service={}", service.name()))),
        Operation::Pack(service) => (service.name(), None),
    };
    let url = upstream_url(&source.clone_url, path, query.as_deref())?;
    let (parts, body) = request.into_parts();
    let mut headers = select(&parts.headers, &REQUEST_HEADERS);
    let body = limited(&headers, &operation, body)?;
    let body = match operation {
        Operation::Refs(_) => reqwest::Body::default(),
        Operation::Pack(Service::UploadPack) => reqwest::Body::wrap_stream(body.into_data_stream()),
        Operation::Pack(Service::ReceivePack) => match check_push(sandbox, &headers, body).await? {
            Push::Allowed(body) => body,
            Push::Refused(response) => return Ok(response),
        },
    };
    let mut never_back = Vec::new();
    if let Some(secret) = secret {
        let basic = STANDARD.encode(format!("x-access-token:{}", secret.reveal()));
        let authorization = HeaderValue::from_str(&format!("Basic {basic}"));
        let mut authorization = authorization.map_err(|_| {
            Refused(StatusCode::BAD_GATEWAY, "the bridge's credential is not usable".to_owned())
        })?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        never_back = vec![basic, secret.reveal().to_owned()];
    }
    let response = gateway.upstream.send(parts.method, url, headers, body).await.map_err(|error| {
        let error = error.without_url();
        tracing::warn!(sandbox = %sandbox.record.sandbox_id, error = ?error, "the code host is not reachable");
        Refused(StatusCode::BAD_GATEWAY, "the code host cannot be reached from the bridge; try again".to_owned())
    })?;
    answer(sandbox, &source.id, response, never_back)
}

async fn credential(
    gateway: &Gateway,
    sandbox: &Sandbox,
    source: &RepositorySource,
) -> Result<Secret, Refused> {
    gateway.credentials.token(source).await.map_err(|error| {
        tracing::warn!(sandbox = %sandbox.record.sandbox_id, %error, "no credential");
        let status = if error.may_pass() { StatusCode::BAD_GATEWAY } else { StatusCode::FORBIDDEN };
        Refused(status, error.to_string())
    })
}

/// Neither a question nor a push is without end.
fn limited(headers: &HeaderMap, operation: &Operation, body: Body) -> Result<Body, Refused> {
    let max = match operation {
        Operation::Refs(_) => 0,
        Operation::Pack(Service::UploadPack) => FETCH_BYTES_MAX,
        Operation::Pack(Service::ReceivePack) => PUSH_BYTES_MAX,
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > max) {
        let message = format!("this request is longer than the {max} bytes that go through this gateway");
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(Body::new(Limited::new(body, max)))
}

/// Passes the code host's answer on, or says in words what its status means here.
fn answer(
    sandbox: &Sandbox,
    repository: &RepositoryId,
    response: reqwest::Response,
    never_back: Vec<String>,
) -> Result<Response, Refused> {
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        let message = format!("the code host refused the bridge's credential for {repository} ({status})");
        tracing::warn!(sandbox = %sandbox.record.sandbox_id, status = status.as_u16(), "credential refused");
        return Err(Refused(StatusCode::BAD_GATEWAY, message));
    }
    if status == StatusCode::NOT_FOUND {
        let message =
            format!("the code host knows no {repository}, or hides it from the bridge's credential");
        return Err(Refused(StatusCode::NOT_FOUND, message));
    }
    if status.is_redirection() {
        let message =
            format!("the code host says that {repository} has moved; start a session with its new name");
        return Err(Refused(StatusCode::BAD_GATEWAY, message));
    }
    Ok(relay(response, &RESPONSE_HEADERS, never_back))
}

enum Push {
    Allowed(reqwest::Body),
    Refused(Response),
}

/// Reads a push up to its pack. What goes on is exactly what was read and checked, then the rest as it comes.
async fn check_push(sandbox: &Sandbox, headers: &HeaderMap, body: Body) -> Result<Push, Refused> {
    if headers.contains_key(CONTENT_ENCODING) {
        let message = "a compressed push cannot be checked; git does not send one by itself";
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message.to_owned()));
    }
    let mut rest = body.into_data_stream();
    let (prelude, read) = read_prelude(&mut rest).await?;
    let record = &sandbox.record;
    let branch = sandbox.session().map(|session| session.branch.as_str()).unwrap_or_default();
    let refusal = match prelude.evaluate(branch, &record.order.repository.default_branch) {
        Ok(()) => {
            let body = stream::iter([Ok(read)]).chain(rest);
            return Ok(Push::Allowed(reqwest::Body::wrap_stream(body)));
        }
        Err(refusal) => refusal,
    };
    tracing::info!(sandbox = %record.sandbox_id, refs = prelude.commands.len(), "push refused");
    discard(rest).await;
    Ok(Push::Refused(match refusal {
        Refusal::Report(report) => {
            let kind = "application/x-git-receive-pack-result";
            (StatusCode::OK, [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], report).into_response()
        }
        Refusal::Text(text) => Refused(StatusCode::FORBIDDEN, text).into_response(),
    }))
}

async fn read_prelude(body: &mut BodyDataStream) -> Result<(Prelude, Bytes), Refused> {
    let bad = |message: String| Refused(StatusCode::BAD_REQUEST, message);
    let mut read = BytesMut::new();
    loop {
        match Prelude::parse(&read) {
            Ok(Some(prelude)) => return Ok((prelude, read.freeze())),
            Ok(None) if read.len() > PRELUDE_BYTES_MAX => {
                return Err(bad("this push names too much".to_owned()));
            }
            Ok(None) => {}
            Err(malformed) => return Err(bad(malformed.to_string())),
        }
        match body.next().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            Some(Err(_)) | None => return Err(bad("this push ends too early".to_owned())),
        }
    }
}

/// Reads what git is still sending: it listens only afterwards.
async fn discard(mut body: BodyDataStream) {
    let reading = async {
        let mut left = REFUSED_BYTES_MAX;
        while let Some(Ok(chunk)) = body.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // A client that takes longer hears of a broken connection, which is also a refusal.
    let _ = tokio::time::timeout(REFUSED_TIME_MAX, reading).await;
}

fn upstream_url(clone_url: &str, path: &str, query: Option<&str>) -> Result<Url, Refused> {
    let refused = || Refused(StatusCode::FORBIDDEN, "the repository's clone URL cannot be used".to_owned());
    let mut url = Url::parse(clone_url).map_err(|_| refused())?;
    refuse_plain_http("the clone URL", &url)
        .map_err(|error| Refused(StatusCode::FORBIDDEN, error.to_string()))?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(refused());
    }
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/{path}"));
    url.set_query(query);
    Ok(url)
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}
