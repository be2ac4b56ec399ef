//! Who somebody is at the code host, and what they belong to: the questions of sign-in, asked with the user's own token.

use crate::error::{Error, parse};
use crate::request::Request;
use serde_json::Value;

/// An account at the code host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Never changes; a login may, and may then be somebody else's.
    pub id: u64,
    /// Name of the account.
    pub login: String,
    /// Full name; the login where there is none.
    pub name: String,
}

/// Asks who the token belongs to. Answer: [`parse_person`].
#[must_use]
pub fn person_request() -> Request {
    Request::get("/user".to_owned())
}

/// Reads the answer to [`person_request`].
pub fn parse_person(status: u16, body: &[u8]) -> Result<Person, Error> {
    let answer: Value = parse(status, body)?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    match (answer.get("id").and_then(Value::as_u64), text("login")) {
        (Some(id), Some(login)) => {
            Ok(Person { id, login: login.to_owned(), name: text("name").unwrap_or(login).to_owned() })
        }
        _ => Err(Error::no_answer("it names no account")),
    }
}

/// Asks for the user's addresses. Answer: [`parse_primary_email`].
#[must_use]
pub fn emails_request() -> Request {
    Request::get("/user/emails?per_page=100".to_owned())
}

/// The primary address, if the code host has verified it. Any other one could be somebody else's.
pub fn parse_primary_email(status: u16, body: &[u8]) -> Result<Option<String>, Error> {
    let answer: Value = parse(status, body)?;
    let counts = |email: &&Value, name: &str| email.get(name).and_then(Value::as_bool) == Some(true);
    let mut emails = answer.as_array().into_iter().flatten();
    let primary = emails.find(|email| counts(email, "primary") && counts(email, "verified"));
    Ok(primary.and_then(|email| email.get("email")?.as_str()).map(str::to_owned))
}

/// Asks whether the user is in an organisation. Answer: [`parse_membership`].
#[must_use]
pub fn organisation_request(organisation: &str) -> Request {
    Request::get(format!("/user/memberships/orgs/{organisation}"))
}

/// Asks whether the user is in a team. Answer: [`parse_membership`].
#[must_use]
pub fn team_request(organisation: &str, team: &str, login: &str) -> Request {
    Request::get(format!("/orgs/{organisation}/teams/{team}/memberships/{login}"))
}

/// Whether somebody is in, and not only invited. No such thing, or none that the user may see, means no.
pub fn parse_membership(status: u16, body: &[u8]) -> Result<bool, Error> {
    match parse::<Value>(status, body) {
        Ok(membership) => Ok(membership.get("state").and_then(Value::as_str) == Some("active")),
        Err(Error::Rejected { status: 403 | 404 | 410, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_an_id_and_some_name() {
        let person = parse_person(200, br#"{"login":"ada","id":7,"name":null,"email":null}"#).unwrap();
        assert_eq!(person, Person { id: 7, login: "ada".into(), name: "ada".into() });
        assert!(parse_person(401, br#"{"message":"Bad credentials"}"#).unwrap_err().is_unauthorized());
    }

    #[test]
    fn only_a_primary_verified_address_counts() {
        let read = |body: &str| parse_primary_email(200, body.as_bytes()).unwrap();
        let email = |primary, verified| {
            format!(
                r#"{{"email":"a@x.example","primary":{primary},"verified":{verified},"visibility":null}}"#
            )
        };
        assert_eq!(read(&format!("[{}]", email(true, true))).as_deref(), Some("a@x.example"));
        for other in [email(true, false), email(false, true)] {
            assert_eq!(read(&format!("[{other}]")), None);
        }
        assert_eq!(read("[]"), None);
    }

    #[test]
    fn an_invitation_is_no_membership() {
        for (status, body, expected) in [
            (200, r#"{"state":"active"}"#, Some(true)),
            (200, r#"{"state":"pending"}"#, Some(false)),
            (404, "{}", Some(false)),
            (403, r#"{"message":"Resource not accessible by integration"}"#, Some(false)),
            (403, r#"{"message":"API rate limit exceeded"}"#, None),
            (401, "{}", None),
            (502, "", None),
        ] {
            assert_eq!(parse_membership(status, body.as_bytes()).ok(), expected, "{status} {body}");
        }
    }
}
