//! Where the git gateway gets what opens a repository at the code host: the operator's token for its origin, else a token of the GitHub
//! App, which the edge makes for this one repository.
//!
//! Tokens live in this process's memory and end with it. Asked for every request of git; at most one question per repository is on its
//! way to the edge at a time.

use crate::clock;
use crate::config::Secret;
use crate::edge::{EdgeClient, EdgeError};
use futures::future::BoxFuture;
use protocol::bridge::RepositorySource;
use protocol::id::RepositoryId;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as Turn;
use url::Url;

/// A token is not used in the last part of its life: what begins with it may take a while.
const MARGIN_MS: u64 = 5 * 60_000;
/// A refusal counts for this long, so that a loop of git commands is not one of questions to the code host.
const REFUSED_MS: u64 = 5_000;
/// Repositories that are remembered; beyond it those whose tokens have ended are forgotten.
const REMEMBERED_MAX: usize = 1_000;

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The clone URL is not one that could be used at all.
    #[error("the clone URL of {0} is not an HTTP address")]
    CloneUrl(String),
    /// Neither the operator nor the App has anything for this code host.
    #[error("nothing opens {origin} for the bridge: {reason}")]
    Unknown {
        /// The code host.
        origin: String,
        /// For humans, with the remedy.
        reason: String,
    },
    /// The App's tokens are for another code host than the one that the repository is cloned from.
    #[error(
        "{origin} is not where the App's tokens are good ({app_origin}); list it in FARHAND_GIT_CREDENTIALS of the bridge"
    )]
    OtherOrigin {
        /// Of the clone URL.
        origin: String,
        /// Of the App's code host.
        app_origin: String,
    },
    /// The edge cannot be asked now.
    #[error("the credential cannot be had now: {0}")]
    Unavailable(String),
}

impl CredentialError {
    /// Whether the same question may be answered later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::CloneUrl(_) | Self::Unknown { .. } | Self::OtherOrigin { .. } => false,
        }
    }
}

/// Answers with the token that may read and push one repository. Asked for every request.
pub trait CredentialSource: Send + Sync + 'static {
    /// A token for the repository, sent as the password of `x-access-token`.
    fn token<'a>(
        &'a self,
        repository: &'a RepositorySource,
    ) -> BoxFuture<'a, Result<Secret, CredentialError>>;
}

/// What the edge last said about a repository.
enum Known {
    Token { token: Secret, origin: String, until: Timestamp },
    Refused { error: CredentialError, until: Timestamp },
}

impl Known {
    fn until(&self) -> Timestamp {
        match self {
            Self::Token { until, .. } | Self::Refused { until, .. } => *until,
        }
    }

    fn answer(&self, origin: &str) -> Result<Secret, CredentialError> {
        match self {
            Self::Token { token, origin: app_origin, .. } if app_origin == origin => Ok(token.clone()),
            Self::Token { origin: app_origin, .. } => Err(CredentialError::OtherOrigin {
                origin: origin.to_owned(),
                app_origin: app_origin.clone(),
            }),
            Self::Refused { error, .. } => Err(error.clone()),
        }
    }
}

type Place = Arc<Turn<Option<Known>>>;

/// The operator's tokens, and the App's.
pub struct Credentials {
    by_origin: BTreeMap<String, Secret>,
    edge: EdgeClient,
    known: Mutex<BTreeMap<RepositoryId, Place>>,
}

impl Credentials {
    /// Tokens by origin, such as `https://github.com`; for all other origins `edge` is asked.
    #[must_use]
    pub fn new(by_origin: BTreeMap<String, Secret>, edge: EdgeClient) -> Self {
        Self { by_origin, edge, known: Mutex::default() }
    }

    fn place(&self, repository: &RepositoryId) -> Place {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            let now = clock::now();
            // One that is locked is being asked for.
            known.retain(|_, place| {
                place.try_lock().map_or(true, |known| known.as_ref().is_some_and(|it| it.until() > now))
            });
        }
        known.entry(repository.clone()).or_default().clone()
    }

    async fn ask(&self, repository: &RepositorySource, origin: &str) -> Result<Secret, CredentialError> {
        let place = self.place(&repository.id);
        let mut known = place.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.until() > clock::now()) {
            return known.answer(origin);
        }
        let asked = self.edge.credential(&repository.id).await;
        let fresh = match asked {
            Ok(credential) => Known::Token {
                token: credential.token,
                origin: credential.origin,
                until: Timestamp(credential.expires_at.0.saturating_sub(MARGIN_MS)),
            },
            Err(error) => {
                let may_pass = error.may_pass();
                let reason = match error {
                    EdgeError::Refused(body) => body.message,
                    EdgeError::Unreachable(reason) => reason,
                };
                let error = match may_pass {
                    true => CredentialError::Unavailable(reason),
                    false => CredentialError::Unknown { origin: origin.to_owned(), reason },
                };
                Known::Refused { error, until: clock::now().plus_ms(REFUSED_MS) }
            }
        };
        let answer = fresh.answer(origin);
        *known = Some(fresh);
        answer
    }
}

impl CredentialSource for Credentials {
    fn token<'a>(
        &'a self,
        repository: &'a RepositorySource,
    ) -> BoxFuture<'a, Result<Secret, CredentialError>> {
        Box::pin(async move {
            let origin = origin(&repository.clone_url)
                .ok_or_else(|| CredentialError::CloneUrl(repository.id.to_string()))?;
            match self.by_origin.get(&origin) {
                Some(token) => Ok(token.clone()),
                None => self.ask(repository, &origin).await,
            }
        })
    }
}

fn origin(clone_url: &str) -> Option<String> {
    let url = Url::parse(clone_url).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests;
