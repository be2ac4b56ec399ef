//! One run: all parts together, from the first prompt to rest.
//!
//! Takes what happens next from the scene, hands it to the part that it is for, and looks at the invariants after each step.

use crate::bridge::{self, Bridge};
use crate::client::Client;
use crate::elsewhere::Elsewhere;
use crate::happening::{AskBody, Happening, Token, user_id};
use crate::mutant::Mutant;
use crate::observer::Observer;
use crate::plan::{Deletion, Fault, Occurrence, Plan};
use crate::provider::Provider;
use crate::random::Random;
use crate::repository::Repository;
use crate::scene::Scene;
use crate::shell::{self, Shell};
use crate::tables::Tables;
use crate::trace::Trace;
use crate::wire::{Road, Sockets};
use protocol::id::{PromptId, RepositoryId, SandboxId, SessionId};
use protocol::time::Timestamp;
use protocol::timeline::User;
use session::core::NewSession;

/// When nothing goes wrong any more, everything must have come to rest after this: the longest chain of waits that the defaults
/// allow (three attempts with their watchdogs for each prompt, outbox waits up to 10 minutes), and two clocks that went back an hour.
const REST_MS_MAX: u64 = 3 * 3_600_000;
/// More steps than any run needs: two parts that answer each other for ever.
const STEPS_MAX: u64 = 200_000;

/// All parts.
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) shell: Shell,
    pub(crate) bridge: Bridge,
    pub(crate) provider: Provider,
    pub(crate) repository: Repository,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) clients: Vec<Client>,
    pub(crate) observer: Observer,
    pub(crate) road: Road,
    pub(crate) sockets: Sockets,
    pub(crate) steps: u64,
    /// How long after the last fault everything rested, the wait for idleness included.
    pub(crate) rest_ms: Option<u64>,
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

mod finale;
mod steps;

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
            repository: Repository::default(),
            elsewhere: Elsewhere::default(),
            clients: Vec::new(),
            observer: Observer::default(),
            road: Road::default(),
            sockets: Sockets::default(),
            steps: 0,
            rest_ms: None,
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
                reservation: None,
            };
            self.shell.create(around_shell!(self), new);
        }
        for (index, user) in users.into_iter().enumerate() {
            let client = Client::new(&mut self.scene, index, user);
            self.clients.push(client);
        }
        let span = self.scene.plan.span_ms;
        self.scene.at(span, Happening::FaultsEnd);
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
            if self.scene.calm && self.is_at_rest() {
                self.rest_ms.get_or_insert(self.scene.now.saturating_sub(span));
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
                let what = format!("nothing happens any more; {}", self.describe());
                return self.scene.fail("I8", &what);
            };
            self.steps += 1;
            self.take(happening);
            self.check_snapshots();
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
                AskBody::Claim { .. } | AskBody::Release { .. } => {
                    self.repository.take_ask(&mut self.bridge, around_bridge!(self), ask);
                }
                AskBody::Create { .. }
                | AskBody::Bind { .. }
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
            Happening::Discard(sandbox_id) => self.bridge.discard(around_bridge!(self), sandbox_id),
            Happening::LifeEnds(sandbox_id) => self.end_sandbox(&sandbox_id, Some("its life is over")),
            Happening::Runner(step) => self.take_runner(step),
            Happening::Client(step) => self.take_client(step),
            Happening::Fault(fault) => self.strike(fault),
            Happening::FaultsEnd => self.calm_down(),
            Happening::PartitionEnds => self.road.blocked = false,
            Happening::Deletion => self.ask_for_deletion(),
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
