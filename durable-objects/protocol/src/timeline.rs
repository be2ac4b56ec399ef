//! What a session is made of, as every client sees it: people, prompts, turns, items, artifacts, and the events that change them.
//!
//! Events are facts with a gapless `seq` per session. Applying them in order to a [`crate::client::SessionSnapshot`] gives the
//! present state; Rust (`session::core`) and TypeScript (`workers/web`) do it alike.

pub use crate::attachment::{AttachmentKind, PictureFacts, PromptAttachment};
pub use crate::budget::{BudgetState, Hold, HoldKind};
pub use crate::diff::{DiffLine, DiffLineKind, FileDiff, FileStatus, Hunk};
use crate::effort::Effort;
use crate::id::{ArtifactId, ItemId, PromptId, RepositoryId, SandboxId, SnapshotId, TurnId, UserId};
pub use crate::item::{Item, ItemContent, LineCount, NoticeLevel, PlanStep, PlanStepState, ToolState};
use crate::objects;
pub use crate::pull::{Check, CheckState, PullRequestProgress, PullState, Review, Verdict};
use crate::tagged;
use crate::time::Timestamp;
use crate::trace::TraceParent;
use serde::{Deserialize, Serialize};

tagged!("type": TurnOutcome, ArtifactContent, Restoration, SessionEvent);
objects!(
    User,
    Participant,
    Prompt,
    Turn,
    TurnEnd,
    Change,
    Usage,
    Artifact,
    Extent,
    SandboxDescription,
    EventRecord,
    EgressDenial,
);
tagged!("state": SandboxStatus);

/// Position of an event in its session. The first event has 1; 0 means "nothing yet".
pub type Seq = u64;

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct User {
    /// Ours.
    pub id: UserId,
    /// Name at the code host.
    pub login: String,
    /// Full name, as in a commit.
    pub name: String,
    /// Address, as in a commit.
    pub email: String,
}

/// A user in this session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Participant {
    /// The account.
    pub user_id: UserId,
    /// Name at the code host.
    pub login: String,
    /// Full name.
    pub name: String,
    /// When this user was first here.
    pub joined_at: Timestamp,
    /// What this user may do here; a driver where absent.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Role>", optional))]
    pub role: Role,
}

/// What a participant may do in a session. Which role may do what is one table, `session::core`'s policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, deletion included. The user who began the session is the first.
    Owner,
    /// Prompts, steers, stops, orders the queue.
    #[default]
    Driver,
    /// Watches.
    Viewer,
    /// A role of a newer version; may watch.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// What a participant submitted. The text can be edited while the prompt waits, never after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Prompt {
    /// Chosen by the submitting client.
    pub id: PromptId,
    /// The participant who wrote it; commits and pull request carry this person.
    pub author: UserId,
    /// Where it was written.
    pub origin: PromptOrigin,
    /// As written.
    pub text: String,
    /// The model asked for, `provider/name`; the session's own where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub model: Option<String>,
    /// How much the model is to think, where it can be told; its usual where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub effort: Option<Effort>,
    /// When the session accepted it.
    pub submitted_at: Timestamp,
    /// Where it is on its way.
    pub state: PromptState,
    /// Whether it waits for its own turn or goes into the running one; the former where absent.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Delivery>", optional))]
    pub delivery: Delivery,
    /// The running turn that took it up; absent unless it was steered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub steered_into: Option<TurnId>,
    /// Who last edited it while it waited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub edited_by: Option<UserId>,
    /// Who took it back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub cancelled_by: Option<UserId>,
    /// What goes along with it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<PromptAttachment>>", optional))]
    pub attachments: Vec<PromptAttachment>,
    /// The span that submitted it, as a `traceparent`: the turns that work on it are of the same trace. Absent in older ones.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::trace::lenient")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<String>", optional))]
    pub traceparent: Option<TraceParent>,
}

/// When a prompt reaches the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Into the running turn; as [`Delivery::Queue`], but next, when none runs or the turn ends before it took the prompt.
    Steer,
    /// In a turn of its own, after those before it.
    #[default]
    #[serde(other)]
    Queue,
}

/// Where a prompt was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PromptOrigin {
    /// The web client.
    Web,
    /// The Chrome extension.
    Extension,
    /// A Slack thread.
    Slack,
    /// The HTTP API.
    Api,
    /// A newer kind.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// Where a prompt is on its way. The last three are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PromptState {
    /// Waits for its turn.
    Queued,
    /// Its turn is on.
    Running,
    /// Its turn ended, however it ended.
    Done,
    /// Taken back before it ran.
    Cancelled,
    /// Every attempt was lost, see the turn's outcome.
    Failed,
}

/// The agent's work on one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Turn {
    /// Ours.
    pub id: TurnId,
    /// What it works on.
    pub prompt_id: PromptId,
    /// 1 for the first try of this prompt.
    pub attempt: u32,
    /// When it was ordered.
    pub started_at: Timestamp,
    /// Who asked for its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub stop_requested_by: Option<UserId>,
    /// Absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub end: Option<TurnEnd>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct TurnEnd {
    /// When the session learned of it.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: TurnOutcome,
    /// What the turn left in git; absent when nothing changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub change: Option<Change>,
    /// What the model was asked to do, in tokens.
    pub usage: Usage,
    /// Turn received by the runner → first text or reasoning of the agent, on the runner's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub first_token_ms: Option<u64>,
    /// What stopped it, unless people did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub held: Option<Hold>,
}

/// How a turn ended, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The agent finished.
    Completed,
    /// A participant stopped it.
    Stopped,
    /// It failed.
    Failed {
        /// Why, for humans, with the remedy where there is one.
        reason: String,
    },
}

/// What a turn left on the session's branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Change {
    /// Pushed here.
    pub branch: String,
    /// The branch's newest commit, 40 hexadecimal digits.
    pub commit: String,
    /// Subject line of that commit.
    pub subject: String,
    /// Of the whole branch against the point where it left the default branch.
    pub files_changed: u32,
    /// Added lines, likewise.
    pub additions: u32,
    /// Removed lines, likewise.
    pub deletions: u32,
}

/// Tokens and cost. All are sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", default)]
pub struct Usage {
    /// Read by the model, cached ones included.
    pub input_tokens: u64,
    /// Written by the model, reasoning included.
    pub output_tokens: u64,
    /// Of the input, served from the provider's cache.
    pub cached_tokens: u64,
    /// As the agent reckons it; 0 where the price is unknown.
    pub cost_usd: f64,
}

impl Usage {
    /// Adds another sum to this one.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cached_tokens += other.cached_tokens;
        self.cost_usd += other.cost_usd;
    }
}

/// A lasting result of the session. A newer one with the same id replaces the older.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Artifact {
    /// One per thing: the session's diff keeps its id from turn to turn.
    pub id: ArtifactId,
    /// The turn that last changed it.
    pub turn_id: TurnId,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// What it is.
    pub content: ArtifactContent,
}

/// What an artifact is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ArtifactContent {
    /// The session's branch with its newest commit.
    Branch {
        /// What the turns left there.
        change: Change,
    },
    /// The session's branch against the point where it left the default branch.
    Diff {
        /// In path order.
        files: Vec<FileDiff>,
    },
    /// The pull request.
    PullRequest {
        /// At the code host.
        number: u64,
        /// To open it in a browser.
        url: String,
        /// As generated.
        title: String,
        /// The user whose token opened it.
        author: UserId,
        /// Into which branch.
        base: String,
        /// How it is since then; as it was opened where absent.
        #[serde(skip_serializing_if = "crate::is_default", default)]
        #[cfg_attr(feature = "typescript", ts(as = "Option<PullRequestProgress>", optional))]
        progress: PullRequestProgress,
    },
    /// A picture or another file that the agent made or looked at.
    File {
        /// What the agent calls it.
        name: String,
        /// The call that brought it; absent where the agent left it in the folder for artifacts.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        item_id: Option<ItemId>,
        /// Its content, which it follows from: `GET /api/sessions/{id}/artifacts/{artifact_id}`.
        content_id: ArtifactId,
        /// One of [`crate::attachment::MEDIA_TYPES`], [`crate::attachment::TEXT_TYPE`] or [`crate::attachment::BINARY_TYPE`], by the
        /// content itself.
        media_type: String,
        /// Of the content.
        bytes: u64,
        /// Of a picture.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        extent: Option<Extent>,
    },
    /// A kind of a newer peer.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// How large a picture is, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Extent {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// The session's sandbox, as people see it: one state, not many flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "state"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "state"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SandboxStatus {
    /// None yet, or none any more.
    None,
    /// Ordered, not yet able to take a turn.
    Starting {
        /// Which.
        sandbox_id: SandboxId,
        /// What it is doing: creating, cloning, starting the agent.
        step: String,
    },
    /// Able to take a turn.
    Ready {
        /// Which.
        sandbox_id: SandboxId,
        /// Where it runs and how strongly it is isolated.
        description: SandboxDescription,
    },
    /// Stopped; the conversation goes on from the snapshot.
    Stopped {
        /// What the next sandbox starts from.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        snapshot_id: Option<SnapshotId>,
    },
    /// Could not be had, or died.
    Failed {
        /// For humans, with the remedy.
        reason: String,
    },
}

/// Where a sandbox runs and how strongly it is isolated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SandboxDescription {
    /// `local` or `modal`.
    pub provider: String,
    /// How strongly.
    pub isolation: Isolation,
    /// The agent and its version, such as `opencode 1.18.33`.
    pub agent: String,
}

/// How strongly a sandbox is isolated from the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Own kernel or virtual machine.
    Vm,
    /// Own namespaces, own root, Landlock, seccomp, no network but the gateway.
    Namespaces,
    /// A plain process of the host: nothing keeps it from the host's files and network.
    Weak,
    /// A tier of a newer provider.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// A recorded fact with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EventRecord {
    /// One more than that of the event before.
    pub seq: Seq,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: SessionEvent,
}

/// What the agent of a replacement sandbox knows of the conversation before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Restoration {
    /// Its own state, saved after the last turn.
    Snapshot {
        /// Which.
        snapshot_id: SnapshotId,
    },
    /// Its own state of an earlier moment, and a digest of the turns since.
    EarlierSnapshot {
        /// Which.
        snapshot_id: SnapshotId,
        /// Turns that are in the digest.
        turns: u32,
    },
    /// A digest of the transcript; the files are those of the session's branch.
    Digest {
        /// Turns that are in it.
        turns: u32,
    },
    /// A way of a newer version.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// Connections of a sandbox to one place that its bridge refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EgressDenial {
    /// As the sandbox asked for it: a name, or an address.
    pub host: String,
    /// Of TCP.
    pub port: u16,
    /// One word for programs, such as `host_not_allowed`.
    pub reason: String,
    /// How often, since the sandbox began.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub count: u64,
}

/// A recorded fact. Applied in the order of its `seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SessionEvent {
    /// The session exists.
    SessionCreated {
        /// About which repository.
        repository: RepositoryId,
        /// By whom.
        created_by: UserId,
    },
    /// The session has another title.
    TitleChanged {
        /// The new one.
        title: String,
        /// By whom; absent when it was taken from the first prompt.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        by: Option<UserId>,
    },
    /// A user is here for the first time, or has another name.
    ParticipantJoined {
        /// Who.
        participant: Participant,
    },
    /// A prompt was accepted. From here it is never lost.
    PromptQueued {
        /// With its author.
        prompt: Prompt,
    },
    /// A waiting prompt was taken back.
    PromptCancelled {
        /// Which.
        prompt_id: PromptId,
        /// By whom.
        by: UserId,
    },
    /// A participant may do something else than before.
    RoleChanged {
        /// Whose role.
        user_id: UserId,
        /// The new one.
        role: Role,
        /// By whom.
        by: UserId,
    },
    /// A waiting prompt has another text.
    PromptEdited {
        /// Which.
        prompt_id: PromptId,
        /// The new text.
        text: String,
        /// By whom.
        by: UserId,
    },
    /// A waiting prompt has another place.
    PromptMoved {
        /// Which.
        prompt_id: PromptId,
        /// The waiting prompt that it stands before; the last place where absent.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        before: Option<PromptId>,
        /// By whom.
        by: UserId,
        /// How it reaches the agent from here on; absent: as before. Who gives a prompt a place says that it runs there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        delivery: Option<Delivery>,
    },
    /// The running turn took a prompt up. Its end is the prompt's; should the turn be lost, the prompt waits again, next in line.
    PromptSteered {
        /// Which.
        prompt_id: PromptId,
        /// The turn.
        turn_id: TurnId,
    },
    /// A prompt's turn began (or began again, with the next attempt).
    TurnStarted {
        /// With its prompt.
        turn: Turn,
    },
    /// A participant asked for the end of the running turn.
    StopRequested {
        /// Which.
        turn_id: TurnId,
        /// By whom.
        by: UserId,
    },
    /// An item appeared, or is replaced as a whole.
    ItemChanged {
        /// Its whole state.
        item: Item,
    },
    /// Everything of an item is replaced but the text or output that grows: its end, without sending the text again.
    ItemRevised {
        /// Its state, with an empty `text` or `output`.
        item: Item,
    },
    /// An item's text or output grew.
    ItemAppended {
        /// Which.
        item_id: ItemId,
        /// Where `text` begins, in UTF-16 code units (JavaScript's `length`) from the item's start.
        offset: u64,
        /// What is new.
        text: String,
    },
    /// A turn is over.
    TurnEnded {
        /// Which.
        turn_id: TurnId,
        /// How.
        end: TurnEnd,
        /// The state of its prompt now: done, failed, or queued again for another attempt.
        prompt_state: PromptState,
    },
    /// The sandbox is in another state.
    SandboxChanged {
        /// The new one.
        status: SandboxStatus,
    },
    /// The sandbox was saved.
    SnapshotTaken {
        /// Restores to it.
        snapshot_id: SnapshotId,
    },
    /// A replacement sandbox is ready, and this is what its agent knows.
    ConversationRestored {
        /// Which sandbox.
        sandbox_id: SandboxId,
        /// From what.
        from: Restoration,
    },
    /// The session takes no prompts until it is taken up again.
    SessionArchived {
        /// By whom.
        by: UserId,
    },
    /// The session takes prompts again.
    SessionUnarchived {
        /// By whom.
        by: UserId,
    },
    /// There is a new artifact, or a new state of one.
    ArtifactChanged {
        /// Its whole state.
        artifact: Artifact,
    },
    /// Something that reaches outside failed for good (such as opening the pull request).
    EffectFailed {
        /// For humans: what was tried.
        what: String,
        /// For humans, with the remedy.
        reason: String,
    },
    /// The sandbox wanted to go where it may not. Recorded the first time, and again each time the count has one more digit.
    EgressDenied {
        /// Where, why and how often.
        denial: EgressDenial,
    },
    /// The pull request was merged, closed, or opened again. The artifact has its state.
    PullRequestChanged {
        /// At the code host.
        number: u64,
        /// The new one.
        state: PullState,
    },
    /// Somebody said something about the pull request; what was said before under the same id is replaced by it.
    ReviewAdded {
        /// Of the pull request.
        number: u64,
        /// What.
        review: Review,
    },
    /// What holds prompts back, if anything does, and how far budgets are spent.
    BudgetChanged(BudgetState),
    /// A fact of a newer version; has its `seq`, changes nothing here.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}
