//! Carries out what the thread owes, row by row: a row is there first, then it is tried, then it is removed together with what came of it.

use super::{click, message, post};
use platform::host::{go_on_with, now, random};
use platform::log::{self, About, Level};
use platform::object_sql::ObjectSql;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use thread::state::evaluate_retry;
use thread::store::{Due, Store};
use worker::{Env, State};

/// Should the object vanish during a try, its row is looked at again after this.
const TRY_MS_MAX: u64 = 15_000;

/// What an object has in memory. Everything but `state` and `env` can be rebuilt.
pub(super) struct Shell {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) store: Store<ObjectSql>,
    /// Keys of rows that are being tried.
    in_flight: RefCell<Vec<String>>,
}

/// What came of a try.
pub(super) enum Outcome {
    /// Whoever tried has removed the row, with what followed.
    Settled,
    /// Again, not before this time.
    Later { wait_ms: u64, reason: String },
}

impl Outcome {
    /// Again, when it suits.
    pub(super) fn later(reason: impl std::fmt::Display) -> Self {
        Self::Later { wait_ms: 0, reason: reason.to_string() }
    }
}

/// What a line of a thread's log is about.
pub(super) fn about(reason: &str) -> About {
    About::default().with("reason", reason)
}

impl Shell {
    pub(super) fn new(state: State, env: Env) -> Self {
        let store = Store::new(ObjectSql::new(state.storage()));
        Self { state, env, store, in_flight: RefCell::default() }
    }

    /// Begins what is due and sees to it that the runtime calls when more is. Waits for the alarm to be set, for nothing else.
    pub(super) async fn go_on(self: &Rc<Self>) {
        if !self.store.exists().unwrap_or(true) {
            return;
        }
        match self.store.load_due(now()) {
            Ok(due) => {
                for row in due {
                    self.begin(row);
                }
            }
            Err(error) => {
                log::write(Level::Error, "the outbox of a thread cannot be read", &about(&error.to_string()))
            }
        }
        self.arm().await;
    }

    fn begin(self: &Rc<Self>, row: Due) {
        // One message at a time, also when an older one comes while a newer one is being worked on: each sees what the last one bound.
        let is_message = |key: &String| key.starts_with("message/");
        let is_free = {
            let in_flight = self.in_flight.borrow();
            !(in_flight.contains(&row.key) || is_message(&row.key) && in_flight.iter().any(is_message))
        };
        if is_free {
            self.in_flight.borrow_mut().push(row.key.clone());
            let shell = self.clone();
            go_on_with(&self.state, async move { shell.carry_out(row).await });
        }
    }

    async fn arm(&self) {
        let wait = match self.store.next_at() {
            Ok(None) => return,
            Ok(Some(at)) => at.0.saturating_sub(now().0),
            Err(error) => {
                log::write(Level::Error, "the outbox of a thread cannot be read", &about(&error.to_string()));
                TRY_MS_MAX
            }
        };
        let is_busy = !self.in_flight.borrow().is_empty();
        let wait = if is_busy { wait.max(TRY_MS_MAX) } else { wait };
        if let Err(error) = self.state.storage().set_alarm(Duration::from_millis(wait)).await {
            log::write(Level::Error, "the alarm of a thread could not be set", &about(&error.to_string()));
        }
    }

    async fn carry_out(self: Rc<Self>, row: Due) {
        let outcome = match row.kind.as_str() {
            "message" => message::work(&self, &row).await,
            "interaction" => click::work(&self, &row).await,
            _ => post::work(&self, &row).await,
        };
        self.in_flight.borrow_mut().retain(|key| *key != row.key);
        if let Outcome::Later { wait_ms, reason } = outcome {
            self.put_off(&row, wait_ms, &reason);
        }
        self.go_on().await;
    }

    fn put_off(&self, row: &Due, wait_ms: u64, reason: &str) {
        let [a, b, c, d, ..] = random();
        let tries = row.attempts.saturating_add(1);
        let kind = &row.kind;
        let said = about(reason).with("work", kind).number("tries", u64::from(tries));
        let kept = match evaluate_retry(kind, tries, wait_ms, u32::from_be_bytes([a, b, c, d]), now()) {
            Some(at) => {
                log::write(Level::Warn, "comes later", &said);
                self.store.postpone(row, at)
            }
            None => {
                log::write(Level::Error, "given up", &said);
                self.store.finish(row, |_| {}, &[])
            }
        };
        if let Err(error) = kept {
            log::write(Level::Error, "what came of a try is lost", &said.with("error", &error.to_string()));
        }
    }
}
