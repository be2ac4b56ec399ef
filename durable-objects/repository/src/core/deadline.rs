//! When the repository must be called next. Derived from the state, so that nothing can contradict it.

use super::breaker::Circuit;
use super::limit::{BUILD_GRACE_MS, BUILD_MS_MAX};
use super::state::{Phase, Repository};
use protocol::time::Timestamp;

impl Repository {
    /// The next moment at which [`super::Input::DeadlineReached`] is due.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Timestamp {
        let mut at = self.inventory_at;
        let mut consider = |other: Timestamp| at = at.min(other);
        let circuit = self.breaker.circuit(now);
        match (self.running_build(), circuit) {
            (Some(build), _) => consider(build.started_at.plus_ms(BUILD_MS_MAX + BUILD_GRACE_MS)),
            (None, Circuit::Closed) => consider(self.next_build_at),
            (None, Circuit::Open(until)) => consider(self.next_build_at.max(until)),
            // What is being tried brings the next input.
            (None, Circuit::HalfOpen) if self.is_filling() => {}
            (None, Circuit::HalfOpen) => consider(self.next_build_at),
        }
        if let Circuit::Open(until) = circuit
            && self.missing(now) > 0
        {
            consider(until);
        }
        self.sandboxes.iter().filter_map(super::state::WarmSandbox::expires_at).for_each(&mut consider);
        let held = self.reservers.iter().filter_map(|reserver| reserver.held.as_ref());
        held.map(|held| held.until).for_each(&mut consider);
        if let Some((retirement, _)) = self.next_retirement() {
            consider(retirement);
        }
        at
    }

    fn is_filling(&self) -> bool {
        self.sandboxes.iter().any(|sandbox| sandbox.phase == Phase::Filling)
    }
}
