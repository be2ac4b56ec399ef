//! The rules of a repository, in virtual time.

mod builds;
mod claims;
mod model;
mod pool;
mod provider;

use super::*;
use crate::call::{
    ClaimAnswer, ClaimCall, ConfigureCall, EndedCall, LogCall, ReleaseCall, ReserveCall, WarmCall,
};
use protocol::bridge::RepositorySource;
use protocol::error::ErrorCode;
use protocol::id::{BuildId, ImageId, RepositoryId, ReservationId, SandboxId, SessionId, UserId};
use protocol::repository::{
    BuildEnded, BuildLogPiece, BuildOutcome, ImageOrigin, Inventory, Recipe, WarmReport, WarmState,
};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

pub(crate) const MINUTE: u64 = 60_000;

/// A repository, its clock, and what it remembers of sessions.
pub(crate) struct Bench {
    pub(crate) repository: Repository,
    pub(crate) now: Timestamp,
    pub(crate) claimants: BTreeMap<SessionId, Claimant>,
    /// Orders of the outbox, oldest first.
    pub(crate) orders: Vec<Work>,
    inputs: u8,
    drawn: u64,
}

pub(crate) fn source() -> RepositorySource {
    RepositorySource {
        id: RepositoryId::parse("acme/shop").unwrap(),
        clone_url: "https://code.example/acme/shop.git".into(),
        default_branch: "main".into(),
    }
}

pub(crate) fn session(number: u8) -> SessionId {
    SessionId::from_random([number; 16])
}

pub(crate) fn reservation(number: u8) -> ReservationId {
    ReservationId::from_random([number; 16])
}

pub(crate) fn user(number: u8) -> UserId {
    UserId::from_random([number; 16])
}

impl Bench {
    /// Configured a moment ago: its first build is ordered.
    pub(crate) fn new(settings: Recipe) -> Self {
        let now = Timestamp(1_000_000_000);
        let call = ConfigureCall { repository: source(), settings: Some(settings) };
        let mut bench = Self {
            repository: Repository::new(call.clone(), now),
            now,
            claimants: BTreeMap::new(),
            orders: Vec::new(),
            inputs: 0,
            drawn: 0,
        };
        bench.apply(Input::Configured(call));
        bench
    }

    /// With an image, and a pool that is ready.
    pub(crate) fn ready() -> Self {
        let mut bench = Self::new(Recipe::default());
        bench.build("a");
        bench.settle();
        bench
    }

    pub(crate) fn apply(&mut self, input: Input) -> Reply {
        self.inputs = self.inputs.wrapping_add(1);
        self.drawn += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.drawn.to_be_bytes());
        let effects = self.repository.apply(input, Context { now: self.now, random });
        let mut reply = Reply::Done;
        for effect in effects {
            match effect {
                Effect::Enqueue(work) => {
                    self.orders.retain(|known| *known != work);
                    self.orders.push(work);
                }
                Effect::Withdraw(work) => self.orders.retain(|known| *known != work),
                Effect::SaveClaimant(claimant) => {
                    self.claimants.insert(claimant.session_id.clone(), claimant);
                }
                Effect::ForgetClaims { before } => self.claimants.retain(|_, claimant| claimant.at >= before),
                Effect::Reply(answer) => reply = answer,
                Effect::AppendLog { .. } | Effect::DropLog(_) => {}
            }
        }
        reply
    }

    /// Lets time pass, with a call at every deadline. The provider says nothing meanwhile.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            let at = self.repository.next_deadline(self.now);
            if at > end {
                break;
            }
            self.now = at.max(self.now);
            self.apply(Input::DeadlineReached);
            assert!(self.repository.next_deadline(self.now) > self.now, "a deadline that stays due");
        }
        self.now = end;
    }

    pub(crate) fn done(&mut self, work: Work, outcome: WorkOutcome) {
        self.orders.retain(|known| *known != work);
        self.apply(Input::WorkDone { work, outcome, claimed: false });
    }

    /// Whether something was ordered and is not done.
    pub(crate) fn has_order(&self, fits: impl Fn(&Work) -> bool) -> bool {
        self.orders.iter().any(fits)
    }

    pub(crate) fn running(&self) -> BuildId {
        self.repository.running_build().expect("a build runs").id.clone()
    }

    pub(crate) fn built(&self, commit: &str) -> BuildOutcome {
        let image_id = self.repository.running_build().unwrap().image_id.clone();
        let origin = ImageOrigin { commit: commit.repeat(40), recipe_fingerprint: "0".repeat(64) };
        BuildOutcome::Built { image_id, origin, recipe: Recipe::default(), size_bytes: 1 }
    }

    pub(crate) fn end_build(&mut self, outcome: BuildOutcome) {
        let build_id = self.running();
        self.done(Work::StartBuild(build_id.clone()), WorkOutcome::Done);
        self.apply(Input::BuildEnded(EndedCall { build_id, ended: BuildEnded { outcome } }));
    }

    /// The running build makes an image of this commit.
    pub(crate) fn build(&mut self, commit: &str) -> ImageId {
        let outcome = self.built(commit);
        self.end_build(outcome);
        self.repository.current_image().unwrap().id.clone()
    }

    /// The provider does everything that was ordered, at once.
    pub(crate) fn settle(&mut self) {
        for work in std::mem::take(&mut self.orders) {
            match work {
                Work::Fill(id) => {
                    self.done(Work::Fill(id.clone()), WorkOutcome::Done);
                    self.report(&id, WarmState::Ready { agent: "scripted".into() });
                }
                Work::Discard(_) | Work::DeleteImage(_) | Work::CancelBuild(_) => {
                    self.done(work, WorkOutcome::Done);
                }
                Work::StartBuild(_) | Work::TakeInventory => self.orders.push(work),
            }
        }
    }

    pub(crate) fn report(&mut self, id: &SandboxId, state: WarmState) -> Reply {
        let report = WarmReport { bridge_url: "http://bridge".into(), state };
        let has = |claimant: &Claimant| matches!(&claimant.state, ClaimState::Has { sandbox_id, .. } if sandbox_id == id);
        let claimed = self.claimants.values().any(has);
        self.apply(Input::WarmReported { call: WarmCall { sandbox_id: id.clone(), report }, claimed })
    }

    pub(crate) fn claim(&mut self, number: u8, generation: u64) -> Reply {
        self.claim_with(ClaimCall { session_id: session(number), generation, reservation: None })
    }

    pub(crate) fn claim_with(&mut self, call: ClaimCall) -> Reply {
        let seen = self.claimants.get(&call.session_id).cloned();
        self.apply(Input::Claimed { call, seen })
    }

    pub(crate) fn release(&mut self, number: u8, generation: u64) {
        let call = ReleaseCall { session_id: session(number), generation };
        let seen = self.claimants.get(&call.session_id).cloned();
        assert_eq!(self.apply(Input::Released { call, seen }), Reply::Done);
    }

    pub(crate) fn reserve(&mut self, by: u8, number: u8) -> Reply {
        self.apply(Input::Reserved(ReserveCall { reservation: reservation(number), by: user(by) }))
    }

    pub(crate) fn live(&self) -> Vec<&WarmSandbox> {
        self.repository.sandboxes.iter().filter(|sandbox| sandbox.phase != Phase::Discarding).collect()
    }

    pub(crate) fn ready_ids(&self) -> Vec<SandboxId> {
        let valid = |sandbox: &&WarmSandbox| self.repository.is_valid(sandbox, self.now);
        self.repository.sandboxes.iter().filter(valid).map(|sandbox| sandbox.id.clone()).collect()
    }

    pub(crate) fn set_target(&mut self, target: u32) {
        let settings = Recipe { pool_target: Some(target), ..Recipe::default() };
        let call = ConfigureCall { repository: source(), settings: Some(settings) };
        assert_eq!(self.apply(Input::Configured(call)), Reply::Done);
    }
}

pub(crate) fn sandbox_of(reply: &Reply) -> Option<SandboxId> {
    let Reply::Claim(ClaimAnswer::Claimed { sandbox_id, .. }) = reply else { return None };
    Some(sandbox_id.clone())
}

pub(crate) fn refusal(reply: &Reply) -> Option<ErrorCode> {
    let Reply::Refused(error) = reply else { return None };
    Some(error.code)
}

pub(crate) fn delayed(reason: &str) -> WorkOutcome {
    WorkOutcome::Delayed { reason: reason.into(), retry_after_ms: None }
}

#[test]
fn an_order_reads_back_from_its_name() {
    let works = [
        Work::StartBuild(BuildId::from_random([1; 16])),
        Work::CancelBuild(BuildId::from_random([2; 16])),
        Work::DeleteImage(ImageId::from_random([3; 16])),
        Work::Fill(SandboxId::from_random([4; 16])),
        Work::Discard(SandboxId::from_random([5; 16])),
        Work::TakeInventory,
    ];
    for work in works {
        assert_eq!(Work::parse(&work.key()), Some(work));
    }
    assert_eq!(Work::parse("fill/bld_1"), None);
}

#[test]
fn a_recipe_that_cannot_be_carried_out_is_refused_with_its_remedy() {
    let mut bench = Bench::new(Recipe::default());
    let many = Some(vec!["true".to_owned(); 51]);
    for (settings, word) in [
        (Recipe { pool_target: Some(51), ..Recipe::default() }, "poolTarget"),
        (Recipe { setup: many, ..Recipe::default() }, "setup"),
        (Recipe { start: Some(" ".into()), ..Recipe::default() }, "start"),
    ] {
        let reply =
            bench.apply(Input::Configured(ConfigureCall { repository: source(), settings: Some(settings) }));
        let Reply::Refused(error) = reply else { panic!("{reply:?}") };
        assert!(error.message.contains(word), "{error}");
    }
    assert_eq!(bench.repository.settings, Recipe::default());
}
