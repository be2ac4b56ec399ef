//! What all parts of a run share: virtual time, the one source of randomness, what is under way, and what went wrong.

use crate::happening::{Happening, Token};
use crate::plan::{Fault, Plan};
use crate::random::Random;
use crate::trace::Trace;
use protocol::time::Timestamp;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// When every run begins, on everybody's clock.
const START_MS: i64 = 1_795_000_000_000;

/// Shared by all parts.
pub(crate) struct Scene {
    /// Milliseconds since the beginning.
    pub(crate) now: u64,
    /// How far the object's clock is off.
    pub(crate) clock_offset: i64,
    pub(crate) random: Random,
    pub(crate) plan: Plan,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) trace: Trace,
    /// What must never happen and did; the first counts.
    pub(crate) violation: Option<String>,
    /// How often faults and other things worth counting happened.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) faults: u64,
    schedule: BinaryHeap<Entry>,
    order: u64,
    tokens: Token,
}

struct Entry {
    at: u64,
    order: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, as a heap gives them out; of one moment, the first ordered.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl Scene {
    pub(crate) fn new(random: Random, plan: Plan, trace: Trace) -> Self {
        Self {
            now: 0,
            clock_offset: 0,
            random,
            plan,
            calm: false,
            trace,
            violation: None,
            seen: BTreeMap::new(),
            faults: 0,
            schedule: BinaryHeap::new(),
            order: 0,
            tokens: 0,
        }
    }

    /// Something happens after a while.
    pub(crate) fn after(&mut self, ms: u64, happening: impl Into<Happening>) {
        self.at(self.now + ms, happening);
    }

    /// Something happens at a moment.
    pub(crate) fn at(&mut self, at: u64, happening: impl Into<Happening>) {
        let happening = happening.into();
        self.order += 1;
        self.schedule.push(Entry { at: at.max(self.now), order: self.order, happening });
    }

    /// Goes to the next moment at which something happens.
    pub(crate) fn next(&mut self) -> Option<Happening> {
        let entry = self.schedule.pop()?;
        self.now = entry.at;
        Some(entry.happening)
    }

    pub(crate) fn token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    /// Whether a fault of this kind happens here. By kinds that come a number of times in a run, never.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        let rate = self.plan.rate(fault);
        if self.calm || rate == 0 || !self.random.chance(rate) {
            return false;
        }
        self.note_fault(fault);
        true
    }

    /// A fault happens.
    pub(crate) fn note_fault(&mut self, fault: Fault) {
        self.faults += 1;
        self.see(fault.name());
        self.trace.line(self.now, || format!("FAULT {}", fault.name()));
    }

    /// Something worth counting happens.
    pub(crate) fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The object's clock.
    pub(crate) fn clock(&self) -> Timestamp {
        let now = i64::try_from(self.now).unwrap_or(0);
        Timestamp(u64::try_from(START_MS + now + self.clock_offset).unwrap_or(0))
    }

    /// When the object's clock will show `at`.
    pub(crate) fn moment_of(&self, at: Timestamp) -> u64 {
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        u64::try_from(at - START_MS - self.clock_offset).unwrap_or(0)
    }

    /// The time that a message of a healthy network takes.
    pub(crate) fn hop(&mut self) -> u64 {
        self.random.between(1, 40)
    }

    /// Something that must never happen has happened.
    pub(crate) fn fail(&mut self, invariant: &str, what: &str) {
        if self.violation.is_none() {
            self.trace.line(self.now, || format!("VIOLATION {invariant}: {what}"));
            self.violation = Some(format!("{invariant}: {what}"));
        }
    }

    /// Fails unless it holds.
    pub(crate) fn hold(&mut self, invariant: &str, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.fail(invariant, &what());
        }
    }
}
