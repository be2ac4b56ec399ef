//! Everything a session can be told, and everything it can order.

use super::limit::HANDOVER_MS;
use protocol::bridge::{EgressReport, EventBatch, RunnerAttached, SandboxEnded, SandboxSource};
use protocol::client::PromptRequest;
use protocol::error::ErrorBody;
use protocol::id::{
    ArtifactId, CommandId, ImageId, ItemId, PromptId, ReservationId, SandboxId, SnapshotId, TurnId, UserId,
};
use protocol::pull::{PullReport, PullRequestProgress};
use protocol::time::Timestamp;
use protocol::timeline::{Change, Isolation, Role, Seq, SessionEvent, User};
use serde::{Deserialize, Serialize};

protocol::tagged!("kind": Work);
protocol::objects!(PullRequestOrder);

/// What a decision needs besides the input.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The present moment.
    pub now: Timestamp,
    /// Fresh for each input: new ids come from it.
    pub random: [u8; 16],
    /// The configured models.
    pub models: &'a [String],
    /// How long sandboxes live and wait.
    pub timing: Timing,
}

/// How long sandboxes live and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A sandbox's life; its work is handed over before its end.
    pub life_ms: u64,
    /// A sandbox without work is saved and stopped after this.
    pub idle_ms: u64,
    /// A pull request of which nothing is heard is looked at after this, then after twice as long, and so on.
    pub look_ms: u64,
}

impl Timing {
    /// When the work of a sandbox ordered at `created_at` is handed over: early enough for its turn to stop and to be saved.
    pub(super) fn handover_at(self, created_at: Timestamp) -> Timestamp {
        created_at.plus_ms(self.life_ms - HANDOVER_MS.min(self.life_ms / 4))
    }
}

impl Default for Timing {
    /// 4 hours of life, 10 minutes of waiting, a look every quarter of an hour.
    fn default() -> Self {
        Self { life_ms: 4 * 3_600_000, idle_ms: 600_000, look_ms: 900_000 }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The code host tells how the pull request is.
    PullRequestReported(PullReport),
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
    /// A participant has begun to write a prompt.
    PromptBegun {
        /// Who.
        by: UserId,
    },
    /// A participant takes a waiting prompt back.
    PromptCancelled {
        /// Which.
        prompt_id: PromptId,
        /// By whom.
        by: UserId,
    },
    /// A participant gives a waiting prompt another text.
    PromptEdited {
        /// Which.
        prompt_id: PromptId,
        /// As for a new prompt.
        text: String,
        /// By whom.
        by: UserId,
    },
    /// A participant gives a waiting prompt another place.
    PromptMoved {
        /// Which.
        prompt_id: PromptId,
        /// The waiting prompt that it is to stand before; the last place where absent.
        before: Option<PromptId>,
        /// By whom.
        by: UserId,
    },
    /// A participant gives another one a role.
    RoleChanged {
        /// Whose.
        user_id: UserId,
        /// The new one.
        role: Role,
        /// By whom.
        by: UserId,
    },
    /// A participant gives the session another title.
    TitleChanged {
        /// The new one.
        title: String,
        /// By whom.
        by: UserId,
    },
    /// A participant wants the session to take no prompts, or to take them again.
    ArchiveChanged {
        /// Whether it is to take none.
        archived: bool,
        /// By whom.
        by: UserId,
    },
    /// A participant wants everything gone.
    DeletionRequested {
        /// By whom.
        by: UserId,
    },
    /// Nobody is left who may see the session: everything goes.
    Forsaken,
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
    /// A bridge tells where a sandbox was not let go.
    EgressDenied(EgressReport),
    /// Something ordered by [`Effect::Enqueue`] came to an end, or did not yet.
    WorkDone {
        /// What was ordered.
        work: Work,
        /// What came of it.
        outcome: WorkOutcome,
    },
    /// The ledger of budgets has answered.
    Consulted(super::Consultation),
    /// An operator has changed budgets, or halted everything, or lifted that.
    BudgetsChanged,
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
    /// Keep the queue, which differs from what was kept before.
    SaveQueue(Vec<super::QueuedPrompt>),
    /// Keep how far the runner's events were taken; nothing else that the session watches has changed.
    SaveCursor,
    /// Keep everything that the session watches.
    SaveWatch,
    /// Write an item's text to its row, as of this event: its pieces are in the events after the row's last one.
    SaveText {
        /// Which.
        item_id: ItemId,
        /// Number of the newest event whose piece is in `text`.
        seq: Seq,
        /// All of it.
        text: String,
    },
    /// Keep a tool's whole output, or a file, until it is stored as an artifact.
    SaveOutput {
        /// The artifact.
        artifact_id: ArtifactId,
        /// All of it.
        output: super::Output,
    },
    /// Keep what goes along with a prompt.
    SaveAttachments {
        /// Whose.
        prompt_id: PromptId,
        /// In order.
        attachments: Vec<super::CheckedAttachment>,
    },
    /// The artifact is stored; its content need not be kept here.
    DropOutput {
        /// The artifact.
        artifact_id: ArtifactId,
    },
    /// Remove events that are too old to be sent; what they add up to is in the other tables.
    Compact {
        /// The oldest that stays.
        from: Seq,
    },
    /// Remove everything but what the outbox needs.
    Purge,
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
#[serde(remote = "Self", rename_all = "snake_case")]
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
    /// Ask the repository for a warm sandbox.
    ClaimSandbox {
        /// Of the sandbox that it is to be.
        generation: u64,
        /// What the session's first prompt was composed under.
        reservation: Option<ReservationId>,
    },
    /// Tell the bridge that a claimed sandbox is the session's.
    BindSandbox {
        /// Which.
        sandbox_id: SandboxId,
        /// Its generation from here on.
        generation: u64,
    },
    /// Tell the repository that claims of this and older generations are over.
    ReleaseClaim {
        /// The newest of them.
        generation: u64,
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
    /// Give the runner one more prompt for its turn.
    SteerTurn {
        /// Where.
        sandbox_id: SandboxId,
        /// Of the sandbox.
        generation: u64,
        /// Which.
        turn_id: TurnId,
        /// The prompt.
        prompt_id: PromptId,
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
    /// Open the session's pull request, or bring it up to date.
    OpenPullRequest(PullRequestOrder),
    /// See how the pull request is at the code host.
    LookAtPullRequest {
        /// Which.
        number: u64,
    },
    /// Remove a snapshot.
    DeleteSnapshot {
        /// Which.
        snapshot_id: SnapshotId,
    },
    /// Store a tool's whole output, or a file.
    StoreOutput {
        /// As this artifact.
        artifact_id: ArtifactId,
    },
    /// Remove every artifact of the session.
    DeleteArtifacts,
    /// Tell the ledger of budgets what was spent, and ask it what may be.
    AskLedger,
    /// Bring the row of the session index up to date.
    UpdateIndex,
    /// Remove the row of the session index.
    RemoveIndex,
}

/// What a pull request is opened from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PullRequestOrder {
    /// The turn that changed something.
    pub turn_id: TurnId,
    /// Whose token opens or updates it.
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
    /// The repository keeps a warm sandbox for this session alone.
    SandboxClaimed {
        /// Which.
        sandbox_id: SandboxId,
        /// Base URL of the bridge replica that its runner is connected to.
        bridge_url: String,
        /// What it was made from.
        image_id: ImageId,
    },
    /// The repository has no warm sandbox: the session makes its own.
    NoWarmSandbox {
        /// What to start from; the base image where absent.
        image_id: Option<ImageId>,
        /// Why there is no image though there should be one, for humans.
        failure: Option<String>,
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
        /// What is known of it at this moment.
        progress: PullRequestProgress,
    },
    /// The code host does not take the author's token any more: it waits until the author has signed in again.
    SignInNeeded {
        /// For humans.
        reason: String,
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
        let kind = self.kind();
        match self {
            Self::CreateSandbox { sandbox_id, .. }
            | Self::BindSandbox { sandbox_id, .. }
            | Self::TerminateSandbox { sandbox_id, .. } => {
                format!("{kind}/{sandbox_id}")
            }
            Self::ClaimSandbox { generation, .. } | Self::ReleaseClaim { generation } => {
                format!("{kind}/{generation}")
            }
            Self::StartTurn { turn_id, .. } | Self::StopTurn { turn_id, .. } => format!("{kind}/{turn_id}"),
            Self::SteerTurn { turn_id, prompt_id, .. } => format!("{kind}/{turn_id}/{prompt_id}"),
            Self::TakeSnapshot { snapshot_id, .. } | Self::DeleteSnapshot { snapshot_id } => {
                format!("{kind}/{snapshot_id}")
            }
            Self::StoreOutput { artifact_id } => format!("{kind}/{artifact_id}"),
            Self::OpenPullRequest(_)
            | Self::LookAtPullRequest { .. }
            | Self::DeleteArtifacts
            | Self::AskLedger
            | Self::UpdateIndex
            | Self::RemoveIndex => kind.to_owned(),
        }
    }

    /// Its kind, as in the outbox table.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateSandbox { .. } => "create_sandbox",
            Self::ClaimSandbox { .. } => "claim_sandbox",
            Self::BindSandbox { .. } => "bind_sandbox",
            Self::ReleaseClaim { .. } => "release_claim",
            Self::StartTurn { .. } => "start_turn",
            Self::SteerTurn { .. } => "steer_turn",
            Self::StopTurn { .. } => "stop_turn",
            Self::TakeSnapshot { .. } => "take_snapshot",
            Self::TerminateSandbox { .. } => "terminate_sandbox",
            Self::OpenPullRequest(_) => "open_pull_request",
            Self::LookAtPullRequest { .. } => "look_at_pull_request",
            Self::DeleteSnapshot { .. } => "delete_snapshot",
            Self::StoreOutput { .. } => "store_output",
            Self::DeleteArtifacts => "delete_artifacts",
            Self::AskLedger => "ask_ledger",
            Self::UpdateIndex => "update_index",
            Self::RemoveIndex => "remove_index",
        }
    }

    /// Id of the command that a runner gets for it; derived from turn and prompt, so that a repeat is recognised.
    #[must_use]
    pub fn command_id(&self) -> Option<CommandId> {
        let (verb, subject) = match self {
            Self::StartTurn { turn_id, .. } => ("start", turn_id.as_str()),
            Self::StopTurn { turn_id, .. } => ("stop", turn_id.as_str()),
            // A prompt is steered into one turn of one sandbox at most.
            Self::SteerTurn { prompt_id, .. } => ("steer", prompt_id.as_str()),
            Self::CreateSandbox { .. }
            | Self::ClaimSandbox { .. }
            | Self::BindSandbox { .. }
            | Self::ReleaseClaim { .. }
            | Self::TakeSnapshot { .. }
            | Self::TerminateSandbox { .. }
            | Self::OpenPullRequest(_)
            | Self::LookAtPullRequest { .. }
            | Self::DeleteSnapshot { .. }
            | Self::StoreOutput { .. }
            | Self::DeleteArtifacts
            | Self::AskLedger
            | Self::UpdateIndex
            | Self::RemoveIndex => return None,
        };
        let (_, unique) = subject.split_once('_')?;
        CommandId::parse(&format!("{}_{verb}-{unique}", CommandId::PREFIX)).ok()
    }
}
