//! How long to wait before trying again: doubling between two bounds, with jitter so that many do not come back at once.

use std::time::Duration;

/// Waiting times of one retried thing.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);

    /// Before the first failure.
    #[must_use]
    pub fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// It worked: the next failure waits shortly again.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// Waits, longer each time; between half and all of the nominal time.
    pub async fn wait(&mut self) {
        let half = self.next / 2;
        let share = crate::clock::random().map_or(0, |bytes| u32::from(bytes[0]));
        self.next = (self.next * 2).min(Self::LONGEST);
        tokio::time::sleep(half + half * share / 255).await;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_grows_to_its_bound_and_starts_over() {
        let mut backoff = Backoff::new();
        let mut total = Duration::ZERO;
        for _ in 0..10 {
            let begin = tokio::time::Instant::now();
            backoff.wait().await;
            assert!(begin.elapsed() <= Backoff::LONGEST + Duration::from_millis(2));
            total += begin.elapsed();
        }
        assert!(total > Duration::from_secs(15), "{total:?}");
        backoff.reset();
        let begin = tokio::time::Instant::now();
        backoff.wait().await;
        assert!(begin.elapsed() <= Backoff::FIRST + Duration::from_millis(2));
    }
}
