//! What a runner does by itself: sets its sandbox up, works on turns, gives signs of life.
//!
//! One action at each tick, as the agent's script says. Everything that it says goes through the spool.

use super::{Deed, HEARTBEAT_AFTER_MS, POISON, Runner, RunningTurn, Work};
use crate::agent::{Action, STOPPED, Script};
use crate::happening::{RunnerStep, Token};
use crate::observer::Observer;
use crate::plan::Fault;
use crate::scene::Scene;
use crate::wire::Sockets;
use protocol::id::{ItemId, PromptId, TurnId};
use protocol::runner::{RunnerEvent, TurnOrder};
use protocol::timeline::{Change, Item, ItemContent, TurnOutcome, Usage};
use std::collections::VecDeque;

impl Runner {
    pub(super) fn work_on(&mut self, scene: &mut Scene, order: TurnOrder) {
        let poisoned = order.prompt.contains(POISON);
        let script = Script::draw(scene, order.turn_id.clone(), poisoned);
        let wait = script.wait().unwrap_or(1);
        let usage = Usage {
            input_tokens: scene.random.below(10_000),
            output_tokens: scene.random.below(1_000),
            cached_tokens: scene.random.below(100),
            cost_usd: 0.25,
        };
        let steers = VecDeque::new();
        self.work = Work::Turn(Box::new(RunningTurn { order, script, stops: false, steers, usage }));
        self.plan_next(scene, wait);
    }

    /// A tick at some moment of the next while, in the place of any other.
    pub(super) fn plan_tick(&mut self, scene: &mut Scene, longest_ms: u64) {
        let wait = scene.random.between(1, longest_ms);
        self.plan_next(scene, wait);
    }

    pub(super) fn plan_next(&mut self, scene: &mut Scene, wait_ms: u64) {
        self.due_at = scene.now + wait_ms;
        self.arm(scene);
    }

    /// The next tick: for the next action, or for a sign of life before it.
    pub(super) fn arm(&mut self, scene: &mut Scene) {
        self.tick = scene.token();
        let sign = if self.is_working() { self.said_at + HEARTBEAT_AFTER_MS } else { u64::MAX };
        scene.at(self.due_at.min(sign), RunnerStep::Tick(self.sandbox_id.clone(), self.tick));
    }

    /// Its own work goes on.
    pub(crate) fn take_tick(
        &mut self,
        scene: &mut Scene,
        sockets: &mut Sockets,
        observer: &mut Observer,
        tick: Token,
    ) -> Deed {
        if tick != self.tick {
            return Deed::Nothing;
        }
        let mut deed = Deed::Nothing;
        if self.due_at > scene.now {
            if scene.now >= self.said_at + HEARTBEAT_AFTER_MS {
                self.append(scene, observer, RunnerEvent::Heartbeat);
            }
            self.arm(scene);
        } else {
            if scene.strikes(Fault::RunnerLies) {
                let lie = self.lie(scene);
                self.append(scene, observer, lie);
            }
            deed = self.go_on(scene, observer);
        }
        self.send(scene, sockets);
        deed
    }

    /// Something that must change nothing, whoever says it.
    fn lie(&self, scene: &mut Scene) -> RunnerEvent {
        // Of a turn that is over, or that never was.
        let known = self.memory.iter().next().cloned();
        let turn_id = known.unwrap_or_else(|| TurnId::from_random(scene.random.bytes()));
        let item_id = ItemId::from_random(scene.random.bytes());
        match scene.random.below(6) {
            0 => RunnerEvent::TurnReceived { turn_id, attempt: 1 },
            1 => RunnerEvent::SteerTaken { turn_id, prompt_id: PromptId::from_random(scene.random.bytes()) },
            2 => RunnerEvent::ItemAppended { item_id, offset: 0, text: "never".to_owned() },
            3 => RunnerEvent::Unknown,
            4 => {
                let content = ItemContent::Text { text: "never".to_owned(), done: false };
                let item = Item { id: item_id, turn_id, started_at: scene.clock(), content };
                RunnerEvent::ItemChanged { item }
            }
            _ => RunnerEvent::TurnEnded {
                turn_id,
                attempt: 1,
                outcome: TurnOutcome::Completed,
                change: None,
                files: Vec::new(),
                usage: Usage { input_tokens: 1_000_000, ..Usage::default() },
                first_token_ms: None,
            },
        }
    }

    pub(super) fn go_on(&mut self, scene: &mut Scene, observer: &mut Observer) -> Deed {
        match &mut self.work {
            Work::SettingUp { steps: 0 } => self.finish_set_up(scene, observer),
            Work::SettingUp { steps } => {
                *steps -= 1;
                let step = format!("step {steps}");
                self.append(scene, observer, RunnerEvent::SetupStep { step });
                self.plan_tick(scene, 4_000);
                Deed::Nothing
            }
            Work::Turn(_) => self.go_on_working(scene, observer),
            // The session had its time to hear of it.
            Work::Failed => Deed::Ends,
            Work::Waiting | Work::Idle => Deed::Nothing,
        }
    }

    pub(super) fn finish_set_up(&mut self, scene: &mut Scene, observer: &mut Observer) -> Deed {
        if scene.strikes(Fault::SetupFails) {
            let reason = "the repository cannot be cloned".to_owned();
            self.append(scene, observer, RunnerEvent::SetupFailed { reason });
            self.work = Work::Failed;
            self.plan_next(scene, 30_000);
            return Deed::Nothing;
        }
        self.append(scene, observer, RunnerEvent::Ready { agent: "scripted 1".to_owned() });
        self.work = Work::Idle;
        match self.ledger.open_turn.clone() {
            Some(order) => {
                self.work_on(scene, order);
                Deed::BeginsWork
            }
            None => Deed::Nothing,
        }
    }

    pub(super) fn go_on_working(&mut self, scene: &mut Scene, observer: &mut Observer) -> Deed {
        let at = scene.clock();
        let Work::Turn(turn) = &mut self.work else { return Deed::Nothing };
        let mut said = Vec::new();
        let turn_id = turn.order.turn_id.clone();
        let mut end = None;
        if turn.stops {
            said.extend(turn.script.cut());
            end = Some((STOPPED, false));
        } else {
            if let Some(prompt_id) = turn.steers.pop_front() {
                said.push(RunnerEvent::SteerTaken { turn_id: turn_id.clone(), prompt_id });
            }
            let (action, events) = turn.script.play(scene, at);
            said.extend(events);
            match action {
                Some(Action::End { changed }) => end = Some((TurnOutcome::Completed, changed)),
                Some(Action::Die) => return Deed::KillsSandbox,
                Some(Action::Begin(_) | Action::Grow | Action::Close | Action::Hang) | None => {}
            }
        }
        if let Some((outcome, changed)) = end {
            said.push(self.end_of_turn(scene, outcome, changed));
        }
        for event in said {
            self.append(scene, observer, event);
        }
        let wait = match &self.work {
            Work::Turn(turn) => turn.script.wait().unwrap_or(3_600_000),
            Work::Waiting | Work::SettingUp { .. } | Work::Idle | Work::Failed => return Deed::Nothing,
        };
        self.plan_next(scene, wait);
        Deed::Nothing
    }

    pub(super) fn end_of_turn(
        &mut self,
        scene: &mut Scene,
        outcome: TurnOutcome,
        changed: bool,
    ) -> RunnerEvent {
        let order = self.ledger.open_turn.take();
        let work = std::mem::replace(&mut self.work, Work::Idle);
        let usage = match work {
            Work::Turn(turn) => turn.usage,
            Work::Waiting | Work::SettingUp { .. } | Work::Idle | Work::Failed => Usage::default(),
        };
        let commit = format!("{:032x}{:08x}", u128::from_be_bytes(scene.random.bytes()), 7);
        let change = changed.then(|| Change {
            branch: "farhand/1".to_owned(),
            commit,
            subject: "Change".to_owned(),
            files_changed: 1,
            additions: 2,
            deletions: 1,
        });
        let (turn_id, attempt) = order.map_or_else(
            || (TurnId::from_random(scene.random.bytes()), 0),
            |order| (order.turn_id, order.attempt),
        );
        self.memory.insert(turn_id.clone());
        let files = Vec::new();
        let first_token_ms = Some(1);
        RunnerEvent::TurnEnded { turn_id, attempt, outcome, change, files, usage, first_token_ms }
    }

    /// Reports the turn that the runner before it left open.
    pub(super) fn end_abandoned(&mut self, scene: &mut Scene, observer: &mut Observer) {
        if self.ledger.open_turn.is_some() {
            let reason = "the runner was restarted while the turn was on".to_owned();
            let event = self.end_of_turn(scene, TurnOutcome::Failed { reason }, false);
            self.append(scene, observer, event);
        }
    }
}
