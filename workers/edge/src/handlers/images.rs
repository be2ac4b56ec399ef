//! A repository's images and warm pool: what people see of them and may ask. Whoever may push to the repository at the code host may
//! ask, with the user's own token. What is done about it is the repository's object's business.

use super::guard::Admitted;
use super::repositories::code_host;
use super::sessions::note;
use crate::answer::{Answer, OrInternal as _, forward, log as log_failure, plain_text};
use crate::context::Context;
use crate::index::Index;
use crate::metrics_store::MetricsStore;
use crate::repository_object::{get, get_log, post, post_bytes};
use crate::settings::IMAGES;
use github::repository::Repository;
use protocol::bridge::RepositorySource;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{BuildId, RepositoryId, ReservationId};
use protocol::time::Timestamp;
use repository::call::{BuildCall, Call, LOG_END_HEADER, ReserveCall};
use serde_json::Value;
use worker::Env;

/// Its image, builds and warm pool.
pub(super) async fn status(context: &Context, admitted: &Admitted, id: &RepositoryId) -> Answer {
    let repository = check(context, admitted, id).await?;
    forward(get(&context.env, &repository.id, Call::Status).await?)
}

/// Orders a build now.
pub(super) async fn build(context: &Context, admitted: &Admitted, id: &RepositoryId) -> Answer {
    let repository = check(context, admitted, id).await?;
    let call = BuildCall { by: admitted.principal()?.user.id.clone() };
    forward(post(&context.env, &repository.id, Call::Build, &call).await?)
}

/// What a build said, as text; the header says where to go on.
pub(super) async fn log(
    context: &Context,
    admitted: &Admitted,
    id: &RepositoryId,
    build_id: &BuildId,
) -> Answer {
    let repository = check(context, admitted, id).await?;
    let from = context.query("from").map_or(Ok(0), |from| from.parse::<u64>());
    let from = from.map_err(|_| {
        ErrorBody::new(
            ErrorCode::BadRequest,
            "`from` must be a number of bytes; leave it out for the whole log",
        )
    })?;
    let answer = get_log(&context.env, &repository.id, build_id, from).await?;
    if answer.status_code() != 200 {
        return forward(answer);
    }
    let end = answer.headers().get(LOG_END_HEADER).ok().flatten().unwrap_or_default();
    let mut text = plain_text(answer.into_parts().1)?;
    text.headers_mut().set(LOG_END_HEADER, &end).or_internal("setting headers")?;
    Ok(text)
}

/// Takes what wins over the recipe in the repository; a build of it follows.
pub(super) async fn settings(context: &Context, admitted: &Admitted, id: &RepositoryId) -> Answer {
    // `null` would be no settings to its object, which keeps those that there are.
    if !admitted.body.trim_ascii_start().starts_with(b"{") {
        return Err(ErrorBody::new(ErrorCode::BadRequest, "the body must be one JSON object"));
    }
    let repository = check(context, admitted, id).await?;
    Index::new(&context.env)?.save_repository(&repository, context.now).await?;
    let answer = configure(&context.env, &repository, Some(&admitted.body)).await?;
    if answer.status_code() == 200 {
        let by = &admitted.principal()?.user.id;
        note(context, by, "repository.settings", repository.id.as_str()).await;
    }
    forward(answer)
}

/// Holds a warm sandbox for somebody who composes a prompt.
pub(super) async fn reserve(
    context: &Context,
    admitted: &Admitted,
    id: &RepositoryId,
    reservation: &ReservationId,
) -> Answer {
    let repository = check(context, admitted, id).await?;
    let by = admitted.principal()?.user.id.clone();
    let call = ReserveCall { reservation: reservation.clone(), by };
    forward(post(&context.env, &repository.id, Call::Reserve, &call).await?)
}

/// Tells a repository's object where it is, and what wins over its recipe: JSON that the object reads.
pub(super) async fn configure(env: &Env, repository: &Repository, settings: Option<&[u8]>) -> Answer {
    let source = RepositorySource {
        id: repository.id.clone(),
        clone_url: repository.clone_url.clone(),
        default_branch: repository.default_branch.clone(),
    };
    let source = serde_json::to_string(&source).or_internal("writing a call")?;
    let mut body = format!("{{\"repository\":{source}").into_bytes();
    if let Some(settings) = settings {
        body.extend_from_slice(b",\"settings\":");
        body.extend_from_slice(settings);
    }
    body.push(b'}');
    post_bytes(env, &repository.id, Call::Configure, &body).await
}

/// The cron trigger: every repository does what its alarm should have done, and one that nobody configured begins. One after the other,
/// because none of them waits for anything; what fails is logged and stops no other.
pub(crate) async fn poke_repositories(env: &Env) {
    if env.var(IMAGES).is_ok_and(|images| images.to_string().trim() == "off") {
        return;
    }
    let listed = match Index::new(env) {
        Ok(index) => index.list_repositories().await,
        Err(error) => Err(error),
    };
    for (id, configuration) in listed.unwrap_or_default() {
        if let Err(error) = poke(env, &id, &configuration).await {
            log_failure("poking a repository", &format!("{id}: {error}"));
        }
    }
}

async fn poke(env: &Env, id: &RepositoryId, configuration: &str) -> Result<(), ErrorBody> {
    let mut answer = post_bytes(env, id, Call::Poke, b"{}").await?;
    if answer.status_code() == 404 {
        // What is not read keeps the event from ending.
        answer.bytes().await.or_unavailable("the repository's object")?;
        answer = post_bytes(env, id, Call::Configure, configuration.as_bytes()).await?;
    }
    let status = answer.status_code();
    let body = answer.bytes().await.or_unavailable("the repository's object")?;
    match status {
        200 => {
            let told: Value = protocol::read_json(&body).or_internal("reading a repository's answer")?;
            let built_at = told.get("imageBuiltAt").and_then(Value::as_u64).map(Timestamp);
            MetricsStore::new(env)?.save_image(id, built_at).await
        }
        status => Err(ErrorBody::new(ErrorCode::Internal, format!("it answered with status {status}"))),
    }
}

async fn check(context: &Context, admitted: &Admitted, id: &RepositoryId) -> Result<Repository, ErrorBody> {
    if !context.settings.has_images {
        return Err(ErrorBody::new(
            ErrorCode::NotFound,
            "this deployment makes no images: its operator has set IMAGES to off",
        ));
    }
    code_host(context, &admitted.principal()?.user.id).await?.check_access(id).await
}
