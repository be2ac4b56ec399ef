//! The verified origin of a request: the only source of "who" for everything behind the edge.

use protocol::timeline::User;
use serde::{Deserialize, Serialize};

/// A signed-in user. Made only from a verified token, never from a body, a header or a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// Who.
    pub user: User,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::id::UserId;

    pub(crate) fn ada() -> Principal {
        Principal {
            user: User {
                id: UserId::parse("usr_ada").unwrap(),
                login: "ada".into(),
                name: "Ada Lovelace".into(),
                email: "ada@farhand.example".into(),
            },
        }
    }

    #[test]
    fn a_principal_reads_back() {
        let json = serde_json::to_string(&ada()).unwrap();
        assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), ada());
    }
}
