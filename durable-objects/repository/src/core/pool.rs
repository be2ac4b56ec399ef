//! The warm pool: what is valid, what is missing, what is too much. A valid sandbox is younger than 25 minutes and of the current image.

use super::breaker::Circuit;
use super::input::{Effect, Reply, Work, WorkOutcome};
use super::limit::{FILL_MS_MAX, POOL_TARGET, POOL_TARGET_MAX};
use super::state::{Phase, Repository, WarmSandbox};
use super::step::Step;
use crate::call::WarmCall;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SandboxId;
use protocol::limit::WARM_MS_MAX;
use protocol::repository::WarmState;
use protocol::time::Timestamp;

impl WarmSandbox {
    /// When it is of no use any more, whatever happens.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Filling => Some(self.created_at.plus_ms(FILL_MS_MAX)),
            Phase::Ready { .. } => Some(self.created_at.plus_ms(WARM_MS_MAX)),
            Phase::Discarding => None,
        }
    }
}

impl Repository {
    /// How many sandboxes are to be ready. The settings win over the recipe that the image was made with.
    #[must_use]
    pub fn pool_target(&self) -> u32 {
        let of_image = || self.current_image().and_then(|image| image.recipe.pool_target);
        self.settings.pool_target.or_else(of_image).unwrap_or(POOL_TARGET).min(POOL_TARGET_MAX)
    }

    /// Whether a sandbox may be handed out.
    #[must_use]
    pub fn is_valid(&self, sandbox: &WarmSandbox, now: Timestamp) -> bool {
        matches!(sandbox.phase, Phase::Ready { .. }) && self.is_wanted(sandbox, now)
    }

    /// Whether it is, or can still become, one to be handed out.
    fn is_wanted(&self, sandbox: &WarmSandbox, now: Timestamp) -> bool {
        sandbox.expires_at().is_some_and(|at| now < at)
            && self.current_image().is_some_and(|image| image.id == sandbox.image_id)
    }

    /// Sandboxes that are to exist: the target, and one more for everybody who has a reservation.
    fn wanted(&self) -> usize {
        if self.images.is_empty() {
            return 0;
        }
        self.pool_target() as usize + self.reservers.iter().filter(|reserver| reserver.held.is_some()).count()
    }

    /// How many are to be made. Those whose end was ordered and has not come count against a bound of twice of what is wanted.
    pub(super) fn missing(&self, now: Timestamp) -> usize {
        let live = self.sandboxes.iter().filter(|sandbox| self.is_wanted(sandbox, now)).count();
        let wanted = self.wanted();
        wanted.saturating_sub(live).min((2 * wanted).saturating_sub(self.sandboxes.len()))
    }
}

impl Step<'_> {
    /// Throws away what cannot be handed out any more.
    pub(super) fn discard_invalid(&mut self) {
        let now = self.now();
        let repository = &mut *self.repository;
        let mut over = Vec::new();
        for sandbox in repository.sandboxes.iter().filter(|s| s.phase != Phase::Discarding) {
            if repository.is_wanted(sandbox, now) {
                continue;
            }
            over.push(sandbox.id.clone());
            let is_late = sandbox.phase == Phase::Filling
                && sandbox.known_at.is_some()
                && now.ms_since(sandbox.created_at) >= FILL_MS_MAX;
            if is_late {
                let reason = format!("a warm sandbox was not ready within {} min", FILL_MS_MAX / 60_000);
                repository.breaker.fail(&reason, None, now);
            }
        }
        for id in over {
            self.discard(&id);
        }
    }

    /// Orders the end of a sandbox that no session has.
    pub(super) fn discard(&mut self, id: &SandboxId) {
        if let Some(sandbox) = self.repository.sandboxes.iter_mut().find(|sandbox| sandbox.id == *id) {
            sandbox.phase = Phase::Discarding;
            sandbox.reservation = None;
            self.order(Effect::Withdraw(Work::Fill(id.clone())));
        }
        self.enqueue(Work::Discard(id.clone()));
    }

    /// Makes what is missing; after a pause of the provider, one to see whether it works. What a lower target leaves over is ended.
    pub(super) fn fill_missing(&mut self) {
        let now = self.now();
        let missing = match self.repository.breaker.circuit(now) {
            Circuit::Closed => self.repository.missing(now),
            Circuit::Open(_) => 0,
            Circuit::HalfOpen => {
                let is_filling = self.repository.sandboxes.iter().any(|s| s.phase == Phase::Filling);
                usize::from(!is_filling).min(self.repository.missing(now))
            }
        };
        for _ in 0..missing {
            let id = SandboxId::from_random(self.draw());
            let Some(image) = self.repository.current_image() else { return };
            let sandbox = WarmSandbox {
                id: id.clone(),
                image_id: image.id.clone(),
                created_at: now,
                known_at: None,
                phase: Phase::Filling,
                commit: None,
                reservation: None,
            };
            self.repository.sandboxes.push(sandbox);
            self.enqueue(Work::Fill(id));
        }
        if missing == 0 {
            self.discard_surplus();
        }
    }

    fn discard_surplus(&mut self) {
        let now = self.now();
        let repository = &*self.repository;
        let live = repository.sandboxes.iter().filter(|s| repository.is_wanted(s, now)).count();
        for _ in repository.wanted()..live {
            let repository = &*self.repository;
            let free = repository.sandboxes.iter();
            let free = free.filter(|s| s.reservation.is_none() && repository.is_wanted(s, now));
            // What is not ready yet first, then the oldest.
            let over = free.min_by_key(|sandbox| (sandbox.phase != Phase::Filling, sandbox.created_at));
            let Some(id) = over.map(|sandbox| sandbox.id.clone()) else { return };
            self.discard(&id);
        }
    }

    /// The bridge has made a sandbox, or has not.
    pub(super) fn fill_answered(&mut self, id: SandboxId, outcome: WorkOutcome, claimed: bool) {
        let now = self.now();
        let found = self.repository.sandboxes.iter_mut().find(|sandbox| sandbox.id == id);
        match (outcome, found) {
            (WorkOutcome::Done, Some(sandbox)) if sandbox.phase != Phase::Discarding => {
                sandbox.known_at.get_or_insert(now);
            }
            // It was made after its end was ordered: ordered again.
            (WorkOutcome::Done, Some(_)) => self.enqueue(Work::Discard(id)),
            (WorkOutcome::Done, None) if !claimed => self.enqueue(Work::Discard(id)),
            (WorkOutcome::Done, None) => {}
            (WorkOutcome::Gone { reason }, Some(sandbox)) => {
                let image_id = sandbox.image_id.clone();
                self.repository.sandboxes.retain(|sandbox| sandbox.id != id);
                self.lose_image(&image_id, &reason);
            }
            (WorkOutcome::Rejected { reason }, Some(_)) => {
                self.repository.sandboxes.retain(|sandbox| sandbox.id != id);
                self.repository.breaker.fail(&reason, None, now);
            }
            (WorkOutcome::Gone { .. } | WorkOutcome::Rejected { .. }, None)
            | (WorkOutcome::Inventory { .. } | WorkOutcome::Delayed { .. }, _) => {}
        }
    }

    /// A bridge says how a warm sandbox is.
    pub(super) fn take_report(&mut self, call: WarmCall, claimed: bool) -> Reply {
        let WarmCall { sandbox_id, report } = call;
        let now = self.now();
        let is_over = matches!(report.state, WarmState::Ended { .. });
        let live = |sandbox: &&mut WarmSandbox| {
            sandbox.id == sandbox_id && (is_over || sandbox.phase != Phase::Discarding)
        };
        let Some(sandbox) = self.repository.sandboxes.iter_mut().find(live) else {
            if claimed || is_over {
                return Reply::Done;
            }
            return Reply::Refused(ErrorBody::new(ErrorCode::NotFound, "nobody wants this sandbox; end it"));
        };
        match report.state {
            WarmState::Ready { .. } => {
                sandbox.known_at.get_or_insert(now);
                sandbox.phase = Phase::Ready { bridge_url: report.bridge_url };
                self.order(Effect::Withdraw(Work::Fill(sandbox_id)));
                self.provider_works();
            }
            WarmState::Synced { commit } => {
                if let Phase::Ready { bridge_url } = &mut sandbox.phase {
                    *bridge_url = report.bridge_url;
                }
                sandbox.commit = Some(commit.chars().take(64).collect());
            }
            WarmState::Ended { reason } => {
                let was_filling = sandbox.phase == Phase::Filling;
                self.repository.sandboxes.retain(|sandbox| sandbox.id != sandbox_id);
                if was_filling {
                    self.order(Effect::Withdraw(Work::Fill(sandbox_id)));
                    self.repository.breaker.fail(&reason, None, now);
                }
            }
            WarmState::Unknown => {}
        }
        Reply::Done
    }
}
