//! When an order that did not succeed is tried again, and what a refusal of the bridge means.

use super::breaker::Circuit;
use super::input::{Work, WorkOutcome};
use super::limit::REMOVALS_MAX;
use super::state::Repository;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::time::Timestamp;

/// The first wait; each one doubles it …
const FIRST_MS: u64 = 1000;
/// … up to this.
const WAIT_MS_MAX: u64 = 60_000;
/// One thing is tried at a time after a pause; the others look again after this.
const PROBE_MS: u64 = 5000;

/// When an order may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Now.
    Now,
    /// Not before then.
    At(Timestamp),
    /// When one of those that are under way has ended.
    AfterOthers,
}

/// Half of the wait is drawn by lot, so that repositories do not come back to a restarted bridge together.
///
/// `tries` counts those that failed, this one included; `random` is uniform.
#[must_use]
pub fn evaluate_retry(tries: u32, now: Timestamp, random: u32) -> Timestamp {
    let wait = FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(WAIT_MS_MAX);
    let half = wait / 2;
    now.plus_ms(half + u64::from(random) % (wait - half + 1))
}

impl Work {
    /// Whether it leaves the room to others: removals are few at a time, because a Worker has six connections and the leases of many
    /// claims may end together.
    #[must_use]
    pub fn waits_for(&self, under_way: &[Self]) -> bool {
        self.is_removal() && under_way.iter().filter(|other| other.is_removal()).count() >= REMOVALS_MAX
    }
}

impl Repository {
    /// Whether a due order may be sent beside those that are under way.
    ///
    /// What makes something waits while the provider is, or was just, failing.
    #[must_use]
    pub fn evaluate_try(&self, work: &Work, under_way: &[Work], now: Timestamp) -> Retry {
        if work.waits_for(under_way) {
            return Retry::AfterOthers;
        }
        if !work.is_making() {
            return Retry::Now;
        }
        match self.breaker.circuit(now) {
            Circuit::Closed => Retry::Now,
            Circuit::Open(until) => Retry::At(until),
            Circuit::HalfOpen if under_way.iter().any(Work::is_making) => Retry::At(now.plus_ms(PROBE_MS)),
            Circuit::HalfOpen => Retry::Now,
        }
    }
}

/// Judges an answer of the bridge that is not 2xx.
#[must_use]
pub fn evaluate_refusal(status: u16, body: &[u8], retry_after_ms: Option<u64>) -> WorkOutcome {
    let error = protocol::read_json::<ErrorBody>(body).ok();
    let (code, mut reason) = match error {
        Some(error) => (error.code, error.message),
        None => (ErrorCode::Unknown, format!("the sandbox bridge answered with status {status}")),
    };
    if code == ErrorCode::SignatureInvalid {
        reason.push_str("; BRIDGE_KEY must be the same at the edge and at the bridge");
    }
    let is_understood = (400..500).contains(&status) && !matches!(status, 401 | 408 | 425 | 429);
    // Words that are not the bridge's own come of something in front of it: nothing may be given up for them.
    if !is_understood || matches!(code, ErrorCode::Unknown | ErrorCode::SignatureInvalid) {
        return WorkOutcome::Delayed { reason, retry_after_ms };
    }
    if code == ErrorCode::NotFound {
        return WorkOutcome::Gone { reason };
    }
    WorkOutcome::Rejected { reason }
}
