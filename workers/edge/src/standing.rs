//! Whether somebody may be here: asked of the local list, or of the code host with the user's own token.
//!
//! The code host's word is believed for some minutes, and for an hour while it does not answer; who it does not confirm is signed out
//! everywhere. Sign-in, refreshes and keys of the API ask here.

use crate::accounts::{Account, Accounts};
use crate::answer::log;
use crate::code_host::CodeHost;
use crate::context::Context;
use crate::session_cookies;
use crate::settings::SignIn;
use crate::sockets::close_ended;
use github::oauth::Secret;
use github::person::{
    Person, organisation_request, parse_membership, parse_person, person_request, team_request,
};
use identity::admission::AllowList;
use identity::refresh::{Standing, evaluate_standing};
use platform::vault::store::NoToken;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::UserId;
use protocol::timeline::User;
use session::object::user_token;

/// The user as the issuer knows it today; `None` for somebody who may not be here, or has to sign in again.
pub(crate) async fn check_standing(context: &Context, account: Account) -> Result<Option<User>, ErrorBody> {
    if account.removed {
        return Ok(None);
    }
    if let SignIn::Local(_) = context.settings.sign_in {
        let users = context.settings.local_users(&context.host())?;
        return Ok(users.principal(&account.user.id).map(|principal| principal.user));
    }
    let lenient = match evaluate_standing(account.checked_at, context.now) {
        Standing::Known => return Ok(Some(account.user)),
        Standing::Ask { lenient } => lenient,
    };
    let accounts = Accounts::new(&context.env)?;
    match ask(context, &account.user).await {
        Ok(Some(person)) => {
            let user = User { login: person.login, name: person.name, ..account.user };
            accounts.save_user(&user, context.now).await?;
            Ok(Some(user))
        }
        Ok(None) => {
            end_sign_ins(context, &account.user.id, true).await?;
            Ok(None)
        }
        Err(reason) => {
            log("asking whether a user may be here", &reason);
            if lenient {
                return Ok(Some(account.user));
            }
            Err(ErrorBody::new(
                ErrorCode::Unavailable,
                "the code host cannot be asked whether you may be here; try again later",
            ))
        }
    }
}

/// Ends all sign-ins of a user, and the sockets that they have opened. With `refused`, because the user may not be here any more.
pub(crate) async fn end_sign_ins(context: &Context, user: &UserId, refused: bool) -> Result<(), ErrorBody> {
    Accounts::new(&context.env)?.end_sign_ins(user, refused, context.now).await?;
    end_access(context, user).await;
    Ok(())
}

/// What follows when something of a user's access has ended: no browser is believed without a look, and the sockets go.
pub(crate) async fn end_access(context: &Context, user: &UserId) {
    session_cookies::forget();
    close_ended(&context.env, Some(user), context.now).await;
}

async fn ask(context: &Context, user: &User) -> Result<Option<Person>, String> {
    let token = match user_token(&context.env, &user.id).await {
        Ok(token) => token,
        Err(NoToken::SignInAgain(_) | NoToken::Missing(_)) => return Ok(None),
        Err(NoToken::Unavailable(reason)) => return Err(reason),
    };
    match find_person(context, token).await {
        Ok((person, may)) => Ok(may.then_some(person)),
        Err(error) if error.is_unauthorized() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Who a token belongs to, and whether that is somebody who may sign in.
pub(crate) async fn find_person(context: &Context, token: Secret) -> Result<(Person, bool), github::Error> {
    let code_host = CodeHost { api_url: &context.settings.github_api_url, token };
    let (status, body) = code_host.send(&person_request()).await?;
    let person = parse_person(status, &body)?;
    let may = is_admitted(&code_host, &context.settings.allow_list, &person.login).await?;
    Ok((person, may))
}

async fn is_admitted(code_host: &CodeHost<'_>, list: &AllowList, login: &str) -> Result<bool, github::Error> {
    if list.names(login) {
        return Ok(true);
    }
    for membership in list.memberships() {
        let organisation = &membership.organisation;
        let request = match &membership.team {
            None => organisation_request(organisation),
            Some(team) => team_request(organisation, team, login),
        };
        let (status, body) = code_host.send(&request).await?;
        if parse_membership(status, &body)? {
            return Ok(true);
        }
    }
    Ok(false)
}
