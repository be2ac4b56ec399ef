//! When a call to Modal is made again: pure decisions, without a clock. The client waits and calls.
//!
//! The figures are those of Modal's published Python client, version 1.6.4.

use super::error::is_transient;
use std::time::Duration;
use tonic::Code;

/// How often and how soon a kind of call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// Retries after failures that pass; being throttled is not counted.
    pub(super) retries_max: u32,
    /// Pause before the first retry; it doubles.
    pub(super) first: Duration,
    /// Longest pause.
    pub(super) longest: Duration,
    /// What all waits of a throttled call may come to.
    pub(super) throttle_max: Duration,
}

/// Calls to the control plane.
pub(super) const CONTROL: RetryPolicy = RetryPolicy {
    retries_max: 3,
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
    throttle_max: Duration::from_secs(60),
};

/// Calls to a sandbox's command router, and reopenings of its streams.
pub(super) const ROUTER: RetryPolicy = RetryPolicy {
    retries_max: 10,
    first: Duration::from_millis(10),
    longest: Duration::from_secs(10),
    throttle_max: Duration::from_secs(60),
};

/// Shortest pause of a throttled call, whatever Modal says.
const THROTTLE_MIN: Duration = Duration::from_millis(100);

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    /// Retries after failures that pass.
    pub(super) retries: u32,
    /// Retries after being throttled.
    pub(super) throttled: u32,
    /// All waits for throttling so far.
    pub(super) throttle_waited: Duration,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Wait, then call again with these counts.
    Again(Duration, Attempts),
    /// The failure is the answer.
    GiveUp,
}

/// Decides after a failure; `retry_after` is what Modal attached to it, if anything.
pub(super) fn evaluate_retry(
    policy: &RetryPolicy,
    attempts: Attempts,
    code: Code,
    retry_after: Option<Duration>,
) -> Decision {
    if code == Code::ResourceExhausted {
        // Without a word on when to come back it is a quota or a bill, which waiting does not cure.
        let Some(wait) = retry_after.map(|wait| wait.max(THROTTLE_MIN)) else { return Decision::GiveUp };
        let throttle_waited = attempts.throttle_waited.saturating_add(wait);
        if throttle_waited > policy.throttle_max {
            return Decision::GiveUp;
        }
        return Decision::Again(
            wait,
            Attempts { throttled: attempts.throttled + 1, throttle_waited, ..attempts },
        );
    }
    if !is_transient(code) || attempts.retries >= policy.retries_max {
        return Decision::GiveUp;
    }
    let doubled = policy.first.saturating_mul(1 << attempts.retries.min(16));
    Decision::Again(doubled.min(policy.longest), Attempts { retries: attempts.retries + 1, ..attempts })
}

/// A place in a stream of bytes that may be cut and is then opened again from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Bytes received, which is where to go on.
    pub(super) offset: u64,
    attempts: Attempts,
}

impl Cursor {
    /// So many bytes came: whatever was wrong has passed.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_add(bytes as u64);
        self.attempts = Attempts::default();
    }

    /// The stream broke: how long to wait before it is opened again, or `None` when it is given up.
    pub(super) fn reopen_after(
        &mut self,
        policy: &RetryPolicy,
        code: Code,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        match evaluate_retry(policy, self.attempts, code, retry_after) {
            Decision::Again(wait, attempts) => {
                self.attempts = attempts;
                Some(wait)
            }
            Decision::GiveUp => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &RetryPolicy, code: Code, retry_after: Option<f32>) -> Vec<u128> {
        let mut attempts = Attempts::default();
        let mut waits = Vec::new();
        let retry_after = retry_after.map(Duration::from_secs_f32);
        while let Decision::Again(wait, next) = evaluate_retry(policy, attempts, code, retry_after) {
            waits.push(wait.as_millis());
            attempts = next;
        }
        waits
    }

    #[test]
    fn failures_that_pass_are_tried_again_with_growing_pauses() {
        assert_eq!(waits(&CONTROL, Code::Unavailable, None), [100, 200, 400]);
        let router = waits(&ROUTER, Code::Internal, None);
        assert_eq!(router, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120]);
        assert_eq!(waits(&CONTROL, Code::NotFound, None), [0u128; 0]);
        assert_eq!(waits(&CONTROL, Code::Unauthenticated, None), [0u128; 0]);
    }

    #[test]
    fn a_throttled_call_waits_as_long_as_it_is_told_and_counts_apart() {
        assert_eq!(waits(&CONTROL, Code::ResourceExhausted, Some(15.0)), [15_000; 4]);
        assert_eq!(waits(&CONTROL, Code::ResourceExhausted, Some(0.0)).first(), Some(&100));
        assert_eq!(waits(&CONTROL, Code::ResourceExhausted, Some(61.0)), [0u128; 0]);
        assert_eq!(waits(&CONTROL, Code::ResourceExhausted, None), [0u128; 0]);
        let Decision::Again(_, after) = evaluate_retry(
            &CONTROL,
            Attempts { retries: 2, ..Attempts::default() },
            Code::ResourceExhausted,
            Some(Duration::from_secs(1)),
        ) else {
            panic!("a throttled call is made again")
        };
        assert_eq!((after.retries, after.throttled), (2, 1));
    }

    #[test]
    fn a_stream_goes_on_where_it_was_and_progress_renews_its_tries() {
        let mut cursor = Cursor::default();
        for _ in 0..30 {
            assert_eq!(
                cursor.reopen_after(&ROUTER, Code::Unavailable, None),
                Some(Duration::from_millis(10))
            );
            cursor.advance(3);
        }
        assert_eq!(cursor.offset, 90);
        for _ in 0..10 {
            assert!(cursor.reopen_after(&ROUTER, Code::Unavailable, None).is_some());
        }
        assert_eq!(cursor.reopen_after(&ROUTER, Code::Unavailable, None), None);
        assert_eq!(cursor.reopen_after(&ROUTER, Code::NotFound, None), None);
    }
}
