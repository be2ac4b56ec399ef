//! The repository against a naive reading of the rules: a second, tiny implementation that knows nothing of outboxes, orders or
//! deadlines. Provider and builds behave; time, people and settings do not.

use super::*;
use proptest::prelude::*;

const FILL_MS: u64 = 5_000;
const BUILD_MS: u64 = 90_000;

#[derive(Clone, Debug)]
enum Happening {
    Pass(u64),
    Claim {
        session: u8,
        generation: u64,
    },
    ClaimReserved {
        session: u8,
        user: u8,
    },
    Release {
        session: u8,
        generation: u64,
    },
    Reserve(u8),
    AskForBuild,
    Target(u32),
    /// How builds end from here on: 0 changed, 1 unchanged, 2 failed.
    Builds(u8),
    Kill(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0..40 * MINUTE).prop_map(Happening::Pass),
        3 => (0..10_000u64).prop_map(Happening::Pass),
        8 => (0..12u8, 1..4u64).prop_map(|(session, generation)| Happening::Claim { session, generation }),
        3 => (0..12u8, 0..4u8).prop_map(|(session, user)| Happening::ClaimReserved { session, user }),
        2 => (0..12u8, 1..4u64).prop_map(|(session, generation)| Happening::Release { session, generation }),
        3 => (0..4u8).prop_map(Happening::Reserve),
        1 => Just(Happening::AskForBuild),
        1 => (0..5u32).prop_map(Happening::Target),
        2 => (0..3u8).prop_map(Happening::Builds),
        1 => (0..8usize).prop_map(Happening::Kill),
    ]
}

/// What the rules say, as plainly as they can be read.
#[derive(Default)]
struct Rules {
    target: u32,
    images: u32,
    /// Made from which image, when ordered, whether ready.
    pool: BTreeMap<SandboxId, (u32, u64, bool)>,
    /// Per user, until when.
    reservations: BTreeMap<u8, u64>,
    owners: BTreeMap<SandboxId, (SessionId, u64)>,
    newest: BTreeMap<SessionId, (u64, bool)>,
    last_build_at: u64,
}

impl Rules {
    fn valid(&self, now: u64) -> Vec<SandboxId> {
        let young = |at: u64| now < at + 25 * 60 * 1000;
        let valid =
            self.pool.iter().filter(|(_, (image, at, ready))| *ready && young(*at) && *image == self.images);
        valid.map(|(id, _)| id.clone()).collect()
    }

    fn reserved(&self, now: u64) -> usize {
        self.reservations.values().filter(|until| now < **until).count()
    }
}

struct Game {
    bench: Bench,
    rules: Rules,
    builds_end: u8,
    /// When each sandbox becomes ready, and when the build ends.
    filling: BTreeMap<SandboxId, u64>,
    build_ends: Option<(BuildId, u64)>,
}

impl Game {
    fn new() -> Self {
        let bench = Bench::new(Recipe::default());
        let rules = Rules { target: 3, last_build_at: bench.now.0, ..Rules::default() };
        let mut game = Self { bench, rules, builds_end: 0, filling: BTreeMap::new(), build_ends: None };
        game.provide();
        game
    }

    /// The provider takes what was ordered.
    fn provide(&mut self) {
        let now = self.bench.now.0;
        for work in std::mem::take(&mut self.bench.orders) {
            match &work {
                Work::Fill(id) => {
                    self.rules.pool.insert(id.clone(), (self.rules.images, now, false));
                    self.filling.insert(id.clone(), now + FILL_MS);
                }
                Work::Discard(id) => {
                    self.rules.pool.remove(id);
                    self.filling.remove(id);
                }
                Work::StartBuild(id) => self.build_ends = Some((id.clone(), now + BUILD_MS)),
                Work::CancelBuild(_) => panic!("no build is slow here"),
                Work::DeleteImage(_) => {}
                Work::TakeInventory => {
                    self.take_inventory();
                    continue;
                }
            }
            self.bench.done(work, WorkOutcome::Done);
        }
        if !self.bench.orders.is_empty() {
            self.provide();
        }
    }

    fn take_inventory(&mut self) {
        let inventory = Inventory {
            warm: self.rules.pool.keys().cloned().collect(),
            builds: self.build_ends.iter().map(|(id, _)| id.clone()).collect(),
            images: self.bench.repository.images.iter().map(|image| image.id.clone()).collect(),
        };
        let asked_at = self.bench.now;
        let outcome = WorkOutcome::Inventory { inventory, asked_at, claimed: vec![] };
        self.bench.done(Work::TakeInventory, outcome);
    }

    /// Lets time pass; everything that is due on the way happens at its moment.
    fn pass(&mut self, ms: u64) {
        let end = self.bench.now.0 + ms;
        loop {
            let ready = self.filling.values().min().copied();
            let built = self.build_ends.as_ref().map(|(_, at)| *at);
            let deadline = Some(self.bench.repository.next_deadline(self.bench.now).0);
            let next = [ready, built, deadline].into_iter().flatten().min().unwrap_or(end);
            if next > end {
                break;
            }
            self.bench.now = Timestamp(next);
            if deadline == Some(next) {
                self.bench.apply(Input::DeadlineReached);
            } else if ready == Some(next) {
                self.make_ready(next);
            } else {
                self.end_build();
            }
            self.provide();
            self.check();
        }
        self.bench.now = Timestamp(end);
        self.check();
    }

    fn make_ready(&mut self, now: u64) {
        let due = self.filling.iter().find(|(_, at)| **at <= now).map(|(id, _)| id.clone()).unwrap();
        self.filling.remove(&due);
        self.rules.pool.get_mut(&due).unwrap().2 = true;
        assert_eq!(self.bench.report(&due, WarmState::Ready { agent: "scripted".into() }), Reply::Done);
    }

    fn end_build(&mut self) {
        let (build_id, _) = self.build_ends.take().unwrap();
        assert_eq!(self.bench.running(), build_id, "one at a time");
        let outcome = match self.builds_end {
            1 if self.rules.images > 0 => BuildOutcome::Unchanged,
            2 => BuildOutcome::Failed { step: "build".into(), reason: "exit status 1".into() },
            _ => {
                self.rules.images += 1;
                self.bench.built("a")
            }
        };
        self.bench.apply(Input::BuildEnded(EndedCall { build_id, ended: BuildEnded { outcome } }));
    }

    /// What must hold whenever everything that was due has happened.
    fn check(&mut self) {
        let now = self.bench.now.0;
        self.rules.reservations.retain(|_, until| now < *until);
        let repository = &self.bench.repository;
        let mut valid = self.bench.ready_ids();
        valid.sort();
        assert_eq!(valid, self.rules.valid(now), "those that may be handed out");
        let live: Vec<SandboxId> = self.bench.live().iter().map(|sandbox| sandbox.id.clone()).collect();
        let wanted =
            if self.rules.images == 0 { 0 } else { self.rules.target as usize + self.rules.reserved(now) };
        assert_eq!(live.len(), wanted, "target and reservations");
        assert_eq!(self.rules.pool.len(), wanted, "at the provider");
        assert!(live.iter().all(|id| !self.rules.owners.contains_key(id)), "nothing claimed comes back");
        if let Some(build) = repository.running_build() {
            self.rules.last_build_at = build.started_at.0;
        }
        assert!(
            now < self.rules.last_build_at + 30 * 60 * 1000,
            "an image is tried at least every 30 minutes"
        );
        assert!(repository.builds.iter().filter(|build| build.ended.is_none()).count() <= 1);
    }

    fn claim(&mut self, number: u8, generation: u64, by: Option<u8>) {
        let now = self.bench.now.0;
        let valid = self.rules.valid(now).len();
        let others = self
            .rules
            .reservations
            .iter()
            .filter(|(user, until)| Some(**user) != by && now < **until)
            .count();
        let id = session(number);
        let known = self.rules.newest.get(&id).copied();
        let call = ClaimCall { session_id: id.clone(), generation, reservation: by.map(reservation) };
        let reply = self.bench.claim_with(call);
        if known.is_some_and(|(newest, over)| generation < newest || (generation == newest && over)) {
            assert_eq!(refusal(&reply), Some(ErrorCode::GenerationStale));
            return;
        }
        let got = sandbox_of(&reply);
        if let Some(before) = self.rules.owners.iter().find(|(_, owner)| **owner == (id.clone(), generation))
        {
            assert_eq!(got.as_ref(), Some(before.0), "the same again");
            return;
        }
        self.rules.newest.insert(id.clone(), (generation, false));
        if let Some(user) = by {
            self.rules.reservations.remove(&user);
        }
        if valid > others {
            assert!(got.is_some(), "{valid} valid, {others} held for others");
        }
        if valid == 0 || (by.is_none() && valid <= others) {
            assert_eq!(got, None, "{valid} valid, {others} held for others");
        }
        if let Some(sandbox) = got {
            let (image, at, ready) = self.rules.pool.remove(&sandbox).expect("it is of the pool");
            assert!(ready && image == self.rules.images && now < at + 25 * 60 * 1000);
            assert_eq!(self.rules.owners.insert(sandbox, (id, generation)), None, "never two owners");
        }
        self.provide();
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.bench.now.0;
        match happening {
            Happening::Pass(ms) => self.pass(ms),
            Happening::Claim { session, generation } => self.claim(session, generation, None),
            Happening::ClaimReserved { session, user } => self.claim(session, 4, Some(user)),
            Happening::Release { session: number, generation } => {
                self.bench.release(number, generation);
                let newest = self.rules.newest.entry(session(number)).or_default();
                if generation >= newest.0 {
                    *newest = (generation, true);
                }
            }
            Happening::Reserve(by) => {
                if self.bench.reserve(by, by) == Reply::Done {
                    self.rules.reservations.insert(by, now + 2 * 60 * 1000);
                }
            }
            Happening::AskForBuild => {
                self.bench.apply(Input::BuildRequested);
            }
            Happening::Target(target) => {
                self.rules.target = target;
                self.bench.set_target(target);
            }
            Happening::Builds(end) => self.builds_end = end,
            Happening::Kill(index) => {
                let ready = self.bench.ready_ids();
                if let Some(id) = ready.get(index) {
                    self.rules.pool.remove(id);
                    self.bench.report(id, WarmState::Ended { reason: "killed".into() });
                }
            }
        }
        self.provide();
        self.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_pool_is_what_a_naive_reading_of_the_rules_says(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut game = Game::new();
        for happening in happenings {
            game.happen(happening);
        }
    }
}
