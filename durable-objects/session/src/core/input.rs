//! Everything a session can be told, and everything it can order.

use protocol::bridge::{EventBatch, RunnerAttached, SandboxEnded, SandboxSource};
use protocol::client::PromptRequest;
use protocol::error::ErrorBody;
use protocol::id::{CommandId, PromptId, SandboxId, SnapshotId, TurnId, UserId};
use protocol::time::Timestamp;
use protocol::timeline::{Change, Isolation, Seq, SessionEvent, User};
use serde::{Deserialize, Serialize};

/// What a decision needs besides the input.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// Fresh for each input: new ids come from it.
    pub random: [u8; 16],
    /// The configured models.
    pub models: &'a [String],
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A user opened the session.
    ParticipantJoined {
        /// Who.
        user: User,
    },
    /// A user submitted a prompt.
    PromptSubmitted {
        /// Who; joins by it.
        author: User,
        /// What.
        prompt: PromptRequest,
    },
    /// A participant takes a waiting prompt back.
    PromptCancelled {
        /// Which.
        prompt_id: PromptId,
        /// By whom.
        by: UserId,
    },
    /// A participant wants the running turn to end.
    StopRequested {
        /// Which.
        turn_id: TurnId,
        /// By whom.
        by: UserId,
    },
    /// A sandbox's runner dialled in at a bridge.
    RunnerAttached(RunnerAttached),
    /// A bridge delivers events of a runner.
    RunnerEvents(EventBatch),
    /// A sandbox is gone without having been told to.
    SandboxEnded(SandboxEnded),
    /// Something ordered by [`Effect::Enqueue`] came to an end, or did not yet.
    WorkDone {
        /// What was ordered.
        work: Work,
        /// What came of it.
        outcome: WorkOutcome,
    },
    /// The moment of [`super::Session::next_deadline`] has come.
    DeadlineReached,
}

/// What is to be done. All effects of one input are one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Store and broadcast a fact.
    Record {
        /// Its number.
        seq: Seq,
        /// When.
        at: Timestamp,
        /// The fact.
        event: SessionEvent,
    },
    /// Keep a participant's account, which is more than clients see of it.
    SaveParticipant(super::Person),
    /// A waiting prompt lost an attempt before a turn began.
    SaveAttempts {
        /// Which.
        prompt_id: PromptId,
        /// Used so far.
        attempts: u32,
    },
    /// Something must happen outside, once. Ordering it again makes it due at once.
    Enqueue(Work),
    /// Something ordered need not happen any more.
    Withdraw {
        /// [`Work::key`].
        key: String,
    },
    /// Tell the caller of this input.
    Reply(Reply),
}

/// What the caller of an input hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done, or had been before.
    Done,
    /// The session has the prompt.
    PromptAccepted {
        /// Which.
        prompt_id: PromptId,
        /// Of the event that recorded it.
        seq: Seq,
    },
    /// The session has the runner's events up to this number.
    Acked {
        /// 0 when it has none.
        acked: Seq,
    },
    /// Nothing was stored because earlier events are missing.
    EventGap {
        /// The number that must come next.
        expected: Seq,
    },
    /// It was refused; nothing was stored.
    Refused(ErrorBody),
}

/// Something that must happen outside the session. A repeat has the same effect as one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Ask the bridge for a sandbox.
    CreateSandbox {
        /// Its id.
        sandbox_id: SandboxId,
        /// Its generation.
        generation: u64,
        /// What it starts from.
        source: SandboxSource,
    },
    /// Give the turn to the runner.
    StartTurn {
        /// Where.
        sandbox_id: SandboxId,
        /// Of the sandbox.
        generation: u64,
        /// Which.
        turn_id: TurnId,
    },
    /// Tell the runner to end the turn.
    StopTurn {
        /// Where.
        sandbox_id: SandboxId,
        /// Of the sandbox.
        generation: u64,
        /// Which.
        turn_id: TurnId,
    },
    /// Save the sandbox.
    TakeSnapshot {
        /// Which sandbox.
        sandbox_id: SandboxId,
        /// Of the sandbox.
        generation: u64,
        /// Under this id.
        snapshot_id: SnapshotId,
    },
    /// End the sandbox.
    TerminateSandbox {
        /// Which.
        sandbox_id: SandboxId,
        /// Of the sandbox.
        generation: u64,
        /// Base URL of the bridge replica that its runner was last connected to.
        bridge_url: Option<String>,
    },
    /// Open the session's pull request.
    OpenPullRequest(PullRequestOrder),
    /// Bring the row of the session index up to date.
    UpdateIndex,
}

/// What a pull request is opened from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestOrder {
    /// The turn that changed something.
    pub turn_id: TurnId,
    /// Whose token opens it.
    pub author: UserId,
    /// What is on the branch.
    pub change: Change,
}

/// What came of a [`Work`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkOutcome {
    /// Done.
    Done,
    /// The sandbox exists.
    SandboxCreated {
        /// `local` or `modal`.
        provider: String,
        /// How strongly it is isolated.
        isolation: Isolation,
    },
    /// The pull request is open.
    PullRequestOpened {
        /// At the code host.
        number: u64,
        /// To open it in a browser.
        url: String,
        /// As it is there.
        title: String,
        /// Into which branch.
        base: String,
    },
    /// It did not work and will be tried again.
    Delayed {
        /// For humans.
        reason: String,
    },
    /// It did not work and will not be tried again.
    Failed {
        /// For humans, with the remedy.
        reason: String,
    },
    /// The other side understood and refused: the same in another sandbox would be refused likewise.
    Rejected {
        /// For humans, with the remedy.
        reason: String,
    },
}

impl Work {
    /// Its name in the outbox: the same key is the same work.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::CreateSandbox { sandbox_id, .. } => format!("create_sandbox/{sandbox_id}"),
            Self::StartTurn { turn_id, .. } => format!("start_turn/{turn_id}"),
            Self::StopTurn { turn_id, .. } => format!("stop_turn/{turn_id}"),
            Self::TakeSnapshot { snapshot_id, .. } => format!("take_snapshot/{snapshot_id}"),
            Self::TerminateSandbox { sandbox_id, .. } => format!("terminate_sandbox/{sandbox_id}"),
            Self::OpenPullRequest(_) => "open_pull_request".to_owned(),
            Self::UpdateIndex => "update_index".to_owned(),
        }
    }

    /// Its kind, as in the outbox table.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateSandbox { .. } => "create_sandbox",
            Self::StartTurn { .. } => "start_turn",
            Self::StopTurn { .. } => "stop_turn",
            Self::TakeSnapshot { .. } => "take_snapshot",
            Self::TerminateSandbox { .. } => "terminate_sandbox",
            Self::OpenPullRequest(_) => "open_pull_request",
            Self::UpdateIndex => "update_index",
        }
    }

    /// Id of the command that a runner gets for it; derived from the turn, so that a repeat is recognised.
    #[must_use]
    pub fn command_id(&self) -> Option<CommandId> {
        let (verb, turn_id) = match self {
            Self::StartTurn { turn_id, .. } => ("start", turn_id),
            Self::StopTurn { turn_id, .. } => ("stop", turn_id),
            Self::CreateSandbox { .. }
            | Self::TakeSnapshot { .. }
            | Self::TerminateSandbox { .. }
            | Self::OpenPullRequest(_)
            | Self::UpdateIndex => return None,
        };
        let turn = turn_id.as_str().get(TurnId::PREFIX.len() + 1..).unwrap_or_default();
        CommandId::parse(&format!("{}_{verb}-{turn}", CommandId::PREFIX)).ok()
    }
}
