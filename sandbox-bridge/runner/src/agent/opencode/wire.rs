//! The parts of OpenCode's messages that the runner reads. Everything else is ignored, and everything may be missing: the shapes
//! change with its versions.

use serde::Deserialize;
use serde_json::Value;

/// One frame of `/global/event`.
#[derive(Debug, Deserialize)]
pub(super) struct Frame {
    pub(super) payload: Payload,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) properties: Value,
    #[serde(default, rename = "syncEvent")]
    pub(super) sync_event: Option<DurableEvent>,
}

/// An event that OpenCode keeps, live or from its history.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct DurableEvent {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) seq: u64,
    #[serde(rename = "aggregateID", alias = "aggregate_id")]
    pub(super) session_id: String,
    #[serde(default)]
    pub(super) data: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) role: String,
    #[serde(rename = "parentID")]
    pub(super) parent_id: Option<String>,
    pub(super) time: Times,
    pub(super) error: Option<AgentError>,
    pub(super) finish: Option<String>,
    pub(super) tokens: Tokens,
    pub(super) cost: f64,
    /// `true` on the message that a compaction wrote; an object on user messages.
    pub(super) summary: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Times {
    pub(super) created: f64,
    pub(super) completed: Option<f64>,
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) reasoning: f64,
    pub(super) cache: Cache,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cache {
    pub(super) read: f64,
    pub(super) write: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentError {
    pub(super) name: String,
    pub(super) data: ErrorData,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorData {
    pub(super) message: String,
    #[serde(rename = "statusCode")]
    pub(super) status_code: Option<u16>,
}

impl AgentError {
    /// For humans.
    pub(super) fn describe(&self) -> String {
        let message = if self.data.message.is_empty() { &self.name } else { &self.data.message };
        match (self.name.as_str(), self.data.status_code) {
            ("ProviderAuthError", _) | (_, Some(401 | 403)) => {
                format!("the model provider refused the deployment's key: {message}")
            }
            (_, Some(status)) => format!("the model provider answered {status}: {message}"),
            (_, None) => message.clone(),
        }
    }
}

/// A piece of a message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    pub(super) id: String,
    #[serde(rename = "messageID")]
    pub(super) message_id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) synthetic: bool,
    pub(super) time: Times,
    pub(super) tool: String,
    pub(super) state: PartState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PartState {
    pub(super) status: String,
    pub(super) input: Value,
    pub(super) title: Option<String>,
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    /// Pictures and other files that came with the answer.
    pub(super) attachments: Value,
    pub(super) metadata: Value,
    pub(super) time: Times,
}

/// `message.part.delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    #[serde(rename = "partID")]
    pub(super) part_id: String,
    pub(super) field: String,
    pub(super) delta: String,
}
