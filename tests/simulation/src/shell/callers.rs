//! Those who call the object: the bridge with a runner's words, clients with frames and requests.
//!
//! Turns each into an input and its reply into an answer; decides nothing. An object that dies answers nobody.

use super::{Around, Shell, Silence};
use crate::happening::{ClientStep, FromClient, Tell, TellBody, ToClient, Token};
use crate::mutant::Mutant;
use crate::plan::Fault;
use protocol::bridge::EventsAck;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::PromptId;
use session::core::{Input, Reply};

impl Shell {
    /// A request of the bridge; nothing when the object died over it.
    pub(crate) fn take_tell(
        &mut self,
        around: &mut Around<'_>,
        tell: Tell,
    ) -> Option<Result<EventsAck, ErrorBody>> {
        let mut body = tell.body;
        let original = body.clone();
        let current = self.with_session(around, |session| {
            (session.sandbox.as_ref().map(|sandbox| sandbox.id.clone()), session.generation)
        });
        let (subject, generation) = original.subject();
        let is_stale = current
            .as_ref()
            .is_some_and(|(id, newest)| id.as_ref() != Some(subject) || *newest != generation);
        let before = if is_stale { self.memory.session.clone() } else { None };
        if self.mutant == Some(Mutant::NoGenerationCheck)
            && let Some((Some(id), newest)) = current
        {
            rewrite(&mut body, &id, newest);
        }
        let reply = self.apply(around, body.into_input());
        if let (Some(before), Ok(reply)) = (before, &reply) {
            let after = self.memory.session.clone();
            around.observer.stale(around.scene, &original, &before, after.as_ref(), reply);
        }
        match reply {
            Err(Silence) => None,
            Ok(Reply::Acked { acked }) => Some(Ok(EventsAck { acked })),
            Ok(Reply::EventGap { expected }) => {
                around.scene.see("event-gap");
                let message = format!("event {expected} comes next");
                Some(Err(ErrorBody::new(ErrorCode::EventGap, message)))
            }
            Ok(Reply::Refused(error)) => Some(Err(error)),
            Ok(Reply::Done | Reply::PromptAccepted { .. }) => Some(Ok(EventsAck { acked: 0 })),
        }
    }

    /// A frame or request of a client, and who gets the answer.
    pub(crate) fn take_client(&mut self, around: &mut Around<'_>, socket: Token, message: FromClient) {
        match message {
            FromClient::Ping => self.viewers.pong(around.scene, socket),
            FromClient::Subscribe { since } => self.subscribe(around, socket, since),
            FromClient::Want(input) => {
                if !self.viewers.knows(socket) {
                    return;
                }
                let answer = self.decide(around, *input);
                if let Some(answer) = answer {
                    self.viewers.send(around.scene, socket, answer);
                }
            }
            FromClient::Request(client, input) => {
                let answer = self.decide(around, *input);
                if let Some(answer) = answer
                    && !around.scene.strikes(Fault::RequestLost)
                {
                    let hop = around.scene.hop();
                    around.scene.after(hop, ClientStep::Answered(client, answer));
                }
            }
        }
    }

    pub(super) fn decide(&mut self, around: &mut Around<'_>, input: Input) -> Option<ToClient> {
        let prompt_id = subject_of(&input);
        match self.apply(around, input) {
            Err(Silence) => None,
            Ok(Reply::PromptAccepted { prompt_id, seq }) => Some(ToClient::Accepted(prompt_id, seq)),
            Ok(Reply::Refused(error)) => Some(ToClient::Rejected(prompt_id, error)),
            Ok(Reply::Done | Reply::Acked { .. } | Reply::EventGap { .. }) => Some(ToClient::Done),
        }
    }

    /// A user opens a socket: whether there is a session to watch; nothing when the object died over it.
    pub(crate) fn join(&mut self, around: &mut Around<'_>, input: Input) -> Option<bool> {
        match self.apply(around, input) {
            Err(Silence) => None,
            Ok(Reply::Refused(_)) => Some(false),
            Ok(_) => Some(true),
        }
    }

    pub(super) fn subscribe(&mut self, around: &mut Around<'_>, socket: Token, since: Option<u64>) {
        self.viewers.flush(around.scene);
        let Some((seq, kept_from, deleted)) =
            self.with_session(around, |session| (session.seq, session.kept_from, session.deleted))
        else {
            return self.viewers.close(around.scene, socket);
        };
        if deleted {
            return self.viewers.close(around.scene, socket);
        }
        let answer = match since.filter(|since| *since <= seq && since + 1 >= kept_from) {
            Some(since) => self.tables.replay(since).map(|missed| {
                if !missed.is_empty() {
                    around.scene.see("events-missed");
                    self.viewers.send(around.scene, socket, ToClient::Events(missed));
                }
                ToClient::CaughtUp(seq)
            }),
            None => {
                self.tables.load_snapshot().map(|(seq, snapshot)| ToClient::Snapshot(seq, Box::new(snapshot)))
            }
        };
        match answer {
            Ok(answer) => {
                self.viewers.send(around.scene, socket, answer);
                self.viewers.start_watching(socket);
            }
            Err(error) => around.scene.fail("store", &error),
        }
    }
}

/// A batch of another sandbox passed off as the current one's.
fn rewrite(body: &mut TellBody, id: &protocol::id::SandboxId, newest: u64) {
    match body {
        TellBody::Attached(attached) => {
            (attached.sandbox_id, attached.generation) = (id.clone(), newest);
        }
        TellBody::Events(batch) => (batch.sandbox_id, batch.generation) = (id.clone(), newest),
        TellBody::Ended(ended) => (ended.sandbox_id, ended.generation) = (id.clone(), newest),
    }
}

fn subject_of(input: &Input) -> Option<PromptId> {
    if let Input::PromptSubmitted { prompt, .. } = input { Some(prompt.id.clone()) } else { None }
}
