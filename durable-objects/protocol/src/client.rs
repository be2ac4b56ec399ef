//! Client ⇄ session: HTTP bodies and WebSocket frames of browser, extension, Slack and the API.
//!
//! A client signs in, asks for a ticket (`POST /api/sessions/{id}/ticket`), opens `GET /api/sessions/{id}/socket` with the
//! sub-protocols [`SOCKET_PROTOCOL`] and `ticket.<ticket>`, and sends [`ClientMessage::Subscribe`]. It sends the text `ping` every
//! 25 s and gets `pong` without waking the object; while the session is quiet the answer is `pong <seq>`, so that a client notices
//! when it missed something.
//!
//! A client that has read [`crate::limit::VIEWER_ACK_BYTES`] more says so ([`ClientMessage::Ack`]). One that has not for
//! [`crate::limit::VIEWER_WINDOW_BYTES`] gets [`ServerMessage::Lagging`] and then nothing until it subscribes again, which it does on
//! reading that frame; after [`crate::limit::VIEWER_LAG_MS_MAX`] it is closed with [`close_code::TOO_SLOW`].

use crate::attachment::Attachment;
use crate::budget::BudgetState;
use crate::effort::Effort;
use crate::error::ErrorBody;
use crate::id::{PromptId, RepositoryId, ReservationId, SessionId, TurnId, UserId};
use crate::limit::{ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX, CAPTURES_MAX};
use crate::objects;
use crate::tagged;
use crate::time::Timestamp;
use crate::timeline::{
    Artifact, Delivery, EventRecord, Item, Participant, Prompt, PromptOrigin, Role, SandboxStatus, Seq,
    SessionEvent, Turn, Usage, User,
};
use crate::trace::TraceParent;
use serde::{Deserialize, Serialize};

tagged!("type": SignInMethod, ClientMessage, ServerMessage);
objects!(
    CreateSessionRequest,
    CreateSessionResponse,
    PromptRequest,
    PromptAccepted,
    SessionStatus,
    SessionSummary,
    ArchiveRequest,
    HistoryPage,
    Places,
    SessionList,
    RepositorySummary,
    RepositoryList,
    Configuration,
    CaptureSupport,
    AttachmentLimits,
    SignInRequest,
    TicketResponse,
    SessionInfo,
    SessionSnapshot,
);

/// The WebSocket sub-protocol of this version.
pub const SOCKET_PROTOCOL: &str = "farhand.v1";
/// What stands before the ticket in the second offered sub-protocol.
pub const TICKET_PROTOCOL_PREFIX: &str = "ticket.";

/// WebSocket close codes of ours.
pub mod close_code {
    /// The ticket is wrong, used or too old, or what it opened has ended: get a new one and come back.
    pub const TICKET_INVALID: u16 = 4001;
    /// The session is gone: stop.
    pub const SESSION_GONE: u16 = 4004;
    /// A frame over the limit, or not understood at all.
    pub const FRAME_REFUSED: u16 = 4008;
    /// The client reads too slowly: come back with a new ticket and `since`.
    pub const TOO_SLOW: u16 = 4009;
    /// The client sends too much: come back after a while.
    pub const RATE_LIMITED: u16 = 4029;
}

/// `POST /api/sessions`: starts a session, with its first prompt where there is one already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSessionRequest {
    /// `owner/name` at the code host.
    pub repository: RepositoryId,
    /// The first prompt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub prompt: Option<PromptRequest>,
    /// `provider/name`; the deployment's default where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub model: Option<String>,
    /// Under which a warm sandbox was reserved while the prompt was composed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub reservation: Option<ReservationId>,
}

/// Answer to [`CreateSessionRequest`], 201.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct CreateSessionResponse {
    /// The new session.
    pub session_id: SessionId,
}

/// `POST /api/sessions/{id}/message`, and the first prompt of a new session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub struct PromptRequest {
    /// Chosen by the client (`prm_` and 26 characters): sending it again is safe.
    pub id: PromptId,
    /// At most [`crate::limit::PROMPT_BYTES_MAX`] bytes, not only white space.
    pub text: String,
    /// `provider/name`; the session's own where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub model: Option<String>,
    /// How much the model is to think, where it can be told; its usual where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub effort: Option<Effort>,
    /// Where it was written.
    pub origin: PromptOrigin,
    /// When it reaches the agent: `queue`, for which any other word counts, or `steer`.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("examples" = ["queue", "steer"])))]
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Delivery>", optional))]
    pub delivery: Delivery,
    /// What goes along with the text, contents included: at most [`crate::limit::ATTACHMENTS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<Attachment>>", optional))]
    pub attachments: Vec<Attachment>,
    /// The span that it was written in, as a `traceparent`; the request's where absent. What is malformed is passed over.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::trace::lenient")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<String>", optional))]
    pub traceparent: Option<TraceParent>,
}

/// The session has the prompt; answer 202 to [`PromptRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PromptAccepted {
    /// The request's.
    pub prompt_id: PromptId,
    /// Of the event that recorded it.
    pub seq: Seq,
}

/// `GET /api/sessions/{id}/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SessionStatus {
    /// What it is about.
    pub session: SessionInfo,
    /// Number of the newest event.
    pub seq: Seq,
    /// Of the session as a whole.
    pub activity: Activity,
    /// Waiting prompts.
    pub queued_prompts: u32,
    /// The session's sandbox.
    pub sandbox: SandboxStatus,
    /// Branch, diff without hunks, pull request.
    pub artifacts: Vec<Artifact>,
    /// Sum over all turns.
    pub usage: Usage,
}

/// One row of `GET /api/sessions`, newest activity first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SessionSummary {
    /// Which.
    pub session_id: SessionId,
    /// Taken from its first prompt.
    pub title: String,
    /// About which repository.
    pub repository: RepositoryId,
    /// By whom.
    pub created_by: UserId,
    /// Name of that user.
    pub created_by_name: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When something last happened.
    pub updated_at: Timestamp,
    /// Of the session as a whole.
    pub activity: Activity,
    /// Its pull request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub pull_request_number: Option<u64>,
    /// Added lines of its branch.
    pub additions: u32,
    /// Removed lines of its branch.
    pub deletions: u32,
    /// Whether it takes no prompts.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<bool>", optional))]
    pub archived: bool,
}

/// `PUT /api/sessions/{id}/archived`. Answer: 200 `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveRequest {
    /// Whether the session is to take no prompts.
    pub archived: bool,
}

/// `GET /api/sessions/{id}/history?before=<earlier>`: what a snapshot or another page left out, newest part first, as far as it fits a
/// page. The oldest turn of a page may have more items on the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct HistoryPage {
    /// Of the turns.
    pub prompts: Vec<Prompt>,
    /// In order.
    pub turns: Vec<Turn>,
    /// Of the turns, in order.
    pub items: Vec<Item>,
    /// Where they stand.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Places>", optional))]
    pub places: Places,
    /// `before` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub earlier: Option<Seq>,
}

/// Numbers of the events that brought what is shown, each list in the order of its namesake: by them links name a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Places {
    /// Of [`SessionEvent::PromptQueued`].
    pub prompts: Vec<Seq>,
    /// Of [`SessionEvent::TurnStarted`].
    pub turns: Vec<Seq>,
    /// Of each item's first [`SessionEvent::ItemChanged`].
    pub items: Vec<Seq>,
}

/// `GET /api/sessions?before=<updatedAt>&limit=<n ≤ 100>&archived=<true|false>`; without `archived` those that are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SessionList {
    /// Newest activity first.
    pub sessions: Vec<SessionSummary>,
}

/// What a session as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing; the last turn completed, was stopped, or there was none.
    Idle,
    /// A turn runs or a prompt waits.
    Running,
    /// The last turn failed.
    Failed,
    /// One of a newer version.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// One row of `GET /api/repositories`: those this user may work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RepositorySummary {
    /// `owner/name`.
    pub id: RepositoryId,
    /// As at the code host.
    pub description: String,
    /// Pull requests go here.
    pub default_branch: String,
}

/// `GET /api/repositories`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RepositoryList {
    /// By name.
    pub repositories: Vec<RepositorySummary>,
}

/// `GET /api/configuration`: what a client needs before anybody is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Configuration {
    /// Of the wires.
    pub protocol_version: u32,
    /// How to sign in.
    pub sign_in: SignInMethod,
    /// Models to choose from, the default first, `provider/name` each.
    pub models: Vec<String>,
    /// Those of them that can be told how much to think.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<String>>", optional))]
    pub thinking_models: Vec<String>,
    /// Which captures prompts may carry; none where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub captures: Option<CaptureSupport>,
    /// What prompts may carry; nothing where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub attachments: Option<AttachmentLimits>,
}

/// What a deployment makes of captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct CaptureSupport {
    /// The `version` of captures that are understood.
    pub version: u32,
}

/// How much goes along with one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct AttachmentLimits {
    /// [`crate::limit::ATTACHMENTS_MAX`].
    pub attachments_max: u32,
    /// [`crate::limit::CAPTURES_MAX`].
    pub captures_max: u32,
    /// [`crate::limit::ATTACHMENTS_BYTES_MAX`].
    pub bytes_max: u32,
}

impl Default for AttachmentLimits {
    /// The limits of the wires.
    fn default() -> Self {
        Self {
            attachments_max: ATTACHMENTS_MAX as u32,
            captures_max: CAPTURES_MAX as u32,
            bytes_max: ATTACHMENTS_BYTES_MAX as u32,
        }
    }
}

/// How people sign in to this deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SignInMethod {
    /// Development on loopback: pick one of these, no password.
    Local {
        /// Whom one can be.
        users: Vec<User>,
    },
    /// Through GitHub.
    Github,
}

/// `POST /api/sign-in` (local method only). Answer: [`User`], and the session cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInRequest {
    /// One of the offered users' `login`.
    pub login: String,
}

/// Answer to `POST /api/sessions/{id}/ticket`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct TicketResponse {
    /// Good for one WebSocket of this user to this session.
    pub ticket: String,
    /// Not usable after this.
    pub expires_at: Timestamp,
}

/// What a session is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SessionInfo {
    /// Which.
    pub id: SessionId,
    /// Taken from its first prompt.
    pub title: String,
    /// About which repository.
    pub repository: RepositoryId,
    /// Pull requests go here.
    pub default_branch: String,
    /// The session's own branch.
    pub branch: String,
    /// The model of prompts that name none, `provider/name`.
    pub model: String,
    /// By whom.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Since when it takes no prompts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub archived_at: Option<Timestamp>,
}

/// The whole present state of a session; later events apply to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SessionSnapshot {
    /// What it is about.
    pub session: SessionInfo,
    /// Everyone who was ever here.
    pub participants: Vec<Participant>,
    /// All of the shown turns and all waiting ones, in the order of submission.
    pub prompts: Vec<Prompt>,
    /// Waiting prompts in the order in which they will run.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<PromptId>>", optional))]
    pub queue: Vec<PromptId>,
    /// In order; the oldest may be left out, and the oldest items of the first.
    pub turns: Vec<Turn>,
    /// Where what was left out ends: `before` of [`HistoryPage`]. Absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub earlier: Option<Seq>,
    /// Of the shown turns, in order.
    pub items: Vec<Item>,
    /// Where prompts, turns and items stand.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Places>", optional))]
    pub places: Places,
    /// Branch, diff, pull request.
    pub artifacts: Vec<Artifact>,
    /// The session's sandbox.
    pub sandbox: SandboxStatus,
    /// Sum over all turns.
    pub usage: Usage,
    /// The newest [`crate::limit::NOTICES_MAX`] facts that stand for themselves: [`SessionEvent::EffectFailed`],
    /// [`SessionEvent::ConversationRestored`], [`SessionEvent::EgressDenied`], [`SessionEvent::PullRequestChanged`] and
    /// [`SessionEvent::ReviewAdded`].
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<EventRecord>>", optional))]
    pub notices: Vec<EventRecord>,
    /// What holds prompts back, if anything does, and how far budgets are spent.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    #[cfg_attr(feature = "typescript", ts(as = "Option<BudgetState>", optional))]
    pub budget: BudgetState,
}

/// Client → session, one JSON text frame each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// First frame. Answer: [`ServerMessage::Snapshot`], or exactly the missed [`ServerMessage::Event`]s when `since` is known.
    Subscribe {
        /// `seq` of the last event the client has applied.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        since: Option<Seq>,
    },
    /// Submits a prompt. Answer: [`ServerMessage::PromptAccepted`] or [`ServerMessage::Rejected`].
    Prompt {
        /// What is asked.
        prompt: PromptRequest,
    },
    /// Everything up to this event was read.
    Ack {
        /// Its number.
        seq: Seq,
    },
    /// This user is writing; to be sent again every [`crate::limit::TYPING_REPEAT_MS`] while it goes on.
    Typing,
    /// Takes a waiting prompt back.
    CancelPrompt {
        /// Which.
        prompt_id: PromptId,
    },
    /// Gives a waiting prompt another text.
    EditPrompt {
        /// Which.
        prompt_id: PromptId,
        /// As for a new prompt.
        text: String,
    },
    /// Gives a waiting prompt another place.
    MovePrompt {
        /// Which.
        prompt_id: PromptId,
        /// The waiting prompt that it is to stand before; the last place where absent.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        before: Option<PromptId>,
    },
    /// Gives a participant another role.
    SetRole {
        /// Whose.
        user_id: UserId,
        /// The new one.
        role: Role,
    },
    /// Gives the session another title.
    Rename {
        /// At most [`crate::limit::TITLE_CHARACTERS_MAX`] characters, not only white space.
        title: String,
    },
    /// Ends the running turn.
    Stop {
        /// Which, so that a late click does not end the next one.
        turn_id: TurnId,
    },
    /// Something of a newer client; answered with [`ServerMessage::Rejected`].
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// Session → client, one JSON text frame each.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "a frame is read once and taken apart at once")
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The whole state as of `seq`.
    Snapshot {
        /// Number of the newest event in it.
        seq: Seq,
        /// The state.
        snapshot: SessionSnapshot,
    },
    /// One recorded fact; each `seq` is one more than the one before.
    Event {
        /// Its number.
        seq: Seq,
        /// When it was recorded.
        at: Timestamp,
        /// What happened.
        event: SessionEvent,
    },
    /// Several recorded facts, in order and without gap.
    Events {
        /// At least one.
        events: Vec<EventRecord>,
    },
    /// The missed events were all sent: the client is up to date.
    CaughtUp {
        /// Number of the newest event.
        seq: Seq,
    },
    /// Who is looking at the session now; not recorded.
    Presence {
        /// Each user once.
        users: Vec<UserId>,
    },
    /// Who came and went since the last [`ServerMessage::Presence`]; not recorded.
    PresenceChanged {
        /// Users that were not looking before.
        joined: Vec<UserId>,
        /// Users that no connection is left of.
        left: Vec<UserId>,
    },
    /// A user is writing; holds for [`crate::limit::TYPING_MS_MAX`]. Not recorded.
    Typing {
        /// Who.
        user_id: UserId,
    },
    /// The client has not read what it was sent, so nothing follows: subscribe again since the last applied event.
    Lagging,
    /// The prompt is safe. Sent again for a repeated submission.
    PromptAccepted {
        /// The client's id for it.
        prompt_id: PromptId,
        /// Of the event that recorded it.
        seq: Seq,
    },
    /// A frame of this client was refused; nothing was stored.
    Rejected {
        /// Of the refused prompt.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "typescript", ts(optional))]
        prompt_id: Option<PromptId>,
        /// Why.
        error: ErrorBody,
    },
    /// Something of a newer session; ignored.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}
