//! What the code host lets a user do with a session's repository: who may not see the one sees nothing of the other.
//!
//! Its word is kept for five minutes, and for an hour while it does not answer. A session that is hidden is answered like one that there is
//! not, so that nobody learns which ids exist.

use super::repositories::code_host;
use crate::answer::{OrInternal as _, log};
use crate::code_host::CodeHost;
use crate::context::Context;
use crate::index::Index;
use crate::session_object;
use crate::standing::{end_access, end_sign_ins};
use identity::Principal;
use identity::policy::{Action, RepositoryAccess, rule};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{RepositoryId, SessionId, UserId};
use protocol::time::Timestamp;
use serde_json::Value;
use session::call::Call;

/// How long the code host's word counts.
const FRESH_MS: u64 = 5 * 60_000;
/// How long it counts while the code host does not answer.
const STALE_MS_MAX: u64 = 3_600_000;
/// Repositories that are asked for one by one before a list; more are looked for in the user's own list first.
const ASKED_MAX: usize = 12;

/// Makes sure that a user may do this with a session as far as its repository goes; which one that is, and what the code host allows.
pub(crate) async fn check_session(
    context: &Context,
    principal: &Principal,
    action: Action,
    id: &SessionId,
) -> Result<(RepositoryId, RepositoryAccess), ErrorBody> {
    let user = &principal.user.id;
    let index = Index::new(&context.env)?;
    // While the database is away, the session's object and the code host still know.
    let found = index.find_access(user, id).await.inspect_err(note).unwrap_or_default();
    let (repository, known) = match found {
        Some(found) => found,
        None => (repository_of(context, id).await?, None),
    };
    let age = |ms| move |(_, at): &(RepositoryAccess, Timestamp)| context.now < at.plus_ms(ms);
    let access = match known.filter(age(FRESH_MS)) {
        Some((access, _)) => access,
        None => {
            let asked = async { look_up(&code_host(context, user).await?, &repository).await };
            match (asked.await, known.filter(age(STALE_MS_MAX))) {
                (Ok(access), _) => {
                    let saved = index.save_access(user, &[(repository.clone(), access)], context.now).await;
                    saved.unwrap_or_else(|error| note(&error));
                    if known.is_some_and(|(before, _)| access < before) {
                        end_access(context, user).await;
                    }
                    access
                }
                (Err(error), Some((access, _))) if error.code == ErrorCode::Unavailable => access,
                (Err(error), _) => return Err(error),
            }
        }
    };
    if access == RepositoryAccess::None {
        return Err(ErrorBody::new(ErrorCode::NotFound, session::call::NO_SESSION));
    }
    if access < rule(action).repository {
        let message = "the session's repository is read-only for you at the code host, so you can only watch";
        return Err(ErrorBody::new(ErrorCode::Forbidden, message));
    }
    Ok((repository, access))
}

fn note(error: &ErrorBody) {
    log("keeping who sees a repository", error);
}

/// Asks the code host anew about what the sessions on a user's list are about, where its word is too old. From when on a word counts.
pub(super) async fn refresh_list(context: &Context, principal: &Principal) -> Result<Timestamp, ErrorBody> {
    let user = &principal.user.id;
    let since = |ms| Timestamp(context.now.0.saturating_sub(ms));
    let index = Index::new(&context.env)?;
    let stale = index.stale_repositories(user, since(FRESH_MS)).await?;
    if stale.is_empty() {
        return Ok(since(FRESH_MS));
    }
    match ask_about(context, user, &index, stale).await {
        Ok(()) => Ok(since(FRESH_MS)),
        Err(error) if error.code == ErrorCode::Unavailable => {
            log("asking which repositories a user sees", &error);
            Ok(since(STALE_MS_MAX))
        }
        Err(error) => Err(error),
    }
}

async fn ask_about(
    context: &Context,
    user: &UserId,
    index: &Index,
    mut stale: Vec<RepositoryId>,
) -> Result<(), ErrorBody> {
    let code_host = code_host(context, user).await?;
    let mut found = Vec::new();
    if stale.len() > ASKED_MAX {
        let own = code_host.repositories().await?;
        found.extend(own.into_iter().map(|repository| (repository.id, RepositoryAccess::Write)));
        stale.retain(|id| !found.iter().any(|(known, _)| known == id));
        stale.truncate(ASKED_MAX);
    }
    for id in stale {
        let access = look_up(&code_host, &id).await?;
        found.push((id, access));
    }
    index.save_access(user, &found, context.now).await?;
    if found.iter().any(|(_, access)| *access < RepositoryAccess::Write) {
        end_access(context, user).await;
    }
    Ok(())
}

/// What the code host said before this is asked anew.
pub(crate) fn stale_at(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(FRESH_MS))
}

/// Asks the code host anew about one repository of somebody who has a socket of it. What fails is in the log; the earlier word counts on for
/// its time.
pub(crate) async fn recheck(context: &Context, user: &UserId, id: &RepositoryId) {
    let asked = async {
        let access = look_up(&code_host(context, user).await?, id).await?;
        Index::new(&context.env)?.save_access(user, &[(id.clone(), access)], context.now).await
    };
    let outcome = match asked.await {
        // The user's token does not open the code host any more.
        Err(error) if error.code == ErrorCode::SignInRequired => end_sign_ins(context, user, true).await,
        outcome => outcome,
    };
    outcome.unwrap_or_else(|error| note(&error));
}

async fn look_up(code_host: &CodeHost<'_>, id: &RepositoryId) -> Result<RepositoryAccess, ErrorBody> {
    match code_host.find_repository(id).await {
        Ok(repository) if repository.can_push && !repository.archived => Ok(RepositoryAccess::Write),
        Ok(_) => Ok(RepositoryAccess::Read),
        Err(error) if error.is_not_found() => Ok(RepositoryAccess::None),
        Err(error) if error.is_unauthorized() => {
            let message = "the code host does not accept your token any more; sign in again";
            Err(ErrorBody::new(ErrorCode::SignInRequired, message))
        }
        Err(error) => {
            log("asking about a repository", &format!("{id}: {error}"));
            let message = "the code host cannot be asked whether you see this; try again later";
            Err(ErrorBody::new(ErrorCode::Unavailable, message))
        }
    }
}

/// The repository of a session that is not in the index, from its object.
async fn repository_of(context: &Context, id: &SessionId) -> Result<RepositoryId, ErrorBody> {
    let mut answer = session_object::get(&context.env, id, Call::Status).await?;
    let body = answer.bytes().await.or_unavailable("the session")?;
    if answer.status_code() != 200 {
        return Err(ErrorBody::new(ErrorCode::NotFound, session::call::NO_SESSION));
    }
    let status: Value = protocol::read_json(&body).or_internal("reading a session's state")?;
    let repository = status.pointer("/session/repository").and_then(Value::as_str).unwrap_or_default();
    RepositoryId::parse(repository).or_internal("reading a session's state")
}
