//! Turns: one at a time, in the order of the queue, tried again in a new sandbox when the old one is lost.

use super::input::{Reply, Work};
use super::item::TurnItem;
use super::outcome::TurnReport;
use super::policy::Action;
use super::prompt::{Steering, refuse};
use super::step::Step;
use platform::map::Map;
use protocol::error::ErrorCode;
use protocol::id::{ArtifactId, ItemId, PromptId, TurnId, UserId};
use protocol::limit::TURN_ATTEMPTS_MAX;
use protocol::time::Timestamp;
use protocol::timeline::{
    Artifact, ArtifactContent, PromptState, SessionEvent, Turn, TurnEnd, TurnOutcome, Usage,
};

/// The agent's work on the first prompt of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningTurn {
    /// Which.
    pub id: TurnId,
    /// What it works on.
    pub prompt_id: PromptId,
    /// Who wrote that.
    pub author: UserId,
    /// 1 for the first try.
    pub attempt: u32,
    /// When it was ordered.
    pub started_at: Timestamp,
    /// When the order last went into the outbox.
    pub ordered_at: Timestamp,
    /// Whether the runner has confirmed it.
    pub received: bool,
    /// How far its stop is.
    pub stop: StopState,
    /// Why it is to stop.
    pub cause: StopCause,
    /// Turns before it that the agent is told of, because it does not remember them.
    pub digest_turns: u32,
    /// What it has produced, as far as later events may refer to it.
    pub items: Map<ItemId, TurnItem>,
    /// Text of all its items, in bytes.
    pub bytes: usize,
}

/// Why a turn is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A participant asked.
    Participant,
    /// The sandbox's life ends: the prompt goes on in another one.
    Handover,
}

/// Whether the running turn is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopState {
    /// Nobody asked.
    None,
    /// Ordered once.
    Requested {
        /// When.
        at: Timestamp,
    },
    /// Ordered again.
    Repeated {
        /// When first.
        at: Timestamp,
    },
}

impl Step<'_> {
    /// Begins the turn of the first waiting prompt. The sandbox is ready.
    pub(super) fn start_turn(&mut self) {
        let now = self.now();
        let id = TurnId::from_random(self.draw());
        let (Some(sandbox), Some(head)) = (&self.session.sandbox, self.session.queue.front_mut()) else {
            return;
        };
        head.attempts += 1;
        let work = Work::StartTurn {
            sandbox_id: sandbox.id.clone(),
            generation: self.session.generation,
            turn_id: id.clone(),
        };
        let turn = RunningTurn {
            id: id.clone(),
            prompt_id: head.id.clone(),
            author: head.author.clone(),
            attempt: head.attempts,
            started_at: now,
            ordered_at: now,
            received: false,
            stop: StopState::None,
            cause: StopCause::Participant,
            digest_turns: sandbox.forgotten,
            items: Map::new(),
            bytes: 0,
        };
        head.steering = Steering::None;
        let event = Turn {
            id,
            prompt_id: head.id.clone(),
            attempt: head.attempts,
            started_at: now,
            stop_requested_by: None,
            end: None,
        };
        self.session.turn = Some(turn);
        self.record(SessionEvent::TurnStarted { turn: event });
        self.enqueue(work);
    }

    pub(super) fn turn_order(&self) -> Option<Work> {
        let (turn, sandbox) = (self.session.turn.as_ref()?, self.session.sandbox.as_ref()?);
        Some(Work::StartTurn {
            sandbox_id: sandbox.id.clone(),
            generation: self.session.generation,
            turn_id: turn.id.clone(),
        })
    }

    pub(super) fn stop_order(&self) -> Option<Work> {
        let (turn, sandbox) = (self.session.turn.as_ref()?, self.session.sandbox.as_ref()?);
        Some(Work::StopTurn {
            sandbox_id: sandbox.id.clone(),
            generation: self.session.generation,
            turn_id: turn.id.clone(),
        })
    }

    /// Puts the order to start into the outbox once more; the runner knows a repeat by its command id.
    pub(super) fn repeat_turn_order(&mut self) {
        let now = self.now();
        if let Some(work) = self.turn_order()
            && let Some(turn) = &mut self.session.turn
        {
            turn.ordered_at = now;
            self.enqueue(work);
        }
    }

    pub(super) fn confirm_turn(&mut self, turn_id: &TurnId, attempt: u32) {
        let Some(turn) = &mut self.session.turn else { return };
        if turn.id == *turn_id && turn.attempt == attempt && !turn.received {
            turn.received = true;
            if let Some(sandbox) = &mut self.session.sandbox {
                sandbox.forgotten = 0;
            }
            if let Some(work) = self.turn_order() {
                self.withdraw(&work);
            }
            self.note_start(turn_id);
        }
    }

    pub(super) fn request_stop(&mut self, turn_id: &TurnId, by: UserId) -> Reply {
        if let Err(refusal) = self.permit(&by, Action::StopTurn) {
            return refusal;
        }
        let Some(turn) = self.session.turn.as_mut().filter(|turn| turn.id == *turn_id) else {
            return refuse(ErrorCode::TurnNotRunning, "this turn does not run; nothing was stopped");
        };
        let asked = turn.stop != StopState::None && turn.cause == StopCause::Participant;
        if !asked {
            turn.cause = StopCause::Participant;
            self.record(SessionEvent::StopRequested { turn_id: turn_id.clone(), by });
            self.order_stop();
        }
        Reply::Done
    }

    /// Tells the runner to end the turn, unless it was told.
    pub(super) fn order_stop(&mut self) {
        let at = self.now();
        let order = self.stop_order();
        let Some(turn) = self.session.turn.as_mut().filter(|turn| turn.stop == StopState::None) else {
            return;
        };
        turn.stop = StopState::Requested { at };
        if let Some(work) = order {
            self.enqueue(work);
        }
    }

    /// The runner's word that the turn is over.
    pub(super) fn end_turn(&mut self, report: TurnReport) {
        let Some(turn) = &self.session.turn else { return };
        if turn.id != report.turn_id || turn.attempt != report.attempt {
            return;
        }
        let (turn_id, author) = (turn.id.clone(), turn.author.clone());
        let is_handed_over = turn.stop != StopState::None
            && turn.cause == StopCause::Handover
            && report.outcome == TurnOutcome::Stopped;
        let change = report.change.clone();
        let end = TurnEnd {
            ended_at: self.now(),
            outcome: report.outcome,
            change: report.change,
            usage: report.usage,
            first_token_ms: report.first_token_ms,
            held: None,
        };
        self.session.turns_ended += 1;
        self.close_turn(end, if is_handed_over { PromptState::Queued } else { PromptState::Done });
        if is_handed_over {
            self.give_try_back();
        }
        if let Some(change) = change {
            self.record_artifact("branch", &turn_id, ArtifactContent::Branch { change: change.clone() });
            self.record_artifact("diff", &turn_id, ArtifactContent::Diff { files: report.files });
            self.order_pull_request(turn_id, author, change);
        }
        self.order_snapshot();
    }

    /// The end of a sandbox's life is nobody's fault: it does not cost the prompt a try.
    pub(super) fn give_try_back(&mut self) {
        if let Some(head) = self.session.queue.front_mut() {
            head.attempts = head.attempts.saturating_sub(1);
        }
    }

    pub(super) fn record_artifact(
        &mut self,
        name: &str,
        turn_id: &TurnId,
        content: ArtifactContent,
    ) -> Option<Artifact> {
        let changed_at = self.now();
        // One artifact of each of these kinds per session, so its kind is its id.
        let id = ArtifactId::parse(&format!("{}_{name}", ArtifactId::PREFIX)).ok()?;
        let artifact = Artifact { id, turn_id: turn_id.clone(), changed_at, content };
        self.record(SessionEvent::ArtifactChanged { artifact: artifact.clone() });
        Some(artifact)
    }

    /// The turn's sandbox is lost: another try, or the end of its prompt.
    pub(super) fn lose_turn(&mut self, reason: &str) {
        let Some(turn) = &self.session.turn else { return };
        let (outcome, prompt_state) = match (turn.stop, turn.cause) {
            (StopState::Requested { .. } | StopState::Repeated { .. }, StopCause::Participant) => {
                (TurnOutcome::Stopped, PromptState::Done)
            }
            (StopState::Requested { .. } | StopState::Repeated { .. }, StopCause::Handover) => {
                self.give_try_back();
                (TurnOutcome::Failed { reason: reason.to_owned() }, PromptState::Queued)
            }
            (StopState::None, _) => {
                let next =
                    if turn.attempt < TURN_ATTEMPTS_MAX { PromptState::Queued } else { PromptState::Failed };
                (TurnOutcome::Failed { reason: reason.to_owned() }, next)
            }
        };
        self.close_turn(self.unreported_end(outcome), prompt_state);
    }

    /// Ends the first waiting prompt without its turn having begun in any sandbox.
    pub(super) fn fail_head(&mut self, reason: &str) {
        let now = self.now();
        let turn_id = TurnId::from_random(self.draw());
        let Some(head) = self.session.queue.pop_front() else { return };
        let turn = Turn {
            id: turn_id.clone(),
            prompt_id: head.id,
            attempt: head.attempts.max(1),
            started_at: now,
            stop_requested_by: None,
            end: None,
        };
        self.record(SessionEvent::TurnStarted { turn });
        let end = self.unreported_end(TurnOutcome::Failed { reason: reason.to_owned() });
        self.record(SessionEvent::TurnEnded { turn_id, end, prompt_state: PromptState::Failed });
    }

    pub(super) fn unreported_end(&self, outcome: TurnOutcome) -> TurnEnd {
        TurnEnd {
            ended_at: self.now(),
            outcome,
            change: None,
            usage: Usage::default(),
            first_token_ms: None,
            held: None,
        }
    }

    pub(super) fn close_turn(&mut self, mut end: TurnEnd, prompt_state: PromptState) {
        for work in [self.turn_order(), self.stop_order()].into_iter().flatten() {
            self.withdraw(&work);
        }
        // What the agent makes of being held is not a failure of its own.
        if let Some(hold) = self.session.account.stopping.take()
            && end.outcome != TurnOutcome::Completed
        {
            end.outcome = TurnOutcome::Stopped;
            end.held = Some(hold);
        }
        self.close_items(&end.outcome);
        self.settle_steered(prompt_state);
        let Some(turn) = self.session.turn.take() else { return };
        match prompt_state {
            PromptState::Queued | PromptState::Running => {}
            PromptState::Done | PromptState::Cancelled | PromptState::Failed => {
                self.session.queue.pop_front();
            }
        }
        self.record(SessionEvent::TurnEnded { turn_id: turn.id, end, prompt_state });
        self.settle_account();
    }
}
