//! A session's state, how it begins, and which input goes where. The shell keeps it between inputs; `store` can rebuild it.

use super::account::Account;
use super::input::{Context, Effect, Input, Reply};
use super::milestone::Milestones;
use super::prompt::{Accepted, QueuedPrompt};
use super::pull::Pull;
use super::sandbox::LiveSandbox;
use super::step::Step;
use super::turn::RunningTurn;
use platform::map::Map;
use protocol::client::{PromptRequest, SessionInfo};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{
    ArtifactId, PromptId, RepositoryId, ReservationId, SessionId, SnapshotId, TurnId, UserId,
};
use protocol::time::Timestamp;
use protocol::timeline::{Participant, Role, SandboxStatus, Seq, SessionEvent, User};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

protocol::objects!(Saved);

/// Title until the first prompt gives one.
pub(super) const UNTITLED: &str = "New session";

/// One conversation about one repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// What it is about.
    pub info: SessionInfo,
    /// `https://…/owner/name.git`.
    pub clone_url: String,
    /// Number of the newest event.
    pub seq: Seq,
    /// Number of the oldest event that is kept; a client that misses older ones gets a snapshot.
    pub kept_from: Seq,
    /// Everyone who was ever here.
    pub participants: Map<UserId, Person>,
    /// Every prompt ever accepted.
    pub accepted: Map<PromptId, Accepted>,
    /// Waiting prompts in order; while a turn runs, its prompt is the first.
    pub queue: VecDeque<QueuedPrompt>,
    /// The running turn.
    pub turn: Option<RunningTurn>,
    /// Turns that an agent worked on and that are over.
    pub turns_ended: u32,
    /// The sandbox, unless there is none or it is lost.
    pub sandbox: Option<LiveSandbox>,
    /// Of the newest sandbox ever ordered; 0 before the first.
    pub generation: u64,
    /// What the next sandbox starts from, newest first.
    pub snapshots: Vec<Saved>,
    /// The snapshot being taken; no turn starts meanwhile.
    pub saving: Option<Saving>,
    /// When there was last something to do.
    pub active_at: Timestamp,
    /// When a sandbox was last ordered because somebody had begun to write.
    pub warmed_at: Timestamp,
    /// What the first prompt was composed under, until a warm sandbox is claimed.
    pub reservation: Option<ReservationId>,
    /// Warm sandboxes and images that came to nothing since a sandbox was last ready.
    pub false_starts: u32,
    /// The sandbox as people were last told.
    pub status: SandboxStatus,
    /// How far the pull request is.
    pub pull_request: PullRequestState,
    /// What is remembered of it.
    pub pull: Pull,
    /// Files of the agent that are kept, and the turns that last brought them.
    pub files: Map<ArtifactId, TurnId>,
    /// What happened for the first time, for metrics.
    pub milestones: Milestones,
    /// What the agent spends and may spend, and what holds it.
    pub account: Account,
    /// Whether everything is being removed: the session exists for nobody any more.
    pub deleted: bool,
}

/// A participant with the account behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub user: User,
    /// When this user was first here.
    pub joined_at: Timestamp,
    /// What this user may do.
    pub role: Role,
}

impl Person {
    /// What other participants see.
    #[must_use]
    pub fn participant(&self) -> Participant {
        Participant {
            user_id: self.user.id.clone(),
            login: self.user.login.clone(),
            name: self.user.name.clone(),
            joined_at: self.joined_at,
            role: self.role,
        }
    }
}

/// A snapshot on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// When it was ordered.
    pub since: Timestamp,
}

/// A snapshot that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Saved {
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// Ended turns, from the first, that the agent in it remembers.
    pub turns: u32,
}

/// How far the session's one pull request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    /// Nothing has been changed yet, or opening it failed.
    None,
    /// Ordered.
    Ordered,
    /// It is there; later turns push to its branch and bring its text up to date.
    Open,
}

/// What a session begins with. The caller has checked repository and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Who starts it.
    pub created_by: User,
    /// About which repository.
    pub repository: RepositoryId,
    /// `https://…/owner/name.git`.
    pub clone_url: String,
    /// Pull requests go here.
    pub default_branch: String,
    /// The session's own branch.
    pub branch: String,
    /// Model of prompts that name none.
    pub model: String,
    /// The first prompt.
    pub prompt: Option<PromptRequest>,
    /// What the first prompt was composed under.
    pub reservation: Option<ReservationId>,
}

impl Session {
    /// Begins a session; an unacceptable first prompt refuses all of it.
    pub fn create(new: NewSession, context: Context<'_>) -> Result<(Self, Vec<Effect>), ErrorBody> {
        let mut session = Self {
            info: SessionInfo {
                id: new.id,
                title: UNTITLED.to_owned(),
                repository: new.repository.clone(),
                default_branch: new.default_branch,
                branch: new.branch,
                model: new.model,
                created_by: new.created_by.id.clone(),
                created_at: context.now,
                archived_at: None,
            },
            clone_url: new.clone_url,
            seq: 0,
            kept_from: 1,
            participants: Map::new(),
            accepted: Map::new(),
            queue: VecDeque::new(),
            turn: None,
            turns_ended: 0,
            sandbox: None,
            generation: 0,
            snapshots: Vec::new(),
            saving: None,
            active_at: context.now,
            warmed_at: Timestamp(0),
            reservation: new.reservation,
            false_starts: 0,
            status: SandboxStatus::None,
            pull_request: PullRequestState::None,
            pull: Pull::default(),
            files: Map::new(),
            milestones: Milestones::default(),
            account: Account::default(),
            deleted: false,
        };
        let mut step = Step::new(&mut session, context);
        step.record(SessionEvent::SessionCreated {
            repository: new.repository,
            created_by: new.created_by.id.clone(),
        });
        let joined = step.join(&new.created_by);
        debug_assert_eq!(joined, Reply::Done, "an empty session has room for its owner");
        if let Some(prompt) = new.prompt {
            let reply = step.submit_prompt(&new.created_by, prompt);
            match reply {
                Reply::Refused(error) => return Err(error),
                Reply::Done | Reply::PromptAccepted { .. } | Reply::Acked { .. } | Reply::EventGap { .. } => {
                }
            }
        }
        let effects = step.finish(Reply::Done);
        Ok((session, effects))
    }

    /// Whether a repeated request to create this session asks for the same.
    #[must_use]
    pub fn is_created_by(&self, new: &NewSession) -> bool {
        let prompt_known = new.prompt.as_ref().is_none_or(|prompt| self.accepted.contains_key(&prompt.id));
        self.info.created_by == new.created_by.id && self.info.repository == new.repository && prompt_known
    }

    /// Applies one input. Never waits; what a peer says wrongly becomes a refusal, never a failure.
    pub fn apply(&mut self, input: Input, context: Context<'_>) -> Vec<Effect> {
        let mut step = Step::new(self, context);
        if step.session.deleted && !matches!(input, Input::WorkDone { .. } | Input::DeadlineReached) {
            let error = ErrorBody::new(ErrorCode::NotFound, "there is no such session");
            return step.finish(Reply::Refused(error));
        }
        let reply = match input {
            Input::ParticipantJoined { user } => step.join(&user),
            Input::PromptSubmitted { author, prompt } => step.submit_prompt(&author, prompt),
            Input::PromptBegun { by } => step.warm_up(&by),
            Input::PromptCancelled { prompt_id, by } => step.cancel_prompt(prompt_id, by),
            Input::PromptEdited { prompt_id, text, by } => step.edit_prompt(prompt_id, text, by),
            Input::PromptMoved { prompt_id, before, by } => step.move_prompt(prompt_id, before, by),
            Input::RoleChanged { user_id, role, by } => step.change_role(user_id, role, by),
            Input::TitleChanged { title, by } => step.change_title(&title, by),
            Input::ArchiveChanged { archived, by } => step.change_archive(archived, by),
            Input::DeletionRequested { by } => step.delete(&by),
            Input::Forsaken => step.remove_everything(),
            Input::StopRequested { turn_id, by } => step.request_stop(&turn_id, by),
            Input::RunnerAttached(attached) => step.attach_runner(attached),
            Input::RunnerEvents(batch) => step.take_events(batch),
            Input::SandboxEnded(ended) => step.end_sandbox(&ended),
            Input::EgressDenied(report) => step.take_denials(report),
            Input::Consulted(consultation) => {
                step.take_consultation(consultation);
                Reply::Done
            }
            Input::BudgetsChanged => {
                step.ask_ledger();
                Reply::Done
            }
            Input::PullRequestReported(report) => step.take_pull_report(report),
            Input::WorkDone { work, outcome } => {
                step.take_outcome(work, outcome);
                Reply::Done
            }
            Input::DeadlineReached => {
                step.reach_deadlines();
                Reply::Done
            }
        };
        step.finish(reply)
    }
}
