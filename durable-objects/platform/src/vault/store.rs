//! The tokens of users at the code host: what of the table of sealed tokens is theirs, and how the code host renews them. Called by the edge
//! and by SessionObject.

use super::ring::Label;
use super::table::{NoPair, NotRenewed, Rewrapped, SealedTokens};
use crate::bridge::exchange;
use crate::host::now;
use github::oauth::{
    OAuthApp, OAuthError, Secret, TokenPair, TokenRequest, is_revoked, parse_tokens, refresh_request,
    revoke_request,
};
use protocol::id::UserId;
use worker::{Env, Method};

/// How long the code host may take for one answer; the lease outlives it.
const ANSWER_MS_MAX: u64 = 10_000;

/// What the ids of users begin with who signed in through GitHub; its number of the account follows.
pub const ACCOUNT_PREFIX: &str = "usr_github_";

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// There is no account of this user at the code host.
    Missing(String),
    /// The user has to sign in again; says why.
    SignInAgain(String),
    /// Later there may be one.
    Unavailable(String),
}

impl NoToken {
    /// For people.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Missing(reason) | Self::SignInAgain(reason) | Self::Unavailable(reason) => reason,
        }
    }
}

/// The sealed tokens of this deployment's users.
#[derive(Debug)]
pub struct Vault {
    tokens: SealedTokens,
    app: OAuthApp,
}

impl Vault {
    /// Opens it.
    pub fn new(env: &Env) -> Result<Self, NoToken> {
        let text = |name: &str| env.var(name).map(|value| value.to_string()).unwrap_or_default();
        let tokens = SealedTokens::new(env).map_err(no_token)?;
        let url = Some(text("GITHUB_URL")).filter(|url| !url.is_empty());
        let url = url.unwrap_or_else(|| "https://github.com".to_owned());
        let app = OAuthApp {
            url: url.trim_end_matches('/').to_owned(),
            client_id: text("GITHUB_CLIENT_ID"),
            client_secret: Secret::new(text("GITHUB_CLIENT_SECRET")),
        };
        Ok(Self { tokens, app })
    }

    /// The application that users sign in to.
    #[must_use]
    pub fn app(&self) -> &OAuthApp {
        &self.app
    }

    /// Keeps a user's tokens, in the place of earlier ones.
    pub async fn store(&self, user: &UserId, pair: &TokenPair) -> Result<(), NoToken> {
        self.tokens.store(&Label::code_host(user), pair).await.map_err(no_token)
    }

    /// Removes a user's tokens; how many there were.
    pub async fn delete(&self, user: &UserId) -> Result<u64, NoToken> {
        self.tokens.delete(&Label::code_host(user)).await.map_err(no_token)
    }

    /// The token that opens the code host in a user's name, refreshed where it is about to end.
    pub async fn token(&self, user: &UserId) -> Result<Secret, NoToken> {
        let renew = async |refresh: &Secret| {
            self.ask(&refresh_request(&self.app, refresh)).await.map_err(|error| match error {
                OAuthError::Spent { code } => NotRenewed::Spent(code),
                OAuthError::Refused { .. } | OAuthError::Unavailable { .. } => {
                    NotRenewed::Later(error.to_string())
                }
            })
        };
        self.tokens.token(&Label::code_host(user), None, renew).await.map_err(|why| {
            // Who signed in through it has an account there.
            let has_account = user.as_str().starts_with(ACCOUNT_PREFIX);
            if why == NoPair::Missing && !has_account {
                NoToken::Missing(format!("{MISSING}; sign in through it"))
            } else {
                no_token(why)
            }
        })
    }

    /// Ends at the code host (`api_url`: the root of its API) what a user has allowed this application, and removes the tokens. Done
    /// again it does nothing.
    pub async fn revoke(&self, user: &UserId, api_url: &str) -> Result<(), NoToken> {
        match self.token(user).await {
            Ok(token) => {
                let request = revoke_request(&self.app, api_url, &token);
                let headers =
                    request.headers.each_ref().map(|(name, value)| (*name, value.reveal().to_owned()));
                let (url, body) = (&request.url, Some(request.body.reveal()));
                let answer = exchange(Method::Delete, url, &headers, body, ANSWER_MS_MAX).await;
                let unavailable = |reason: String| NoToken::Unavailable(reason);
                let status = answer.map_err(|error| unavailable(error.to_string()))?.status;
                if !is_revoked(status) {
                    return Err(unavailable(format!("the code host answers with status {status}")));
                }
            }
            // What is not renewed opens nothing any more.
            Err(NoToken::Missing(_) | NoToken::SignInAgain(_)) => {}
            Err(error @ NoToken::Unavailable(_)) => return Err(error),
        }
        self.delete(user).await.map(drop)
    }

    /// Sends a request for tokens.
    pub async fn ask(&self, request: &TokenRequest) -> Result<TokenPair, OAuthError> {
        let (url, body) = (&request.url, request.body.reveal());
        let answer = exchange(Method::Post, url, &request.headers, Some(body), ANSWER_MS_MAX).await;
        let answer = answer.map_err(|error| OAuthError::Unavailable { reason: error.to_string() })?;
        parse_tokens(answer.status, &answer.body, now())
    }

    /// Wraps up to `limit` values anew that are not under the current key, the bot's among them.
    pub async fn rewrap(&self, limit: u64) -> Result<Rewrapped, NoToken> {
        self.tokens.rewrap(limit).await.map_err(no_token)
    }
}

const MISSING: &str = "this deployment has no token of yours for the code host";

/// What a user is told.
fn no_token(why: NoPair) -> NoToken {
    let sign_in_again = |why: &str| NoToken::SignInAgain(format!("{why}; sign in again"));
    match why {
        NoPair::Missing => sign_in_again(MISSING),
        NoPair::Unreadable => sign_in_again("your stored token cannot be opened"),
        NoPair::Over => sign_in_again("your sign-in at the code host has ended"),
        NoPair::Spent(code) => sign_in_again(&format!("the code host does not renew your token ({code})")),
        NoPair::Busy => {
            let reason = "your token at the code host is being refreshed and that takes long; try again";
            NoToken::Unavailable(reason.to_owned())
        }
        NoPair::Unavailable(reason) => NoToken::Unavailable(reason),
    }
}
