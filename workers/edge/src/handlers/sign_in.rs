//! Signing in through GitHub: the way there, and the way back with a code.
//!
//! Both are pages that a browser goes to, so what went wrong is a word in the address of the start page, and the log has the rest. The
//! state counts once, in the browser that left with it, and the code is worth nothing without the verifier (RFC 7636) that stayed here.

use crate::accounts::{Accounts, Deed};
use crate::answer::{Answer, OrInternal as _, log, redirect};
use crate::code_host::CodeHost;
use crate::context::{Context, random_secret};
use crate::session_cookies;
use crate::settings::SignIn;
use crate::standing::find_person;
use github::oauth::{OAuthError, Secret, TokenPair, authorize_url, exchange_request};
use github::person::{emails_request, parse_primary_email};
use identity::attempt::own_path;
use identity::signed_in::Cookie;
use platform::crypto::{base64url, sha256};
use platform::vault::store::{ACCOUNT_PREFIX, NoToken, Vault};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{InvalidId, UserId};
use protocol::sign::sha256_hex;
use protocol::timeline::User;

/// Times that one address may begin to sign in within [`WINDOW_MS`].
const BEGINNINGS_MAX: u64 = 30;
const WINDOW_MS: u64 = 10 * 60_000;
/// How long somebody may take at the code host.
const ATTEMPT_MS_MAX: u64 = 10 * 60_000;

/// Why nobody is signed in, as the start page is told.
#[derive(Clone, Copy, Debug)]
enum Problem {
    /// At the code host somebody said no.
    Denied,
    /// Not the browser that left, too late, or a second time.
    Expired,
    /// Not one of those who may.
    NotAllowed,
    /// The code host knows no verified address.
    NoEmail,
    /// The code host, or the database, does not answer.
    Unavailable,
    /// The code host does not know this deployment.
    Misconfigured,
}

impl Problem {
    fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::NotAllowed => "not_allowed",
            Self::NoEmail => "no_email",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// Something went wrong that is nobody's at the keyboard.
fn unavailable(error: impl std::fmt::Display) -> Problem {
    log("signing in through GitHub", &error);
    Problem::Unavailable
}

/// Leaves for the code host.
pub(super) async fn leave(context: &Context) -> Answer {
    if let SignIn::Local(_) = context.settings.sign_in {
        let message = "this deployment signs in by local users; set SIGN_IN to github to sign in through it";
        return Err(ErrorBody::new(ErrorCode::Forbidden, message));
    }
    let bucket = format!("sign-in {}", context.address);
    let accounts = Accounts::new(&context.env)?;
    if !accounts.count(&bucket, BEGINNINGS_MAX, WINDOW_MS, context.now).await? {
        let message = "too many sign-ins from your address; try again in ten minutes";
        return Err(ErrorBody::new(ErrorCode::RateLimited, message));
    }
    let vault = Vault::new(&context.env).map_err(NoToken::reason).or_internal("reading the settings")?;
    let draw = || random_secret().or_internal("drawing random bytes");
    let (state, browser, verifier) = (draw()?, draw()?, draw()?);
    let to = own_path(&context.query("to").unwrap_or_default());
    let until = context.now.plus_ms(ATTEMPT_MS_MAX);
    accounts
        .insert_attempt(hashes(&state, &browser).each_ref().map(String::as_str), &verifier, &to, until)
        .await?;
    context.set_cookie(Cookie::Attempt.set(&browser, ATTEMPT_MS_MAX, context.transport()));
    let challenge = base64url(&sha256(verifier.as_bytes()));
    redirect(&authorize_url(vault.app(), &callback(context), &state, &challenge))
}

/// As the database knows state and browser.
fn hashes(state: &str, browser: &str) -> [String; 2] {
    [sha256_hex(state.as_bytes()), sha256_hex(browser.as_bytes())]
}

/// Comes back from it.
pub(super) async fn come_back(context: &Context) -> Answer {
    context.set_cookie(Cookie::Attempt.clear(context.transport()));
    match complete(context).await {
        Ok(to) => redirect(&to),
        Err(problem) => redirect(&format!("/?sign-in={}", problem.as_str())),
    }
}

fn callback(context: &Context) -> String {
    format!("{}/api/sign-in/github/callback", context.home())
}

async fn complete(context: &Context) -> Result<String, Problem> {
    let state = context.query("state").ok_or(Problem::Expired)?;
    let browser = context.cookie(Cookie::Attempt).ok_or(Problem::Expired)?;
    let accounts = Accounts::new(&context.env).map_err(unavailable)?;
    let taken =
        accounts.take_attempt(hashes(&state, browser).each_ref().map(String::as_str), context.now).await;
    let [verifier, to] = taken.map_err(unavailable)?.ok_or(Problem::Expired)?;
    if context.query("error").is_some() {
        return Err(Problem::Denied);
    }
    let code = context.query("code").ok_or(Problem::Expired)?;
    let vault = Vault::new(&context.env).map_err(|error| unavailable(error.reason()))?;
    let request = exchange_request(vault.app(), &code, &callback(context), &verifier);
    let pair = vault.ask(&request).await.map_err(|error| {
        log("exchanging a code", &error);
        match error {
            OAuthError::Spent { .. } => Problem::Expired,
            OAuthError::Refused { .. } => Problem::Misconfigured,
            OAuthError::Unavailable { .. } => Problem::Unavailable,
        }
    })?;
    let user = find_user(context, &accounts, &pair).await?;
    accounts.save_user(&user, context.now).await.map_err(unavailable)?;
    vault.store(&user.id, &pair).await.map_err(|error| unavailable(error.reason()))?;
    session_cookies::begin(context, user).await.map_err(unavailable)?;
    Ok(to)
}

/// Whose token it is, if that is somebody who may be here and can be written to.
async fn find_user(context: &Context, accounts: &Accounts, pair: &TokenPair) -> Result<User, Problem> {
    let token = || Secret::new(pair.access.reveal().to_owned());
    let code_host = CodeHost { api_url: &context.settings.github_api_url, token: token() };
    let (person, may) = find_person(context, token()).await.map_err(unavailable)?;
    let id = user_id(person.id).map_err(unavailable)?;
    if !may || accounts.is_removed(&id).await.map_err(unavailable)? {
        let deed = Deed::new(&id, "sign_in.refused", &person.login);
        accounts.audit(&deed, context.now).await.map_err(unavailable)?;
        return Err(Problem::NotAllowed);
    }
    let (status, body) = code_host.send(&emails_request()).await.map_err(unavailable)?;
    let email = match parse_primary_email(status, &body) {
        Ok(email) => email.ok_or(Problem::NoEmail)?,
        Err(error @ github::Error::Rejected { .. }) => {
            log("asking for a user's address", &error);
            return Err(Problem::NoEmail);
        }
        Err(error @ github::Error::Unavailable { .. }) => return Err(unavailable(error)),
    };
    Ok(User { id, login: person.login, name: person.name, email })
}

/// The code host's number never changes and is never somebody else's, unlike a login.
pub(super) fn user_id(id: u64) -> Result<UserId, InvalidId> {
    UserId::parse(&format!("{ACCOUNT_PREFIX}{id}"))
}
