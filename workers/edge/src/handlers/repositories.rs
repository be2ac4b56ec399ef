//! The repositories that a user may work on, asked of the code host with the user's own token.

use super::guard::Admitted;
use crate::answer::{Answer, json, log};
use crate::code_host::CodeHost;
use crate::context::Context;
use crate::settings::SignIn;
use platform::vault::store::NoToken;
use protocol::client::{RepositoryList, RepositorySummary};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::UserId;
use session::object::user_token;

/// Lists them.
pub(super) async fn list(context: &Context, admitted: &Admitted) -> Answer {
    let repositories = code_host(context, &admitted.principal()?.user.id).await?.repositories().await?;
    let repositories = repositories
        .into_iter()
        .map(|repository| RepositorySummary {
            id: repository.id,
            description: repository.description,
            default_branch: repository.default_branch,
        })
        .collect();
    json(200, &RepositoryList { repositories })
}

/// The code host in the name of a user.
pub(crate) async fn code_host<'a>(context: &'a Context, user: &UserId) -> Result<CodeHost<'a>, ErrorBody> {
    if let SignIn::Local(_) = context.settings.sign_in {
        context.settings.local_users(&context.host())?;
    }
    let token = user_token(&context.env, user).await;
    let token = token.map_err(|error| match error {
        NoToken::SignInAgain(reason) | NoToken::Missing(reason) => {
            ErrorBody::new(ErrorCode::SignInRequired, reason)
        }
        NoToken::Unavailable(reason) => {
            log("finding a user's token", &reason);
            let message = "your token for the code host cannot be had at the moment; try again later";
            ErrorBody::new(ErrorCode::Unavailable, message)
        }
    })?;
    Ok(CodeHost { api_url: &context.settings.github_api_url, token })
}
