//! What people do to our messages (docs.slack.dev, "Handling user interaction"): a form with one field, whose value is JSON.
//!
//! Only actions of ours are read. The value of a button is a hint about what was shown; what may be done is decided elsewhere.

use crate::block::{CHOOSE, RETRY, STOP};
use crate::event::{is_id, is_ts};
use serde_json::{Value, json};

/// Something that was clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interaction {
    /// The workspace.
    pub team: String,
    /// Who clicked.
    pub user: String,
    /// Where.
    pub channel: String,
    /// In which thread.
    pub thread: String,
    /// `action_ts`: the same click may come again.
    pub id: String,
    /// What.
    pub action: Action,
}

/// What was clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the running turn.
    Stop {
        /// Which, as the card said.
        turn: String,
    },
    /// Try the last prompt again.
    Retry {
        /// The turn that failed.
        turn: String,
    },
    /// Work on this repository.
    Choose {
        /// `owner/name`.
        repository: String,
        /// The message that is to be worked on.
        ts: String,
    },
}

impl Interaction {
    /// As kept by the thread.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (action, value, ts) = match &self.action {
            Action::Stop { turn } => (STOP, turn.as_str(), ""),
            Action::Retry { turn } => (RETRY, turn.as_str(), ""),
            Action::Choose { repository, ts } => (CHOOSE, repository.as_str(), ts.as_str()),
        };
        json!({
            "team": self.team, "user": self.user, "channel": self.channel, "thread": self.thread, "id": self.id,
            "action": action, "value": value, "ts": ts,
        })
    }

    /// Reads what [`Interaction::to_json`] wrote.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let (given, ts) = (text("value")?, text("ts")?);
        let action = match text("action")?.as_str() {
            STOP => Action::Stop { turn: given },
            RETRY => Action::Retry { turn: given },
            CHOOSE => Action::Choose { repository: given, ts },
            _ => return None,
        };
        let (team, user, channel) = (text("team")?, text("user")?, text("channel")?);
        Some(Self { team, user, channel, thread: text("thread")?, id: text("id")?, action })
    }
}

/// The JSON in a form's field `payload`.
#[must_use]
pub fn payload(body: &[u8]) -> Option<Value> {
    let body = std::str::from_utf8(body).ok()?;
    let field = body.split('&').find_map(|pair| pair.strip_prefix("payload="))?;
    serde_json::from_slice(&decode(field)?).ok().filter(Value::is_object)
}

/// `application/x-www-form-urlencoded` (WHATWG URL §5.1).
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

/// The workspace of a payload.
#[must_use]
pub fn team(payload: &Value) -> &str {
    payload.pointer("/team/id").and_then(Value::as_str).unwrap_or_default()
}

/// Reads a click on one of our elements; `None` for everything else.
#[must_use]
pub fn parse(payload: &Value) -> Option<Interaction> {
    let text = |path: &str| payload.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text("/type") != "block_actions" {
        return None;
    }
    let value = text("/actions/0/value").to_owned();
    let action = match text("/actions/0/action_id") {
        STOP => Action::Stop { turn: value },
        RETRY => Action::Retry { turn: value },
        CHOOSE => {
            let ts = text("/actions/0/block_id").strip_prefix("for-")?.to_owned();
            let repository = text("/actions/0/selected_option/value").to_owned();
            Action::Choose { repository, ts: Some(ts).filter(|ts| is_ts(ts))? }
        }
        _ => return None,
    };
    let thread = Some(text("/container/thread_ts")).filter(|ts| !ts.is_empty());
    let thread = thread.or_else(|| payload.pointer("/message/thread_ts").and_then(Value::as_str));
    let thread = thread.unwrap_or_else(|| text("/message/ts"));
    let (user, channel, id) = (text("/user/id"), text("/channel/id"), text("/actions/0/action_ts"));
    let is_formed = [team(payload), user, channel].iter().all(|id| is_id(id)) && is_ts(thread) && is_ts(id);
    is_formed.then(|| Interaction {
        team: team(payload).to_owned(),
        user: user.to_owned(),
        channel: channel.to_owned(),
        thread: thread.to_owned(),
        id: id.to_owned(),
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(action: Value) -> Value {
        json!({
            "type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U1"}, "channel": {"id": "C1"},
            "container": {"thread_ts": "1.0", "message_ts": "2.0"}, "actions": [action],
        })
    }

    #[test]
    fn clicks_are_read_and_kept() {
        for (action, expected) in [
            (
                json!({"action_id": "stop", "value": "trn_1", "action_ts": "3.1"}),
                Action::Stop { turn: "trn_1".into() },
            ),
            (
                json!({"action_id": "retry", "value": "trn_1", "action_ts": "3.1"}),
                Action::Retry { turn: "trn_1".into() },
            ),
            (
                json!({"action_id": "choose", "block_id": "for-1.0", "selected_option": {"value": "a/b"}, "action_ts": "3.1"}),
                Action::Choose { repository: "a/b".into(), ts: "1.0".into() },
            ),
        ] {
            let found = parse(&click(action)).unwrap();
            assert_eq!(found.action, expected);
            assert_eq!(Interaction::from_json(&found.to_json()), Some(found));
        }
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        for action in [
            json!({"action_id": "other", "action_ts": "3.1"}),
            json!({"action_id": "stop", "value": "x", "action_ts": "x"}),
            json!({"action_id": "choose", "block_id": "for-x", "action_ts": "3.1"}),
        ] {
            assert_eq!(parse(&click(action)), None);
        }
        assert_eq!(parse(&json!({"type": "view_submission"})), None);
    }

    #[test]
    fn a_form_is_decoded() {
        assert_eq!(payload(b"payload=%7B%22a%22%3A%22b+%C3%A9%22%7D"), Some(json!({"a": "b é"})));
        for broken in [&b"payload=%7"[..], b"x=1", b"payload=[]", b"\xff"] {
            assert_eq!(payload(broken), None);
        }
    }
}
