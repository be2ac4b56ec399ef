//! Whose token opens a pull request. The one place that changes when users' tokens come from elsewhere.

use identity::local::{LocalUsers, UserToken};
use protocol::id::UserId;
use worker::Env;

/// Gives the token of a user at the code host, for one use.
pub(super) trait TokenSource {
    /// The token, or why there is none, for humans.
    fn token(&self, user: &UserId) -> Result<UserToken, String>;
}

/// The list of local users, secret `LOCAL_USERS`.
pub(super) struct LocalTokens(LocalUsers);

/// No tokens are kept in this deployment.
pub(super) struct NoTokens;

impl TokenSource for LocalTokens {
    fn token(&self, user: &UserId) -> Result<UserToken, String> {
        let token = self.0.token(user).cloned();
        token.ok_or_else(|| {
            "the prompt's author is not in LOCAL_USERS any more; add the user again".to_owned()
        })
    }
}

impl TokenSource for NoTokens {
    fn token(&self, _user: &UserId) -> Result<UserToken, String> {
        Err("this deployment has no token of the prompt's author at the code host; open the pull request there by hand".to_owned())
    }
}

/// The source that this deployment has.
pub(super) fn token_source(env: &Env) -> Result<Box<dyn TokenSource>, String> {
    let text = |name: &str| env.var(name).map(|value| value.to_string()).unwrap_or_default();
    if text("SIGN_IN") != "local" {
        return Ok(Box::new(NoTokens));
    }
    let users = LocalUsers::parse(&text("LOCAL_USERS")).map_err(|error| error.to_string())?;
    Ok(Box::new(LocalTokens(users)))
}
