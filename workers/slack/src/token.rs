//! Tokens of the bot that rotate (docs.slack.dev, "Using token rotation"): what an answer to `oauth.v2.access` gives, or why it gives nothing.

use crate::api::Answer;
use serde_json::Value;

/// The next tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Opens the Web API.
    pub access: String,
    /// Gets the tokens after these.
    pub refresh: String,
    /// How long the former lives, in ms.
    pub life_ms: u64,
}

impl std::fmt::Debug for Renewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewed").field("life_ms", &self.life_ms).finish_non_exhaustive()
    }
}

/// Why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The refresh token does not count any more; Slack's word.
    Spent(String),
    /// Later it may work, or when the operator has done something; says what.
    Later(String),
}

/// Reads an answer. It was read before by [`crate::api::parse_answer`].
pub fn parse_renewed(answer: Answer) -> Result<Renewed, Refusal> {
    let value = match answer {
        Answer::Done(value) => value,
        Answer::Later { reason, .. } => return Err(Refusal::Later(reason)),
        Answer::Refused { code, .. } => {
            return Err(match code.as_str() {
                "invalid_refresh_token" | "token_revoked" | "token_expired" | "invalid_grant" => {
                    Refusal::Spent(code)
                }
                _ => Refusal::Later(format!(
                    "Slack does not renew the bot's token ({code}); check SLACK_CLIENT_ID and SLACK_CLIENT_SECRET"
                )),
            });
        }
    };
    // What is no token of one line would not come out of the store as it went in.
    let token = |name: &str| {
        let token = value.get(name).and_then(Value::as_str).unwrap_or_default();
        (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| token.to_owned())
    };
    let seconds = value.get("expires_in").and_then(Value::as_u64);
    match (token("access_token"), token("refresh_token"), seconds) {
        (Some(access), Some(refresh), Some(seconds)) => {
            Ok(Renewed { access, refresh, life_ms: seconds.saturating_mul(1000) })
        }
        _ => Err(Refusal::Later("Slack's answer has no tokens that rotate".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse_answer;

    fn read(body: &str) -> Result<Renewed, Refusal> {
        parse_renewed(parse_answer(200, None, body.as_bytes()))
    }

    #[test]
    fn the_next_tokens_come_with_their_end() {
        let renewed = read(
            r#"{"ok":true,"access_token":"xoxe.xoxb-1-a","expires_in":43200,"refresh_token":"xoxe-1-b","token_type":"bot"}"#,
        );
        let renewed = renewed.unwrap();
        assert_eq!((renewed.access.as_str(), renewed.refresh.as_str()), ("xoxe.xoxb-1-a", "xoxe-1-b"));
        assert_eq!(renewed.life_ms, 43_200_000);
        assert!(!format!("{renewed:?}").contains("xox"));
    }

    #[test]
    fn refusals_say_whose_move_is_next() {
        let spent = |code: &str| read(&format!(r#"{{"ok":false,"error":"{code}"}}"#));
        assert_eq!(spent("invalid_refresh_token"), Err(Refusal::Spent("invalid_refresh_token".into())));
        for (body, word) in [
            (r#"{"ok":false,"error":"bad_client_secret"}"#, "SLACK_CLIENT_SECRET"),
            (r#"{"ok":false,"error":"ratelimited"}"#, "ratelimited"),
            (r#"{"ok":true,"access_token":"xoxb-lasting"}"#, "no tokens that rotate"),
            (
                r#"{"ok":true,"access_token":"a b","refresh_token":"c","expires_in":1}"#,
                "no tokens that rotate",
            ),
            ("<html>", "no JSON"),
        ] {
            let Err(Refusal::Later(reason)) = read(body) else { panic!("{body}") };
            assert!(reason.contains(word) && !reason.contains("xoxb"), "{reason}");
        }
    }
}
