//! What the code host tells by webhooks, handed to the sessions whose pull requests it is about; or about who may see what.
//!
//! The guard has checked the signature over the very bytes. A delivery is taken once; sessions have it stored before it is answered, so
//! that GitHub shows what was not taken as failed. What was told twice, late or in another order changes nothing.

use super::guard::Admitted;
use super::sign_in::user_id;
use crate::answer::{Answer, OrInternal as _, json, log};
use crate::context::Context;
use crate::index::Index;
use crate::session_object::post;
use crate::sockets::{Sockets, recheck};
use crate::standing::end_sign_ins;
use github::webhook::access::{AccessChange, parse_access};
use github::webhook::{DELIVERY_HEADER, EVENT_HEADER, Event, Target, parse_event};
use platform::host::now;
use platform::vault::store::{NoToken, Vault};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::pull::PullReport;
use session::call::Call;
use worker::{Env, Request};

/// Longest id of a delivery; GitHub's are UUIDs.
const DELIVERY_BYTES_MAX: usize = 100;

/// The cron trigger: old deliveries are forgotten.
pub(crate) async fn prune_deliveries(env: &Env) {
    let pruned = match Index::new(env) {
        Ok(index) => index.prune_deliveries(now()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = pruned {
        log("forgetting deliveries", &error.message);
    }
}

/// Takes a delivery; the answer says how many sessions it was for.
pub(super) async fn take(context: &Context, request: &Request, admitted: &Admitted) -> Answer {
    let header = |name: &str| request.headers().get(name).ok().flatten().filter(|value| !value.is_empty());
    let missing = |name: &str| ErrorBody::new(ErrorCode::BadRequest, format!("the header {name} is missing"));
    let kind = header(EVENT_HEADER).ok_or_else(|| missing(EVENT_HEADER))?;
    let delivery = header(DELIVERY_HEADER)
        .filter(|id| id.len() <= DELIVERY_BYTES_MAX)
        .ok_or_else(|| missing(DELIVERY_HEADER))?;
    if let Some(change) = parse_access(&kind, &admitted.body) {
        return access_changed(context, &delivery, &change).await;
    }
    let event = parse_event(&kind, &admitted.body).map_err(|error| {
        ErrorBody::new(ErrorCode::BadRequest, format!("this is no payload of the event: {error}"))
    })?;
    let Some(event) = event else { return told(0) };
    let index = Index::new(&context.env)?;
    if index.has_delivery(&delivery).await? {
        return told(0);
    }
    let sessions = tell(context, &index, &event).await?;
    index.save_delivery(&delivery, context.now).await?;
    told(sessions)
}

/// Somebody may have lost something: the code host is asked, and those are shut out whom it does not let in.
async fn access_changed(context: &Context, delivery: &str, change: &AccessChange) -> Answer {
    let index = Index::new(&context.env)?;
    if index.has_delivery(delivery).await? {
        return told(0);
    }
    let user = change.user.map(|id| user_id(id).or_internal("naming a user")).transpose()?;
    match &user {
        Some(user) if change.is_revoked => {
            let vault =
                Vault::new(&context.env).map_err(NoToken::reason).or_internal("reading the settings")?;
            let removed = vault.delete(user).await.map_err(NoToken::reason).or_unavailable("the database")?;
            if removed > 0 {
                end_sign_ins(context, user, true).await?;
            }
        }
        Some(_) | None => {
            let sockets = Sockets::new(&context.env)?;
            sockets.doubt(user.as_ref(), change.repository.as_ref(), context.now).await?;
            recheck(context).await;
        }
    }
    index.save_delivery(delivery, context.now).await?;
    told(0)
}

fn told(sessions: usize) -> Answer {
    json(200, &serde_json::json!({ "sessions": sessions }))
}

async fn tell(context: &Context, index: &Index, event: &Event) -> Result<usize, ErrorBody> {
    let mut pulls = Vec::new();
    match &event.target {
        Target::Numbers(numbers) => {
            for number in numbers {
                pulls.extend(index.find_pulls_by_number(&event.repository, *number).await?);
            }
        }
        Target::Branches(branches) => {
            for branch in branches {
                pulls.extend(index.find_pulls_by_branch(&event.repository, branch).await?);
            }
        }
    }
    let mut sessions = 0;
    for (session_id, number) in pulls {
        let report = PullReport { number, ..event.report.clone() };
        let mut answer = post(&context.env, &session_id, Call::PullReported, &report).await?;
        let status = answer.status_code();
        let body = answer.bytes().await.or_internal("reading a session's answer")?;
        match status {
            200 => sessions += 1,
            // It was deleted, or has another pull request by now.
            404 => {}
            status => {
                log(
                    "telling a session",
                    &format!("{session_id}: {status} {}", String::from_utf8_lossy(&body)),
                );
                let message = "a session could not take it; deliver it again";
                return Err(ErrorBody::new(ErrorCode::Unavailable, message));
            }
        }
    }
    Ok(sessions)
}
