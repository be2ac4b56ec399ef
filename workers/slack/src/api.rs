//! The Web API (docs.slack.dev, "Using the Slack Web API"): what an answer means and what people are to do about it.
//!
//! A call is a method's name and its JSON; sending it with the bot's token is the caller's work.

use serde_json::Value;

/// How long is waited where Slack does not say.
const WAIT_MS: u64 = 30_000;

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It worked.
    Done(Value),
    /// Not now; again after this time.
    Later {
        /// Milliseconds.
        wait_ms: u64,
        /// For the log.
        reason: String,
    },
    /// Not in this way.
    Refused {
        /// Slack's own word.
        code: String,
        /// For people, with the remedy.
        reason: String,
    },
}

/// Reads an answer; `retry_after_ms` is the header's.
#[must_use]
pub fn parse_answer(status: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Answer {
    let later = |reason: &str| Answer::Later {
        wait_ms: retry_after_ms.unwrap_or(if status == 429 { WAIT_MS } else { 0 }),
        reason: reason.to_owned(),
    };
    if status == 429 {
        return later("Slack asks for a pause");
    }
    if status >= 500 {
        return later(&format!("Slack answers with status {status}"));
    }
    let Some(value) = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object) else {
        return later("Slack's answer is no JSON");
    };
    if value.get("ok").and_then(Value::as_bool) == Some(true) {
        return Answer::Done(value);
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("error") {
        "ratelimited"
        | "rate_limited"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout" => later(text("error")),
        code => Answer::Refused { code: code.to_owned(), reason: remedy(code, text("needed")) },
    }
}

/// What is to be done about a refusal.
#[must_use]
pub fn remedy(code: &str, needed: &str) -> String {
    let code: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    let needed: String =
        needed.chars().filter(|c| c.is_ascii_alphanumeric() || ":,._".contains(*c)).take(200).collect();
    match code.as_str() {
        code if is_about_token(code) => format!(
            "Slack does not accept the bot's token any more ({code}); the operator installs the app again and sets SLACK_BOT_TOKEN"
        ),
        "missing_scope" => {
            format!("the app lacks the scope {needed}; the operator adds it to the app and installs it again")
        }
        "is_archived" | "is_inactive" => "the channel is archived; go on in another one".to_owned(),
        "not_in_channel" | "channel_not_found" => {
            "the bot is not in this channel; invite it and mention it again".to_owned()
        }
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel" => {
            "the bot may not write here; ask the channel's managers".to_owned()
        }
        _ => format!("Slack refused it ({code})"),
    }
}

/// Whether only the operator can do something about it: the bot can say nothing anywhere, or not what it has to.
#[must_use]
pub fn is_for_operator(code: &str) -> bool {
    is_about_token(code) || code == "missing_scope"
}

/// Whether Slack does not take the bot's token.
#[must_use]
pub fn is_about_token(code: &str) -> bool {
    matches!(code, "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired")
}

/// Whether nobody in the channel can be told, so that whoever asked is told alone.
#[must_use]
pub fn is_about_channel(code: &str) -> bool {
    matches!(code, "is_archived" | "is_inactive" | "not_in_channel" | "channel_not_found")
        || code.starts_with("restricted_action")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_say_whose_move_is_next() {
        let read = |status, body: &str| parse_answer(status, None, body.as_bytes());
        assert_eq!(read(200, r#"{"ok":true,"ts":"1.2"}"#), Answer::Done(json!({"ok": true, "ts": "1.2"})));
        assert!(matches!(read(503, ""), Answer::Later { wait_ms: 0, .. }));
        assert!(matches!(read(200, "<html>"), Answer::Later { .. }));
        assert!(matches!(parse_answer(429, Some(7000), b""), Answer::Later { wait_ms: 7000, .. }));
        for (code, word) in [
            ("token_revoked", "SLACK_BOT_TOKEN"),
            ("is_archived", "archived"),
            ("not_in_channel", "invite"),
            ("missing_scope", "chat:write"),
        ] {
            let body = json!({"ok": false, "error": code, "needed": "chat:write"}).to_string();
            let Answer::Refused { reason, .. } = read(200, &body) else { panic!("{code}") };
            assert!(reason.contains(word), "{reason}");
        }
        let odd = remedy("<!channel>", "");
        assert!(!odd.contains('<'), "{odd}");
    }
}
