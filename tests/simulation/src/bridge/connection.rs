//! Connections of runners: events go up in batches until the session has them, commands wait for the welcome.
//!
//! Never says that the session has an event before the session said so. `world` hands it frames, answers and losses.

use super::{ANSWER_MS_MAX, Around, Bridge, Connection, Purpose, end_by_itself};
use crate::happening::{Happening, RunnerStep, Tell, TellBody, ToRunner, Token};
use crate::plan::Fault;
use crate::scene::Scene;
use protocol::bridge::{EventBatch, EventsAck, RunnerAttached};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SandboxId;
use protocol::limit::BATCH_EVENTS_MAX;
use protocol::runner::RunnerEventRecord;
use std::collections::VecDeque;
use std::rc::Rc;

impl Connection {
    pub(super) fn new(sandbox_id: SandboxId, generation: u64) -> Self {
        Self {
            sandbox_id,
            generation,
            is_open: false,
            is_closed: false,
            pending: Vec::new(),
            queue: VecDeque::new(),
            next_seq: 0,
            is_sending: false,
            failures: 0,
        }
    }
}

impl Bridge {
    /// A runner dials in.
    pub(crate) fn take_dial(&mut self, around: &mut Around<'_>, sandbox_id: &SandboxId, token: Token) {
        let known = if self.is_up { self.known.get_mut(sandbox_id) } else { None };
        let Some((generation, newest)) = known else {
            let hop = around.scene.hop();
            return around.scene.after(hop, RunnerStep::Lost(sandbox_id.clone(), token));
        };
        let generation = *generation;
        if let Some(older) = newest.replace(token) {
            self.connections.remove(&older);
            around.sockets.cut(around.scene, older, (1, 20));
        }
        around.sockets.open(token, sandbox_id.clone());
        self.connections.insert(token, Connection::new(sandbox_id.clone(), generation));
        if !self.is_warm(sandbox_id) {
            self.tell(around, Purpose::Announce(token));
        }
    }

    /// Events of a runner.
    pub(crate) fn take_frame(
        &mut self,
        around: &mut Around<'_>,
        token: Token,
        frame: Vec<Rc<RunnerEventRecord>>,
    ) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let mut is_broken = !connection.is_open;
        for record in frame {
            if is_broken || record.seq > connection.next_seq {
                is_broken = true;
                break;
            }
            if record.seq == connection.next_seq {
                connection.next_seq += 1;
                connection.queue.push_back(record);
            }
        }
        if is_broken {
            return self.close(around, token);
        }
        self.send_batch(around, token);
    }

    pub(super) fn send_batch(&mut self, around: &mut Around<'_>, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if connection.is_sending {
            return;
        }
        if connection.queue.is_empty() {
            if connection.is_closed {
                self.connections.remove(&token);
            }
            return;
        }
        connection.is_sending = true;
        self.tell(around, Purpose::Uplink(token));
    }

    /// Says something to the session, or says it again.
    pub(super) fn tell(&mut self, around: &mut Around<'_>, purpose: Purpose) {
        let body = match &purpose {
            Purpose::Announce(token) => {
                let Some(connection) = self.connections.get(token) else { return };
                TellBody::Attached(RunnerAttached {
                    sandbox_id: connection.sandbox_id.clone(),
                    generation: connection.generation,
                    bridge_url: format!("http://127.0.0.1:{}", 8000 + self.incarnation),
                    runner_version: "1".to_owned(),
                })
            }
            Purpose::Uplink(token) => {
                let Some(connection) = self.connections.get(token) else { return };
                let torn = connection.queue.len() > 1 && around.scene.strikes(Fault::BatchTorn);
                let batch = connection.queue.iter().take(BATCH_EVENTS_MAX).skip(usize::from(torn));
                TellBody::Events(EventBatch {
                    sandbox_id: connection.sandbox_id.clone(),
                    generation: connection.generation,
                    events: batch.map(|record| record.as_ref().clone()).collect(),
                    spending: None,
                })
            }
            Purpose::Ended(ended, ..) => TellBody::Ended(ended.clone()),
        };
        let call = around.scene.token();
        self.tells.insert(call, purpose);
        around.road.carry_request(around.scene, Happening::Told(Tell { call, body }));
        around.scene.after(ANSWER_MS_MAX, Happening::TellMissed(call));
    }

    pub(super) fn retry(&mut self, scene: &mut Scene, purpose: Purpose, failures: u32) {
        let token = scene.token();
        self.retries.insert(token, purpose);
        let longest = (250 << failures.min(5)).min(5_000);
        let wait = scene.random.between(longest / 2, longest);
        scene.after(wait, Happening::BridgeRetry(token));
    }

    pub(crate) fn take_retry(&mut self, around: &mut Around<'_>, token: Token) {
        let Some(purpose) = self.retries.remove(&token) else { return };
        if let Purpose::Ended(ended, Some(connection), failures) = &purpose
            && self.connections.contains_key(connection)
        {
            let again = Purpose::Ended(ended.clone(), Some(*connection), *failures);
            return self.retry(around.scene, again, 0);
        }
        if let Purpose::Ended(ended, ..) = &purpose {
            self.forget(around, &ended.sandbox_id.clone());
        }
        self.tell(around, purpose);
    }

    /// The session's answer, or that there is none.
    pub(crate) fn take_answer(
        &mut self,
        around: &mut Around<'_>,
        call: Token,
        answer: Option<Result<EventsAck, ErrorBody>>,
    ) {
        let Some(purpose) = self.tells.remove(&call) else { return };
        match purpose {
            Purpose::Announce(token) => self.take_announced(around, token, answer),
            Purpose::Uplink(token) => self.take_delivered(around, token, answer),
            Purpose::Ended(ended, connection, failures) => {
                let may_pass = match answer {
                    None => true,
                    Some(Ok(_)) => false,
                    Some(Err(error)) => error.code.http_status() >= 500,
                };
                if may_pass {
                    let again = Purpose::Ended(ended, connection, failures + 1);
                    self.retry(around.scene, again, failures + 1);
                }
            }
        }
    }

    pub(super) fn take_announced(
        &mut self,
        around: &mut Around<'_>,
        token: Token,
        answer: Option<Result<EventsAck, ErrorBody>>,
    ) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        match answer {
            Some(Ok(ack)) => {
                connection.is_open = true;
                connection.failures = 0;
                connection.next_seq = ack.acked + 1;
                let welcome = ToRunner::Welcome { resume_from: ack.acked + 1 };
                around.sockets.send_down(around.scene, token, welcome);
                for (id, command) in std::mem::take(&mut connection.pending) {
                    around.sockets.send_down(around.scene, token, ToRunner::Command(id, command));
                }
            }
            Some(Err(error)) if is_final(&error) => self.retire(around, token),
            Some(Err(_)) | None => {
                connection.failures += 1;
                let failures = connection.failures;
                self.retry(around.scene, Purpose::Announce(token), failures);
            }
        }
    }

    pub(super) fn take_delivered(
        &mut self,
        around: &mut Around<'_>,
        token: Token,
        answer: Option<Result<EventsAck, ErrorBody>>,
    ) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let first = connection.queue.front().map_or(connection.next_seq, |record| record.seq);
        match answer {
            Some(Ok(ack)) if ack.acked >= first => {
                while connection.queue.front().is_some_and(|record| record.seq <= ack.acked) {
                    connection.queue.pop_front();
                }
                connection.failures = 0;
                connection.is_sending = false;
                around.sockets.send_down(around.scene, token, ToRunner::Ack(ack.acked));
                self.send_batch(around, token);
            }
            Some(Ok(ack)) if ack.acked + 1 < first => self.close(around, token),
            Some(Err(error)) if error.code == ErrorCode::EventGap => self.close(around, token),
            Some(Err(error)) if is_final(&error) => self.retire(around, token),
            Some(Ok(_) | Err(_)) | None => {
                connection.failures += 1;
                let failures = connection.failures;
                self.retry(around.scene, Purpose::Uplink(token), failures);
            }
        }
    }

    /// The session has nothing to do with this sandbox any more.
    pub(super) fn retire(&mut self, around: &mut Around<'_>, token: Token) {
        if let Some(connection) = self.connections.remove(&token) {
            around.sockets.send_down(around.scene, token, ToRunner::Retired);
            end_by_itself(around, &connection.sandbox_id);
        }
    }

    /// Ends a connection together with what it brought: the runner dials again and resumes where the session is.
    pub(super) fn close(&mut self, around: &mut Around<'_>, token: Token) {
        self.connections.remove(&token);
        around.sockets.cut(around.scene, token, (1, 20));
    }

    /// The socket has ended; what it brought is delivered all the same.
    pub(crate) fn lose(&mut self, around: &mut Around<'_>, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        connection.is_closed = true;
        if connection.is_open {
            self.send_batch(around, token);
        } else {
            self.connections.remove(&token);
        }
    }
}

fn is_final(error: &ErrorBody) -> bool {
    matches!(error.code, ErrorCode::GenerationStale | ErrorCode::NotFound)
}
