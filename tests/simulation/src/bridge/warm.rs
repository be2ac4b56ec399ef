//! Warm sandboxes at the bridge: nobody's until one is bound to the session, which is remembered by the provider, and ended when
//! nobody wants them. A sandbox of generation 0 is nobody's.

use super::{Around, Bridge, Connection, Purpose, answer_with, end_by_itself};
use crate::happening::{Answer, Happening, Token};
use crate::plan::Fault;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SandboxId;
use protocol::timeline::Isolation;

/// Of a sandbox that is nobody's.
pub(crate) const WARM: u64 = 0;

impl Bridge {
    /// A warm sandbox is there, and its runner was connected long ago.
    pub(crate) fn add_warm(&mut self, around: &mut Around<'_>, sandbox_id: &SandboxId) {
        let token = around.scene.token();
        let connects = self.is_up && !around.scene.strikes(Fault::WarmUnattached);
        around.provider.add_warm(around.scene, sandbox_id, connects.then_some(token));
        if !self.is_up {
            return;
        }
        self.known.insert(sandbox_id.clone(), (WARM, connects.then_some(token)));
        if connects {
            around.sockets.open(token, sandbox_id.clone());
            self.connections.insert(token, Connection::new(sandbox_id.clone(), WARM));
        }
    }

    /// Gives a warm sandbox to the session, or finds that it was given before.
    pub(super) fn bind(
        &mut self,
        around: &mut Around<'_>,
        sandbox_id: &SandboxId,
        generation: u64,
        call: Token,
    ) {
        match self.try_bind(around, sandbox_id, generation) {
            Ok(()) => {
                let answer = Answer::Created { isolation: Isolation::Namespaces };
                around.road.carry_answer(around.scene, Happening::Answered(call, answer));
            }
            Err(error) => answer_with(around, call, Err(error)),
        }
    }

    fn try_bind(
        &mut self,
        around: &mut Around<'_>,
        sandbox_id: &SandboxId,
        generation: u64,
    ) -> Result<(), ErrorBody> {
        let refuse = |code, why: &str| Err(ErrorBody::new(code, why));
        match self.known.get(sandbox_id) {
            None => return refuse(ErrorCode::NotFound, "it is not a sandbox of this bridge"),
            Some((known, _)) if *known == generation => return Ok(()),
            Some((known, _)) if *known != WARM => {
                return refuse(ErrorCode::GenerationStale, "it has another generation");
            }
            Some(_) => {}
        }
        if around.scene.strikes(Fault::BindConflict) {
            // Somebody was faster; what becomes of it is not this session's business.
            around.provider.end(sandbox_id);
            self.withdraw(around, sandbox_id);
            self.foreign.insert(sandbox_id.clone());
            return refuse(ErrorCode::IdConflict, "another session has it");
        }
        if self.known.values().any(|(other, _)| *other >= generation) {
            return refuse(ErrorCode::GenerationStale, "the session has a newer sandbox");
        }
        let token = self.known.get(sandbox_id).and_then(|(_, token)| *token);
        let connection = token.and_then(|token| Some((token, self.connections.get_mut(&token)?)));
        let Some((token, connection)) = connection.filter(|(_, connection)| !connection.is_closed) else {
            return refuse(ErrorCode::Unavailable, "its runner is not connected here");
        };
        connection.generation = generation;
        let others = self.known.iter().filter(|(id, (known, _))| *id != sandbox_id && *known != WARM);
        let superseded: Vec<_> = others.map(|(id, _)| id.clone()).collect();
        for older in superseded {
            end_by_itself(around, &older);
        }
        self.known.insert(sandbox_id.clone(), (generation, Some(token)));
        around.provider.bind(sandbox_id, generation);
        around.scene.see("warm-bound");
        self.tell(around, Purpose::Announce(token));
        Ok(())
    }

    /// Nobody wants this sandbox, unless the session has it. A bridge that is away is asked again.
    pub(crate) fn discard(&mut self, around: &mut Around<'_>, sandbox_id: SandboxId) {
        if !self.is_up {
            return around.scene.after(5_000, Happening::Discard(sandbox_id));
        }
        if self.known.get(&sandbox_id).is_some_and(|(known, _)| *known == WARM) {
            end_by_itself(around, &sandbox_id);
        }
    }

    /// Whether its runner has something to say to the session.
    pub(super) fn is_warm(&self, sandbox_id: &SandboxId) -> bool {
        self.known.get(sandbox_id).is_some_and(|(known, _)| *known == WARM)
    }
}
