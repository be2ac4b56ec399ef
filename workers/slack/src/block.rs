//! The few kinds of blocks that our messages are made of, within Block Kit's limits (docs.slack.dev, "Blocks").
//!
//! Texts come escaped from [`crate::text`]; here they are only put together.

use crate::text::cut;
use serde_json::{Value, json};

/// Action: end the running turn.
pub const STOP: &str = "stop";
/// Action: try the last prompt again.
pub const RETRY: &str = "retry";
/// Action: choose a repository.
pub const CHOOSE: &str = "choose";
/// Action: open an address. Slack tells of the click; nothing is to be done.
pub const OPEN: &str = "open";

/// Characters of a section's text.
pub const SECTION_CHARS_MAX: usize = 3000;
/// Characters of the text that stands for the blocks in notifications.
pub const TEXT_CHARS_MAX: usize = 3000;
/// Options of a menu.
pub const OPTIONS_MAX: usize = 100;
const LABEL_CHARS_MAX: usize = 75;
const VALUE_CHARS_MAX: usize = 150;

/// A paragraph of escaped text.
#[must_use]
pub fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

/// A small line of escaped text.
#[must_use]
pub fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": true}]})
}

/// A row of elements.
#[must_use]
pub fn actions(id: &str, elements: Vec<Value>) -> Value {
    json!({"type": "actions", "block_id": id, "elements": elements})
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": cut(text, LABEL_CHARS_MAX), "emoji": false})
}

/// A button that tells us something.
#[must_use]
pub fn button(action: &str, label: &str, value: &str) -> Value {
    json!({"type": "button", "action_id": action, "text": plain(label), "value": value})
}

/// A button that leads somewhere; `name` tells it from others of the message.
#[must_use]
pub fn link_button(name: &str, label: &str, url: &str) -> Value {
    json!({"type": "button", "action_id": format!("{OPEN}-{name}"), "text": plain(label), "url": url})
}

/// A menu of repositories. Ids that are too long to be values are left out.
#[must_use]
pub fn menu(placeholder: &str, values: &[String]) -> Value {
    let options: Vec<Value> = values
        .iter()
        .filter(|value| value.chars().count() <= VALUE_CHARS_MAX)
        .take(OPTIONS_MAX)
        .map(|value| json!({"text": plain(value), "value": value}))
        .collect();
    json!({"type": "static_select", "action_id": CHOOSE, "placeholder": plain(placeholder), "options": options})
}
