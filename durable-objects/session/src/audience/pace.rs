//! A token bucket: so many at once, then one in each interval.

use protocol::time::Timestamp;

/// Allows `burst` at once and then one each `interval_ms`. A clock that goes back costs nothing and gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval_ms: u64,
    full_ms: u64,
    credit_ms: u64,
    at: Timestamp,
}

impl Pace {
    /// A full bucket.
    #[must_use]
    pub fn new(interval_ms: u64, burst: u64, now: Timestamp) -> Self {
        let full_ms = interval_ms.saturating_mul(burst);
        Self { interval_ms, full_ms, credit_ms: full_ms, at: now }
    }

    /// Takes one; where there is none, the milliseconds until there is.
    pub fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        self.credit_ms = self.credit_ms.saturating_add(now.ms_since(self.at)).min(self.full_ms);
        self.at = now;
        match self.credit_ms.checked_sub(self.interval_ms) {
            Some(left) => {
                self.credit_ms = left;
                Ok(())
            }
            None => Err(self.interval_ms - self.credit_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let mut pace = Pace::new(50, 3, Timestamp(1000));
        for _ in 0..3 {
            assert_eq!(pace.take(Timestamp(1000)), Ok(()));
        }
        assert_eq!(pace.take(Timestamp(1000)), Err(50));
        assert_eq!(pace.take(Timestamp(1030)), Err(20));
        assert_eq!(pace.take(Timestamp(1050)), Ok(()));
        assert_eq!(pace.take(Timestamp(1050)), Err(50));
    }

    #[test]
    fn a_running_stream_keeps_the_rate() {
        let mut pace = Pace::new(50, 3, Timestamp(0));
        let taken = (0..10_000).filter(|ms| pace.take(Timestamp(*ms)).is_ok()).count();
        assert_eq!(taken, 3 + 10_000 / 50 - 1);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut pace = Pace::new(50, 1, Timestamp(1000));
        assert_eq!(pace.take(Timestamp(1000)), Ok(()));
        assert_eq!(pace.take(Timestamp(500)), Err(50));
        assert_eq!(pace.take(Timestamp(549)), Err(1));
        assert_eq!(pace.take(Timestamp(550)), Ok(()));
    }
}
