//! Where the git gateway gets what opens a repository at the code host.

use crate::config::Secret;
use protocol::bridge::RepositorySource;
use std::collections::BTreeMap;
use url::Url;

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The clone URL is not one that could be used at all.
    #[error("the clone URL of {0} is not an HTTP address")]
    CloneUrl(String),
    /// The operator has not allowed this code host.
    #[error("{0} is not listed in FARHAND_GIT_CREDENTIALS of the bridge; add it with a token")]
    OriginUnknown(String),
}

/// Answers with the token that may read and push one repository. Asked for every request.
pub trait CredentialSource: Send + Sync + 'static {
    /// A token for the repository, sent as the password of `x-access-token`.
    fn token(&self, repository: &RepositorySource) -> Result<Secret, CredentialError>;
}

/// One token per code host, from the configuration.
pub struct StaticCredentials {
    by_origin: BTreeMap<String, Secret>,
}

impl StaticCredentials {
    /// Tokens by origin, such as `https://github.com`.
    #[must_use]
    pub fn new(by_origin: BTreeMap<String, Secret>) -> Self {
        Self { by_origin }
    }
}

impl CredentialSource for StaticCredentials {
    fn token(&self, repository: &RepositorySource) -> Result<Secret, CredentialError> {
        let origin = origin(&repository.clone_url)
            .ok_or_else(|| CredentialError::CloneUrl(repository.id.to_string()))?;
        self.by_origin.get(&origin).cloned().ok_or(CredentialError::OriginUnknown(origin))
    }
}

fn origin(clone_url: &str) -> Option<String> {
    let url = Url::parse(clone_url).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::RepositoryId;

    #[test]
    fn only_the_very_origin_gets_its_token() {
        let source =
            StaticCredentials::new(BTreeMap::from([("https://git.example".to_owned(), Secret::new("t"))]));
        let token = |clone_url: &str| {
            let id = RepositoryId::parse("acme/shop").unwrap();
            let repository =
                RepositorySource { id, clone_url: clone_url.to_owned(), default_branch: "main".to_owned() };
            source.token(&repository).map(|secret| secret.reveal().to_owned()).ok()
        };
        assert_eq!(token("https://git.example/acme/shop.git").as_deref(), Some("t"));
        assert_eq!(token("https://GIT.example:443/acme/shop.git").as_deref(), Some("t"));
        for other in [
            "http://git.example/acme/shop.git",
            "https://git.example:8443/acme/shop.git",
            "https://git.example.evil/acme/shop.git",
            "https://git.example@evil.example/acme/shop.git",
            "file:///acme/shop.git",
            "ext::sh -c id",
            "",
        ] {
            assert_eq!(token(other), None, "{other}");
        }
    }
}
