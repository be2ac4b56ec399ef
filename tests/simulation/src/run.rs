//! Runs seeds, and makes a failing one smaller.

use crate::mutant::Mutant;
use crate::plan::Fault;
use crate::trace::Trace;
use crate::world::World;
use std::collections::BTreeMap;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// What everything in the run follows from.
    pub seed: u64,
    /// Kinds of faults that are left out.
    pub without: Vec<Fault>,
    /// The safeguard that is left out.
    pub mutant: Option<Mutant>,
    /// Whether the run is logged.
    pub is_traced: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What must never happen and did.
    pub violation: Option<String>,
    /// How many things happened.
    pub steps: u64,
    /// How many of them were faults.
    pub faults: u64,
    /// Events that the session recorded.
    pub events: u64,
    /// Virtual time that passed.
    pub virtual_ms: u64,
    /// Virtual time from the last fault until everything rested, the wait for idleness included.
    pub rest_ms: u64,
    /// How often faults and other things worth counting happened.
    pub seen: BTreeMap<&'static str, u64>,
    /// The log, where one was wanted.
    pub trace: Vec<String>,
}

/// Runs one seed to its end.
#[must_use]
pub fn run(order: &Order) -> Outcome {
    let trace = if order.is_traced { Trace::kept() } else { Trace::none() };
    let mut world = match World::new(order.seed, &order.without, order.mutant, trace) {
        Ok(world) => world,
        Err(error) => return Outcome { violation: Some(error), ..Outcome::default() },
    };
    world.run();
    let events = world.observer.log.len() as u64;
    let rest_ms = world.rest_ms.unwrap_or_default();
    let scene = world.scene;
    Outcome {
        violation: scene.violation,
        steps: world.steps,
        faults: scene.faults,
        events,
        virtual_ms: scene.now,
        rest_ms,
        seen: scene.seen,
        trace: scene.trace.into_lines(),
    }
}

/// The same failure with as few kinds of faults as possible: leaves out each kind without which the seed still fails.
#[must_use]
pub fn shorten(order: &Order) -> Order {
    let mut shortest = order.clone();
    for fault in Fault::ALL {
        if shortest.without.contains(fault) {
            continue;
        }
        let mut tried = shortest.clone();
        tried.without.push(*fault);
        if run(&tried).violation.is_some() {
            shortest = tried;
        }
    }
    shortest
}

/// What came of many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub seeds: u64,
    /// Sums of [`Outcome`].
    pub steps: u64,
    /// Likewise.
    pub faults: u64,
    /// Likewise.
    pub events: u64,
    /// Likewise.
    pub virtual_ms: u64,
    /// The longest of them.
    pub rest_ms_max: u64,
    /// Sums, likewise.
    pub seen: BTreeMap<&'static str, u64>,
    /// Seeds in which something happened that must never happen, and what.
    pub failing: BTreeMap<u64, String>,
}

impl Tally {
    /// Counts one run.
    pub fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.faults += outcome.faults;
        self.events += outcome.events;
        self.virtual_ms += outcome.virtual_ms;
        self.rest_ms_max = self.rest_ms_max.max(outcome.rest_ms);
        self.count(outcome.seen);
        if let Some(violation) = outcome.violation {
            self.failing.insert(seed, violation);
        }
    }

    fn count(&mut self, seen: BTreeMap<&'static str, u64>) {
        for (what, times) in seen {
            *self.seen.entry(what).or_default() += times;
        }
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.faults += other.faults;
        self.events += other.events;
        self.virtual_ms += other.virtual_ms;
        self.rest_ms_max = self.rest_ms_max.max(other.rest_ms_max);
        self.count(other.seen);
        self.failing.extend(other.failing);
    }
}

/// Reads a list of seeds: one in each line, `#` begins a remark.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>, std::num::ParseIntError> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::parse).collect()
}
