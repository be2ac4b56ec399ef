//! The issuer of local development: a list of users to pick from, without password, on loopback addresses only.
//!
//! It stands where GitHub's sign-in stands in a deployment; everything behind it (cookie, principal, ticket) is the same.

use crate::principal::Principal;
use github::oauth::Secret;
use protocol::id::UserId;
use protocol::timeline::User;
use serde::{Deserialize, Deserializer};

protocol::objects!(read: LocalUser);

#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct LocalUser {
    id: UserId,
    login: String,
    name: String,
    email: String,
    /// At the code host.
    #[serde(deserialize_with = "secret")]
    token: Secret,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

impl LocalUser {
    fn user(&self) -> User {
        User {
            id: self.id.clone(),
            login: self.login.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
        }
    }
}

/// Everyone one can be, with their tokens.
#[derive(Clone, Debug)]
pub struct LocalUsers(Vec<LocalUser>);

/// `LOCAL_USERS` is not what it should be. Says where, never what: the text around it holds tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "LOCAL_USERS is not a JSON array of {{id, login, name, email, token}} with ids and logins of their own: {reason}"
)]
pub struct LocalUsersError {
    reason: String,
}

impl LocalUsers {
    /// Reads the secret `LOCAL_USERS`.
    pub fn parse(json: &str) -> Result<Self, LocalUsersError> {
        let error = |reason: String| LocalUsersError { reason };
        // serde's own message may quote the value it stumbled over.
        let users: Vec<LocalUser> = serde_json::from_str(json)
            .map_err(|e| error(format!("wrong at line {} column {}", e.line(), e.column())))?;
        for (index, user) in users.iter().enumerate() {
            if [user.login.as_str(), &user.name, &user.email, user.token.reveal()]
                .into_iter()
                .any(|text| text.trim().is_empty())
            {
                return Err(error(format!("user {} has an empty field", index + 1)));
            }
            if users.iter().take(index).any(|other| other.id == user.id || other.login == user.login) {
                return Err(error(format!("user {} has the id or login of another one", index + 1)));
            }
        }
        Ok(Self(users))
    }

    /// Whom one can be.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        self.0.iter().map(LocalUser::user).collect()
    }

    /// The user of this login.
    #[must_use]
    pub fn sign_in(&self, login: &str) -> Option<Principal> {
        self.0.iter().find(|user| user.login == login).map(|user| Principal { user: user.user() })
    }

    /// The user of this id as the list has it today; `None` for somebody who was taken off it.
    #[must_use]
    pub fn principal(&self, id: &UserId) -> Option<Principal> {
        self.find(id).map(|user| Principal { user: user.user() })
    }

    /// What opens the code host in this user's name.
    #[must_use]
    pub fn token(&self, id: &UserId) -> Option<&Secret> {
        self.find(id).map(|user| &user.token)
    }

    fn find(&self, id: &UserId) -> Option<&LocalUser> {
        self.0.iter().find(|user| user.id == *id)
    }
}

/// Whether the host of a URL is this machine by its name alone. No look-up: whoever answers a look-up could say anything.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let name = host.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::tests::ada;

    const ADA: &str = r#"{"id":"usr_ada","login":"ada","name":"Ada Lovelace","email":"ada@farhand.example","token":"canary-1"}"#;
    const GRACE: &str = r#"{"id":"usr_grace","login":"grace","name":"Grace Hopper","email":"grace@farhand.example","token":"canary-2"}"#;

    #[test]
    fn users_are_found_by_login_and_id() {
        let users = LocalUsers::parse(&format!("[{ADA},{GRACE}]")).unwrap();
        assert_eq!(users.sign_in("ada"), Some(ada()));
        assert_eq!(users.principal(&ada().user.id), Some(ada()));
        assert_eq!(users.token(&ada().user.id).map(Secret::reveal), Some("canary-1"));
        assert_eq!(users.users().len(), 2);
        assert_eq!((users.sign_in("Ada"), users.sign_in("")), (None, None));
        assert!(users.token(&UserId::parse("usr_x").unwrap()).is_none());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_tokens() {
        let twice = format!("[{ADA},{ADA}]");
        let nameless = format!("[{}]", ADA.replace("Ada Lovelace", " "));
        let typo = format!("[{}]", ADA.replace("\"email\"", "\"mail\""));
        let odd_id = format!("[{}]", ADA.replace("usr_ada", "canary-1"));
        for json in ["", "{}", "[1]", ADA, &twice, &nameless, &typo, &odd_id] {
            let error = LocalUsers::parse(json).unwrap_err().to_string();
            assert!(error.starts_with("LOCAL_USERS is not") && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn tokens_are_not_printed() {
        let users = LocalUsers::parse(&format!("[{ADA}]")).unwrap();
        assert!(!format!("{users:?} {:?}", users.token(&ada().user.id)).contains("canary"));
    }

    #[test]
    fn loopback_by_name_alone() {
        for host in [
            "localhost",
            "LOCALHOST",
            "farhand.localhost",
            "127.0.0.1",
            "127.8.9.10",
            "[::1]",
            "::1",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "0.0.0.0",
            "192.168.0.1",
            "[::]",
            "localhost.example",
            "127.0.0.1.nip.io",
            "farhand.example",
            "notlocalhost",
            "localhost.",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
