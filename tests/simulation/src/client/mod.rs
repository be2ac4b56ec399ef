//! A client and the person at it: shows what it was sent, comes back after every interruption, and repeats what was not answered.
//!
//! Folds events with the very function that is the specification of the browser's reducer.

mod person;

use crate::happening::{ClientStep, FromClient, ToClient, Token};
use crate::observer::Observer;
use crate::plan::Fault;
use crate::scene::Scene;
use protocol::client::{PromptRequest, SessionSnapshot};
use protocol::error::ErrorCode;
use protocol::id::PromptId;
use protocol::timeline::{EventRecord, Seq, User};
use session::core::{Input, apply_event};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How often a client pings; it looks after its submissions, too.
const TICK_MS: u64 = 25_000;
/// What is not answered after this is sent again.
const ANSWER_MS_MAX: u64 = 10_000;
/// A turn that runs longer is stopped when nothing goes wrong any more: an agent may hang for ever.
const PATIENCE_MS: u64 = 300_000;

/// One client of one user.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) user: User,
    state: State,
    /// What it shows, as of which event.
    pub(crate) snapshot: Option<SessionSnapshot>,
    pub(crate) applied: Seq,
    /// Prompts that are not answered, with the time of their last submission.
    unanswered: BTreeMap<PromptId, (PromptRequest, u64)>,
    /// Of its present socket.
    subscriptions: u32,
    /// Accepted prompts of its own.
    accepted: Vec<PromptId>,
    /// Of those, the ones that it has submitted with other words.
    conflicting: BTreeSet<PromptId>,
    pinged_at: Option<u64>,
    acts_left: u64,
    /// Since when it has seen the turn that runs.
    turn_seen: Option<(protocol::id::TurnId, u64)>,
    is_dismissed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Away,
    Dialling(Token),
    /// The answer to its subscription is under way.
    Subscribing(Token),
    Live(Token),
}

impl Client {
    pub(crate) fn new(scene: &mut Scene, index: usize, user: User) -> Self {
        let acts_left = scene.plan.acts;
        let mut client = Self {
            index,
            user,
            state: State::Away,
            snapshot: None,
            applied: 0,
            unanswered: BTreeMap::new(),
            subscriptions: 0,
            accepted: Vec::new(),
            conflicting: BTreeSet::new(),
            pinged_at: None,
            acts_left,
            turn_seen: None,
            is_dismissed: false,
        };
        client.dial(scene, 2_000);
        scene.after(TICK_MS, ClientStep::Tick(index));
        for _ in 0..acts_left {
            let at = scene.random.below(scene.plan.span_ms);
            scene.at(at, ClientStep::Act(index));
        }
        client
    }

    /// Whether it shows everything and waits for nothing.
    pub(crate) fn is_settled(&self, newest: Seq) -> bool {
        self.is_dismissed
            || (matches!(self.state, State::Live(_)) && self.applied == newest && self.unanswered.is_empty())
    }

    fn dial(&mut self, scene: &mut Scene, longest_ms: u64) {
        if self.is_dismissed {
            return;
        }
        let socket = scene.token();
        self.state = State::Dialling(socket);
        self.subscriptions = 0;
        let wait = scene.random.between(1, longest_ms);
        scene.after(wait, ClientStep::SocketOpened(self.index, socket));
    }

    /// Whether the socket that opens is the one it waits for.
    pub(crate) fn expects(&self, socket: Token) -> bool {
        self.state == State::Dialling(socket)
    }

    /// Its socket is open: it subscribes, mostly to what it has missed.
    pub(crate) fn subscribe(&mut self, scene: &mut Scene, socket: Token) {
        let knows = self.snapshot.is_some() && !scene.random.chance(100);
        let since = knows.then_some(self.applied);
        self.state = State::Subscribing(socket);
        self.subscriptions += 1;
        self.pinged_at = None;
        scene.after(5, ClientStep::Sent(socket, FromClient::Subscribe { since }));
    }

    /// Its socket is gone: it comes back.
    pub(crate) fn lose(&mut self, scene: &mut Scene, socket: Token) {
        if self.socket() == Some(socket) {
            self.dial(scene, 3_000);
        }
    }

    pub(crate) fn socket(&self) -> Option<Token> {
        match self.state {
            State::Away => None,
            State::Dialling(socket) | State::Subscribing(socket) | State::Live(socket) => Some(socket),
        }
    }

    /// A frame of its socket.
    pub(crate) fn take(&mut self, scene: &mut Scene, observer: &Observer, socket: Token, frame: ToClient) {
        let is_live = match self.state {
            State::Live(live) if live == socket => true,
            State::Subscribing(live) if live == socket => false,
            State::Away | State::Dialling(_) | State::Subscribing(_) | State::Live(_) => return,
        };
        match frame {
            ToClient::Snapshot(seq, snapshot) => {
                observer.compare(scene, seq, &snapshot, "a snapshot");
                self.snapshot = Some(*snapshot);
                self.applied = seq;
                self.state = State::Live(socket);
            }
            ToClient::Events(records) => self.apply(scene, observer, (socket, is_live), &records),
            ToClient::CaughtUp(seq) => {
                scene.hold("I2", self.applied == seq, || {
                    format!("a client was sent what it missed and shows {}, not {seq}", self.applied)
                });
                self.state = State::Live(socket);
            }
            ToClient::Lagging => self.subscribe(scene, socket),
            ToClient::Pong(newest) => {
                self.pinged_at = None;
                if is_live && newest.is_some_and(|newest| newest > self.applied) {
                    self.subscribe(scene, socket);
                }
            }
            ToClient::Closed => self.dismiss(),
            ToClient::Accepted(..) | ToClient::Rejected(..) | ToClient::Done => {
                self.take_answer(scene, observer, frame);
            }
        }
    }

    /// There is no such session any more.
    pub(crate) fn dismiss(&mut self) {
        self.is_dismissed = true;
        self.state = State::Away;
        self.unanswered.clear();
    }

    fn apply(
        &mut self,
        scene: &mut Scene,
        observer: &Observer,
        (socket, is_live): (Token, bool),
        records: &[Rc<EventRecord>],
    ) {
        let Some(snapshot) = &mut self.snapshot else { return };
        for record in records {
            if record.seq <= self.applied {
                // Only what was under way when it subscribed again may cross with the answer to that.
                scene.hold("I2", self.subscriptions > 1, || {
                    format!("a client was sent event {} twice on one socket", record.seq)
                });
                continue;
            }
            if record.seq > self.applied + 1 {
                // What is missing was lost with the object's memory.
                if is_live {
                    self.subscribe(scene, socket);
                }
                return;
            }
            observer.compare_event(scene, record);
            apply_event(snapshot, record);
            self.applied = record.seq;
        }
        observer.compare(scene, self.applied, snapshot, "a client");
    }

    /// The answer to something that it wanted, by socket or by HTTP.
    pub(crate) fn take_answer(&mut self, scene: &mut Scene, observer: &Observer, answer: ToClient) {
        match answer {
            ToClient::Accepted(prompt_id, seq) => {
                observer.promised(scene, &prompt_id, seq);
                if self.unanswered.remove(&prompt_id).is_some() {
                    self.accepted.push(prompt_id);
                }
            }
            ToClient::Rejected(Some(prompt_id), _) if self.conflicting.contains(&prompt_id) => {}
            ToClient::Rejected(Some(prompt_id), error) => {
                scene.hold("F19", error.code != ErrorCode::IdConflict, || {
                    format!("{prompt_id} was repeated as it was and is refused: {error}")
                });
                observer.refused(scene, &prompt_id, &error);
                self.unanswered.remove(&prompt_id);
            }
            ToClient::Snapshot(..)
            | ToClient::Events(_)
            | ToClient::CaughtUp(_)
            | ToClient::Rejected(None, _)
            | ToClient::Done
            | ToClient::Lagging
            | ToClient::Pong(_)
            | ToClient::Closed => {}
        }
    }

    /// Pings, and sends again what was not answered.
    pub(crate) fn tick(&mut self, scene: &mut Scene) {
        if self.is_dismissed {
            return;
        }
        scene.after(TICK_MS, ClientStep::Tick(self.index));
        match self.state {
            State::Away => self.dial(scene, 500),
            State::Dialling(_) => {}
            State::Subscribing(socket) | State::Live(socket) => {
                if self.pinged_at.is_some() {
                    // The last ping was not answered: nobody is at the other end.
                    self.dial(scene, 500);
                } else {
                    self.pinged_at = Some(scene.now);
                    scene.after(5, ClientStep::Sent(socket, FromClient::Ping));
                }
            }
        }
        let late = scene.now.saturating_sub(ANSWER_MS_MAX);
        let again: Vec<_> = self.unanswered.values().filter(|(_, at)| *at <= late).cloned().collect();
        for (request, _) in again {
            self.submit(scene, request);
        }
        self.stop_what_hangs(scene);
    }

    fn stop_what_hangs(&mut self, scene: &mut Scene) {
        let running = self
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.turns.iter().find(|turn| turn.end.is_none()))
            .map(|turn| turn.id.clone());
        match (running, &self.turn_seen) {
            (None, _) => self.turn_seen = None,
            (Some(turn_id), Some((seen, since))) if turn_id == *seen => {
                if scene.calm && scene.now > since + PATIENCE_MS {
                    let by = self.user.id.clone();
                    self.want(scene, Input::StopRequested { turn_id, by });
                }
            }
            (Some(turn_id), _) => self.turn_seen = Some((turn_id, scene.now)),
        }
    }

    fn submit(&mut self, scene: &mut Scene, request: PromptRequest) {
        self.unanswered.insert(request.id.clone(), (request.clone(), scene.now));
        let twice = scene.random.chance(150);
        let input = Input::PromptSubmitted { author: self.user.clone(), prompt: request };
        self.want(scene, input.clone());
        if twice {
            self.want(scene, input);
        }
    }

    /// Sends something to be decided, by socket where there is one, or by HTTP.
    fn want(&mut self, scene: &mut Scene, input: Input) {
        let live = if let State::Live(socket) = self.state { Some(socket) } else { None };
        let hop = scene.hop();
        match live.filter(|_| scene.random.chance(700)) {
            Some(socket) => {
                scene.after(hop, ClientStep::Sent(socket, FromClient::Want(Box::new(input))));
            }
            None => {
                let request = FromClient::Request(self.index, Box::new(input));
                if !scene.strikes(Fault::RequestLost) {
                    scene.after(hop, ClientStep::Sent(0, request));
                }
            }
        }
    }
}
