//! Carries out what must happen outside, each row on its own: there first, then tried, then removed together with what came of it.

use super::shell::Shell;
use crate::core::{CLAIM_LEASE_MS, Input, Retry, Work, WorkOutcome, evaluate_retry};
use crate::store::OutboxRow;
use platform::failure::Failure;
use platform::host::{go_on_with, new_span, now, random};
use platform::log::{self, Level};
use protocol::time::Timestamp;
use protocol::trace::TraceParent;
use std::rc::Rc;

/// Should the object vanish during a try, its row is looked at again after this.
pub(super) const TRY_MS_MAX: u64 = 30_000;

impl Shell {
    /// Starts whatever is due and not being tried.
    pub(super) fn dispatch(self: &Rc<Self>) {
        let due = match self.store.load_due(now()) {
            Ok(due) => due,
            Err(error) => {
                let about = self.about().with("error", &error.to_string());
                return log::write(Level::Error, "the outbox cannot be read", &about);
            }
        };
        for row in due {
            if self.in_flight.borrow().contains(&row.key) {
                continue;
            }
            let Some(work) = Work::parse(&row.key) else {
                let about = self.about().with("work", &row.key);
                log::write(Level::Error, "the outbox has something unknown", &about);
                continue;
            };
            match self.may_try(&work) {
                Ok(Retry::Now) => {
                    self.in_flight.borrow_mut().push(row.key.clone());
                    let shell = self.clone();
                    go_on_with(&self.state, async move { shell.carry_out(row, work).await });
                }
                Ok(Retry::At(at)) => self.log_bug(self.store.postpone(&row, row.attempts, at)),
                // The next answer looks again.
                Ok(Retry::AfterOthers) => {}
                Err(failure) => self.log_bug(Err::<(), _>(failure)),
            }
        }
    }

    fn may_try(&self, work: &Work) -> Result<Retry, Failure> {
        Ok(self.repository()?.evaluate_try(work, &self.under_way(), now()))
    }

    fn under_way(&self) -> Vec<Work> {
        self.in_flight.borrow().iter().filter_map(|key| Work::parse(key)).collect()
    }

    /// When the next row wants to be tried. Rows on their way are settled by their own answer, which also looks at those that wait for
    /// it; should that never come, by the clock.
    pub(super) fn next_try(&self) -> Option<Timestamp> {
        let (in_flight, under_way) = (self.in_flight.borrow(), self.under_way());
        let fallback = now().plus_ms(TRY_MS_MAX);
        let waits = |key: &str| Work::parse(key).is_some_and(|work| work.waits_for(&under_way));
        let schedule = self.store.load_schedule().unwrap_or_default();
        let at = |(key, at)| if in_flight.contains(&key) || waits(&key) { fallback } else { at };
        schedule.into_iter().map(at).min()
    }

    async fn carry_out(self: Rc<Self>, row: OutboxRow, work: Work) {
        let asked_at = now();
        let trace = new_span(None);
        let outcome = self.ask_bridge(&work, asked_at, trace).await;
        self.log_try(&row, trace, &outcome);
        self.in_flight.borrow_mut().retain(|key| *key != row.key);
        let taken = self.take_outcome(&row, work, outcome);
        self.log_bug(taken);
        self.go_on();
    }

    fn log_try(&self, row: &OutboxRow, trace: TraceParent, outcome: &WorkOutcome) {
        let about = self.about().traced(Some(trace)).with("work", &row.key);
        let about = about.number("tries", u64::from(row.attempts) + 1);
        match outcome {
            WorkOutcome::Delayed { reason, .. } => {
                log::write(Level::Warn, "comes later", &about.with("reason", reason));
            }
            WorkOutcome::Gone { .. } => log::write(Level::Warn, "gone", &about),
            WorkOutcome::Rejected { reason } => {
                log::write(Level::Warn, "failed", &about.with("reason", reason));
            }
            // Taken all the time.
            WorkOutcome::Inventory { .. } => {}
            WorkOutcome::Done => log::write(Level::Info, "done", &about),
        }
    }

    fn take_outcome(
        self: &Rc<Self>,
        row: &OutboxRow,
        work: Work,
        mut outcome: WorkOutcome,
    ) -> Result<(), Failure> {
        let claimed = match &work {
            Work::Fill(id) => self.store.is_claimed(id)?,
            Work::StartBuild(_)
            | Work::CancelBuild(_)
            | Work::DeleteImage(_)
            | Work::Discard(_)
            | Work::TakeInventory => false,
        };
        match &mut outcome {
            WorkOutcome::Delayed { retry_after_ms, .. } => {
                let [a, b, c, d, ..] = random();
                let attempts = row.attempts.saturating_add(1);
                let at = evaluate_retry(attempts, now(), u32::from_be_bytes([a, b, c, d]));
                let asked = now().plus_ms(retry_after_ms.unwrap_or_default());
                self.store.postpone(row, attempts, at.max(asked))?;
                self.apply(Input::WorkDone { work, outcome, claimed })?;
            }
            WorkOutcome::Inventory { claimed: list, .. } => {
                *list = self.store.load_claimed(Timestamp(now().0.saturating_sub(CLAIM_LEASE_MS)))?;
                self.settle(Input::WorkDone { work, outcome, claimed }, row)?;
            }
            WorkOutcome::Done | WorkOutcome::Gone { .. } | WorkOutcome::Rejected { .. } => {
                self.settle(Input::WorkDone { work, outcome, claimed }, row)?;
            }
        }
        Ok(())
    }

    fn log_bug<E: Into<Failure>>(&self, outcome: Result<(), E>) {
        if let Err(Failure::Bug(what)) = outcome.map_err(Into::into) {
            log::write(Level::Error, "the outbox is behind", &self.about().with("error", &what));
        }
    }
}
