//! What went wrong at the code host, by whose move is next, and how to tell from a status and a body.

use serde::Deserialize;
use serde::de::DeserializeOwned;

protocol::objects!(read: Refusal);

/// Why a request to the code host gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code host understood and refused: sending the same again gives the same.
    #[error("the code host refused ({status}): {message}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The code host's own words.
        message: String,
    },
    /// The code host did not answer, is overloaded, or answered something unreadable: later it may work.
    #[error("the code host is unavailable: {reason}")]
    Unavailable {
        /// What was seen.
        reason: String,
    },
}

impl Error {
    /// For a sender whose request got no answer at all.
    #[must_use]
    pub fn no_answer(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// Whether the code host says that there is no such thing, or none that this user may see.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Rejected { status: 404 | 410 | 451, .. })
    }

    /// Whether the code host does not accept the user's token.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Rejected { status: 401, .. })
    }
}

/// Body of GitHub's refusals.
#[derive(Deserialize, Default)]
#[serde(remote = "Self", default)]
struct Refusal {
    message: String,
    errors: Vec<serde_json::Value>,
}

impl Refusal {
    fn into_message(self) -> String {
        let details: Vec<&str> = self
            .errors
            .iter()
            .filter_map(|error| error.as_str().or_else(|| error.get("message")?.as_str()))
            .filter(|detail| !detail.is_empty())
            .collect();
        let mut message = if self.message.is_empty() { "no reason given".to_owned() } else { self.message };
        if !details.is_empty() {
            message.push_str(": ");
            message.push_str(&details.join("; "));
        }
        crate::text::cut(&message, MESSAGE_BYTES_MAX).into_owned()
    }
}

/// A refusal is shown to people and stored; the code host does not decide how long it is.
const MESSAGE_BYTES_MAX: usize = 500;

/// Reads the JSON of a successful answer, or says why there is none.
pub(crate) fn parse<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Error> {
    match status {
        200..=299 => protocol::read_json(body).map_err(|error| Error::Unavailable {
            reason: format!("its answer is not what this API version defines: {error}"),
        }),
        _ => Err(refusal(status, body)),
    }
}

fn refusal(status: u16, body: &[u8]) -> Error {
    let message = protocol::read_json::<Refusal>(body).unwrap_or_default().into_message();
    // GitHub answers 403 to a caller over its rate limit; that is the one 403 which passes by itself.
    let over_limit = status == 403 && message.to_ascii_lowercase().contains("rate limit");
    match status {
        400..=499 if !over_limit && !matches!(status, 408 | 425 | 429) => Error::Rejected { status, message },
        _ => Error::Unavailable { reason: format!("status {status}: {message}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: &str) {
        let error = parse::<serde_json::Value>(status, body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn whose_move_is_next() {
        check(404, r#"{"message":"Not Found"}"#, "the code host refused (404): Not Found");
        check(401, r#"{"message":"Bad credentials"}"#, "the code host refused (401): Bad credentials");
        check(
            403,
            r#"{"message":"API rate limit exceeded"}"#,
            "the code host is unavailable: status 403: API rate limit exceeded",
        );
        check(429, "slow down", "the code host is unavailable: status 429: no reason given");
        check(502, "<html>", "the code host is unavailable: status 502: no reason given");
        check(301, "", "the code host is unavailable: status 301: no reason given");
        check(
            422,
            r#"{"message":"Validation Failed","errors":[{"code":"custom","message":"No commits between main and x"},"odd",7]}"#,
            "the code host refused (422): Validation Failed: No commits between main and x; odd",
        );
    }

    #[test]
    fn an_unreadable_success_is_not_a_refusal() {
        let error = parse::<Vec<u8>>(200, b"{").unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }

    #[test]
    fn a_long_refusal_is_cut() {
        let body = serde_json::json!({ "message": "ü".repeat(10_000) }).to_string();
        let Error::Rejected { message, .. } = parse::<u8>(400, body.as_bytes()).unwrap_err() else {
            panic!()
        };
        assert!(message.len() <= MESSAGE_BYTES_MAX, "{}", message.len());
    }
}
