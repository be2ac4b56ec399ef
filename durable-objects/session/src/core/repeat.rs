//! An agent that goes round in circles: the same call of a tool with the same outcome, or the same failure, time and again.

use super::account::Account;
use super::step::Step;
use protocol::budget::{Hold, HoldKind};
use protocol::sign::sha256_hex;
use protocol::timeline::{Item, ItemContent, ToolState};
use serde::{Deserialize, Serialize};

protocol::objects!(Repeats, Repeat);

/// So often in a row is a circle. Waiting for something by asking again and again looks the same; people can let it go on.
pub const REPEATS_MAX: u32 = 10;

/// What the agent does over and over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Repeats {
    /// The same tool, the same input, the same outcome.
    pub call: Repeat,
    /// The same tool, the same failure, whatever the input.
    pub failure: Repeat,
}

/// The same thing in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Repeat {
    /// What, as a digest; empty for nothing.
    pub digest: String,
    /// How often.
    pub count: u32,
}

impl Repeat {
    fn note(&mut self, parts: Option<[&str; 3]>) -> bool {
        let Some(parts) = parts else {
            *self = Self::default();
            return false;
        };
        let digest = sha256_hex(parts.join("\0").as_bytes());
        let count = if digest == self.digest { self.count + 1 } else { 1 };
        *self = Self { digest, count };
        count >= REPEATS_MAX
    }
}

impl Repeats {
    /// Takes in a call that has ended; answers why that is a circle, if it is.
    pub fn note(&mut self, content: &ItemContent) -> Option<String> {
        let ItemContent::Tool { name, input, state, output, .. } = content else { return None };
        let (outcome, failed) = match state {
            ToolState::Running => return None,
            ToolState::Completed { exit_code, .. } => {
                (format!("{exit_code:?} {output}"), exit_code.is_some_and(|code| code != 0))
            }
            ToolState::Failed { message, .. } => (message.clone(), true),
        };
        let same_call = self.call.note(Some([name, input, &outcome]));
        let same_failure = self.failure.note(failed.then_some([name, &outcome, ""]));
        if same_call {
            Some(format!(
                "The agent called `{name}` {REPEATS_MAX} times in a row with the same input and the same outcome."
            ))
        } else if same_failure {
            Some(format!("`{name}` failed {REPEATS_MAX} times in a row in the same way."))
        } else {
            None
        }
    }
}

/// Whether an item is a call of a tool that has ended.
pub(super) fn is_ended_call(content: &ItemContent) -> bool {
    matches!(content, ItemContent::Tool { state: ToolState::Completed { .. } | ToolState::Failed { .. }, .. })
}

impl Step<'_> {
    /// A call of the running turn's agent has ended.
    pub(super) fn note_call(&mut self, item: &Item) {
        let Account { repeats, changes, .. } = &mut self.session.account;
        *changes += 1;
        if let Some(reason) = repeats.note(&item.content) {
            *repeats = Repeats::default();
            let since = self.now();
            self.stop_for(Hold { kind: HoldKind::Loop, reason, since });
        }
    }
}
