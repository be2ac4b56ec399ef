//! A runner in its sandbox: numbers its events and keeps them until they are acknowledged, does each command once, works on one turn
//! at a time, and dials again whenever its connection breaks. Modelled after the real one, command by command.

mod work;

use crate::agent::Script;
use crate::happening::{RunnerStep, ToRunner, Token};
use crate::observer::Observer;
use crate::scene::Scene;
use crate::wire::Sockets;
use protocol::id::{CommandId, PromptId, SandboxId, TurnId};
use protocol::limit::BATCH_EVENTS_MAX;
use protocol::runner::{RunnerCommand, RunnerEvent, RunnerEventRecord, TurnOrder};
use protocol::timeline::{Seq, Usage};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// A turn that shows nothing for this long sends a sign of life.
const HEARTBEAT_AFTER_MS: u64 = 10_000;
/// A prompt with this in its text kills every sandbox that works on it.
pub(crate) const POISON: &str = "poison";

/// A runner and what its sandbox keeps for it.
#[derive(Debug)]
pub(crate) struct Runner {
    sandbox_id: SandboxId,
    /// Ended turns that the agent remembers.
    pub(crate) memory: BTreeSet<TurnId>,
    /// Events that are not acknowledged; on the sandbox's disk.
    spool: VecDeque<Rc<RunnerEventRecord>>,
    next_seq: Seq,
    ledger: Ledger,
    work: Work,
    /// When the next action of the work is due, and the token of the tick that does it.
    due_at: u64,
    tick: Token,
    said_at: u64,
    link: Link,
    failures: u32,
    /// The sandbox stands still until then.
    pub(crate) frozen_until: u64,
}

#[derive(Debug, Default)]
struct Ledger {
    commands: BTreeSet<CommandId>,
    turns: BTreeSet<(TurnId, u32)>,
    open_turn: Option<TurnOrder>,
}

#[derive(Debug)]
enum Work {
    /// It waits for its first welcome.
    Waiting,
    SettingUp {
        steps: u64,
    },
    Idle,
    Turn(Box<RunningTurn>),
    /// The set-up failed: it waits for its end.
    Failed,
}

#[derive(Debug)]
struct RunningTurn {
    order: TurnOrder,
    script: Script,
    stops: bool,
    steers: VecDeque<PromptId>,
    usage: Usage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Dialling(Token),
    /// Events from this number on have not been sent on this connection.
    Up(Token, Seq),
}

/// What a runner does to the world around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Nothing,
    /// An agent has begun to work.
    BeginsWork,
    /// The sandbox dies of its agent.
    KillsSandbox,
    /// The runner ends, and its sandbox with it.
    Ends,
}

impl Runner {
    /// A runner of a sandbox that has just come to be.
    pub(crate) fn boot(scene: &mut Scene, sandbox_id: SandboxId, memory: BTreeSet<TurnId>) -> Self {
        let mut runner = Self {
            sandbox_id,
            memory,
            spool: VecDeque::new(),
            next_seq: 1,
            ledger: Ledger::default(),
            work: Work::Waiting,
            due_at: 0,
            tick: 0,
            said_at: scene.now,
            link: Link::Down,
            failures: 0,
            frozen_until: 0,
        };
        runner.dial_after(scene, 20, 900);
        runner
    }

    pub(crate) fn is_working(&self) -> bool {
        matches!(self.work, Work::Turn(_))
    }

    /// The process dies and is started again; disk stays.
    pub(crate) fn restart(&mut self, scene: &mut Scene, sockets: &mut Sockets) {
        if let Link::Up(connection, _) | Link::Dialling(connection) = self.link {
            sockets.cut(scene, connection, (1, 30));
        }
        self.work = Work::Waiting;
        self.tick = 0;
        self.link = Link::Down;
        self.dial_after(scene, 50, 2_000);
    }

    fn dial_after(&mut self, scene: &mut Scene, shortest_ms: u64, longest_ms: u64) {
        let token = scene.token();
        self.link = Link::Dialling(token);
        let wait = scene.random.between(shortest_ms, longest_ms);
        scene.after(wait, RunnerStep::Dial(self.sandbox_id.clone(), token));
    }

    /// It has been connected for a while, and nobody has wanted it yet.
    pub(crate) fn await_welcome(&mut self, connection: Token) {
        self.link = Link::Dialling(connection);
    }

    /// Dials, unless it has begun to dial anew since.
    pub(crate) fn dial(&mut self, scene: &mut Scene, token: Token) {
        if self.link == Link::Dialling(token) {
            let hop = scene.hop();
            scene.after(hop, RunnerStep::Dialled(self.sandbox_id.clone(), token));
        }
    }

    /// The connection, or the attempt to get one, is over.
    pub(crate) fn lose(&mut self, scene: &mut Scene, connection: Token) {
        let is_mine = match self.link {
            Link::Down => false,
            Link::Dialling(token) | Link::Up(token, _) => token == connection,
        };
        if is_mine {
            self.failures += 1;
            let longest = (250 << self.failures.min(5)).min(5_000);
            self.dial_after(scene, longest / 2, longest);
        }
    }

    /// A frame of the bridge.
    pub(crate) fn hear(
        &mut self,
        scene: &mut Scene,
        sockets: &mut Sockets,
        observer: &mut Observer,
        connection: Token,
        frame: ToRunner,
    ) -> Deed {
        let welcomed = match self.link {
            Link::Dialling(token) if token == connection => false,
            Link::Up(token, _) if token == connection => true,
            Link::Down | Link::Dialling(_) | Link::Up(..) => return Deed::Nothing,
        };
        let deed = match frame {
            ToRunner::Welcome { resume_from } if !welcomed => {
                self.welcome(scene, observer, connection, resume_from);
                Deed::Nothing
            }
            ToRunner::Ack(seq) if welcomed => {
                self.forget(scene, seq);
                Deed::Nothing
            }
            ToRunner::Command(id, command) if welcomed => self.handle(scene, observer, id, command),
            ToRunner::Retired => return Deed::Ends,
            ToRunner::Welcome { .. } | ToRunner::Ack(_) | ToRunner::Command(..) => Deed::Nothing,
        };
        self.send(scene, sockets);
        deed
    }

    fn welcome(&mut self, scene: &mut Scene, observer: &mut Observer, connection: Token, resume_from: Seq) {
        self.failures = 0;
        scene.hold("I1", resume_from <= self.next_seq, || {
            format!(
                "{} is to resume from {resume_from}, but has said {} events",
                self.sandbox_id,
                self.next_seq - 1
            )
        });
        self.forget(scene, resume_from - 1);
        let first = self.next_seq - self.spool.len() as u64;
        scene.hold("I1", resume_from >= first, || {
            format!(
                "{} is to resume from {resume_from}; all before {first} was acknowledged",
                self.sandbox_id
            )
        });
        self.link = Link::Up(connection, resume_from.max(first));
        if matches!(self.work, Work::Waiting) {
            self.end_abandoned(scene, observer);
            self.work = Work::SettingUp { steps: scene.random.between(0, 2) };
            self.plan_tick(scene, 200);
        }
    }

    fn forget(&mut self, scene: &mut Scene, acked: Seq) {
        scene.hold("I1", acked < self.next_seq, || {
            format!("{acked} of {} is acknowledged and was never said", self.sandbox_id)
        });
        while self.spool.front().is_some_and(|record| record.seq <= acked) {
            self.spool.pop_front();
        }
    }

    /// Sends what the connection has not had yet.
    fn send(&mut self, scene: &mut Scene, sockets: &mut Sockets) {
        let Link::Up(connection, from) = &mut self.link else { return };
        while *from < self.next_seq {
            let first = self.next_seq - self.spool.len() as u64;
            *from = first.max(*from);
            let skipped = usize::try_from(*from - first).unwrap_or(usize::MAX);
            let frame: Vec<_> = self.spool.iter().skip(skipped).take(BATCH_EVENTS_MAX).cloned().collect();
            *from += frame.len() as u64;
            if frame.is_empty() {
                return;
            }
            sockets.send_up(scene, *connection, frame);
        }
    }

    fn append(&mut self, scene: &Scene, observer: &mut Observer, event: RunnerEvent) {
        let record = Rc::new(RunnerEventRecord { seq: self.next_seq, at: scene.clock(), event });
        self.next_seq += 1;
        self.said_at = scene.now;
        observer.said(&self.sandbox_id, record.clone());
        self.spool.push_back(record);
    }

    fn handle(
        &mut self,
        scene: &mut Scene,
        observer: &mut Observer,
        id: CommandId,
        command: RunnerCommand,
    ) -> Deed {
        if self.ledger.commands.contains(&id) {
            return Deed::Nothing;
        }
        match command {
            RunnerCommand::StartTurn { turn } => return self.start(scene, observer, id, turn),
            RunnerCommand::StopTurn { turn_id } => {
                self.ledger.commands.insert(id);
                if let Work::Turn(turn) = &mut self.work
                    && turn.order.turn_id == turn_id
                {
                    turn.stops = true;
                    self.plan_tick(scene, 1_500);
                }
            }
            RunnerCommand::SteerTurn { turn_id, prompt_id, prompt, author, attachments: _ } => {
                if let Work::Turn(turn) = &mut self.work
                    && turn.order.turn_id == turn_id
                    && turn.script.wait().is_some()
                {
                    observer.steers(scene, &turn_id, &prompt_id, &prompt, &author);
                    self.ledger.commands.insert(id);
                    turn.steers.push_back(prompt_id);
                }
            }
            RunnerCommand::Unknown => {}
        }
        Deed::Nothing
    }

    fn start(&mut self, scene: &mut Scene, observer: &mut Observer, id: CommandId, order: TurnOrder) -> Deed {
        let attempt = (order.turn_id.clone(), order.attempt);
        if self.ledger.turns.contains(&attempt) || self.ledger.open_turn.is_some() {
            return Deed::Nothing;
        }
        self.ledger.commands.insert(id);
        self.ledger.turns.insert(attempt);
        self.ledger.open_turn = Some(order.clone());
        observer.begins(scene, &order, &mut self.memory);
        let (turn_id, attempt) = (order.turn_id.clone(), order.attempt);
        self.append(scene, observer, RunnerEvent::TurnReceived { turn_id, attempt });
        if !matches!(self.work, Work::Idle) {
            // Taken before the set-up has come to its end: it is worked on then.
            return Deed::BeginsWork;
        }
        self.work_on(scene, order);
        Deed::BeginsWork
    }
}
