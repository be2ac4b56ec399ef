//! Runner ⇄ bridge: one WebSocket that the runner dials from inside its sandbox, `GET /runner` with the sandbox token as bearer.
//!
//! The runner numbers its events from 1 and keeps them in a spool until they are acknowledged; the session, not the bridge,
//! decides how far it has them. Commands carry ids: a repeated one does nothing. What a runner says is untrusted, because the
//! agent beside it could say the same.

use crate::attachment::Attachment;
use crate::effort::Effort;
use crate::id::{CommandId, ItemId, PromptId, RepositoryId, SandboxId, SessionId, TurnId};
use crate::objects;
use crate::repository::WarmState;
use crate::tagged;
use crate::time::Timestamp;
use crate::timeline::{Change, FileDiff, Item, Seq, TurnOutcome, Usage};
use crate::trace::TraceParent;
use serde::{Deserialize, Serialize};

tagged!("type": RunnerMessage, BridgeMessage, RunnerCommand, RunnerEvent);
objects!(RunnerConfiguration, WarmConfiguration, TurnOrder, Author, RunnerEventRecord);

/// Runner → bridge, one JSON text frame each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RunnerMessage {
    /// First frame.
    Hello {
        /// [`crate::PROTOCOL_VERSION`] of the runner.
        protocol_version: u32,
        /// Of the runner's build.
        runner_version: String,
        /// The sandbox it runs in.
        sandbox_id: SandboxId,
        /// The sandbox's generation.
        generation: u64,
        /// Number that the next new event will get.
        next_seq: Seq,
    },
    /// Numbered events, in order, without gap within the frame.
    Events {
        /// At least one.
        events: Vec<RunnerEventRecord>,
    },
    /// A command was carried out or refused; its visible effects come as events.
    CommandDone {
        /// Which.
        command_id: CommandId,
        /// Why not, for humans.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        error: Option<String>,
    },
    /// How a warm sandbox is, from [`BridgeMessage::Prepare`] to [`BridgeMessage::Welcome`]; said again after each `hello`.
    Warm {
        /// How.
        state: WarmState,
    },
    /// Something for the bridge's log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// During which turn; absent where none ran.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        turn_id: Option<TurnId>,
        /// At most [`crate::limit::RUNNER_LOG_BYTES_MAX`] bytes; one line.
        text: String,
    },
    /// A step of a turn is over.
    Step {
        /// Of which turn.
        turn_id: TurnId,
        /// Which.
        step: TurnStep,
        /// By the sandbox's clock.
        started_at: Timestamp,
        /// How long it took.
        duration_ms: u64,
        /// What the turn's order said, for a bridge that did not pass it on itself.
        #[serde(
            skip_serializing_if = "Option::is_none",
            default,
            deserialize_with = "crate::trace::lenient"
        )]
        #[cfg_attr(feature = "typescript", ts(as = "Option<String>", optional))]
        traceparent: Option<TraceParent>,
    },
    /// Something of a newer runner; ignored.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// How much a line of a log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// As it should be.
    Info,
    /// Worth a look; the runner goes on.
    Warn,
    /// Something is lost.
    Error,
    /// One of a newer runner; taken as [`LogLevel::Info`].
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

/// What the runner does in a turn, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TurnStep {
    /// Identity and workspace.
    Prepare,
    /// The agent's work.
    Agent,
    /// Commit, push and diff.
    Publish,
    /// One of a newer runner.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

/// Bridge → runner, one JSON text frame each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum BridgeMessage {
    /// Answer to `hello`: send events from here on.
    Welcome {
        /// The first event that the session does not have.
        resume_from: Seq,
        /// What the runner is to set up; the same in every welcome of one sandbox.
        configuration: RunnerConfiguration,
    },
    /// Answer to `hello` in a sandbox that no session has yet: set the workspace up, start the agent, and wait. The welcome comes on
    /// the same connection when a session claims the sandbox; the runner numbers its events from there.
    Prepare {
        /// What is known of the work.
        configuration: WarmConfiguration,
    },
    /// The session has every event up to and including this one.
    Ack {
        /// Number of that event.
        seq: Seq,
    },
    /// Do this once.
    Command {
        /// A repeat has the same.
        command_id: CommandId,
        /// What.
        command: RunnerCommand,
    },
    /// The sandbox is no longer the session's: stop the agent and end.
    Retired {
        /// For the log.
        reason: String,
    },
    /// Something of a newer bridge; ignored.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// What a runner sets up before it reports [`RunnerEvent::Ready`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RunnerConfiguration {
    /// Whose sandbox it is.
    pub session_id: SessionId,
    /// What to clone into the workspace, unless it is there already.
    pub repository: RepositoryId,
    /// The branch to start from and to compare with.
    pub default_branch: String,
    /// The session's branch: created from the default branch, or fetched when it exists at the code host.
    pub branch: String,
    /// Which agent.
    pub agent: AgentKind,
    /// Model of prompts that name none, `provider/name`.
    pub model: String,
    /// All models that prompts may name.
    pub models: Vec<String>,
}

/// What a runner sets up before anybody has claimed its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WarmConfiguration {
    /// What is in the workspace, and is brought to the newest commit.
    pub repository: RepositoryId,
    /// The branch to follow.
    pub default_branch: String,
    /// Which agent.
    pub agent: AgentKind,
    /// Model of prompts that name none, `provider/name`.
    pub model: String,
    /// All models that prompts may name.
    pub models: Vec<String>,
}

/// Answer to the runner's `GET /memory`: what the bridge sees of the sandbox's memory from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxMemory {
    /// What all processes of the sandbox may have together.
    pub limit_mib: u64,
    /// What they hold and the kernel cannot take back, which is all but what it keeps of files. Absent from a bridge that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_mib: Option<u64>,
    /// How many of them the kernel has ended because there was no more.
    pub kills: u64,
}

impl SandboxMemory {
    /// Whether there is so little left that processes wait for the kernel to read their own code again and again, long before it
    /// ends one of them.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.held_mib.is_some_and(|held| held.saturating_mul(10) >= self.limit_mib.saturating_mul(9))
    }
}

/// Which agent works in the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// OpenCode.
    Opencode,
    /// Deterministic script in the prompt, for tests and measurements.
    Scripted,
}

/// What a runner can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RunnerCommand {
    /// Work on a prompt.
    StartTurn {
        /// What and for whom.
        turn: TurnOrder,
    },
    /// End the turn; it is reported as stopped.
    StopTurn {
        /// Which; another one is left alone.
        turn_id: TurnId,
    },
    /// Give the agent one more prompt while it works; answered by [`RunnerEvent::SteerTaken`], or by nothing when the turn is over.
    SteerTurn {
        /// Which; another one is left alone.
        turn_id: TurnId,
        /// The prompt's id.
        prompt_id: PromptId,
        /// What the participant wrote.
        prompt: String,
        /// Who wrote it.
        author: Author,
        /// What goes along with it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<Attachment>>", optional))]
        attachments: Vec<Attachment>,
    },
    /// Something of a newer bridge; answered with an error.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// One prompt for the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct TurnOrder {
    /// Which turn.
    pub turn_id: TurnId,
    /// 1 for the first try of its prompt.
    pub attempt: u32,
    /// What the participant wrote.
    pub prompt: String,
    /// Whose name the commits carry.
    pub author: Author,
    /// `provider/name`.
    pub model: String,
    /// How much the model is to think, where it can be told; its usual where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub effort: Option<Effort>,
    /// What the agent must know of the conversation and does not remember: put before the prompt, and marked as such.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub digest: Option<String>,
    /// What goes along with the prompt, checked by the session.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<Attachment>>", optional))]
    pub attachments: Vec<Attachment>,
    /// The span that ordered it, as a `traceparent`: what the runner does for the turn is of the same trace.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::trace::lenient")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<String>", optional))]
    pub traceparent: Option<TraceParent>,
    /// What the agent is to know of its means: put before the prompt, and marked as such.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub means: Option<String>,
}

/// Git identity of a prompt's author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Author {
    /// `user.name`.
    pub name: String,
    /// `user.email`.
    pub email: String,
}

/// A runner's event with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RunnerEventRecord {
    /// From 1, gapless per sandbox.
    pub seq: Seq,
    /// On the runner's clock.
    pub at: Timestamp,
    /// What happened.
    pub event: RunnerEvent,
}

/// What happens in a sandbox, the same for every agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RunnerEvent {
    /// A step of the set-up began, such as "cloning acme/shop".
    SetupStep {
        /// For humans.
        step: String,
    },
    /// The workspace is there and the agent answers.
    Ready {
        /// Name and version, such as `opencode 1.18.33`.
        agent: String,
    },
    /// The set-up failed for good; the runner ends.
    SetupFailed {
        /// For humans, with the remedy.
        reason: String,
    },
    /// The runner has the turn.
    TurnReceived {
        /// Which.
        turn_id: TurnId,
        /// Its attempt.
        attempt: u32,
    },
    /// The agent has the prompt that it was to be steered with.
    SteerTaken {
        /// The running turn.
        turn_id: TurnId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// An item appeared, or is replaced as a whole.
    ItemChanged {
        /// Its whole state.
        item: Item,
    },
    /// An item's text or output grew.
    ItemAppended {
        /// Which.
        item_id: ItemId,
        /// Where `text` begins, in UTF-16 code units from the item's start.
        offset: u64,
        /// What is new.
        text: String,
    },
    /// The agent made or looked at a picture or another file that people may want to see.
    FileMade {
        /// The running turn.
        turn_id: TurnId,
        /// The call that brought it; absent where the agent left it in the folder for artifacts.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        item_id: Option<ItemId>,
        /// Of the file. A newer one of the same name without a call replaces the older.
        name: String,
        /// Its content as base64 (RFC 4648 §4), with padding; at most [`crate::limit::FILE_BYTES_MAX`] bytes of content.
        data: String,
    },
    /// The turn is over: everything is committed and pushed, or the outcome says why not.
    TurnEnded {
        /// Which.
        turn_id: TurnId,
        /// Its attempt.
        attempt: u32,
        /// How.
        outcome: TurnOutcome,
        /// What is on the session's branch now, when this turn changed it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        change: Option<Change>,
        /// Diff of the branch, in path order; empty when `change` is absent.
        files: Vec<FileDiff>,
        /// Of this turn.
        usage: Usage,
        /// Turn received → first text or reasoning.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        first_token_ms: Option<u64>,
    },
    /// Sent every 10 s while a turn runs and nothing else was sent: the agent is alive.
    Heartbeat,
    /// Something of a newer runner; recorded as received, changes nothing.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}
