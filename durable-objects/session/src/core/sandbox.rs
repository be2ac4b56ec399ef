//! The session's sandbox: ordered when a prompt needs one, watched, and given up for a new generation when it is lost. How a warm one
//! is claimed is in `claim`.

use super::input::{Effect, Work, WorkOutcome};
use super::limit::FALSE_STARTS_MAX;
use super::step::Step;
use protocol::bridge::SandboxSource;
use protocol::id::{SandboxId, SnapshotId};
use protocol::limit::TURN_ATTEMPTS_MAX;
use protocol::time::Timestamp;
use protocol::timeline::{
    EgressDenial, Isolation, Restoration, SandboxDescription, SandboxStatus, Seq, SessionEvent,
};

/// The one sandbox that may speak for the session. Its generation is the session's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSandbox {
    /// Which.
    pub id: SandboxId,
    /// How far it is.
    pub phase: SandboxPhase,
    /// What it starts from. As long as it is being claimed, what it would start from if the repository has nothing better.
    pub source: SandboxSource,
    /// Whether it was claimed, and was there before the session wanted it.
    pub warm: bool,
    /// When it was ordered; its life counts from here.
    pub created_at: Timestamp,
    /// Ended turns that its agent does not remember; the next turn brings a digest of them.
    pub forgotten: u32,
    /// Whether it is to end as soon as its turn and its snapshot are over.
    pub leaving: bool,
    /// Number of its runner's newest event that the session has.
    pub runner_seq: Seq,
    /// Base URL of the bridge replica that its runner is connected to.
    pub bridge_url: Option<String>,
    /// When it was last heard of; before that, when it was ordered.
    pub heard_at: Timestamp,
    /// Whether its runner has given a sign of life of its own; runners of earlier versions give none before they are ready.
    pub beats: bool,
    /// `local` or `modal`, once known.
    pub provider: Option<String>,
    /// How strongly it is isolated, once known.
    pub isolation: Option<Isolation>,
    /// Name and version of the agent, once known.
    pub agent: Option<String>,
    /// Where it was not let go, as recorded.
    pub denials: Vec<EgressDenial>,
}

/// How far a sandbox is on its way to taking turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SandboxPhase {
    /// The repository is asked for a warm one; its id is the one that it gets where there is none.
    Claiming,
    /// The repository has given it; the bridge has not confirmed that.
    Binding,
    /// The bridge has not confirmed it.
    Ordered,
    /// It exists.
    Created,
    /// Its runner is connected.
    Attached,
    /// It takes turns.
    Ready,
}

impl LiveSandbox {
    pub(super) fn is_ready(&self) -> bool {
        self.phase == SandboxPhase::Ready
    }

    /// The snapshot that it starts from.
    #[must_use]
    pub fn snapshot_id(&self) -> Option<&SnapshotId> {
        match &self.source {
            SandboxSource::Snapshot { snapshot_id } => Some(snapshot_id),
            SandboxSource::Base | SandboxSource::Image { .. } => None,
        }
    }
}

impl Step<'_> {
    /// Orders a sandbox: from the newest snapshot, else a warm one of the repository.
    pub(super) fn order_sandbox(&mut self) {
        let saved = self.session.snapshots.first().map(|saved| saved.snapshot_id.clone());
        match saved {
            Some(snapshot_id) => self.begin_sandbox(SandboxSource::Snapshot { snapshot_id }),
            None if self.session.false_starts < FALSE_STARTS_MAX => self.claim_sandbox(),
            None => self.begin_sandbox(SandboxSource::Base),
        }
    }

    /// Orders a sandbox of the session's own.
    pub(super) fn begin_sandbox(&mut self, source: SandboxSource) {
        self.next_generation(source);
        self.create_sandbox();
    }

    /// Has the sandbox created that the session has an id for.
    pub(super) fn create_sandbox(&mut self) {
        let generation = self.session.generation;
        let Some(sandbox) = &mut self.session.sandbox else { return };
        sandbox.phase = SandboxPhase::Ordered;
        let (sandbox_id, source) = (sandbox.id.clone(), sandbox.source.clone());
        self.enqueue(Work::CreateSandbox { sandbox_id, generation, source });
        self.set_starting("creating the sandbox");
    }

    /// The session has a sandbox of a new generation, of which nobody knows yet.
    pub(super) fn next_generation(&mut self, source: SandboxSource) {
        self.session.generation += 1;
        if let Some(head) = self.session.queue.front() {
            self.session.account.held.sandbox_for = Some(head.author.clone());
            self.session.account.changes += 1;
        }
        let saved = self.session.snapshots.first();
        let remembered = saved.map_or(0, |saved| saved.turns);
        let sandbox = LiveSandbox {
            id: SandboxId::from_random(self.draw()),
            phase: SandboxPhase::Ordered,
            source,
            warm: false,
            created_at: self.now(),
            forgotten: self.session.turns_ended.saturating_sub(remembered),
            leaving: false,
            runner_seq: 0,
            bridge_url: None,
            heard_at: self.now(),
            beats: false,
            provider: None,
            isolation: None,
            agent: None,
            denials: Vec::new(),
        };
        self.session.sandbox = Some(sandbox);
    }

    /// The runner's word that its agent takes turns. The first time, people are told what the agent remembers.
    pub(super) fn become_ready(&mut self, agent: String) {
        let turns_ended = self.session.turns_ended;
        let Some(sandbox) = &mut self.session.sandbox else { return };
        let is_first = sandbox.phase != SandboxPhase::Ready;
        sandbox.phase = SandboxPhase::Ready;
        sandbox.agent = Some(agent);
        let (sandbox_id, turns) = (sandbox.id.clone(), sandbox.forgotten);
        let from = match sandbox.source.clone() {
            SandboxSource::Snapshot { snapshot_id } if turns == 0 => Restoration::Snapshot { snapshot_id },
            SandboxSource::Snapshot { snapshot_id } => Restoration::EarlierSnapshot { snapshot_id, turns },
            SandboxSource::Base | SandboxSource::Image { .. } => Restoration::Digest { turns },
        };
        self.session.false_starts = 0;
        self.set_ready();
        if is_first && turns_ended > 0 {
            self.record(SessionEvent::ConversationRestored { sandbox_id, from });
        }
    }

    pub(super) fn set_ready(&mut self) {
        let Some(sandbox) = self.session.sandbox.as_ref().filter(|sandbox| sandbox.is_ready()) else {
            return;
        };
        let description = SandboxDescription {
            provider: sandbox.provider.clone().unwrap_or_else(|| "unknown".to_owned()),
            isolation: sandbox.isolation.unwrap_or(Isolation::Unknown),
            agent: sandbox.agent.clone().unwrap_or_default(),
        };
        let status = SandboxStatus::Ready { sandbox_id: sandbox.id.clone(), description };
        self.set_status(status);
    }

    /// Gives the sandbox up. What ran in it is tried again in another one, as far as attempts are left.
    pub(super) fn lose_sandbox(&mut self, reason: &str) {
        let Some(sandbox) = &self.session.sandbox else { return };
        if sandbox.is_ready() {
            let idle = self.session.turn.is_none();
            self.lose_turn(reason);
            self.retire_sandbox();
            if idle {
                self.set_stopped();
            } else {
                self.set_status(SandboxStatus::Failed { reason: reason.to_owned() });
            }
        } else if sandbox.warm {
            self.lose_claim();
        } else if sandbox.source != SandboxSource::Base {
            // It exists and does not get up: what it was restored from is the suspect, not the prompt.
            self.abandon_source(reason);
        } else {
            self.fail_sandbox(reason, Retry::Counted);
        }
    }

    /// Gives the sandbox up together with what it starts from, which costs the prompt that waits no try.
    fn abandon_source(&mut self, reason: &str) {
        let source = self.session.sandbox.as_ref().map(|sandbox| sandbox.source.clone());
        self.retire_sandbox();
        self.set_status(SandboxStatus::Failed { reason: reason.to_owned() });
        match source {
            Some(SandboxSource::Snapshot { snapshot_id }) => self.drop_snapshot(&snapshot_id, reason),
            Some(SandboxSource::Image { .. }) => self.leave_image(reason),
            Some(SandboxSource::Base) | None => {}
        }
    }

    /// A sandbox that never became ready. The prompt that waits for it has used an attempt.
    fn fail_sandbox(&mut self, reason: &str, retry: Retry) {
        self.retire_sandbox();
        self.set_status(SandboxStatus::Failed { reason: reason.to_owned() });
        let Some(head) = self.session.queue.front_mut() else { return };
        head.attempts += 1;
        match retry {
            Retry::Counted if head.attempts < TURN_ATTEMPTS_MAX => {}
            Retry::Counted | Retry::Never => self.fail_head(reason),
        }
    }

    /// Makes the sandbox end and its words stale.
    pub(super) fn retire_sandbox(&mut self) {
        let generation = self.session.generation;
        self.drop_saving();
        let Some(sandbox) = self.session.sandbox.take() else { return };
        if sandbox.phase < SandboxPhase::Ordered {
            self.release_claim();
        }
        if sandbox.phase == SandboxPhase::Claiming {
            return;
        }
        if sandbox.warm {
            self.withdraw(&Work::BindSandbox { sandbox_id: sandbox.id.clone(), generation });
        } else {
            self.withdraw(&Work::CreateSandbox {
                sandbox_id: sandbox.id.clone(),
                generation,
                source: sandbox.source,
            });
        }
        self.enqueue(Work::TerminateSandbox {
            sandbox_id: sandbox.id,
            generation,
            bridge_url: sandbox.bridge_url,
        });
    }

    /// What came of something that was ordered. Work of a sandbox that is gone changes nothing.
    pub(super) fn take_outcome(&mut self, work: Work, outcome: WorkOutcome) {
        match work {
            Work::CreateSandbox { sandbox_id, generation, .. } => {
                self.take_creation(sandbox_id, generation, outcome);
            }
            Work::BindSandbox { sandbox_id, generation } => {
                self.take_creation(sandbox_id, generation, outcome)
            }
            Work::ClaimSandbox { generation, .. } => self.take_claim(generation, outcome),
            Work::StartTurn { turn_id, .. } => {
                if let Some(reason) = failure(&outcome)
                    && self.session.turn.as_ref().is_some_and(|turn| turn.id == turn_id && !turn.received)
                {
                    self.lose_sandbox(&format!("the sandbox does not take the turn: {reason}"));
                }
            }
            Work::SteerTurn { turn_id, prompt_id, .. } => {
                if failure(&outcome).is_some() {
                    self.refuse_steer(&turn_id, &prompt_id);
                }
            }
            Work::TakeSnapshot { snapshot_id, .. } => self.take_snapshot_outcome(snapshot_id, &outcome),
            Work::OpenPullRequest(order) => {
                if !self.session.deleted {
                    self.take_pull_request(&order, outcome);
                }
            }
            Work::StoreOutput { artifact_id } => {
                if outcome == WorkOutcome::Done {
                    self.order(Effect::DropOutput { artifact_id });
                }
            }
            Work::AskLedger => {
                if failure(&outcome).is_some() {
                    self.session.account.is_asking = false;
                    self.session.account.changes += 1;
                }
            }
            // One that cannot be ended ends by its life.
            Work::TerminateSandbox { sandbox_id, .. } => {
                if !matches!(outcome, WorkOutcome::Delayed { .. }) {
                    self.forget_ending(&sandbox_id);
                }
            }
            // A stop that cannot be delivered is enforced by its deadline.
            Work::StopTurn { .. }
            | Work::ReleaseClaim { .. }
            | Work::DeleteSnapshot { .. }
            | Work::LookAtPullRequest { .. }
            | Work::DeleteArtifacts
            | Work::UpdateIndex
            | Work::RemoveIndex => {}
        }
    }

    fn take_creation(&mut self, sandbox_id: SandboxId, generation: u64, outcome: WorkOutcome) {
        let now = self.now();
        let current = self.session.sandbox.as_mut().filter(|sandbox| sandbox.id == sandbox_id);
        let Some(sandbox) = current else {
            // Given up while the bridge was at it: the order to end it may have been there first.
            if let WorkOutcome::SandboxCreated { .. } = outcome {
                self.enqueue(Work::TerminateSandbox { sandbox_id, generation, bridge_url: None });
            }
            return;
        };
        match outcome {
            WorkOutcome::SandboxCreated { provider, isolation } => {
                sandbox.provider = Some(provider);
                sandbox.isolation = Some(isolation);
                sandbox.heard_at = now;
                if sandbox.phase < SandboxPhase::Created {
                    sandbox.phase = SandboxPhase::Created;
                    // A warm one has booted long ago.
                    if !sandbox.warm {
                        self.set_starting("booting the sandbox");
                    }
                } else {
                    self.set_ready();
                }
            }
            // A runner that speaks proves more than an answer that says no.
            _ if sandbox.phase >= SandboxPhase::Attached => {}
            _ if sandbox.warm && sandbox.phase > SandboxPhase::Binding => {}
            _ if sandbox.warm => self.take_refused_binding(&outcome),
            WorkOutcome::Delayed { reason } => {
                self.set_starting(&format!("waiting for the sandbox bridge: {reason}"));
            }
            WorkOutcome::Rejected { reason } if sandbox.source != SandboxSource::Base => {
                self.abandon_source(&reason);
            }
            WorkOutcome::Rejected { reason } => self.fail_sandbox(&reason, Retry::Never),
            WorkOutcome::Failed { reason } => self.fail_sandbox(&reason, Retry::Counted),
            WorkOutcome::Done
            | WorkOutcome::SandboxClaimed { .. }
            | WorkOutcome::NoWarmSandbox { .. }
            | WorkOutcome::PullRequestOpened { .. }
            | WorkOutcome::SignInNeeded { .. } => {}
        }
    }
}

/// Whether the prompt that waits for a failed sandbox may wait for another one.
enum Retry {
    Counted,
    Never,
}

/// The reason of an outcome that ends the work without success.
pub(super) fn failure(outcome: &WorkOutcome) -> Option<&str> {
    match outcome {
        WorkOutcome::Failed { reason } | WorkOutcome::Rejected { reason } => Some(reason),
        WorkOutcome::Done
        | WorkOutcome::SandboxCreated { .. }
        | WorkOutcome::SandboxClaimed { .. }
        | WorkOutcome::NoWarmSandbox { .. }
        | WorkOutcome::PullRequestOpened { .. }
        | WorkOutcome::SignInNeeded { .. }
        | WorkOutcome::Delayed { .. } => None,
    }
}
