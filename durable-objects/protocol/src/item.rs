//! The pieces of a turn's output: what the agent says, the tools that it calls, its plan. Part of [`crate::timeline`], which names these types.

use crate::id::{ArtifactId, ItemId, TurnId};
use crate::time::Timestamp;
use crate::{objects, tagged};
use serde::{Deserialize, Serialize};

tagged!("type": ItemContent, ToolState);
objects!(Item, LineCount, PlanStep);

/// One piece of a turn's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Item {
    /// Chosen by the runner, unique in the session.
    pub id: ItemId,
    /// Where it belongs.
    pub turn_id: TurnId,
    /// When the runner first saw it.
    pub started_at: Timestamp,
    /// What it is.
    pub content: ItemContent,
}

/// What an item is. `text` of prose and reasoning and `output` of a tool grow by [`crate::timeline::SessionEvent::ItemAppended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ItemContent {
    /// Prose of the agent, Markdown.
    Text {
        /// What has been written so far.
        text: String,
        /// Whether more may come.
        done: bool,
    },
    /// The agent's reasoning, Markdown.
    Reasoning {
        /// What has been written so far.
        text: String,
        /// Whether more may come.
        done: bool,
    },
    /// A call of a tool.
    Tool {
        /// The agent's name for it, such as `bash`, `edit`, `read`.
        name: String,
        /// One line for the row: a command, a path, a pattern.
        title: String,
        /// What it was called with, as the agent sent it, cut at a limit.
        input: String,
        /// How far it is.
        state: ToolState,
        /// Its output so far; plain text that may contain ANSI escapes.
        output: String,
        /// Bytes of output that were left out in the middle.
        omitted_bytes: u64,
        /// Has the whole output when `output` is only a preview: `GET /api/sessions/{id}/artifacts/{artifact_id}`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        artifact_id: Option<ArtifactId>,
    },
    /// The agent's plan; the newest replaces the older ones of its turn.
    Plan {
        /// Its steps, in order.
        steps: Vec<PlanStep>,
    },
    /// One line that is neither: a retry, a set-up step, a refusal of the sandbox.
    Notice {
        /// How loud.
        level: NoticeLevel,
        /// For humans.
        text: String,
    },
    /// A kind of a newer runner; shown as "unsupported".
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// How far a tool call is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ToolState {
    /// On its way.
    Running,
    /// It answered.
    Completed {
        /// How long it took.
        duration_ms: u64,
        /// Of a command.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        exit_code: Option<i32>,
        /// Lines added and removed, of an edit.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        edit: Option<LineCount>,
    },
    /// It failed, or was cut by a stop or a lost sandbox.
    Failed {
        /// How long it took.
        duration_ms: u64,
        /// For humans.
        message: String,
    },
}

/// Lines added and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct LineCount {
    /// Added.
    pub additions: u32,
    /// Removed.
    pub deletions: u32,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PlanStep {
    /// For humans.
    pub text: String,
    /// How far it is.
    pub state: PlanStepState,
}

/// How far a step of a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanStepState {
    /// Not begun.
    Pending,
    /// Being worked on.
    Running,
    /// Done.
    Done,
    /// Given up.
    Cancelled,
    /// A state of a newer agent.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// For interest.
    Info,
    /// Something did not go as asked.
    Warning,
    /// Something failed.
    Error,
    /// A level of a newer peer.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}
