//! Slack's requests, handed to the object of their thread, which has them stored before Slack is answered; and the linking of accounts.
//!
//! The guard has checked the signature over the very bytes. Nothing is done here that could be lost or could take long.

use super::guard::Admitted;
use crate::accounts::{Accounts, Deed};
use crate::answer::{Answer, forward, json, log};
use crate::body::fields;
use crate::context::Context;
use crate::object::Object;
use crate::slack_links::SlackLinks;
use crate::slack_settings::SlackSettings;
use protocol::error::{ErrorBody, ErrorCode};
use serde_json::json;
use slack::event::{Callback, parse};
use slack::{interaction, manifest as app};
use thread::call::{BINDING, Call, object_name};

fn thread(context: &Context, name: String) -> Object<'_> {
    Object { env: &context.env, binding: BINDING, name, kind: "the thread" }
}

/// Refuses what another workspace sends.
fn check_team(context: &Context, team: &str) -> Result<(), ErrorBody> {
    if SlackSettings::of(&context.env)?.team == team {
        return Ok(());
    }
    log("a request of Slack", &"it is of a workspace that SLACK_TEAM_ID does not name");
    let message = "this deployment serves another workspace; its operator names it in SLACK_TEAM_ID";
    Err(ErrorBody::new(ErrorCode::Forbidden, message))
}

/// Takes a request of the Events API.
pub(super) async fn hear(context: &Context, admitted: &Admitted) -> Answer {
    let refused = || ErrorBody::new(ErrorCode::BadRequest, "this is no request of the Events API");
    match parse(&admitted.body).ok_or_else(refused)? {
        Callback::Verification(challenge) => json(200, &json!({ "challenge": challenge })),
        Callback::Other { team } => {
            if !team.is_empty() {
                check_team(context, &team)?;
            }
            json(200, &json!({}))
        }
        Callback::Message(message) => {
            check_team(context, &message.team)?;
            let name = object_name(&message.team, &message.channel, &message.thread);
            let body = json!({"message": message.to_json(), "home": context.home()});
            forward(thread(context, name).post(&Call::Message.url(), &body).await?)
        }
    }
}

/// Takes a click.
pub(super) async fn click(context: &Context, admitted: &Admitted) -> Answer {
    let refused =
        || ErrorBody::new(ErrorCode::BadRequest, "this is no interaction: the field payload is missing");
    let payload = interaction::payload(&admitted.body).ok_or_else(refused)?;
    check_team(context, interaction::team(&payload))?;
    let Some(click) = interaction::parse(&payload) else { return json(200, &json!({})) };
    let name = object_name(&click.team, &click.channel, &click.thread);
    let body = json!({"interaction": click.to_json(), "home": context.home()});
    forward(thread(context, name).post(&Call::Interaction.url(), &body).await?)
}

/// Says whose Slack account a code is of (`step` is `look`), or links it with the user's account (`confirm`), which spends the code.
pub(super) async fn link(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    let fields = fields(&admitted.body, &["code", "step"])?;
    let is_sure = match fields.text("step")? {
        "look" => false,
        "confirm" => true,
        _ => return Err(ErrorBody::new(ErrorCode::BadRequest, "`step` must be look or confirm")),
    };
    let code = fields.text("code")?;
    let links = SlackLinks::new(&context.env)?;
    let found =
        if is_sure { links.take(code, context.now).await? } else { links.look_up(code, context.now).await? };
    let Some(claimant) = found else {
        let message =
            "this link was used already, or is too old; mention the bot again in Slack to get another one";
        return Err(ErrorBody::new(ErrorCode::TokenInvalid, message));
    };
    let answer = json!({"team": claimant.team, "user": claimant.slack_user, "name": claimant.name});
    if is_sure {
        links.link(&claimant, user, context.now).await?;
        let target = format!("{}/{}", claimant.team, claimant.slack_user);
        Accounts::new(&context.env)?.audit(&Deed::new(user, "slack.link", &target), context.now).await?;
        let linked = json!({ "user": claimant.slack_user });
        if let Err(error) = thread(context, claimant.thread).post(&Call::Linked.url(), &linked).await {
            // The link counts; the next mention finds it.
            log("telling a thread of a link", &error);
        }
    }
    json(200, &answer)
}

/// Ends all links of the user's.
pub(super) async fn unlink(context: &Context, admitted: &Admitted) -> Answer {
    let user = &admitted.principal()?.user.id;
    let ended = SlackLinks::new(&context.env)?.unlink(user).await?;
    Accounts::new(&context.env)?.audit(&Deed::new(user, "slack.unlink", "slack"), context.now).await?;
    json(200, &json!({ "ended": ended }))
}

/// The manifest of the Slack app, to be pasted at Slack.
pub(super) fn manifest(context: &Context) -> Answer {
    json(200, &app::render(context.home(), "Farhand"))
}
