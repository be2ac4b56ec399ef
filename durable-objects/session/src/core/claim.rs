//! The way to a warm sandbox: the repository gives one, the bridge binds it to the session, and its runner is there at once.
//!
//! Each step is known here before it is asked for, so that the runner's first word is never that of a stranger. What comes to nothing
//! on this way costs a prompt no try and asks nobody to do anything: another warm sandbox takes its place, or one of the session's own.

use super::input::{Reply, Work, WorkOutcome};
use super::limit::FALSE_STARTS_MAX;
use super::policy::Action;
use super::sandbox::SandboxPhase;
use super::step::Step;
use protocol::bridge::SandboxSource;
use protocol::id::{ImageId, SandboxId, UserId};
use protocol::limit::WARM_MS_MAX;
use protocol::time::Timestamp;
use protocol::timeline::SessionEvent;

const TAKING: &str = "taking a warm sandbox";

impl Step<'_> {
    /// Somebody has begun to write: the sandbox that the prompt will need is made ready meanwhile. When nothing is sent it is left to
    /// idleness, and a time as long as that passes before the next one is made for the same reason.
    pub(super) fn warm_up(&mut self, by: &UserId) -> Reply {
        let session = &*self.session;
        let rests = session.sandbox.is_none() && session.queue.is_empty() && session.saving.is_none();
        let is_due = self.now().ms_since(session.warmed_at) >= self.context.timing.idle_ms;
        let is_open = session.info.archived_at.is_none();
        if rests && is_due && is_open && !self.is_held() && self.permit(by, Action::Prompt).is_ok() {
            self.session.warmed_at = self.now();
            self.session.active_at = self.now();
            self.session.account.held.sandbox_for = Some(by.clone());
            self.session.account.changes += 1;
            self.order_sandbox();
        }
        Reply::Done
    }

    /// Asks the repository for a warm sandbox.
    pub(super) fn claim_sandbox(&mut self) {
        self.next_generation(SandboxSource::Base);
        if let Some(sandbox) = &mut self.session.sandbox {
            sandbox.phase = SandboxPhase::Claiming;
        }
        let reservation = self.session.reservation.take();
        self.enqueue(Work::ClaimSandbox { generation: self.session.generation, reservation });
        self.set_starting(TAKING);
    }

    pub(super) fn take_claim(&mut self, generation: u64, outcome: WorkOutcome) {
        let current = self.session.sandbox.as_ref().filter(|_| generation == self.session.generation);
        if current.is_none_or(|sandbox| sandbox.phase != SandboxPhase::Claiming) {
            if let WorkOutcome::SandboxClaimed { sandbox_id, .. } = outcome
                && current.is_none_or(|sandbox| sandbox.id != sandbox_id)
            {
                // Given up while the repository was at it: its end may have been ordered first.
                self.enqueue(Work::ReleaseClaim { generation });
            }
            return;
        }
        match outcome {
            WorkOutcome::SandboxClaimed { sandbox_id, bridge_url, image_id } => {
                self.bind_sandbox(sandbox_id, bridge_url, image_id);
            }
            WorkOutcome::NoWarmSandbox { image_id, failure } => {
                if let Some(reason) = failure {
                    self.record(SessionEvent::EffectFailed {
                        what: "starting from the repository's image; this sandbox starts from the base image"
                            .to_owned(),
                        reason,
                    });
                }
                if let (Some(sandbox), Some(image_id)) = (&mut self.session.sandbox, image_id) {
                    sandbox.source = SandboxSource::Image { image_id };
                }
                self.create_sandbox();
            }
            WorkOutcome::Failed { .. } | WorkOutcome::Rejected { .. } => self.give_up_claim(),
            WorkOutcome::Done
            | WorkOutcome::SandboxCreated { .. }
            | WorkOutcome::PullRequestOpened { .. }
            | WorkOutcome::SignInNeeded { .. }
            | WorkOutcome::Delayed { .. } => {}
        }
    }

    fn bind_sandbox(&mut self, sandbox_id: SandboxId, bridge_url: String, image_id: ImageId) {
        let (now, generation) = (self.now(), self.session.generation);
        // It may be as old as warm sandboxes become; of a short life a part is left in any case.
        let age_ms = WARM_MS_MAX.min(self.context.timing.life_ms / 4);
        let Some(sandbox) = &mut self.session.sandbox else { return };
        sandbox.id = sandbox_id.clone();
        sandbox.phase = SandboxPhase::Binding;
        sandbox.source = SandboxSource::Image { image_id };
        sandbox.warm = true;
        sandbox.bridge_url = Some(bridge_url);
        sandbox.created_at = Timestamp(now.0.saturating_sub(age_ms));
        sandbox.heard_at = now;
        self.enqueue(Work::BindSandbox { sandbox_id, generation });
        self.set_starting(TAKING);
    }

    /// The repository has nothing to say: the session makes a sandbox of its own under the same generation, which no warm one is bound
    /// to.
    pub(super) fn give_up_claim(&mut self) {
        self.release_claim();
        self.create_sandbox();
    }

    /// The bridge did not give the claimed sandbox away.
    pub(super) fn take_refused_binding(&mut self, outcome: &WorkOutcome) {
        match outcome {
            WorkOutcome::Rejected { .. } => {
                if let Some(sandbox) = &mut self.session.sandbox {
                    // It is gone or somebody else's: not this session's to end.
                    sandbox.phase = SandboxPhase::Claiming;
                }
                self.lose_claim();
            }
            WorkOutcome::Failed { .. } => self.lose_claim(),
            WorkOutcome::Done
            | WorkOutcome::SandboxCreated { .. }
            | WorkOutcome::SandboxClaimed { .. }
            | WorkOutcome::NoWarmSandbox { .. }
            | WorkOutcome::PullRequestOpened { .. }
            | WorkOutcome::SignInNeeded { .. }
            | WorkOutcome::Delayed { .. } => {}
        }
    }

    /// The bridge says nothing: it may have bound the sandbox or not, and the next warm one would fare no better.
    pub(super) fn give_up_binding(&mut self) {
        self.session.false_starts = FALSE_STARTS_MAX;
        self.lose_claim();
    }

    /// The claimed sandbox came to nothing. Another generation gets another one, or makes its own of the same image in the end.
    pub(super) fn lose_claim(&mut self) {
        let image = self.session.sandbox.as_ref().map(|sandbox| sandbox.source.clone());
        self.session.false_starts = self.session.false_starts.saturating_add(1);
        self.retire_sandbox();
        if self.session.queue.is_empty() {
            self.set_stopped();
        } else if self.session.false_starts >= FALSE_STARTS_MAX
            && let Some(image) = image
        {
            self.begin_sandbox(image);
        }
    }

    /// No sandbox starts from the image: the next one starts from the base image.
    pub(super) fn leave_image(&mut self, reason: &str) {
        self.session.false_starts = FALSE_STARTS_MAX;
        self.record(SessionEvent::EffectFailed {
            what: "starting from the repository's image; the next sandbox starts from the base image"
                .to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Whatever the repository gave or gives under this generation is not wanted.
    pub(super) fn release_claim(&mut self) {
        let generation = self.session.generation;
        self.withdraw(&Work::ClaimSandbox { generation, reservation: None });
        self.enqueue(Work::ReleaseClaim { generation });
    }
}
