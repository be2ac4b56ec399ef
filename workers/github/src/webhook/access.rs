//! What GitHub tells about who may see what: members who leave, repositories that are closed to somebody, authorisations that are revoked.
//!
//! A payload is never believed to take access away or to give it: it says whom to ask about anew. Called by the edge, after the signature
//! was checked.

use crate::value::{number, text};
use protocol::id::RepositoryId;
use serde_json::Value;

/// Whose access may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessChange {
    /// The account's number; `None`: everybody's.
    pub user: Option<u64>,
    /// To what; `None`: to everything.
    pub repository: Option<RepositoryId>,
    /// Whether the account has taken its authorisation of the App back, so that its tokens are worth nothing.
    pub is_revoked: bool,
}

/// Reads a payload. `None` for what takes nothing from anybody.
#[must_use]
pub fn parse_access(kind: &str, body: &[u8]) -> Option<AccessChange> {
    let path = match kind {
        "organization" => "membership.user.id",
        "membership" | "member" => "member.id",
        "github_app_authorization" => "sender.id",
        "team" | "repository" => "",
        _ => return None,
    };
    let value: Value = protocol::read_json(body).ok()?;
    let ends = match kind {
        "organization" => &["member_removed"][..],
        "membership" => &["removed"],
        "member" => &["removed", "edited"],
        "team" => &["removed_from_repository", "edited", "deleted"],
        "repository" => &["privatized", "archived", "deleted", "transferred", "renamed"],
        _ => &["revoked"],
    };
    if !ends.contains(&text(&value, "action")) {
        return None;
    }
    let user = if path.is_empty() { None } else { Some(number(&value, path)?) };
    let repository = RepositoryId::parse(text(&value, "repository.full_name")).ok();
    Some(AccessChange { user, repository, is_revoked: kind == "github_app_authorization" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, payload: &Value) -> Option<(Option<u64>, Option<String>, bool)> {
        let change = parse_access(kind, payload.to_string().as_bytes())?;
        Some((change.user, change.repository.map(|id| id.to_string()), change.is_revoked))
    }

    #[test]
    fn whoever_lost_something_is_named() {
        let shop = json!({"full_name": "acme/shop"});
        let known = Some("acme/shop".to_owned());
        let left = json!({"action": "member_removed", "membership": {"user": {"id": 7}}});
        assert_eq!(of("organization", &left), Some((Some(7), None, false)));
        let left = json!({"action": "removed", "scope": "team", "member": {"id": 7}});
        assert_eq!(of("membership", &left), Some((Some(7), None, false)));
        let left = json!({"action": "removed", "member": {"id": 7}, "repository": shop});
        assert_eq!(of("member", &left), Some((Some(7), known.clone(), false)));
        let closed = json!({"action": "privatized", "repository": shop});
        assert_eq!(of("repository", &closed), Some((None, known.clone(), false)));
        let taken = json!({"action": "removed_from_repository", "repository": shop});
        assert_eq!(of("team", &taken), Some((None, known, false)));
        let revoked = json!({"action": "revoked", "sender": {"id": 7}});
        assert_eq!(of("github_app_authorization", &revoked), Some((Some(7), None, true)));
    }

    #[test]
    fn what_takes_nothing_or_is_broken_is_nothing() {
        let member = json!({"user": {"id": 7}});
        assert_eq!(of("organization", &json!({"action": "member_added", "membership": member})), None);
        assert_eq!(of("member", &json!({"action": "removed"})), None, "nobody is named");
        assert_eq!(of("repository", &json!({"action": "publicized"})), None);
        assert_eq!(of("push", &json!({"action": "removed"})), None);
        assert_eq!(parse_access("member", b"not even JSON"), None);
    }
}
