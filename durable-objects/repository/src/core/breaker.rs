//! Whether anything is asked of the provider: after some failures it is left alone for a while, then tried with one order.

use super::limit::{
    FAILURES_MAX, FAILURES_WINDOW_MS, LINE_BYTES_MAX, PAUSE_ASKED_MS_MAX, PAUSE_MS, PAUSE_MS_MAX,
};
use super::recipe::cut;
use protocol::time::Timestamp;

/// What is remembered of the provider's failures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breaker {
    /// The latest ones, oldest first.
    pub failures: Vec<Timestamp>,
    /// Until when nothing is asked of it; a moment that has passed means: one thing is tried.
    pub open_until: Option<Timestamp>,
    /// Pauses in a row.
    pub pauses: u32,
    /// What it said last.
    pub reason: String,
}

/// Whether something may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circuit {
    /// Anything.
    Closed,
    /// Nothing before then.
    Open(Timestamp),
    /// One thing, to see whether it works.
    HalfOpen,
}

impl Breaker {
    pub(super) fn circuit(&self, now: Timestamp) -> Circuit {
        match self.open_until {
            None => Circuit::Closed,
            Some(until) if now < until => Circuit::Open(until),
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// The provider did not do what it was asked.
    pub(super) fn fail(&mut self, reason: &str, retry_after_ms: Option<u64>, now: Timestamp) {
        reason.clone_into(&mut self.reason);
        cut(&mut self.reason, LINE_BYTES_MAX);
        self.failures.retain(|at| now.ms_since(*at) < FAILURES_WINDOW_MS);
        self.failures.push(now);
        let surplus = self.failures.len().saturating_sub(FAILURES_MAX);
        self.failures.drain(..surplus);
        let again = match self.circuit(now) {
            // What was under way when the pause began.
            Circuit::Open(until) => {
                let asked = retry_after_ms.map(|ms| now.plus_ms(ms.min(PAUSE_ASKED_MS_MAX)));
                self.open_until = Some(asked.map_or(until, |asked| asked.max(until)));
                return;
            }
            Circuit::HalfOpen => true,
            Circuit::Closed => self.failures.len() >= FAILURES_MAX,
        };
        let asked_ms = retry_after_ms.map(|ms| ms.min(PAUSE_ASKED_MS_MAX));
        if again || asked_ms.is_some() {
            let pause_ms = PAUSE_MS.saturating_mul(1 << self.pauses.min(10)).min(PAUSE_MS_MAX);
            self.open_until = Some(now.plus_ms(asked_ms.unwrap_or(pause_ms)));
            self.pauses = self.pauses.saturating_add(1);
        }
    }

    /// The provider works. Answers whether that ends a pause.
    pub(super) fn succeed(&mut self) -> bool {
        let was_open = self.open_until.is_some();
        if was_open {
            *self = Self::default();
        }
        was_open
    }
}
