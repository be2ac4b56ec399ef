//! What a bridge's gateway opens a repository with: a token of the GitHub App for this one repository, made for this answer.
//!
//! The guard has checked the bridge's signature, and the answer is signed. Nothing is kept here; the bridge keeps the token in memory until
//! shortly before its end.

use crate::answer::{Answer, json, log};
use crate::context::Context;
use github::app::git_origin;
use platform::code_host::{App, AppError};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::RepositoryId;

/// Answers with the token, its end, and the origin at which git may use it.
pub(super) async fn hand_out(context: &Context, id: &RepositoryId) -> Answer {
    let api_url = &context.settings.github_api_url;
    let app = App::read(&context.env).map_err(|error| refused(id, &error))?.ok_or_else(|| {
        ErrorBody::new(
            ErrorCode::RepositoryUnreachable,
            "this deployment has no GitHub App: set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY, or list the code host in \
             FARHAND_GIT_CREDENTIALS of the bridge",
        )
    })?;
    let origin = git_origin(api_url).ok_or_else(|| {
        ErrorBody::new(
            ErrorCode::Internal,
            "this deployment is not configured: GITHUB_API_URL is not an http or https URL",
        )
    })?;
    let token = app.repository_token(api_url, id).await.map_err(|error| refused(id, &error))?;
    json(
        200,
        &serde_json::json!({ "token": token.reveal(), "expiresAt": token.expires_at, "origin": origin }),
    )
}

fn refused(id: &RepositoryId, error: &AppError) -> ErrorBody {
    log("a repository's credential", &format!("{id}: {error}"));
    let code = match error {
        AppError::NotInstalled(_) | AppError::CodeHost(github::Error::Rejected { .. }) => {
            ErrorCode::RepositoryUnreachable
        }
        AppError::CodeHost(github::Error::Unavailable { .. }) => ErrorCode::Unavailable,
        AppError::Misconfigured(_) => ErrorCode::Internal,
    };
    ErrorBody::new(code, error.to_string())
}
