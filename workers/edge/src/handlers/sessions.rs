//! Starting, listing, asking, prompting, archiving and removing sessions. What a session does with it is its object's business.

use super::access::refresh_list;
use super::guard::Admitted;
use super::images::configure;
use super::repositories::code_host;
use crate::accounts::{Accounts, Deed};
use crate::answer::{Answer, OrInternal as _, forward, json, log};
use crate::body::parse;
use crate::context::{Context, random};
use crate::index::{Index, NewSession, Shelf, Viewer};
use crate::session_object;
use identity::Principal;
use identity::policy::RepositoryAccess;
use protocol::client::{ArchiveRequest, CreateSessionRequest, CreateSessionResponse, PromptRequest};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{SessionId, UserId};
use protocol::limit::PROMPT_BYTES_MAX;
use protocol::sign::sha256_hex;
use protocol::time::Timestamp;
use protocol::timeline::{PromptOrigin, User};
use session::call::{ArchiveCall, Call, CreateCall, DeleteCall, MessageCall};
use worker::Response;

/// Sessions on a page where the client does not say.
const PAGE_LENGTH: u32 = 50;
/// Sessions on a page at most.
const PAGE_LENGTH_MAX: u32 = 100;

/// Starts a session. Everything that can be refused is refused before anything is stored.
pub(super) async fn create(context: &Context, admitted: &Admitted) -> Answer {
    let request: CreateSessionRequest = parse(&admitted.body)?;
    match start(context, admitted.principal()?, request, None).await? {
        Started::Session(session_id) => json(201, &CreateSessionResponse { session_id }),
        Started::Refused(answer) => forward(answer),
    }
}

/// What came of starting a session.
pub(crate) enum Started {
    /// It runs.
    Session(SessionId),
    /// Its object said no.
    Refused(Response),
}

/// Starts a session in somebody's name, in a Slack thread where its object's name is given.
pub(crate) async fn start(
    context: &Context,
    principal: &Principal,
    mut request: CreateSessionRequest,
    thread: Option<String>,
) -> Result<Started, ErrorBody> {
    let user = &principal.user;
    if let Some(prompt) = &mut request.prompt {
        prompt.traceparent.get_or_insert(context.trace);
    }
    check_request(context, &request)?;
    let repository = code_host(context, &user.id).await?.check_repository(&request.repository).await?;
    let index = Index::new(&context.env)?;
    index.save_repository(&repository, context.now).await?;
    let access = [(repository.id.clone(), RepositoryAccess::Write)];
    index.save_access(&user.id, &access, context.now).await?;

    let session_id = session_id(user, request.prompt.as_ref())?;
    let call = CreateCall {
        session_id: session_id.clone(),
        created_by: user.clone(),
        repository: repository.id.clone(),
        clone_url: repository.clone_url.clone(),
        default_branch: repository.default_branch.clone(),
        model: request.model.unwrap_or_else(|| context.settings.default_model().to_owned()),
        prompt: request.prompt,
        reservation: request.reservation,
        thread,
    };
    let answer = session_object::post(&context.env, &session_id, Call::Create, &call).await?;
    if answer.status_code() != 201 {
        return Ok(Started::Refused(answer));
    }
    if context.settings.has_images
        && let Err(error) = configure(&context.env, &repository, None).await
    {
        // The session makes its own sandbox; the repository is configured with the next one, or by the cron trigger.
        log("configuring a repository", &format!("{}: {error}", repository.id));
    }
    let title = call
        .prompt
        .as_ref()
        .map(|prompt| github::pull_request::body::render_title(&prompt.text))
        .unwrap_or_default();
    let activity = if call.prompt.is_some() { "running" } else { "idle" };
    let row = NewSession {
        session_id: &session_id,
        title: &title,
        repository: &repository,
        created_by: user,
        activity,
    };
    if let Err(error) = index.insert_session(&row, context.now).await {
        // The session lives and is answered; its object lists it when it next brings its row up to date.
        log("listing a new session", &format!("{session_id}: {error}"));
    }
    Ok(Started::Session(session_id))
}

/// The id of a new session. It follows from its first prompt, so that a client that missed the answer can ask again.
fn session_id(user: &User, prompt: Option<&PromptRequest>) -> Result<SessionId, ErrorBody> {
    let Some(prompt) = prompt else {
        return Ok(SessionId::from_random(random().or_internal("drawing random bytes")?));
    };
    let digest = sha256_hex(format!("session\n{}\n{}", user.id, prompt.id).as_bytes());
    let rest: String = digest.chars().take(26).collect();
    SessionId::parse(&format!("{}_{rest}", SessionId::PREFIX)).or_internal("naming a session")
}

/// Lists sessions.
pub(super) async fn list(context: &Context, admitted: &Admitted) -> Answer {
    let before = number(context, "before")?.map(Timestamp);
    let limit = number(context, "limit")?.unwrap_or(u64::from(PAGE_LENGTH));
    let limit =
        u32::try_from(limit).ok().filter(|limit| (1..=PAGE_LENGTH_MAX).contains(limit)).ok_or_else(|| {
            ErrorBody::new(ErrorCode::BadRequest, format!("`limit` must be from 1 to {PAGE_LENGTH_MAX}"))
        })?;
    let shelf = match context.query("archived").as_deref() {
        None | Some("false") => Shelf::Current,
        Some("true") => Shelf::Archived,
        Some(_) => {
            let message = "`archived` must be true or false; leave it out for sessions that are not archived";
            return Err(ErrorBody::new(ErrorCode::BadRequest, message));
        }
    };
    let principal = admitted.principal()?;
    let since = refresh_list(context, principal).await?;
    let viewer = Viewer { user: &principal.user.id, since };
    json(200, &Index::new(&context.env)?.list_sessions(&viewer, shelf, before, limit).await?)
}

/// A session's state.
pub(super) async fn status(context: &Context, id: &SessionId) -> Answer {
    forward(session_object::get(&context.env, id, Call::Status).await?)
}

/// A page of what a session's snapshot leaves out.
pub(super) async fn history(context: &Context, id: &SessionId) -> Answer {
    let before = number(context, "before")?.ok_or_else(|| {
        let message =
            "say `?before=` with the value of `earlier` in the snapshot or in the page after this one";
        ErrorBody::new(ErrorCode::BadRequest, message)
    })?;
    let before = before.to_string();
    forward(session_object::get_with(&context.env, id, Call::History, ("before", &before)).await?)
}

/// Archives a session, or takes it up again.
pub(super) async fn archive(context: &Context, admitted: &Admitted, id: &SessionId) -> Answer {
    let ArchiveRequest { archived } = parse(&admitted.body)?;
    let call = ArchiveCall { by: admitted.principal()?.user.id.clone(), archived };
    let answer = session_object::post(&context.env, id, Call::Archive, &call).await?;
    if answer.status_code() == 200 {
        let action = if archived { "session.archive" } else { "session.unarchive" };
        note(context, &call.by, action, id.as_str()).await;
    }
    forward(answer)
}

/// Removes a session for good. Its object takes its row off the lists too; here it is done at once, so that the next list is right.
pub(super) async fn delete(context: &Context, admitted: &Admitted, id: &SessionId) -> Answer {
    let call = DeleteCall { by: admitted.principal()?.user.id.clone() };
    let answer = session_object::post(&context.env, id, Call::Delete, &call).await?;
    if answer.status_code() == 200 {
        note(context, &call.by, "session.delete", id.as_str()).await;
    }
    // A row without a session is of no use to anybody, so a repeat clears up too.
    if matches!(answer.status_code(), 200 | 404)
        && let Err(error) = Index::new(&context.env)?.remove_session(id).await
    {
        log("taking a removed session off the lists", &format!("{id}: {error}"));
    }
    forward(answer)
}

/// A prompt for a session.
pub(super) async fn message(context: &Context, admitted: &Admitted, id: &SessionId) -> Answer {
    let mut prompt: PromptRequest = parse(&admitted.body)?;
    prompt.traceparent.get_or_insert(context.trace);
    check_prompt(context, &prompt)?;
    let call = MessageCall { author: admitted.principal()?.user.clone(), prompt };
    forward(session_object::post(&context.env, id, Call::Message, &call).await?)
}

/// Writes down what an object has done already: that cannot be undone for want of a line, so a failure is in the log.
pub(super) async fn note(context: &Context, actor: &UserId, action: &str, target: &str) {
    let deed = Deed::new(actor, action, target);
    let written = async { Accounts::new(&context.env)?.audit(&deed, context.now).await };
    if let Err(error) = written.await {
        log("writing the audit log", &format!("{actor} {action} {target}: {error}"));
    }
}

fn check_request(context: &Context, request: &CreateSessionRequest) -> Result<(), ErrorBody> {
    if let Some(model) = &request.model {
        context.settings.check_model(model)?;
    }
    request.prompt.as_ref().map_or(Ok(()), |prompt| check_prompt(context, prompt))
}

fn check_prompt(context: &Context, prompt: &PromptRequest) -> Result<(), ErrorBody> {
    if prompt.text.len() > PROMPT_BYTES_MAX {
        let bytes = prompt.text.len();
        let message = format!("the prompt has {bytes} bytes; at most {PROMPT_BYTES_MAX} are accepted");
        return Err(ErrorBody::new(ErrorCode::TooLarge, message));
    }
    if prompt.text.trim().is_empty() {
        return Err(ErrorBody::new(
            ErrorCode::PromptEmpty,
            "the prompt has no text; write what is to be done",
        ));
    }
    // Answers tell it, and one of a newer client's cannot be told.
    if prompt.origin == PromptOrigin::Unknown {
        let message = "the prompt's `origin` must be api, web, extension or slack";
        return Err(ErrorBody::new(ErrorCode::BadRequest, message));
    }
    prompt.model.as_deref().map_or(Ok(()), |model| context.settings.check_model(model))
}

/// A whole number in the query.
pub(super) fn number(context: &Context, name: &str) -> Result<Option<u64>, ErrorBody> {
    let Some(text) = context.query(name) else { return Ok(None) };
    let number = text.parse::<u64>().ok().filter(|number| *number < 1 << 53);
    number.map(Some).ok_or_else(|| {
        ErrorBody::new(ErrorCode::BadRequest, format!("`{name}` must be a whole number below 2^53"))
    })
}
