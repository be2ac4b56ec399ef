//! One input on its way through the repository: what it changes, and then whatever the time and the new state ask for.

use super::input::{Context, Effect, Input, Reply, Work, WorkOutcome};
use super::recipe::evaluate_recipe;
use super::state::Repository;
use crate::call::ConfigureCall;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::time::Timestamp;

/// The repository while it takes one input.
pub(super) struct Step<'a> {
    pub(super) repository: &'a mut Repository,
    context: Context,
    drawn: u128,
    effects: Vec<Effect>,
}

impl Repository {
    /// Whether a repository can be configured like this; otherwise what is wrong.
    pub fn check(call: &ConfigureCall) -> Result<(), ErrorBody> {
        let settings = call.settings.as_ref();
        settings
            .map_or(Ok(()), evaluate_recipe)
            .map_err(|message| ErrorBody::new(ErrorCode::BadRequest, message))
    }

    /// A repository that was never built; its first build is due.
    #[must_use]
    pub fn new(call: ConfigureCall, now: Timestamp) -> Self {
        Self {
            source: call.repository,
            settings: call.settings.unwrap_or_default(),
            next_build_at: now,
            inventory_at: now,
            breaker: super::breaker::Breaker::default(),
            builds: Vec::new(),
            images: Vec::new(),
            sandboxes: Vec::new(),
            reservers: Vec::new(),
        }
    }

    /// Takes one input. Foreign nonsense becomes a reply, never an error.
    pub fn apply(&mut self, input: Input, context: Context) -> Vec<Effect> {
        let mut step = Step { repository: self, context, drawn: 0, effects: Vec::new() };
        let reply = step.take(input);
        step.go_on();
        step.effects.push(Effect::Reply(reply));
        step.effects
    }
}

impl Step<'_> {
    pub(super) fn now(&self) -> Timestamp {
        self.context.now
    }

    /// Random bytes for an id, different at each call.
    pub(super) fn draw(&mut self) -> [u8; 16] {
        let bytes = u128::from_be_bytes(self.context.random).wrapping_add(self.drawn).to_be_bytes();
        self.drawn += 1;
        bytes
    }

    pub(super) fn order(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn enqueue(&mut self, work: Work) {
        self.order(Effect::Enqueue(work));
    }

    fn take(&mut self, input: Input) -> Reply {
        match input {
            Input::Configured(call) => self.configure(call),
            Input::BuildRequested => {
                if self.repository.running_build().is_none() {
                    self.repository.next_build_at = self.now();
                }
                Reply::Accepted
            }
            Input::Claimed { call, seen } => self.claim(call, seen),
            Input::Released { call, seen } => self.release(call, seen),
            Input::Reserved(call) => self.reserve(call),
            Input::LogReported(call) => self.take_log(call),
            Input::BuildEnded(call) => self.take_end(call),
            Input::WarmReported { call, claimed } => self.take_report(call, claimed),
            Input::WorkDone { work, outcome, claimed } => {
                self.take_outcome(work, outcome, claimed);
                Reply::Done
            }
            Input::DeadlineReached => Reply::Done,
        }
    }

    fn configure(&mut self, call: ConfigureCall) -> Reply {
        if let Err(error) = Repository::check(&call) {
            return Reply::Refused(error);
        }
        let repository = &mut *self.repository;
        let settings = call.settings.unwrap_or_else(|| repository.settings.clone());
        if repository.source != call.repository || repository.settings != settings {
            repository.source = call.repository;
            repository.settings = settings;
            // What runs was ordered before; this one begins when it is over.
            repository.next_build_at = self.context.now;
        }
        Reply::Done
    }

    fn take_outcome(&mut self, work: Work, outcome: WorkOutcome, claimed: bool) {
        if let WorkOutcome::Delayed { reason, retry_after_ms } = &outcome {
            if work.is_making() {
                let now = self.now();
                self.repository.breaker.fail(reason, *retry_after_ms, now);
            }
            return;
        }
        match work {
            Work::StartBuild(id) => self.build_answered(&id, outcome),
            Work::Fill(id) => self.fill_answered(id, outcome, claimed),
            // What a session has is refused to be ended, and is none of the pool's any more.
            Work::Discard(id) => self.repository.sandboxes.retain(|sandbox| sandbox.id != id),
            Work::TakeInventory => {
                if let WorkOutcome::Inventory { inventory, asked_at, claimed } = outcome {
                    self.compare(inventory, asked_at, &claimed);
                }
            }
            Work::CancelBuild(_) | Work::DeleteImage(_) => {}
        }
    }

    /// The provider has shown that it works.
    pub(super) fn provider_works(&mut self) {
        if self.repository.breaker.succeed() {
            // Answers were lost meanwhile.
            self.repository.inventory_at = self.context.now;
        }
    }

    fn go_on(&mut self) {
        self.end_overdue_build();
        self.expire_reservations();
        self.discard_invalid();
        self.start_due_build();
        self.hold_reserved();
        self.fill_missing();
        self.retire_images();
        if self.repository.inventory_at <= self.now() {
            self.repository.inventory_at = self.now().plus_ms(super::limit::INVENTORY_INTERVAL_MS);
            self.enqueue(Work::TakeInventory);
        }
    }
}
