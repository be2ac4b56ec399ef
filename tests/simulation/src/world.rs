//! One run: all parts together, from the first prompt to rest.

use crate::bridge::{self, Bridge};
use crate::client::Client;
use crate::elsewhere::Elsewhere;
use crate::happening::{AskBody, ClientStep, FromClient, Happening, RunnerStep, Token, user_id};
use crate::mutant::Mutant;
use crate::observer::Observer;
use crate::plan::{Deletion, Fault, Occurrence, Plan};
use crate::provider::Provider;
use crate::random::Random;
use crate::runner::Deed;
use crate::scene::Scene;
use crate::shell::{self, Shell};
use crate::tables::Tables;
use crate::trace::Trace;
use crate::wire::{Road, Sockets};
use protocol::id::{PromptId, RepositoryId, SandboxId, SessionId};
use protocol::time::Timestamp;
use protocol::timeline::{PromptState, Role, User};
use session::core::{Input, NewSession};

/// When nothing goes wrong any more, everything must have come to rest after this: the longest chain of waits that the defaults
/// allow (three attempts with their watchdogs for each prompt, outbox waits up to 10 minutes, clocks that went back).
const REST_MS_MAX: u64 = 6 * 3_600_000;
/// More steps than any run needs: two parts that answer each other for ever.
const STEPS_MAX: u64 = 200_000;

/// All parts.
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) shell: Shell,
    pub(crate) bridge: Bridge,
    pub(crate) provider: Provider,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) clients: Vec<Client>,
    pub(crate) observer: Observer,
    pub(crate) road: Road,
    pub(crate) sockets: Sockets,
    pub(crate) steps: u64,
    /// The alarm that is scheduled: when the object asked for it, its clock at that time, and its token.
    scheduled: Option<(Timestamp, i64, Token)>,
    deletion: DeletionState,
    finale: Finale,
}

/// What proves at the end that the session has survived.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finale {
    NotBegun,
    /// The archived session is taken up again; asked for at this moment.
    Unarchiving(u64),
    /// One more prompt runs.
    Prompted(PromptId),
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeletionState {
    NotAsked,
    Asked,
}

/// The parts that the session's shell works with.
macro_rules! around_shell {
    ($world:expr) => {
        &mut shell::Around { scene: &mut $world.scene, observer: &mut $world.observer, road: &$world.road }
    };
}

/// The parts that the bridge works with.
macro_rules! around_bridge {
    ($world:expr) => {
        &mut bridge::Around {
            scene: &mut $world.scene,
            road: &$world.road,
            sockets: &mut $world.sockets,
            provider: &mut $world.provider,
        }
    };
}

impl World {
    /// A run that is about to begin.
    pub(crate) fn new(
        seed: u64,
        without: &[Fault],
        mutant: Option<Mutant>,
        trace: Trace,
    ) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random, without);
        let mut world = Self {
            scene: Scene::new(random, plan, trace),
            shell: Shell::new(Tables::open()?, mutant),
            bridge: Bridge::new(),
            provider: Provider::default(),
            elsewhere: Elsewhere::default(),
            clients: Vec::new(),
            observer: Observer::default(),
            road: Road::default(),
            sockets: Sockets::default(),
            steps: 0,
            scheduled: None,
            deletion: DeletionState::NotAsked,
            finale: Finale::NotBegun,
        };
        world.begin();
        Ok(world)
    }

    fn begin(&mut self) {
        let people = self.scene.plan.people;
        let users: Vec<User> = (0..people).filter_map(user).collect();
        if let (Some(owner), Ok(id), Ok(repository)) =
            (users.first(), SessionId::parse("ses_1"), RepositoryId::parse("acme/shop"))
        {
            let new = NewSession {
                id,
                created_by: owner.clone(),
                repository,
                clone_url: "https://code.example/acme/shop.git".to_owned(),
                default_branch: "main".to_owned(),
                branch: "farhand/1".to_owned(),
                model: "demo/demo".to_owned(),
                prompt: None,
            };
            self.shell.create(around_shell!(self), new);
        }
        for (index, user) in users.into_iter().enumerate() {
            let client = Client::new(&mut self.scene, index, user);
            self.clients.push(client);
        }
        let span = self.scene.plan.span_ms;
        for fault in Fault::ALL {
            if let Occurrence::PerRun(..) = fault.occurrence() {
                for _ in 0..self.scene.plan.rate(*fault) {
                    let at = self.scene.random.below(span);
                    self.scene.at(at, Happening::Fault(*fault));
                }
            }
        }
        if self.scene.plan.deletion == Deletion::Amidst {
            let at = self.scene.random.below(span);
            self.scene.at(at, Happening::Deletion);
        }
    }

    /// Runs to the end, or to the first thing that must never happen.
    pub(crate) fn run(&mut self) {
        let span = self.scene.plan.span_ms;
        while self.scene.violation.is_none() {
            if !self.scene.calm && self.scene.now >= span {
                self.calm_down();
            }
            if self.scene.calm && self.is_at_rest() {
                self.check_rest();
                if self.observer.is_deleted {
                    return;
                }
                let is_over = self.go_on_to_the_end();
                if is_over && self.scene.plan.deletion == Deletion::Never {
                    return;
                }
                if is_over && self.deletion == DeletionState::NotAsked {
                    self.scene.after(0, Happening::Deletion);
                }
            }
            self.arm();
            if self.scene.now > span + REST_MS_MAX || self.steps > STEPS_MAX {
                let left = self.shell.tables.load_schedule().unwrap_or_default();
                let what = format!(
                    "no rest after {} s and {} steps; outbox {left:?}; {}",
                    self.scene.now / 1000,
                    self.steps,
                    self.describe()
                );
                return self.scene.fail("I8", &what);
            }
            let Some(happening) = self.scene.next() else {
                if !self.scene.calm {
                    self.scene.now = span;
                    continue;
                }
                let what = format!("nothing happens any more; {}", self.describe());
                return self.scene.fail("I8", &what);
            };
            self.steps += 1;
            self.take(happening);
            self.check_snapshots();
        }
    }

    /// A session that has come to rest takes one more prompt and brings it to its end; whether that is over.
    fn go_on_to_the_end(&mut self) -> bool {
        let Some(reference) = &self.observer.reference else { return true };
        match self.finale.clone() {
            Finale::Unarchiving(asked_at) if self.scene.now < asked_at + 30_000 => false,
            Finale::NotBegun | Finale::Unarchiving(_) => {
                let may = |role| matches!(role, Role::Owner | Role::Driver);
                let is_archived = reference.session.archived_at.is_some();
                let mut people = reference.participants.iter();
                let who = people.find(|known| known.role == Role::Owner || (!is_archived && may(known.role)));
                let who = who.map(|known| known.user_id.clone());
                let client = self.clients.iter_mut().find(|client| Some(&client.user.id) == who.as_ref());
                let Some(client) = client else {
                    self.scene.fail("I8", "nobody is there who may prompt");
                    return true;
                };
                if is_archived {
                    client.unarchive(&mut self.scene);
                    self.finale = Finale::Unarchiving(self.scene.now);
                } else {
                    self.finale = Finale::Prompted(client.close_with_prompt(&mut self.scene));
                }
                false
            }
            Finale::Prompted(prompt_id) => {
                let prompt = reference.prompts.iter().find(|prompt| prompt.id == prompt_id);
                let turns: Vec<_> =
                    reference.turns.iter().filter(|turn| turn.prompt_id == prompt_id).collect();
                // Nobody has noticed yet when the waiting sandbox is gone: that costs a try.
                let done = prompt.is_some_and(|prompt| prompt.state == PromptState::Done) && turns.len() <= 2;
                let what = format!("the last prompt ran as {turns:?}");
                self.scene.hold("I8", done, || what);
                self.finale = Finale::Over;
                true
            }
            Finale::Over => true,
        }
    }

    /// From here on nothing goes wrong, and what was broken is mended.
    fn calm_down(&mut self) {
        self.scene.calm = true;
        self.road.blocked = false;
        self.scene.trace.line(self.scene.now, || "no more faults".to_owned());
        if !self.bridge.is_up {
            self.scene.after(0, Happening::BridgeUp);
        }
    }

    /// Makes the runtime call when the object asked for it.
    fn arm(&mut self) {
        let wanted = self.shell.alarm.map(|at| (at, self.scene.clock_offset));
        let known = self.scheduled.map(|(at, offset, _)| (at, offset));
        if wanted == known {
            return;
        }
        self.scheduled = wanted.map(|(at, offset)| {
            let token = self.scene.token();
            let mut moment = self.scene.moment_of(at);
            if self.scene.strikes(Fault::AlarmLate) {
                moment += self.scene.random.between(1_000, 90_000);
            }
            self.scene.at(moment, Happening::Alarm(token));
            (at, offset, token)
        });
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Alarm(token) => {
                if self.scheduled.is_some_and(|(.., known)| known == token) {
                    self.scheduled = None;
                    self.shell.alarm = None;
                    self.shell.take_alarm(around_shell!(self));
                }
            }
            Happening::Flush(token) => self.shell.viewers.take_flush(&mut self.scene, token),
            Happening::Asked(ask) => match ask.body {
                AskBody::Create { .. }
                | AskBody::Command { .. }
                | AskBody::Snapshot { .. }
                | AskBody::Terminate { .. }
                | AskBody::DeleteSnapshot { .. } => self.bridge.take_ask(around_bridge!(self), ask),
                AskBody::PullRequest(_)
                | AskBody::UpdateIndex(_)
                | AskBody::RemoveIndex
                | AskBody::Store { .. }
                | AskBody::DeleteArtifacts => self.elsewhere.take_ask(&mut self.scene, ask),
            },
            Happening::Answered(call, answer) => {
                self.shell.take_answer(around_shell!(self), call, answer);
            }
            Happening::AnswerMissed(call) => {
                self.shell.take_answer(around_shell!(self), call, crate::happening::Answer::Nothing);
            }
            Happening::Told(tell) => {
                let call = tell.call;
                let answer = self.shell.take_tell(around_shell!(self), tell);
                if let Some(answer) = answer {
                    self.road.carry_answer(&mut self.scene, Happening::TellAnswered(call, answer));
                }
            }
            Happening::TellAnswered(call, answer) => {
                self.bridge.take_answer(around_bridge!(self), call, Some(answer));
            }
            Happening::TellMissed(call) => self.bridge.take_answer(around_bridge!(self), call, None),
            Happening::BridgeRetry(token) => self.bridge.take_retry(around_bridge!(self), token),
            Happening::BridgeUp => {
                if !self.bridge.is_up {
                    self.bridge.come_up(&self.provider);
                }
            }
            Happening::Provided(provision) => self.bridge.take_provision(around_bridge!(self), provision),
            Happening::LifeEnds(sandbox_id) => self.end_sandbox(&sandbox_id, Some("its life is over")),
            Happening::Runner(step) => self.take_runner(step),
            Happening::Client(step) => self.take_client(step),
            Happening::Fault(fault) => self.strike(fault),
            Happening::PartitionEnds => self.road.blocked = false,
            Happening::Deletion => self.ask_for_deletion(),
        }
    }

    /// What happens to runners and their sockets.
    fn take_runner(&mut self, step: RunnerStep) {
        match step {
            RunnerStep::Dialled(sandbox_id, token) if self.provider.live.contains_key(&sandbox_id) => {
                self.bridge.take_dial(around_bridge!(self), &sandbox_id, token);
            }
            RunnerStep::Frame(connection, frame) if self.sockets.carries(connection) => {
                self.bridge.take_frame(around_bridge!(self), connection, frame);
            }
            // Its sandbox or its connection is gone.
            RunnerStep::Dialled(..) | RunnerStep::Frame(..) => {}
            RunnerStep::Hear(connection, frame) => {
                let Some(sandbox_id) = self.sockets.sandbox(connection).cloned() else { return };
                if self.waits(&sandbox_id, &RunnerStep::Hear(connection, frame.clone())) {
                    return;
                }
                let Some(runner) = self.provider.runner(&sandbox_id) else { return };
                let deed =
                    runner.hear(&mut self.scene, &mut self.sockets, &mut self.observer, connection, frame);
                self.follow(&sandbox_id, deed);
            }
            RunnerStep::Lost(sandbox_id, connection) => {
                if self.waits(&sandbox_id, &RunnerStep::Lost(sandbox_id.clone(), connection)) {
                    return;
                }
                if let Some(runner) = self.provider.runner(&sandbox_id) {
                    runner.lose(&mut self.scene, connection);
                }
            }
            RunnerStep::BridgeLost(connection) => self.bridge.lose(around_bridge!(self), connection),
            RunnerStep::Tick(sandbox_id, tick) => {
                if self.waits(&sandbox_id, &RunnerStep::Tick(sandbox_id.clone(), tick)) {
                    return;
                }
                let Some(runner) = self.provider.runner(&sandbox_id) else { return };
                let deed = runner.take_tick(&mut self.scene, &mut self.sockets, &mut self.observer, tick);
                self.follow(&sandbox_id, deed);
            }
            RunnerStep::Dial(sandbox_id, token) => {
                if self.waits(&sandbox_id, &RunnerStep::Dial(sandbox_id.clone(), token)) {
                    return;
                }
                if let Some(runner) = self.provider.runner(&sandbox_id) {
                    runner.dial(&mut self.scene, token);
                }
            }
        }
    }

    /// Whether the sandbox stands still; what happens to it happens when it goes on.
    fn waits(&mut self, sandbox_id: &SandboxId, step: &RunnerStep) -> bool {
        let until = self.provider.runner(sandbox_id).map_or(0, |runner| runner.frozen_until);
        let waits = until > self.scene.now;
        if waits {
            self.scene.at(until, step.clone());
        }
        waits
    }

    fn follow(&mut self, sandbox_id: &SandboxId, deed: Deed) {
        match deed {
            Deed::Nothing => {}
            Deed::BeginsWork => self.provider.note_work(sandbox_id),
            Deed::KillsSandbox => self.end_sandbox(sandbox_id, Some("killed by its agent")),
            Deed::Ends => self.end_sandbox(sandbox_id, Some("its runner has ended")),
        }
    }

    /// A sandbox ends by itself; the provider says so where there is a reason.
    pub(crate) fn end_sandbox(&mut self, sandbox_id: &SandboxId, reason: Option<&str>) {
        let Some(sandbox) = self.provider.end(sandbox_id) else { return };
        self.scene.trace.line(self.scene.now, || format!("{sandbox_id} is gone: {reason:?}"));
        for connection in self.sockets.all() {
            if self.sockets.sandbox(connection) == Some(sandbox_id) {
                self.sockets.cut(&mut self.scene, connection, (1, 100));
            }
        }
        if let Some(reason) = reason {
            self.bridge.report_exit(around_bridge!(self), sandbox_id, sandbox.generation, reason);
        }
    }

    /// What happens to clients and their sockets.
    fn take_client(&mut self, step: ClientStep) {
        match step {
            ClientStep::Sent(socket, message) => {
                let is_request = matches!(message, FromClient::Request(..));
                if is_request || !self.shell.viewers.is_dead(socket) {
                    self.shell.take_client(around_shell!(self), socket, message);
                }
            }
            ClientStep::Got(socket, frame) => {
                let client = self.clients.iter_mut().find(|client| client.socket() == Some(socket));
                if let Some(client) = client {
                    client.take(&mut self.scene, &self.observer, socket, frame);
                }
            }
            ClientStep::Answered(index, answer) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.take_answer(&mut self.scene, &self.observer, answer);
                }
            }
            ClientStep::SocketOpened(index, socket) => self.open_socket(index, socket),
            ClientStep::SocketLost(index, socket) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.lose(&mut self.scene, socket);
                }
            }
            ClientStep::Tick(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.tick(&mut self.scene);
                }
            }
            ClientStep::Act(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.act(&mut self.scene);
                }
            }
        }
    }

    /// A client's socket opens: its user is a participant by it.
    fn open_socket(&mut self, index: usize, socket: Token) {
        let Some(user) = self.clients.get(index).filter(|client| client.expects(socket)) else { return };
        let input = Input::ParticipantJoined { user: user.user.clone() };
        let reply = self.shell.join(around_shell!(self), input);
        let Some(client) = self.clients.get_mut(index) else { return };
        match reply {
            Some(true) => {
                self.shell.viewers.open(socket, index);
                client.subscribe(&mut self.scene, socket);
            }
            Some(false) => client.take_answer(
                &mut self.scene,
                &self.observer,
                crate::happening::ToClient::Rejected(
                    None,
                    protocol::error::ErrorBody::new(protocol::error::ErrorCode::NotFound, "gone"),
                ),
            ),
            None => client.lose(&mut self.scene, socket),
        }
    }

    /// The owner asks for the deletion until it is answered.
    fn ask_for_deletion(&mut self) {
        self.deletion = DeletionState::Asked;
        if self.observer.is_deleted {
            return;
        }
        self.scene.after(20_000, Happening::Deletion);
        if self.observer_has_owner()
            && let Some(by) = user_id(0)
        {
            let request = FromClient::Request(0, Box::new(Input::DeletionRequested { by }));
            self.scene.after(10, ClientStep::Sent(0, request));
        } else {
            // Somebody else owns the session by now.
            for index in 0..self.scene.plan.people {
                if let Some(by) = user_id(index) {
                    let request = FromClient::Request(index, Box::new(Input::DeletionRequested { by }));
                    self.scene.after(10, ClientStep::Sent(0, request));
                }
            }
        }
    }

    fn observer_has_owner(&self) -> bool {
        let Some(reference) = &self.observer.reference else { return false };
        let owner = user_id(0);
        reference.participants.iter().any(|known| {
            Some(&known.user_id) == owner.as_ref() && known.role == protocol::timeline::Role::Owner
        })
    }
}

/// A user of a run.
fn user(index: usize) -> Option<User> {
    let names = ["ada", "grace", "alan", "edsger"];
    let name = names.get(index).copied().unwrap_or("somebody");
    Some(User {
        id: user_id(index)?,
        login: name.to_owned(),
        name: name.to_uppercase(),
        email: format!("{name}@farhand.example"),
    })
}
