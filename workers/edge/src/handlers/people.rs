//! Signing in and out.

use super::guard::Admitted;
use crate::answer::{Answer, OrInternal as _, json};
use crate::body::parse;
use crate::context::Context;
use crate::index::Index;
use identity::signed_in::{clear_cookie, set_cookie};
use protocol::client::SignInRequest;
use protocol::error::{ErrorBody, ErrorCode};
use worker::Response;

/// Signs a local user in.
pub(super) async fn sign_in(context: &Context, admitted: &Admitted) -> Answer {
    let users = context.settings.local_users(&context.host())?;
    let request: SignInRequest = parse(&admitted.body)?;
    let principal = users.sign_in(&request.login).ok_or_else(|| {
        ErrorBody::new(
            ErrorCode::Forbidden,
            "there is no such local user; GET /api/configuration names those there are",
        )
    })?;
    Index::new(&context.env)?.save_user(&principal.user, context.now).await?;
    let settings = &context.settings;
    let cookie =
        set_cookie(&settings.session_key, settings.issuer(), &principal, context.transport(), context.now);
    with_cookie(json(200, &principal.user)?, &cookie)
}

/// Signs out, whoever it is.
pub(super) fn sign_out(context: &Context) -> Answer {
    with_cookie(json(200, &serde_json::json!({}))?, &clear_cookie(context.transport()))
}

fn with_cookie(response: Response, cookie: &str) -> Answer {
    response.headers().append("set-cookie", cookie).or_internal("setting the cookie")?;
    Ok(response)
}
