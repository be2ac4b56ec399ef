//! The object's shell over the store that ships, with everything around it that can go wrong.

use crate::cloud::{Cloud, Word};
use crate::random::Random;
use platform::memory::MemorySql;
use protocol::bridge::RepositorySource;
use protocol::id::{ImageId, RepositoryId, ReservationId, SandboxId, SessionId, UserId};
use protocol::time::Timestamp;
use repository::call::{ClaimAnswer, ClaimCall, ConfigureCall, ReleaseCall, ReserveCall};
use repository::core::{
    CLAIM_LEASE_MS, Context, Input, Phase, Reply, Repository, Retry, Work, WorkOutcome, evaluate_retry,
};
use repository::store::{OutboxRow, Store};
use std::collections::{BTreeMap, BTreeSet};

/// A command on its way, or its answer.
struct Flight {
    at: u64,
    row: OutboxRow,
    work: Work,
    image: Option<ImageId>,
    asked_at: u64,
    /// Which life of the object sent it.
    life: u64,
    /// `None` on the way there.
    answer: Option<WorkOutcome>,
}

/// A session that wants a sandbox.
struct Seeker {
    id: SessionId,
    generation: u64,
    got: Option<SandboxId>,
    next_at: u64,
}

pub(crate) struct World {
    random: Random,
    now: u64,
    store: Store<MemorySql>,
    repository: Option<Repository>,
    life: u64,
    in_flight: BTreeSet<String>,
    flights: Vec<Flight>,
    cloud: Cloud,
    seekers: Vec<Seeker>,
    has_faults: bool,
    next_trouble: u64,
    handed: BTreeMap<SandboxId, (SessionId, u64)>,
    pub(crate) kills: usize,
}

impl World {
    pub(crate) fn new(random: Random) -> Self {
        let now = 1_000_000_000;
        let store = Store::new(MemorySql::open().unwrap());
        store.migrate(Timestamp(now)).unwrap();
        let source = RepositorySource {
            id: RepositoryId::parse("acme/shop").unwrap(),
            clone_url: "https://code.example/acme/shop.git".into(),
            default_branch: "main".into(),
        };
        let call = ConfigureCall { repository: source, settings: None };
        let mut world = Self {
            random,
            now,
            store,
            repository: None,
            life: 0,
            in_flight: BTreeSet::new(),
            flights: Vec::new(),
            cloud: Cloud::default(),
            seekers: Vec::new(),
            has_faults: true,
            next_trouble: now,
            handed: BTreeMap::new(),
            kills: 0,
        };
        let fresh = Repository::new(call.clone(), Timestamp(now));
        world.advance(None, fresh, Input::Configured(call), None);
        world
    }

    /// Nothing goes wrong from here on, and nobody comes any more.
    pub(crate) fn heal(&mut self) {
        self.has_faults = false;
        self.cloud.is_away_until = self.now;
        self.seekers.clear();
    }

    pub(crate) fn owners(&self) -> usize {
        self.cloud.bound.len()
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let next = self.next_at().max(self.now + 1);
            if next > end {
                break;
            }
            self.now = next;
            self.step();
            self.check_always();
        }
        self.now = end;
    }

    fn next_at(&mut self) -> u64 {
        let now = Timestamp(self.now);
        let deadline = self.load().next_deadline(now).0;
        let schedule = self.store.load_schedule().unwrap();
        let rows = schedule.iter().filter(|(key, _)| !self.in_flight.contains(key)).map(|(_, at)| at.0);
        let flights = self.flights.iter().map(|flight| flight.at);
        let seekers = self.seekers.iter().map(|seeker| seeker.next_at);
        let trouble = if self.has_faults { self.next_trouble } else { u64::MAX };
        let all = rows.chain(flights).chain(seekers).chain(self.cloud.next_at()).chain([deadline, trouble]);
        all.min().unwrap()
    }

    fn step(&mut self) {
        if self.has_faults && self.next_trouble <= self.now {
            self.make_trouble();
        }
        self.cloud.advance(self.now, &mut self.random);
        let now = Timestamp(self.now);
        if self.load().next_deadline(now) <= now {
            self.apply(Input::DeadlineReached, None);
        }
        self.dispatch();
        while let Some(index) = self.flights.iter().position(|flight| flight.at <= self.now) {
            let flight = self.flights.swap_remove(index);
            self.fly(flight);
        }
        while let Some(index) = self.cloud.words.iter().position(|(at, _)| *at <= self.now) {
            let (_, word) = self.cloud.words.swap_remove(index);
            self.deliver(word);
        }
        for index in 0..self.seekers.len() {
            if self.seekers[index].next_at <= self.now {
                self.seek(index);
            }
        }
        self.seekers.retain(|seeker| seeker.next_at != u64::MAX);
    }

    fn make_trouble(&mut self) {
        self.next_trouble = self.now + self.random.below(90_000);
        match self.random.below(12) {
            0 => {
                self.kills += 1;
                self.cloud.kill(self.now, &mut self.random);
            }
            1 | 2 => self.evict(),
            3 => self.cloud.lose(self.now, &mut self.random),
            4 => {
                let (reservation, by) = (self.random.bytes(), self.random.below(4) as u8);
                let call = ReserveCall {
                    reservation: ReservationId::from_random(reservation),
                    by: UserId::from_random([by; 16]),
                };
                self.apply(Input::Reserved(call), None);
            }
            _ => {
                let id = SessionId::from_random(self.random.bytes());
                let (next_at, generation) = (self.now, 1);
                self.seekers.push(Seeker { id, generation, got: None, next_at });
            }
        }
    }

    /// The object vanishes; what it sent is still on its way, but nobody waits for the answers.
    fn evict(&mut self) {
        self.repository = None;
        self.life += 1;
        self.in_flight.clear();
    }

    fn load(&mut self) -> &Repository {
        if self.repository.is_none() {
            self.repository = self.store.load().unwrap();
        }
        self.repository.as_ref().unwrap()
    }

    fn apply(&mut self, input: Input, row: Option<&OutboxRow>) -> Reply {
        let before = self.load().clone();
        let after = before.clone();
        self.advance(Some(before), after, input, row)
    }

    fn advance(
        &mut self,
        before: Option<Repository>,
        mut after: Repository,
        input: Input,
        row: Option<&OutboxRow>,
    ) -> Reply {
        let context = Context { now: Timestamp(self.now), random: self.random.bytes() };
        let effects = after.apply(input, context);
        let settled = row.map(|row| (row.key.as_str(), row.version));
        self.store.commit(before.as_ref(), &after, &effects, settled, Timestamp(self.now)).unwrap();
        assert_eq!(self.store.load().unwrap().as_ref(), Some(&after), "the tables say what the machine says");
        self.repository = Some(after);
        let reply = effects.into_iter().find_map(|effect| match effect {
            repository::core::Effect::Reply(reply) => Some(reply),
            _ => None,
        });
        reply.unwrap()
    }

    fn dispatch(&mut self) {
        for row in self.store.load_due(Timestamp(self.now)).unwrap() {
            if self.in_flight.contains(&row.key) {
                continue;
            }
            let work = Work::parse(&row.key).unwrap();
            let under_way: Vec<Work> = self.in_flight.iter().filter_map(|key| Work::parse(key)).collect();
            let now = Timestamp(self.now);
            match self.load().evaluate_try(&work, &under_way, now) {
                Retry::Now => {}
                Retry::At(at) => {
                    self.store.postpone(&row, row.attempts, at).unwrap();
                    continue;
                }
                Retry::AfterOthers => continue,
            }
            let repository = self.load();
            let image = match &work {
                Work::StartBuild(id) => repository
                    .running_build()
                    .filter(|build| build.id == *id)
                    .map(|build| build.image_id.clone()),
                Work::Fill(id) => repository.sandbox(id).map(|sandbox| sandbox.image_id.clone()),
                _ => None,
            };
            self.in_flight.insert(row.key.clone());
            let at = self.now + self.delay();
            let (asked_at, life) = (self.now, self.life);
            self.flights.push(Flight { at, row, work, image, asked_at, life, answer: None });
        }
    }

    fn delay(&mut self) -> u64 {
        if self.has_faults && self.random.chance(5) {
            self.random.below(60_000)
        } else {
            1 + self.random.below(50)
        }
    }

    fn fly(&mut self, mut flight: Flight) {
        let is_lost = self.has_faults && self.random.chance(8);
        let lost = || WorkOutcome::Delayed { reason: "no answer".into(), retry_after_ms: None };
        let Some(answer) = flight.answer.take() else {
            let answer = if is_lost {
                None
            } else {
                self.cloud.carry_out(&flight.work, flight.image.clone(), self.now, &mut self.random)
            };
            let wait = if answer.is_some() { self.delay() } else { 10_000 };
            flight.answer = Some(answer.unwrap_or_else(lost));
            flight.at = self.now + wait;
            self.flights.push(flight);
            return;
        };
        if flight.life != self.life {
            return;
        }
        self.in_flight.remove(&flight.row.key);
        let mut outcome = if is_lost { lost() } else { answer };
        let claimed = matches!(&flight.work, Work::Fill(id) if self.store.is_claimed(id).unwrap());
        if let WorkOutcome::Inventory { asked_at, claimed, .. } = &mut outcome {
            *asked_at = Timestamp(flight.asked_at);
            *claimed = self.store.load_claimed(Timestamp(self.now - CLAIM_LEASE_MS)).unwrap();
        }
        let is_delayed = matches!(outcome, WorkOutcome::Delayed { .. });
        if is_delayed {
            let attempts = flight.row.attempts + 1;
            let at = evaluate_retry(attempts, Timestamp(self.now), self.random.next() as u32);
            self.store.postpone(&flight.row, attempts, at).unwrap();
        }
        let input = Input::WorkDone { work: flight.work, outcome, claimed };
        self.apply(input, (!is_delayed).then_some(&flight.row));
    }

    /// A word of the bridge: repeated until its answer is heard.
    fn deliver(&mut self, word: Word) {
        if self.has_faults && self.random.chance(10) {
            self.cloud.words.push((self.now + 1_000, word));
            return;
        }
        let reply = match word.clone() {
            Word::Ended(call) => self.apply(Input::BuildEnded(call), None),
            Word::Warm(call) => {
                let claimed = self.store.is_claimed(&call.sandbox_id).unwrap();
                self.apply(Input::WarmReported { call, claimed }, None)
            }
        };
        if self.has_faults && self.random.chance(10) {
            self.cloud.words.push((self.now + 1_000, word));
        } else if let (Reply::Refused(_), Word::Warm(call)) = (reply, word) {
            // Nobody wants it: the bridge ends it.
            self.cloud.warm.remove(&call.sandbox_id);
        }
    }

    /// One step of a session: claim, then take, with every answer possibly lost.
    fn seek(&mut self, index: usize) {
        let wait = self.now + 50 + self.delay();
        let is_lost = self.random.chance(10);
        let seeker = &mut self.seekers[index];
        seeker.next_at = wait;
        let (id, generation) = (seeker.id.clone(), seeker.generation);
        let Some(sandbox) = seeker.got.clone() else {
            let call = ClaimCall { session_id: id.clone(), generation, reservation: None };
            let seen = self.store.load_claimant(&id).unwrap();
            let reply = self.apply(Input::Claimed { call, seen }, None);
            if let Reply::Claim(ClaimAnswer::Claimed { sandbox_id, .. }) = &reply {
                let owner = (id.clone(), generation);
                let before = self.handed.insert(sandbox_id.clone(), owner.clone());
                assert!(before.is_none_or(|before| before == owner), "{sandbox_id} has two owners");
            }
            if is_lost {
                return;
            }
            let seeker = &mut self.seekers[index];
            match reply {
                Reply::Claim(ClaimAnswer::Claimed { sandbox_id, .. }) => seeker.got = Some(sandbox_id),
                // It makes its own.
                _ => seeker.next_at = u64::MAX,
            }
            return;
        };
        match self.random.below(20) {
            0 => seeker.next_at = u64::MAX,
            1 => {
                seeker.next_at = u64::MAX;
                self.release(id, generation);
            }
            2 => {
                seeker.generation += 1;
                seeker.got = None;
            }
            _ => match self.cloud.bind(&sandbox, &id, self.now) {
                Some(true) if !is_lost => self.seekers[index].next_at = u64::MAX,
                // The bridge does not have it: given back, and another one is claimed.
                Some(false) if !is_lost => {
                    self.release(id, generation);
                    let seeker = &mut self.seekers[index];
                    seeker.generation += 1;
                    seeker.got = None;
                }
                Some(_) | None => {}
            },
        }
    }

    fn release(&mut self, session_id: SessionId, generation: u64) {
        let seen = self.store.load_claimant(&session_id).unwrap();
        self.apply(Input::Released { call: ReleaseCall { session_id, generation }, seen }, None);
    }

    fn check_always(&mut self) {
        let bound: Vec<SandboxId> = self.cloud.bound.keys().cloned().collect();
        let repository = self.load();
        assert!(repository.sandboxes.len() <= 2 * (3 + 8), "the pool grows: {}", repository.sandboxes.len());
        assert!(repository.builds.iter().filter(|build| build.ended.is_none()).count() <= 1);
        for id in bound {
            let is_handed_out_again =
                repository.sandbox(&id).is_some_and(|sandbox| sandbox.phase != Phase::Discarding);
            assert!(!is_handed_out_again, "{id} is a session's and in the pool");
        }
    }

    /// What the provider has is what is known, but for claims that were not taken yet.
    pub(crate) fn check_agreement(&mut self, when: &str) {
        let since = Timestamp(self.now - CLAIM_LEASE_MS - 7 * 60_000);
        let claimed = self.store.load_claimed(since).unwrap();
        let (builds, images): (BTreeSet<_>, BTreeSet<_>) =
            (self.cloud.builds.keys().cloned().collect(), self.cloud.images.clone());
        let warm: BTreeSet<SandboxId> =
            self.cloud.warm.keys().filter(|id| !claimed.contains(id)).cloned().collect();
        let repository = self.load();
        let known: BTreeSet<SandboxId> =
            repository.sandboxes.iter().map(|sandbox| sandbox.id.clone()).collect();
        let leaked: Vec<_> = warm.difference(&known).collect();
        assert!(leaked.is_empty(), "{when}: at the provider, and unknown: {leaked:?}");
        let ready = repository.sandboxes.iter().filter(|s| matches!(s.phase, Phase::Ready { .. }));
        for sandbox in ready {
            assert!(warm.contains(&sandbox.id), "{when}: {} is ready, and not there", sandbox.id);
        }
        let of_images: BTreeSet<ImageId> = repository.images.iter().map(|image| image.id.clone()).collect();
        let making: BTreeSet<ImageId> =
            repository.running_build().map(|build| build.image_id.clone()).into_iter().collect();
        assert!(images.difference(&of_images).all(|id| making.contains(id)), "{when}: an image leaks");
        assert!(of_images.is_subset(&images), "{when}: an image is gone");
        let running: BTreeSet<_> =
            repository.running_build().map(|build| build.id.clone()).into_iter().collect();
        assert!(builds.is_subset(&running), "{when}: a build nobody waits for");
    }

    /// Nothing is left over, and the pool is as it should be.
    pub(crate) fn check_rest(&mut self, when: &str) {
        self.check_agreement(when);
        let now = Timestamp(self.now);
        let warm = self.cloud.warm.len();
        let repository = self.load();
        let ready = repository.sandboxes.iter().filter(|sandbox| repository.is_valid(sandbox, now)).count();
        let total = repository.sandboxes.len();
        assert!(warm <= total, "{when}: {warm} sandboxes at the provider, {total} known");
        // It may be in the middle of replacing them.
        assert!(repository.images.is_empty() || ready + 3 >= total, "{when}: {ready} of {total} are ready");
        assert_eq!(repository.breaker.open_until, None, "{when}: the provider works");
    }
}
