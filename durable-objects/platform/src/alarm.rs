//! The one alarm of an object, set to the earliest of what is due.

use crate::host::{go_on_with, now};
use crate::log::{self, About, Level};
use protocol::time::Timestamp;
use std::cell::Cell;
use worker::{ScheduledTime, State};

/// When the runtime will call; unknown in a fresh object.
#[derive(Debug, Default)]
pub struct Alarm(Cell<Option<Timestamp>>);

impl Alarm {
    /// Whether this object has set it, or an object before.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    /// The runtime has called, or the alarm was taken away.
    pub fn forget(&self) {
        self.0.set(None);
    }

    /// Makes the runtime call at `at`, unless it will earlier: a call too early costs less than moving the alarm each time.
    pub fn set(&self, state: &State, at: Timestamp) {
        if self.0.get().is_some_and(|known| known <= at && known > now()) {
            return;
        }
        self.0.set(Some(at));
        let storage = state.storage();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
        let date = js_sys::Date::new(&(at.0 as f64).into());
        go_on_with(state, async move {
            if let Err(error) = storage.set_alarm(ScheduledTime::new(date)).await {
                let about = About::default().with("error", &error.to_string());
                log::write(Level::Error, "the alarm could not be set", &about);
            }
        });
    }
}
