//! Whose token opens the code host. The one place that knows where users' tokens come from, for sessions and for the edge; each is for one
//! use.

use github::oauth::Secret;
use identity::local::LocalUsers;
use platform::vault::store::{NoToken, Vault};
use protocol::id::UserId;
use std::cell::RefCell;
use std::rc::Rc;
use worker::Env;

thread_local! {
    /// An isolate lives in one deployment, whose settings do not change.
    static LOCAL_USERS: RefCell<Option<Rc<LocalUsers>>> = const { RefCell::new(None) };
}

/// The token of a user at the code host: where signing in is local that of the list, otherwise the one that the user's sign-in left,
/// refreshed where it is about to end.
pub async fn user_token(env: &Env, user: &UserId) -> Result<Secret, NoToken> {
    let text = |name: &str| env.var(name).map(|value| value.to_string()).unwrap_or_default();
    if text("SIGN_IN") != "local" {
        return Vault::new(env)?.token(user).await;
    }
    local_users(|| text("LOCAL_USERS"))?.token(user).cloned().ok_or_else(|| {
        let reason = "the prompt's author is not in LOCAL_USERS any more; add the user again";
        NoToken::Missing(reason.to_owned())
    })
}

fn local_users(read: impl FnOnce() -> String) -> Result<Rc<LocalUsers>, NoToken> {
    if let Some(known) = LOCAL_USERS.with_borrow(Clone::clone) {
        return Ok(known);
    }
    let users = LocalUsers::parse(&read()).map_err(|error| NoToken::Unavailable(error.to_string()))?;
    let users = Rc::new(users);
    LOCAL_USERS.set(Some(users.clone()));
    Ok(users)
}
