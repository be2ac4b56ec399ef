//! The repositories that a user may work on, asked of the code host with the user's own token.

use super::guard::Admitted;
use crate::answer::{Answer, json};
use crate::code_host::CodeHost;
use crate::context::Context;
use identity::Principal;
use protocol::client::{RepositoryList, RepositorySummary};
use protocol::error::{ErrorBody, ErrorCode};

/// Lists them.
pub(super) async fn list(context: &Context, admitted: &Admitted) -> Answer {
    let repositories = code_host(context, admitted.principal()?)?.repositories().await?;
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
pub(super) fn code_host<'a>(context: &'a Context, principal: &Principal) -> Result<CodeHost<'a>, ErrorBody> {
    let users = context.settings.local_users(&context.host())?;
    let token = users.token(&principal.user.id).ok_or_else(|| {
        ErrorBody::new(
            ErrorCode::SignInRequired,
            "your account has no token for the code host; sign in again",
        )
    })?;
    Ok(CodeHost { api_url: &context.settings.github_api_url, token: token.reveal() })
}
