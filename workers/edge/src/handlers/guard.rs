//! What a request must prove before its handler sees it. Which proof is asked of which route is the table's word, not the handler's.

use crate::body;
use crate::context::{Context, now};
use crate::nonce::Nonces;
use crate::route::Access;
use identity::Principal;
use identity::origin::{evaluate_change, evaluate_socket, is_json};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::limit::{REQUEST_BYTES_MAX, RUNNER_FRAME_BYTES_MAX, SIGNATURE_SKEW_MS_MAX};
use protocol::sign::{Audience, SignatureError, verify_request};
use std::cell::RefCell;
use worker::{Method, Request};

thread_local! {
    static NONCES: RefCell<Nonces> = RefCell::default();
}

/// A request that proved what its route asks for.
pub(super) struct Admitted {
    principal: Option<Principal>,
    /// Read within the limit of its kind; empty for a `GET`.
    pub(super) body: Vec<u8>,
}

impl Admitted {
    /// Who is signed in; an error on a route that does not ask for it.
    pub(super) fn principal(&self) -> Result<&Principal, ErrorBody> {
        self.principal
            .as_ref()
            .ok_or_else(|| ErrorBody::new(ErrorCode::SignInRequired, "nobody is signed in; sign in first"))
    }
}

/// Lets a request through, or says why not.
pub(super) async fn admit(
    context: &Context,
    access: Access,
    request: &mut Request,
) -> Result<Admitted, ErrorBody> {
    let changes = request.method() != Method::Get;
    match access {
        Access::Public | Access::User => {
            if changes {
                let (provenance, own) = context.provenance();
                evaluate_change(provenance, &own)
                    .map_err(|error| refused(ErrorCode::OriginRefused, &error))?;
            }
            let principal = match access {
                Access::User => Some(context.principal()?),
                Access::Public | Access::Ticket | Access::Bridge => None,
            };
            let body = if changes { read_json(request).await? } else { Vec::new() };
            Ok(Admitted { principal, body })
        }
        Access::Ticket => {
            let (provenance, own) = context.provenance();
            evaluate_socket(provenance, &own).map_err(|error| refused(ErrorCode::OriginRefused, &error))?;
            Ok(Admitted { principal: None, body: Vec::new() })
        }
        Access::Bridge => Ok(Admitted { principal: None, body: check_bridge(context, request).await? }),
    }
}

/// Reads a client's body, which says that it is JSON. An empty one need not say anything.
async fn read_json(request: &mut Request) -> Result<Vec<u8>, ErrorBody> {
    let content_type = request.headers().get("content-type").ok().flatten();
    let says_json = is_json(content_type.as_deref());
    if says_json || content_type.is_none() {
        let body = body::read(request, REQUEST_BYTES_MAX).await?;
        if says_json || body.is_empty() {
            return Ok(body);
        }
    }
    Err(ErrorBody::new(ErrorCode::MediaTypeUnsupported, "send the header `content-type: application/json`"))
}

/// Reads a bridge's request and checks its signature, which covers the body.
async fn check_bridge(context: &Context, request: &mut Request) -> Result<Vec<u8>, ErrorBody> {
    let wrong = |error: SignatureError| refused(ErrorCode::SignatureInvalid, &error);
    let authorization = request
        .headers()
        .get("authorization")
        .ok()
        .flatten()
        .ok_or_else(|| wrong(SignatureError::Malformed))?;
    let method = request.method().to_string();
    // One event may be as long as a runner's frame: a large diff comes in one piece.
    let body = body::read(request, RUNNER_FRAME_BYTES_MAX).await?;
    let key = &context.settings.bridge_key;
    let path = context.path_and_query();
    let claims = verify_request(key, Audience::Edge, Some(&authorization), &method, &path, &body, now())
        .map_err(wrong)?;
    // A signature from the future counts for twice the tolerated difference of the clocks.
    let forget_at = now().plus_ms(2 * SIGNATURE_SKEW_MS_MAX);
    let is_new = NONCES.with_borrow_mut(|nonces| nonces.is_new(&claims.nonce, now(), forget_at));
    if is_new {
        return Ok(body);
    }
    Err(ErrorBody::new(
        ErrorCode::SignatureInvalid,
        "this very request was received before; sign a repeat anew",
    ))
}

fn refused(code: ErrorCode, error: &dyn std::fmt::Display) -> ErrorBody {
    ErrorBody::new(code, error.to_string())
}
