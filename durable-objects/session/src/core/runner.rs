//! What runners say, through bridges: each event is applied once, in order, and only from the session's current sandbox.

use super::file::MadeFile;
use super::input::Reply;
use super::limit::{HOST_BYTES_MAX, LINE_BYTES_MAX, NUMBER_MAX};
use super::outcome::{TurnReport, cut};
use super::prompt::refuse;
use super::repeat::is_ended_call;
use super::sandbox::SandboxPhase;
use super::step::Step;
use super::turn::StopState;
use protocol::bridge::{EgressReport, EventBatch, RunnerAttached, SandboxEnded};
use protocol::error::ErrorCode;
use protocol::id::SandboxId;
use protocol::limit::EGRESS_DENIALS_MAX;
use protocol::runner::RunnerEvent;
use protocol::timeline::{EgressDenial, SandboxStatus, SessionEvent};

impl Step<'_> {
    fn is_current(&self, sandbox_id: &SandboxId, generation: u64) -> bool {
        generation == self.session.generation
            // What is only being claimed has no id yet that anybody could have been told.
            && self.session.sandbox.as_ref().is_some_and(|sandbox| {
                sandbox.id == *sandbox_id && sandbox.phase != SandboxPhase::Claiming
            })
    }

    fn refuse_stale(&self) -> Reply {
        refuse(
            ErrorCode::GenerationStale,
            &format!(
                "this sandbox is not the session's any more (its newest has generation {}); end it",
                self.session.generation
            ),
        )
    }

    pub(super) fn attach_runner(&mut self, attached: RunnerAttached) -> Reply {
        if !self.is_current(&attached.sandbox_id, attached.generation) {
            return self.refuse_stale();
        }
        let now = self.now();
        let Some(sandbox) = &mut self.session.sandbox else { return Reply::Done };
        sandbox.bridge_url = Some(attached.bridge_url);
        sandbox.heard_at = now;
        let acked = sandbox.runner_seq;
        if sandbox.phase < SandboxPhase::Attached {
            sandbox.phase = SandboxPhase::Attached;
            self.set_starting("the runner is connected");
        }
        self.repeat_orders();
        Reply::Acked { acked }
    }

    /// The bridge that was given an order may have died with it: whatever is unanswered is due at once.
    fn repeat_orders(&mut self) {
        if self.session.turn.as_ref().is_some_and(|turn| !turn.received) {
            self.repeat_turn_order();
        }
        let stops = self.session.turn.as_ref().is_some_and(|turn| turn.stop != StopState::None);
        if let Some(work) = self.stop_order().filter(|_| stops) {
            self.enqueue(work);
        }
        for work in self.steer_orders().into_iter().chain(self.snapshot_order()) {
            self.enqueue(work);
        }
    }

    pub(super) fn take_events(&mut self, batch: EventBatch) -> Reply {
        if !self.is_current(&batch.sandbox_id, batch.generation) {
            return self.refuse_stale();
        }
        let now = self.now();
        let Some(sandbox) = &mut self.session.sandbox else { return Reply::Done };
        sandbox.heard_at = now;
        sandbox.phase = sandbox.phase.max(SandboxPhase::Attached);
        let mut acked = sandbox.runner_seq;
        // Everything is looked at before anything is applied: a gap stores nothing.
        let mut newest = acked;
        for record in &batch.events {
            if record.seq > newest + 1 {
                return Reply::EventGap { expected: newest + 1 };
            }
            newest = newest.max(record.seq);
        }
        if let Some(spending) = batch.spending {
            self.take_spending(spending);
        }
        for record in batch.events {
            if record.seq != acked + 1 {
                continue;
            }
            acked = record.seq;
            if let Some(sandbox) = &mut self.session.sandbox {
                sandbox.runner_seq = acked;
                self.take_event(record.event);
            }
        }
        Reply::Acked { acked }
    }

    fn take_event(&mut self, event: RunnerEvent) {
        match event {
            RunnerEvent::SetupStep { mut step } => {
                cut(&mut step, LINE_BYTES_MAX);
                if self.session.sandbox.as_ref().is_some_and(|sandbox| !sandbox.is_ready()) {
                    self.set_starting(&step);
                }
            }
            RunnerEvent::Ready { mut agent } => {
                cut(&mut agent, LINE_BYTES_MAX);
                self.become_ready(agent);
            }
            RunnerEvent::SetupFailed { mut reason } => {
                cut(&mut reason, LINE_BYTES_MAX);
                self.lose_sandbox(&reason);
            }
            RunnerEvent::TurnReceived { turn_id, attempt } => self.confirm_turn(&turn_id, attempt),
            RunnerEvent::SteerTaken { turn_id, prompt_id } => self.take_steer(&turn_id, &prompt_id),
            RunnerEvent::ItemChanged { item } => {
                let ends = is_ended_call(&item.content) && self.is_open_or_new(&item.id);
                let call = ends.then(|| item.clone());
                self.change_item(item);
                if let Some(call) = call {
                    self.note_call(&call);
                }
            }
            RunnerEvent::ItemAppended { item_id, offset, text } => self.append_item(item_id, offset, &text),
            RunnerEvent::FileMade { turn_id, item_id, name, data } => {
                self.keep_file(MadeFile { turn_id, item_id, name, data });
            }
            RunnerEvent::TurnEnded { turn_id, attempt, outcome, change, files, usage, first_token_ms } => {
                let report = TurnReport { turn_id, attempt, outcome, change, files, usage, first_token_ms };
                let report = report.within_limits(&self.session.info.branch);
                self.end_turn(report);
            }
            RunnerEvent::Heartbeat => {
                if let Some(sandbox) = &mut self.session.sandbox {
                    sandbox.beats = true;
                }
            }
            RunnerEvent::Unknown => {}
        }
    }

    pub(super) fn end_sandbox(&mut self, ended: &SandboxEnded) -> Reply {
        if self.is_current(&ended.sandbox_id, ended.generation) {
            let mut reason = ended.reason.clone();
            cut(&mut reason, LINE_BYTES_MAX);
            if ended.halted {
                let hold = self.halt(&reason);
                let budgets = self.session.account.state.budgets.clone();
                self.tell_budgets(Some(hold.clone()), budgets);
                self.enforce_halt(hold);
                self.ask_ledger();
                return Reply::Done;
            }
            self.lose_sandbox(&format!("the sandbox ended: {reason}"));
        }
        Reply::Done
    }

    /// Records what is new, so that neither a report that comes twice nor an agent that tries for ever fills the history.
    pub(super) fn take_denials(&mut self, report: EgressReport) -> Reply {
        if self.is_current(&report.sandbox_id, report.generation) {
            for denial in report.denials.into_iter().take(EGRESS_DENIALS_MAX) {
                self.take_denial(denial);
            }
        }
        Reply::Done
    }

    fn take_denial(&mut self, mut denial: EgressDenial) {
        cut(&mut denial.host, HOST_BYTES_MAX);
        cut(&mut denial.reason, HOST_BYTES_MAX);
        denial.count = denial.count.min(NUMBER_MAX);
        let Some(sandbox) = &mut self.session.sandbox else { return };
        let digits = |denial: &EgressDenial| denial.count.checked_ilog10();
        let is_same = |known: &&mut EgressDenial| {
            (&known.host, known.port, &known.reason) == (&denial.host, denial.port, &denial.reason)
        };
        let is_full = sandbox.denials.len() >= EGRESS_DENIALS_MAX;
        match sandbox.denials.iter_mut().find(is_same) {
            Some(known) if digits(known) >= digits(&denial) => return,
            Some(known) => known.count = denial.count,
            None if is_full => return,
            None => sandbox.denials.push(denial.clone()),
        }
        self.record(SessionEvent::EgressDenied { denial });
    }

    pub(super) fn set_starting(&mut self, step: &str) {
        if let Some(sandbox) = &self.session.sandbox {
            let status = SandboxStatus::Starting { sandbox_id: sandbox.id.clone(), step: step.to_owned() };
            self.set_status(status);
        }
    }
}
