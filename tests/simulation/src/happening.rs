//! Everything that can be under way between the parts of a run: requests, answers, frames, timers and faults.

use crate::plan::Fault;
use protocol::bridge::{EventBatch, EventsAck, RunnerAttached, SandboxEnded, SandboxSource};
use protocol::client::SessionSnapshot;
use protocol::error::ErrorBody;
use protocol::id::{ArtifactId, CommandId, ImageId, PromptId, SandboxId, SnapshotId, UserId};
use protocol::runner::{RunnerCommand, RunnerEventRecord};
use protocol::timeline::{EventRecord, Isolation, Role, Seq};
use session::core::{Input, PullRequestOrder};
use std::rc::Rc;

/// One connection or request; never used twice in a run.
pub(crate) type Token = u64;

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// The runtime calls the object at the time it asked for, unless another call replaced this one.
    Alarm(Token),
    /// Frames that were held back are due.
    Flush(Token),
    /// A request of the session arrives.
    Asked(Ask),
    /// The answer to a request of the session arrives.
    Answered(Token, Answer),
    /// The session waits no longer for the answer.
    AnswerMissed(Token),
    /// A request of the bridge arrives at the session.
    Told(Tell),
    /// The session's answer to the bridge arrives.
    TellAnswered(Token, Result<EventsAck, ErrorBody>),
    /// The bridge waits no longer for the session's answer.
    TellMissed(Token),
    /// The bridge tries again.
    BridgeRetry(Token),
    /// The bridge has started again.
    BridgeUp,
    /// Between a runner and the bridge.
    Runner(RunnerStep),
    /// What the provider was asked to do is done.
    Provided(Provision),
    /// Nobody wants this sandbox, unless the session has it.
    Discard(SandboxId),
    /// A sandbox's life is over.
    LifeEnds(SandboxId),
    /// Between a client and the session.
    Client(ClientStep),
    /// Something goes wrong.
    Fault(Fault),
    /// From here on nothing goes wrong.
    FaultsEnd,
    /// Edge and bridge reach each other again.
    PartitionEnds,
    /// The session is deleted, or deletion is asked for again.
    Deletion,
}

/// What happens to runners and their sockets.
#[expect(clippy::large_enum_variant, reason = "there are few at a time")]
#[derive(Clone, Debug)]
pub(crate) enum RunnerStep {
    /// A runner dials.
    Dialled(SandboxId, Token),
    /// A runner's frame arrives at the bridge.
    Frame(Token, Vec<Rc<RunnerEventRecord>>),
    /// A frame of the bridge arrives at the runner.
    Hear(Token, ToRunner),
    /// The runner notices that its connection is gone.
    Lost(SandboxId, Token),
    /// The bridge notices that a runner's connection is gone.
    BridgeLost(Token),
    /// The runner's own work is due.
    Tick(SandboxId, Token),
    /// The runner dials again.
    Dial(SandboxId, Token),
}

/// What happens to clients and their sockets.
#[derive(Clone, Debug)]
pub(crate) enum ClientStep {
    /// A client's frame or request arrives at the session.
    Sent(Token, FromClient),
    /// Something arrives at a client by its socket.
    Got(Token, ToClient),
    /// A client's HTTP request is answered.
    Answered(usize, ToClient),
    /// A client's socket is open at the session.
    SocketOpened(usize, Token),
    /// A client notices that its socket is gone.
    SocketLost(usize, Token),
    /// A client pings and looks after what it waits for.
    Tick(usize),
    /// A person does something.
    Act(usize),
}

impl From<RunnerStep> for Happening {
    fn from(step: RunnerStep) -> Self {
        Self::Runner(step)
    }
}

impl From<ClientStep> for Happening {
    fn from(step: ClientStep) -> Self {
        Self::Client(step)
    }
}

/// A request of the session to others.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) call: Token,
    pub(crate) body: AskBody,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum AskBody {
    Claim { generation: u64 },
    Release { generation: u64 },
    Bind { sandbox_id: SandboxId, generation: u64 },
    Create { sandbox_id: SandboxId, generation: u64, source: SandboxSource },
    Command { sandbox_id: SandboxId, generation: u64, command_id: CommandId, command: RunnerCommand },
    Snapshot { sandbox_id: SandboxId, generation: u64, snapshot_id: SnapshotId },
    Terminate { sandbox_id: SandboxId, generation: u64 },
    DeleteSnapshot { snapshot_id: SnapshotId },
    PullRequest(PullRequestOrder),
    UpdateIndex(IndexEntry),
    RemoveIndex,
    Store { artifact_id: ArtifactId, text: Rc<str> },
    DeleteArtifacts,
}

/// What the session index has of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexEntry {
    pub(crate) seq: Seq,
    pub(crate) title: String,
    pub(crate) working: bool,
    pub(crate) archived: bool,
}

/// An answer to the session.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Done,
    Created {
        isolation: Isolation,
    },
    Claimed {
        sandbox_id: SandboxId,
    },
    NoWarm {
        image_id: Option<ImageId>,
    },
    PullRequest {
        number: u64,
        url: String,
        title: String,
        base: String,
    },
    /// Not 2xx.
    Refused(u16, ErrorBody),
    /// The code host said no.
    CodeHostRefused(String),
    /// No answer, or none that can be understood.
    Nothing,
    /// What it was for is over.
    Pointless,
}

/// A request of the bridge to the session.
#[derive(Clone, Debug)]
pub(crate) struct Tell {
    pub(crate) call: Token,
    pub(crate) body: TellBody,
}

/// What the bridge says.
#[derive(Clone, Debug)]
pub(crate) enum TellBody {
    Attached(RunnerAttached),
    Events(EventBatch),
    Ended(SandboxEnded),
}

impl TellBody {
    /// Which sandbox it is about.
    pub(crate) fn subject(&self) -> (&SandboxId, u64) {
        match self {
            Self::Attached(attached) => (&attached.sandbox_id, attached.generation),
            Self::Events(batch) => (&batch.sandbox_id, batch.generation),
            Self::Ended(ended) => (&ended.sandbox_id, ended.generation),
        }
    }

    pub(crate) fn into_input(self) -> Input {
        match self {
            Self::Attached(attached) => Input::RunnerAttached(attached),
            Self::Events(batch) => Input::RunnerEvents(batch),
            Self::Ended(ended) => Input::SandboxEnded(ended),
        }
    }
}

/// A frame of the bridge.
#[expect(clippy::large_enum_variant, reason = "there are few at a time")]
#[derive(Clone, Debug)]
pub(crate) enum ToRunner {
    Welcome { resume_from: Seq },
    Ack(Seq),
    Command(CommandId, RunnerCommand),
    Retired,
}

/// What the provider finishes.
#[derive(Clone, Debug)]
pub(crate) enum Provision {
    Created { sandbox_id: SandboxId, call: Token, incarnation: u64 },
    Saved { sandbox_id: SandboxId, snapshot_id: SnapshotId, call: Token, incarnation: u64 },
    Ended { sandbox_id: SandboxId, call: Option<Token> },
}

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) enum FromClient {
    Subscribe {
        since: Option<Seq>,
    },
    /// Something that the session's core decides on.
    Want(Box<Input>),
    /// The same by HTTP, answered for itself.
    Request(usize, Box<Input>),
    Ping,
}

/// What a client gets.
#[derive(Clone, Debug)]
pub(crate) enum ToClient {
    Snapshot(Seq, Box<SessionSnapshot>),
    Events(Vec<Rc<EventRecord>>),
    CaughtUp(Seq),
    Accepted(PromptId, Seq),
    Rejected(Option<PromptId>, ErrorBody),
    Done,
    Lagging,
    Pong(Option<Seq>),
    Closed,
}

/// A role that a person gives.
pub(crate) const ROLES: [Role; 3] = [Role::Owner, Role::Driver, Role::Viewer];

/// A user of a run.
pub(crate) fn user_id(index: usize) -> Option<UserId> {
    UserId::parse(&format!("usr_{index}")).ok()
}
