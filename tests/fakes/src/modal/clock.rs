//! The stand-in's time: the machine's, and what a test adds to it. Lifetimes and snapshots end by it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Moves on by itself, and at once when a test says so.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    started_at: Duration,
    added: watch::Sender<Duration>,
}

impl Clock {
    pub(super) fn new() -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at, added: watch::channel(Duration::ZERO).0 }
    }

    /// Since 1970.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.machine_now() + *self.added.borrow()
    }

    /// Without what was added: the time of tokens, whose end their owners compare with their own clock.
    pub(super) fn machine_now(&self) -> Duration {
        self.started_at + self.started.elapsed()
    }

    /// Lets that much time pass at once: everything that is due by then happens.
    pub fn advance(&self, by: Duration) {
        self.added.send_modify(|added| *added += by);
    }

    /// Waits for a moment since 1970.
    pub(super) async fn sleep_until(&self, until: Duration) {
        let mut added = self.added.subscribe();
        while let Some(left) = until.checked_sub(self.now()).filter(|left| !left.is_zero()) {
            // The sender lives as long as `self`, so an error cannot come.
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = added.changed() => {}
            }
        }
    }
}
