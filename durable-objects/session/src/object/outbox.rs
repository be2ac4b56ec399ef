//! Carries out what must happen outside: each row on its own, so that a turn never waits for a pull request.
//!
//! A row is there first, then it is tried, then it is removed together with what came of it. One try per row at a time.

use super::failure::Failure;
use super::host::{go_on_with, now, random};
use super::shell::Shell;
use crate::core::{Input, Retry, Work, WorkOutcome, evaluate_retry};
use crate::store::OutboxRow;
use platform::log::{self, Level};
use protocol::time::Timestamp;
use protocol::trace::TraceParent;
use std::rc::Rc;

/// Should the object vanish during a try, its row is looked at again after this.
const TRY_MS_MAX: u64 = 30_000;

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
            let is_new = !self.in_flight.borrow().contains(&row.key);
            if is_new {
                self.in_flight.borrow_mut().push(row.key.clone());
                let shell = self.clone();
                go_on_with(&self.state, async move { shell.carry_out(row).await });
            }
        }
    }

    /// When the next row wants to be tried. Rows on their way are settled by their own answer; should that never come, by the clock.
    pub(super) fn next_try(&self) -> Option<Timestamp> {
        let in_flight = self.in_flight.borrow();
        let fallback = now().plus_ms(TRY_MS_MAX);
        let schedule = self.store.load_schedule().unwrap_or_default();
        schedule.into_iter().map(|(key, at)| if in_flight.contains(&key) { fallback } else { at }).min()
    }

    async fn carry_out(self: Rc<Self>, row: OutboxRow) {
        let trace = self.span();
        let outcome = self.perform(&row.work, trace).await;
        self.log_try(&row, trace, &outcome);
        self.in_flight.borrow_mut().retain(|key| *key != row.key);
        if let Err(failure) = self.take_outcome(&row, outcome) {
            match failure {
                Failure::Bug(what) => {
                    let about = self.about().with("work", row.work.kind()).with("error", &what);
                    log::write(Level::Error, "what came of a try is lost", &about);
                }
                // The session is gone, and its outbox with it.
                Failure::Refused(_) => return,
            }
        }
        self.go_on();
        self.vanish_if_done().await;
    }

    fn take_outcome(self: &Rc<Self>, row: &OutboxRow, outcome: WorkOutcome) -> Result<(), Failure> {
        let WorkOutcome::Delayed { reason } = outcome else {
            let work = row.work.clone();
            return self.settle(Input::WorkDone { work, outcome }, row).map(|_| ());
        };
        let [a, b, c, d, ..] = random();
        let work = row.work.clone();
        match evaluate_retry(&work, row.attempts.saturating_add(1), now(), u32::from_be_bytes([a, b, c, d])) {
            Retry::At(at) => {
                self.store.postpone(row, at)?;
                self.apply(Input::WorkDone { work, outcome: WorkOutcome::Delayed { reason } })?;
            }
            Retry::GiveUp => {
                let reason = format!("{reason}; tried {} times", row.attempts.saturating_add(1));
                self.settle(Input::WorkDone { work, outcome: WorkOutcome::Failed { reason } }, row)?;
            }
        }
        Ok(())
    }

    async fn perform(self: &Rc<Self>, work: &Work, trace: Option<TraceParent>) -> WorkOutcome {
        match work {
            Work::ClaimSandbox { generation, reservation } => {
                let claim = self.claim_sandbox(*generation, reservation.as_ref());
                self.with_slot(*generation, claim).await
            }
            Work::CreateSandbox { generation, .. } => {
                self.with_slot(*generation, self.ask_bridge(work, trace)).await
            }
            Work::StartTurn { turn_id, .. } => match self.may_begin(turn_id).await {
                Ok(true) => self.ask_bridge(work, trace).await,
                // It was returned to the queue, with what it waits for.
                Ok(false) => WorkOutcome::Done,
                Err(reason) => WorkOutcome::Delayed { reason },
            },
            Work::AskLedger => self.ask_ledger().await,
            Work::ReleaseClaim { generation } => self.release_claim(*generation).await,
            Work::BindSandbox { .. }
            | Work::SteerTurn { .. }
            | Work::StopTurn { .. }
            | Work::TakeSnapshot { .. }
            | Work::DeleteSnapshot { .. }
            | Work::TerminateSandbox { .. } => self.ask_bridge(work, trace).await,
            Work::OpenPullRequest(order) => self.open_pull_request(order).await,
            Work::LookAtPullRequest { number } => self.look_at_pull_request(*number).await,
            Work::StoreOutput { artifact_id } => self.store_output(artifact_id).await,
            Work::DeleteArtifacts => self.delete_artifacts().await,
            Work::UpdateIndex => self.update_index().await,
            Work::RemoveIndex => self.remove_index().await,
        }
    }

    /// Whether work of this kind is being tried.
    pub(super) fn is_on_its_way(&self, kind: &str) -> bool {
        self.in_flight.borrow().iter().any(|key| key.split('/').next() == Some(kind))
    }
}
