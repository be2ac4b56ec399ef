//! The sandbox bridge: which sandboxes it has, their runners' connections, batches up and commands down. It forgets everything when it
//! is restarted, except what the provider can tell it. Modelled after the hub, the uplink and the API of the real one.

mod connection;
mod warm;

pub(crate) use warm::WARM;

use crate::happening::{Answer, Ask, AskBody, Happening, Provision, ToRunner, Token};
use crate::provider::{Provider, Refusal};
use crate::scene::Scene;
use crate::wire::{Road, Sockets};
use protocol::bridge::SandboxEnded;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{CommandId, SandboxId};
use protocol::runner::{RunnerCommand, RunnerEventRecord};
use protocol::timeline::{Isolation, Seq};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// Longest wait for an answer of the edge.
const ANSWER_MS_MAX: u64 = 15_000;

/// One bridge and its restarts.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) is_up: bool,
    /// Rises with each restart.
    pub(crate) incarnation: u64,
    /// Sandboxes that it has: generation, and the newest connection of the runner.
    known: BTreeMap<SandboxId, (u64, Option<Token>)>,
    ended: BTreeSet<SandboxId>,
    /// Other sessions' sandboxes.
    foreign: BTreeSet<SandboxId>,
    connections: BTreeMap<Token, Connection>,
    /// Requests to the edge that are not answered.
    tells: BTreeMap<Token, Purpose>,
    /// What is tried again later.
    retries: BTreeMap<Token, Purpose>,
}

#[derive(Debug)]
struct Connection {
    sandbox_id: SandboxId,
    generation: u64,
    is_open: bool,
    /// Its socket has ended; what it brought is still delivered.
    is_closed: bool,
    /// Commands that came before the welcome.
    pending: Vec<(CommandId, RunnerCommand)>,
    queue: VecDeque<Rc<RunnerEventRecord>>,
    next_seq: Seq,
    is_sending: bool,
    failures: u32,
}

#[derive(Clone, Debug)]
enum Purpose {
    Announce(Token),
    Uplink(Token),
    /// The sandbox's end, to be told behind the last events of this connection.
    Ended(SandboxEnded, Option<Token>, u32),
}

/// What the bridge works with.
pub(crate) struct Around<'a> {
    pub(crate) scene: &'a mut Scene,
    pub(crate) road: &'a Road,
    pub(crate) sockets: &'a mut Sockets,
    pub(crate) provider: &'a mut Provider,
}

impl Bridge {
    pub(crate) fn new() -> Self {
        Self {
            is_up: true,
            incarnation: 1,
            known: BTreeMap::new(),
            ended: BTreeSet::new(),
            foreign: BTreeSet::new(),
            connections: BTreeMap::new(),
            tells: BTreeMap::new(),
            retries: BTreeMap::new(),
        }
    }

    /// The process ends, and with it all that it knew.
    pub(crate) fn go_down(&mut self, around: &mut Around<'_>) {
        for connection in around.sockets.all() {
            around.sockets.cut(around.scene, connection, (1, 30));
        }
        let (incarnation, foreign) = (self.incarnation, std::mem::take(&mut self.foreign));
        *self = Self { is_up: false, incarnation, foreign, ..Self::new() };
    }

    /// The next process finds the sandboxes that run.
    pub(crate) fn come_up(&mut self, provider: &Provider) {
        self.is_up = true;
        self.incarnation += 1;
        self.known =
            provider.live.iter().map(|(id, sandbox)| (id.clone(), (sandbox.generation, None))).collect();
    }

    /// Whether nothing is left to be told or tried.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_up && self.tells.is_empty() && self.retries.is_empty()
    }

    /// A request of the session.
    pub(crate) fn take_ask(&mut self, around: &mut Around<'_>, ask: Ask) {
        if !self.is_up {
            // The connection is refused, which the caller learns soon.
            around.road.carry_answer(around.scene, Happening::Answered(ask.call, Answer::Nothing));
            return;
        }
        let call = ask.call;
        let at_work = (call, self.incarnation);
        let begun = match ask.body {
            AskBody::Create { sandbox_id, generation, source } => {
                self.admit(around, &sandbox_id, generation).and_then(|()| {
                    let made =
                        around.provider.create(around.scene, &sandbox_id, generation, &source, at_work);
                    made.map_err(|refusal| {
                        self.withdraw(around, &sandbox_id);
                        refused(refusal)
                    })
                })
            }
            AskBody::Bind { sandbox_id, generation } => {
                return self.bind(around, &sandbox_id, generation, call);
            }
            AskBody::Command { sandbox_id, generation, command_id, command } => {
                let answer = self.command(around, &sandbox_id, generation, command_id, command);
                return answer_with(around, call, answer);
            }
            AskBody::Snapshot { sandbox_id, generation, snapshot_id } => {
                self.find(&sandbox_id, generation).and_then(|()| {
                    around.provider.save(around.scene, &sandbox_id, &snapshot_id, at_work).map_err(refused)
                })
            }
            AskBody::Terminate { sandbox_id, generation } => {
                self.terminate(around, sandbox_id, generation, call)
            }
            AskBody::DeleteSnapshot { snapshot_id } => {
                let deleted = around.provider.delete_snapshot(around.scene, &snapshot_id);
                return answer_with(around, call, deleted.map_err(refused));
            }
            AskBody::Claim { .. }
            | AskBody::Release { .. }
            | AskBody::PullRequest(_)
            | AskBody::UpdateIndex(_)
            | AskBody::RemoveIndex
            | AskBody::Store { .. }
            | AskBody::DeleteArtifacts => return,
        };
        if let Err(error) = begun {
            answer_with(around, call, Err(error));
        }
    }

    fn terminate(
        &mut self,
        around: &mut Around<'_>,
        sandbox_id: SandboxId,
        generation: u64,
        call: Token,
    ) -> Result<(), ErrorBody> {
        match self.find(&sandbox_id, generation) {
            Ok(()) => {}
            // The provider may still have what the hub does not know.
            Err(error) if error.code == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
        }
        let at = around.provider.begin_end(around.scene, &sandbox_id).map_err(refused)?;
        around.scene.at(at, Happening::Provided(Provision::Ended { sandbox_id, call: Some(call) }));
        Ok(())
    }

    /// What the provider was asked to do is done, or came to nothing.
    pub(crate) fn take_provision(&mut self, around: &mut Around<'_>, provision: Provision) {
        match provision {
            Provision::Created { sandbox_id, call, incarnation } => {
                if incarnation != self.incarnation || !self.is_up {
                    return;
                }
                match around.provider.finish_creation(around.scene, &sandbox_id) {
                    Ok(()) => {
                        let answer = Answer::Created { isolation: Isolation::Namespaces };
                        around.road.carry_answer(around.scene, Happening::Answered(call, answer));
                    }
                    Err(refusal) => {
                        self.withdraw(around, &sandbox_id);
                        answer_with(around, call, Err(refused(refusal)));
                    }
                }
            }
            Provision::Saved { sandbox_id, snapshot_id, call, incarnation } => {
                if incarnation == self.incarnation && self.is_up {
                    let saved = around.provider.finish_saving(&sandbox_id, &snapshot_id);
                    answer_with(around, call, saved.map_err(refused));
                }
            }
            Provision::Ended { sandbox_id, call } => {
                around.provider.end(&sandbox_id);
                self.forget(around, &sandbox_id);
                if let Some(call) = call {
                    answer_with(around, call, Ok(()));
                }
            }
        }
    }

    /// A sandbox has ended by itself: the session is told, behind the runner's last events.
    pub(crate) fn report_exit(
        &mut self,
        around: &mut Around<'_>,
        sandbox_id: &SandboxId,
        generation: u64,
        reason: &str,
    ) {
        if !self.is_up {
            return;
        }
        if generation == WARM {
            return self.forget(around, sandbox_id);
        }
        let connection = self.known.get(sandbox_id).and_then(|(_, connection)| *connection);
        let ended = SandboxEnded {
            sandbox_id: sandbox_id.clone(),
            generation,
            reason: reason.to_owned(),
            halted: false,
        };
        self.retry(around.scene, Purpose::Ended(ended, connection, 0), 0);
    }

    fn admit(
        &mut self,
        around: &mut Around<'_>,
        sandbox_id: &SandboxId,
        generation: u64,
    ) -> Result<(), ErrorBody> {
        if self.ended.contains(sandbox_id) {
            return Err(ErrorBody::new(ErrorCode::GenerationStale, "this sandbox was ended"));
        }
        if self.known.contains_key(sandbox_id) {
            return Ok(());
        }
        if self.known.values().any(|(other, _)| *other >= generation) {
            return Err(ErrorBody::new(ErrorCode::GenerationStale, "the session has a newer sandbox"));
        }
        let bound = self.known.iter().filter(|(_, (known, _))| *known != WARM);
        let superseded: Vec<_> = bound.map(|(id, _)| id.clone()).collect();
        self.known.insert(sandbox_id.clone(), (generation, None));
        for older in superseded {
            end_by_itself(around, &older);
        }
        Ok(())
    }

    fn find(&self, sandbox_id: &SandboxId, generation: u64) -> Result<(), ErrorBody> {
        match self.known.get(sandbox_id) {
            _ if self.foreign.contains(sandbox_id) => {
                Err(ErrorBody::new(ErrorCode::GenerationStale, "it is another session's"))
            }
            Some((known, _)) if *known == generation => Ok(()),
            Some(_) => Err(ErrorBody::new(ErrorCode::GenerationStale, "it has another generation")),
            None => Err(ErrorBody::new(ErrorCode::NotFound, "it is not a sandbox of this bridge")),
        }
    }

    fn command(
        &mut self,
        around: &mut Around<'_>,
        sandbox_id: &SandboxId,
        generation: u64,
        command_id: CommandId,
        command: RunnerCommand,
    ) -> Result<(), ErrorBody> {
        self.find(sandbox_id, generation)?;
        let unavailable = || ErrorBody::new(ErrorCode::Unavailable, "no runner is attached here");
        let token = self.known.get(sandbox_id).and_then(|(_, token)| *token).ok_or_else(unavailable)?;
        let connection = self.connections.get_mut(&token).filter(|connection| !connection.is_closed);
        let connection = connection.ok_or_else(unavailable)?;
        if connection.is_open {
            around.sockets.send_down(around.scene, token, ToRunner::Command(command_id, command));
            Ok(())
        } else {
            // It waits for the welcome longer than its caller does, and goes down all the same.
            connection.pending.push((command_id, command));
            Err(unavailable())
        }
    }

    fn withdraw(&mut self, around: &mut Around<'_>, sandbox_id: &SandboxId) {
        if let Some((_, Some(token))) = self.known.remove(sandbox_id) {
            self.close(around, token);
        }
    }

    fn forget(&mut self, around: &mut Around<'_>, sandbox_id: &SandboxId) {
        self.withdraw(around, sandbox_id);
        self.ended.insert(sandbox_id.clone());
    }
}

/// The bridge ends a sandbox that has nobody to work for.
fn end_by_itself(around: &mut Around<'_>, sandbox_id: &SandboxId) {
    let at = around.scene.now + around.scene.random.between(5, 500);
    let ended = Provision::Ended { sandbox_id: sandbox_id.clone(), call: None };
    around.scene.at(at, Happening::Provided(ended));
}

fn refused(refusal: Refusal) -> ErrorBody {
    match refusal {
        Refusal::Rejected => ErrorBody::new(ErrorCode::SandboxUnavailable, "the provider refused"),
        Refusal::NotFound => ErrorBody::new(ErrorCode::NotFound, "the provider does not know it"),
        Refusal::Unavailable => ErrorBody::new(ErrorCode::Unavailable, "the provider does not answer"),
    }
}

fn answer_with(around: &mut Around<'_>, call: Token, answer: Result<(), ErrorBody>) {
    let answer = match answer {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Refused(error.code.http_status(), error),
    };
    around.road.carry_answer(around.scene, Happening::Answered(call, answer));
}
