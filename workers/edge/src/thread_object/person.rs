//! Who a Slack user is here: the account that was linked, as long as its owner may be here.

use crate::context::Context;
use crate::slack_links::SlackLinks;
use crate::standing::check_standing;
use identity::Principal;
use protocol::error::ErrorBody;

/// The linked account; `None` where there is none, or its owner may not be here any more.
pub(super) async fn find(
    context: &Context,
    team: &str,
    slack_user: &str,
) -> Result<Option<Principal>, ErrorBody> {
    let Some(account) = SlackLinks::new(&context.env)?.find(team, slack_user).await? else {
        return Ok(None);
    };
    let user = check_standing(context, account).await?;
    Ok(user.map(|user| Principal { user }))
}
