//! What operators do: read the audit log, see who is here, remove somebody, and wrap sealed tokens anew after the key ring has changed.
//! And what the cron trigger looks after and removes.

use super::guard::Admitted;
use super::sessions::number;
use crate::accounts::{Accounts, Deed};
use crate::answer::{Answer, OrInternal as _, json_text, log};
use crate::body::fields;
use crate::context::Context;
use crate::roster::Roster;
use crate::settings::SignIn;
use crate::sockets::recheck;
use crate::standing::end_access;
use platform::host::now;
use platform::vault::store::{NoToken, Vault};
use platform::vault::table::Rewrapped;
use protocol::error::{ErrorBody, ErrorCode};
use worker::Env;

/// Tokens that one request wraps anew; each takes two operations of the runtime's cryptography and a write.
const PAGE: u64 = 50;

/// Lines of the audit log, newest first; `?before=` goes on.
pub(super) async fn audit(context: &Context) -> Answer {
    let before = number(context, "before")?;
    let entries = Accounts::new(&context.env)?.read_audit(before).await?;
    json_text(200, format!("{{\"entries\":{entries}}}"))
}

/// Everybody who was ever let in, those who were here last first, and who of them runs the deployment.
pub(super) async fn people(context: &Context) -> Answer {
    let is_operator = |login: &str| context.settings.allow_list.is_operator(login);
    let people = Roster::new(&context.env)?.list_people(&is_operator, context.now).await?;
    json_text(200, format!("{{\"people\":[{people}]}}"))
}

/// Wraps a page of sealed tokens anew; repeated until nothing but unreadable ones is left.
pub(super) async fn rewrap(context: &Context, admitted: &Admitted) -> Answer {
    let operator = &admitted.principal()?.user.id;
    // Local users have no sealed tokens, and their deployment no key for any.
    if let SignIn::Local(_) = context.settings.sign_in {
        return json_text(200, r#"{"rewrapped":0,"unreadable":0,"left":0}"#.to_owned());
    }
    let vault = Vault::new(&context.env).map_err(NoToken::reason).or_internal("reading the settings")?;
    let done = vault.rewrap(PAGE).await.map_err(NoToken::reason).or_unavailable("the database")?;
    let detail = format!("{} wrapped anew, {} left", done.rewrapped, done.left);
    let deed = Deed { actor: operator, action: "tokens.rewrap", target: "sealed_tokens", detail: &detail };
    Accounts::new(&context.env)?.audit(&deed, context.now).await?;
    let Rewrapped { rewrapped, unreadable, left } = done;
    json_text(200, format!("{{\"rewrapped\":{rewrapped},\"unreadable\":{unreadable},\"left\":{left}}}"))
}

/// Removes a user by login, whatever the code host says, or lets it come back.
pub(super) async fn remove_user(context: &Context, admitted: &Admitted) -> Answer {
    let operator = &admitted.principal()?.user;
    let fields = fields(&admitted.body, &["login", "removed"])?;
    let (login, removed) = (fields.text("login")?, fields.flag("removed")?);
    if login.eq_ignore_ascii_case(&operator.login) {
        return Err(ErrorBody::new(ErrorCode::Forbidden, "nobody removes themselves; ask another operator"));
    }
    let users = Accounts::new(&context.env)?.remove_users(login, removed, &operator.id, context.now).await?;
    if users.is_empty() {
        let message = "nobody of this login has signed in here; ALLOWED_LOGINS and its kin say who may";
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    }
    for user in &users {
        end_access(context, user).await;
    }
    json_text(200, "{}".to_owned())
}

/// The trigger that is for sockets alone, as `wrangler.toml` has it.
pub(crate) const EVERY_MINUTE: &str = "* * * * *";

/// The cron trigger: asks about those who have sockets, and has those closed that end.
pub(crate) async fn watch_sockets(env: &Env) {
    match Context::without_request(env.clone(), "http://localhost/") {
        Ok(context) => recheck(&context).await,
        Err(error) => {
            log("looking after sockets", &error);
        }
    }
}

/// The cron trigger: removes what has ended.
pub(crate) async fn prune(env: &Env) {
    let pruned = async { Accounts::new(env)?.prune(now()).await };
    if let Err(error) = pruned.await {
        log("removing what has ended", &error);
    }
}
