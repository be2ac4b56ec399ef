//! Lets a request in only when the edge signed exactly it, recently, and for the first time; signs the answer.
//!
//! The nonces live in memory. What a restart forgets is covered by refusing what was signed before this process began to live; the
//! edge then signs afresh, which the answer 503 makes it do. Requests of an edge whose clock is ahead could be replayed within that
//! lead after a restart: they are idempotent `PUT`s of a generation, so that changes nothing.

use super::replay::Nonce;
use super::{Api, Failure};
use crate::clock;
use crate::provider::SandboxProvider;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::error::ErrorCode;
use protocol::sign::{ANSWER_HEADER, Audience, RequestClaims, sign_answer, verify_request};
use protocol::time::Timestamp;
use serde::Deserialize;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Longest body of a request; a prompt of the largest size fits with everything around it.
pub const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// Longest answer; inventories are the long ones.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Middleware of every route but `/health`.
pub(super) async fn check<P: SandboxProvider>(
    State(api): State<Arc<Api<P>>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let Some(authorization) = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return Err(invalid("the request is not signed"));
    };
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, REQUEST_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return Err(Failure::new(
                ErrorCode::TooLarge,
                format!("the body is cut, or longer than {REQUEST_BYTES_MAX} bytes"),
            ));
        }
        Err(_) => return Err(Failure::new(ErrorCode::BadRequest, "the body did not arrive in time")),
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let now = clock::now();
    let verified = verify_request(
        &api.keys.bridge,
        Audience::Bridge,
        Some(authorization),
        parts.method.as_str(),
        path,
        &body,
        now,
    );
    let claims = match verified {
        Ok(claims) => claims,
        Err(error) => {
            tracing::warn!(method = %parts.method, path = parts.uri.path(), %error, "request refused");
            return Err(invalid(error.to_string()));
        }
    };
    let answer = match note(&api, authorization, &claims, now) {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(failure) => failure.into_response(),
    };
    sign(&api, &claims, answer).await
}

/// Proves to the edge that this is our answer, and to this request.
async fn sign<P: SandboxProvider>(
    api: &Api<P>,
    request: &RequestClaims,
    answer: Response,
) -> Result<Response, Failure> {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX)
        .await
        .map_err(|_| Failure::new(ErrorCode::Internal, "the answer is longer than answers can be"))?;
    let status = parts.status.as_u16();
    let signature = sign_answer(&api.keys.bridge, Audience::Bridge, request, status, &body, clock::now());
    if let Ok(signature) = HeaderValue::from_str(&signature) {
        parts.headers.insert(ANSWER_HEADER, signature);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn note<P: SandboxProvider>(
    api: &Api<P>,
    authorization: &str,
    claims: &RequestClaims,
    now: Timestamp,
) -> Result<(), Failure> {
    if issued_at(authorization).is_none_or(|issued_at| issued_at < api.started_at) {
        return Err(Failure::new(
            ErrorCode::Unavailable,
            "the request was signed before this bridge started; sign it again",
        ));
    }
    match api.replay.lock().unwrap_or_else(PoisonError::into_inner).note(&claims.nonce, now) {
        Nonce::Fresh => Ok(()),
        Nonce::Refused => {
            tracing::warn!(method = claims.method, path = claims.path, "replayed request refused");
            Err(invalid("this signature was used before"))
        }
        Nonce::Full => {
            Err(Failure::new(ErrorCode::Unavailable, "too many requests in two minutes; try again later"))
        }
    }
}

/// When a token that has been verified was signed.
fn issued_at(authorization: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Issued {
        issued_at: Timestamp,
    }
    let payload = URL_SAFE_NO_PAD.decode(authorization.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Issued>(&payload).ok().map(|issued| issued.issued_at)
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::SignatureInvalid, message)
}
