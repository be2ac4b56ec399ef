//! How fast sandboxes may be made: a bucket that holds one token and says how long to wait for the next. Pure; the provider waits.
//!
//! Workspaces are held to a number of creations in any second, so there is no burst that would use up the next second's.

use std::time::{Duration, Instant};

/// Whoever would have to wait longer is refused, and asks again.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Lets so many pass in a second, evenly.
#[derive(Debug)]
pub(super) struct Bucket {
    interval: Duration,
    /// When the next one may pass.
    next_at: Option<Instant>,
}

impl Bucket {
    /// A bucket for this rate.
    pub(super) fn new(per_second: u32) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), next_at: None }
    }

    /// Takes one place: how long to wait until it may be used, or `None` when too many wait already.
    pub(super) fn take(&mut self, now: Instant) -> Option<Duration> {
        let at = self.next_at.filter(|at| *at > now).unwrap_or(now);
        let wait = at.duration_since(now);
        if wait > WAIT_MAX {
            return None;
        }
        self.next_at = Some(at + self.interval);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_passes_and_the_rest_is_spread() {
        let (mut bucket, begin) = (Bucket::new(4), Instant::now());
        let waits: Vec<u128> = (0..8).map(|_| bucket.take(begin).unwrap().as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 750, 1000, 1250, 1500, 1750]);
        let later = begin + Duration::from_secs(10);
        assert_eq!(bucket.take(later), Some(Duration::ZERO));
    }

    #[test]
    fn in_any_second_no_more_pass_than_the_rate() {
        let (mut bucket, begin) = (Bucket::new(4), Instant::now());
        let mut passed: Vec<Duration> = Vec::new();
        for step in 0..200u64 {
            let at = Duration::from_millis(step * 37);
            passed.push(at + bucket.take(begin + at).unwrap());
        }
        for start in &passed {
            let within =
                passed.iter().filter(|at| *at >= start && **at < *start + Duration::from_secs(1)).count();
            assert!(within <= 4, "{within} at {start:?}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_minute() {
        let (mut bucket, begin) = (Bucket::new(1), Instant::now());
        let taken = (0..100).filter(|_| bucket.take(begin).is_some()).count();
        assert_eq!(taken, 61);
    }
}
