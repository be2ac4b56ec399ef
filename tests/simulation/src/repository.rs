//! The repository of the session, as far as a session sees it: gives each generation one warm sandbox, until it has none left, and ends
//! what nobody takes. Other sessions are there only as those who were faster.
//!
//! A warm sandbox comes to be when it is asked for, as if it had been there before. Modelled after the calls of the real object.

use crate::bridge::{self, Bridge};
use crate::happening::{Answer, Ask, AskBody, Happening};
use crate::plan::Fault;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ImageId, SandboxId};
use std::collections::BTreeMap;

/// What was handed out and not bound after this is ended.
const LEASE_MS: u64 = 120_000;

/// The ledger of a run.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// Handed out, by generation.
    claimed: BTreeMap<u64, SandboxId>,
    /// Claims of this and older generations are over.
    over: u64,
    handed_out: u64,
}

impl Repository {
    /// A claim or its end.
    pub(crate) fn take_ask(&mut self, bridge: &mut Bridge, around: &mut bridge::Around<'_>, ask: Ask) {
        let answer = if around.scene.strikes(Fault::RepositoryDown) {
            Answer::Nothing
        } else {
            match ask.body {
                AskBody::Claim { generation } => self.claim(bridge, around, generation),
                AskBody::Release { generation } => self.release(around, generation),
                AskBody::Create { .. }
                | AskBody::Bind { .. }
                | AskBody::Command { .. }
                | AskBody::Snapshot { .. }
                | AskBody::Terminate { .. }
                | AskBody::DeleteSnapshot { .. }
                | AskBody::PullRequest(_)
                | AskBody::UpdateIndex(_)
                | AskBody::RemoveIndex
                | AskBody::Store { .. }
                | AskBody::DeleteArtifacts => return,
            }
        };
        around.road.carry_answer(around.scene, Happening::Answered(ask.call, answer));
    }

    fn claim(&mut self, bridge: &mut Bridge, around: &mut bridge::Around<'_>, generation: u64) -> Answer {
        if generation <= self.over {
            let error = ErrorBody::new(ErrorCode::GenerationStale, "claims of this generation are over");
            return Answer::Refused(error.code.http_status(), error);
        }
        let sandbox_id = match self.claimed.get(&generation) {
            Some(known) => known.clone(),
            None if self.handed_out < around.scene.plan.warm => {
                self.handed_out += 1;
                let id = SandboxId::from_random(around.scene.random.bytes());
                self.claimed.insert(generation, id.clone());
                around.scene.see("warm-handed-out");
                if !around.scene.strikes(Fault::WarmGone) {
                    bridge.add_warm(around, &id);
                }
                around.scene.after(LEASE_MS, Happening::Discard(id.clone()));
                if around.scene.strikes(Fault::LeaseShort) {
                    around.scene.after(5, Happening::Discard(id.clone()));
                }
                id
            }
            None => return Answer::NoWarm { image_id: image(around) },
        };
        Answer::Claimed { sandbox_id }
    }

    fn release(&mut self, around: &mut bridge::Around<'_>, generation: u64) -> Answer {
        self.over = self.over.max(generation);
        let kept = self.claimed.split_off(&(generation + 1));
        for (_, sandbox_id) in std::mem::replace(&mut self.claimed, kept) {
            around.scene.see("claim-released");
            around.scene.after(1, Happening::Discard(sandbox_id));
        }
        Answer::Done
    }
}

/// What a session is told to start from: mostly the image that warm ones are made of.
fn image(around: &mut bridge::Around<'_>) -> Option<ImageId> {
    if around.scene.random.chance(500) { ImageId::parse("img_1").ok() } else { None }
}
