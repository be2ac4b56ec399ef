//! Signing in on loopback, where one is signed in, and signing out.

use super::guard::Admitted;
use crate::accounts::Accounts;
use crate::answer::{Answer, json, json_text};
use crate::body::parse;
use crate::context::Context;
use crate::roster::Roster;
use crate::session_cookies;
use crate::standing::{end_access, end_sign_ins};
use protocol::client::SignInRequest;
use protocol::error::{ErrorBody, ErrorCode};

/// What somebody is told whom an operator has removed.
const REMOVED: &str = "an operator of this deployment has removed you; ask there";

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
    let accounts = Accounts::new(&context.env)?;
    if accounts.is_removed(&principal.user.id).await? {
        return Err(ErrorBody::new(ErrorCode::Forbidden, REMOVED));
    }
    accounts.save_user(&principal.user, context.now).await?;
    session_cookies::begin(context, principal.user.clone()).await?;
    json(200, &principal.user)
}

/// Signs out, whoever it is.
pub(super) async fn sign_out(context: &Context) -> Answer {
    session_cookies::end(context).await?;
    json_text(200, "{}".to_owned())
}

/// Ends every sign-in of the user, here and in other browsers.
pub(super) async fn sign_out_everywhere(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    end_sign_ins(context, user, false).await?;
    context.clear_cookies();
    json_text(200, "{}".to_owned())
}

/// Where the user is signed in, and which of it this browser is.
pub(super) async fn list_sign_ins(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    let current = session_cookies::family(context);
    let sign_ins = Roster::new(&context.env)?.list_sign_ins(user, current.as_deref(), context.now).await?;
    json_text(200, format!("{{\"signIns\":{sign_ins}}}"))
}

/// Ends one sign-in of the user, and what that browser has open.
pub(super) async fn end_sign_in(context: &Context, admitted: &Admitted, id: &str) -> Answer {
    let user = &admitted.principal()?.user.id;
    if !Roster::new(&context.env)?.has_sign_in(user, id).await? {
        return Err(ErrorBody::new(ErrorCode::NotFound, "you have no such sign-in; it may have ended"));
    }
    Accounts::new(&context.env)?.end_sign_in(user, id, "sign_out.elsewhere", context.now).await?;
    end_access(context, user).await;
    json_text(200, "{}".to_owned())
}
