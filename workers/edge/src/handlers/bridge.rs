//! What bridges report: runners that dialled in, events, sandboxes that ended, connections that were refused; of repositories, how
//! builds and warm sandboxes are.
//!
//! The guard has checked the signature over the very bytes; they go to the object as they came, which reads and checks them once.
//! Every answer to a bridge is signed.

use super::guard::Admitted;
use crate::answer::{Answer, OrInternal as _, error, forward};
use crate::context::Context;
use crate::repository_object;
use crate::session_object::post_bytes;
use platform::host::now;
use protocol::id::{RepositoryId, SessionId};
use protocol::sign::{ANSWER_HEADER, Audience, RequestClaims, sign_answer};
use repository::call::Call as RepositoryCall;
use session::call::Call;
use worker::{ResponseBody, ResponseBuilder};

/// Proves to the bridge that an answer is ours, and to its very request.
pub(super) async fn sign(context: &Context, claims: &RequestClaims, answer: Answer) -> Answer {
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => error(&refusal).or_internal("writing a refusal")?,
    };
    let status = answer.status_code();
    let body = answer.bytes().await.or_unavailable("what was asked")?;
    let signature = sign_answer(&context.settings.bridge_keys, Audience::Edge, claims, status, &body, now());
    let headers = answer.headers().clone();
    headers.set(ANSWER_HEADER, &signature).or_internal("setting headers")?;
    Ok(ResponseBuilder::new().with_status(status).with_headers(headers).body(ResponseBody::Body(body)))
}

/// Hands a bridge's report to the session.
pub(super) async fn report(context: &Context, admitted: &Admitted, id: &SessionId, call: Call) -> Answer {
    forward(post_bytes(&context.env, id, call, &admitted.body).await?)
}

/// A word about something of a repository: `call` is the object's, with the id of the thing as `id_name` and the body as `body_name`.
/// The body is read once, by the object.
pub(super) async fn report_to_repository(
    context: &Context,
    admitted: &Admitted,
    id: &RepositoryId,
    call: RepositoryCall,
    [id_name, thing, body_name]: [&str; 3],
) -> Answer {
    let mut body = format!("{{\"{id_name}\":\"{thing}\",\"{body_name}\":").into_bytes();
    body.extend_from_slice(&admitted.body);
    body.push(b'}');
    forward(repository_object::post_bytes(&context.env, id, call, &body).await?)
}
