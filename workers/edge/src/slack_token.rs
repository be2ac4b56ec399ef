//! The bot's token: as configured, or, where Slack rotates it, the newest of those that descend from the configured one.
//!
//! They are in the table of sealed tokens, renewed by one isolate at a time, and stored before they are used. Called by the thread's object.

use crate::slack_settings::{Rotation, SlackSettings};
use github::oauth::{Secret, TokenPair};
use github::percent_encode;
use platform::bridge::exchange;
use platform::host::now;
use platform::vault::ring::Label;
use platform::vault::table::{NoPair, NotRenewed, SealedTokens};
use protocol::sign::sha256_hex;
use slack::api::parse_answer;
use slack::token::{Refusal, Renewed, parse_renewed};
use worker::{Env, Method};

/// How long Slack may take for one answer; the lease outlives it.
const ANSWER_MS_MAX: u64 = 10_000;
/// What the operator does when tokens cannot be renewed any more.
const REMEDY: &str = "the operator installs the app again and sets SLACK_BOT_TOKEN and SLACK_REFRESH_TOKEN";

/// The token that opens the Web API; `rejected` was refused just now. The error says what to do.
pub(crate) async fn find(
    env: &Env,
    settings: &SlackSettings,
    rejected: Option<&Secret>,
) -> Result<Secret, String> {
    let Some(rotation) = &settings.rotation else { return Ok(Secret::new(settings.bot_token.clone())) };
    let tokens = SealedTokens::new(env).map_err(|why| reason(&why))?;
    // Whoever sets other tokens begins anew.
    let digest: String = sha256_hex(rotation.refresh_token.as_bytes()).chars().take(16).collect();
    let owner = format!("{}/{digest}", settings.team);
    let label = Label::bot(&owner);
    let renew = async |refresh: &Secret| renew(settings, rotation, refresh).await;
    let mut found = tokens.token(&label, rejected, &renew).await;
    if found == Err(NoPair::Missing) {
        tokens.store_first(&label, &configured(settings, rotation)).await.map_err(|why| reason(&why))?;
        found = tokens.token(&label, rejected, &renew).await;
    }
    found.map_err(|why| reason(&why))
}

/// The tokens as the operator set them. Nobody knows how old they are, so they are renewed first.
fn configured(settings: &SlackSettings, rotation: &Rotation) -> TokenPair {
    TokenPair {
        access: Secret::new(settings.bot_token.clone()),
        access_expires_at: Some(now()),
        refresh: Some(Secret::new(rotation.refresh_token.clone())),
        refresh_expires_at: None,
    }
}

async fn renew(
    settings: &SlackSettings,
    rotation: &Rotation,
    refresh: &Secret,
) -> Result<TokenPair, NotRenewed> {
    let form = format!(
        "client_id={}&client_secret={}&grant_type=refresh_token&refresh_token={}",
        percent_encode(&rotation.client_id),
        percent_encode(&rotation.client_secret),
        percent_encode(refresh.reveal()),
    );
    let url = format!("{}/oauth.v2.access", settings.api_url);
    let headers = [("content-type", "application/x-www-form-urlencoded".to_owned())];
    let answered = exchange(Method::Post, &url, &headers, Some(&form), ANSWER_MS_MAX).await;
    let answered = answered.map_err(|error| NotRenewed::Later(format!("Slack does not answer: {error}")))?;
    let answer = parse_answer(answered.status, answered.retry_after_ms, &answered.body);
    let Renewed { access, refresh, life_ms } = parse_renewed(answer).map_err(|refusal| match refusal {
        Refusal::Spent(code) => NotRenewed::Spent(code),
        Refusal::Later(reason) => NotRenewed::Later(reason),
    })?;
    Ok(TokenPair {
        access: Secret::new(access),
        access_expires_at: Some(now().plus_ms(life_ms)),
        refresh: Some(Secret::new(refresh)),
        refresh_expires_at: None,
    })
}

fn reason(why: &NoPair) -> String {
    match why {
        NoPair::Missing | NoPair::Over => format!("the bot's token has ended; {REMEDY}"),
        NoPair::Unreadable => format!("the bot's token cannot be opened with TOKEN_KEYS; {REMEDY}"),
        NoPair::Spent(code) => format!("Slack does not renew the bot's token ({code}); {REMEDY}"),
        NoPair::Busy => "the bot's token is being renewed, and that takes long".to_owned(),
        NoPair::Unavailable(reason) => reason.clone(),
    }
}
