//! Who gets a warm sandbox. It leaves the pool in the same step, for ever, and belongs to one session and generation.

use super::input::{Effect, Reply};
use super::state::{Build, ClaimState, Claimant, Ended, Phase, Repository, WarmSandbox};
use super::step::Step;
use crate::call::{ClaimAnswer, ClaimCall, ReleaseCall};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::ReservationId;
use protocol::repository::BuildOutcome;
use protocol::time::Timestamp;

impl Repository {
    /// What a session gets: what was held for its author, else the oldest that is valid, which would be thrown away first and has had
    /// the most time to come to the newest commit. What is held for others is not touched.
    #[must_use]
    pub fn evaluate_claim(
        &self,
        reservation: Option<&ReservationId>,
        now: Timestamp,
    ) -> Option<&WarmSandbox> {
        let valid = || self.sandboxes.iter().filter(|sandbox| self.is_valid(sandbox, now));
        let held =
            reservation.and_then(|id| valid().find(|sandbox| sandbox.reservation.as_ref() == Some(id)));
        held.or_else(|| valid().filter(|s| s.reservation.is_none()).min_by_key(|s| s.created_at))
    }

    /// Why there is nothing to claim, for humans, and whether that is for the failure of a build.
    fn explain_none(&self) -> (String, bool) {
        let id = &self.source.id;
        if !self.images.is_empty() {
            let reason = match self.breaker.open_until {
                Some(_) => format!("no warm sandbox is ready: {}", self.breaker.reason),
                None => "no warm sandbox is ready".to_owned(),
            };
            return (reason, false);
        }
        let ended = self.builds.iter().rev().find_map(|build| build.ended.as_ref());
        match (ended, self.builds.last()) {
            (Some(Ended { outcome: BuildOutcome::Failed { step, reason }, .. }), _) => {
                (format!("no image of {id}: its last build failed at {step}: {reason}"), true)
            }
            (None, Some(Build { ended: None, .. })) => {
                (format!("no image of {id} yet: its first build runs"), false)
            }
            (Some(_) | None, _) => (format!("no image of {id} yet: its next build is due"), false),
        }
    }
}

fn stale(newest: u64) -> Reply {
    let message = format!("generation {newest} of this session has claimed, or has given up claiming, since");
    Reply::Refused(ErrorBody::new(ErrorCode::GenerationStale, message))
}

impl Step<'_> {
    pub(super) fn claim(&mut self, call: ClaimCall, seen: Option<Claimant>) -> Reply {
        if let Some(seen) = &seen
            && (call.generation < seen.generation
                || (call.generation == seen.generation && seen.state == ClaimState::Over))
        {
            return stale(seen.generation);
        }
        if let Some(Claimant {
            generation, state: ClaimState::Has { sandbox_id, bridge_url, image_id }, ..
        }) = seen
            && generation == call.generation
        {
            return Reply::Claim(ClaimAnswer::Claimed { sandbox_id, bridge_url, image_id });
        }
        let now = self.now();
        let found = self.repository.evaluate_claim(call.reservation.as_ref(), now).cloned();
        self.end_reservation(call.reservation.as_ref());
        let taken = found.and_then(|sandbox| match sandbox.phase {
            Phase::Ready { bridge_url } => Some((sandbox.id, bridge_url, sandbox.image_id)),
            Phase::Filling | Phase::Discarding => None,
        });
        let (state, answer) = match taken {
            Some((sandbox_id, bridge_url, image_id)) => {
                self.repository.sandboxes.retain(|sandbox| sandbox.id != sandbox_id);
                let state = ClaimState::Has {
                    sandbox_id: sandbox_id.clone(),
                    bridge_url: bridge_url.clone(),
                    image_id: image_id.clone(),
                };
                (state, ClaimAnswer::Claimed { sandbox_id, bridge_url, image_id })
            }
            None => {
                let (reason, has_failed) = self.repository.explain_none();
                let image_id = self.repository.current_image().map(|image| image.id.clone());
                (ClaimState::Nothing, ClaimAnswer::None { image_id, reason, has_failed })
            }
        };
        let (session_id, generation) = (call.session_id, call.generation);
        self.order(Effect::SaveClaimant(Claimant { session_id, generation, at: now, state }));
        Reply::Claim(answer)
    }

    /// The prompt was sent: nothing is held for it any more. What was still being made for it serves the pool.
    fn end_reservation(&mut self, reservation: Option<&ReservationId>) {
        let Some(id) = reservation else { return };
        for reserver in &mut self.repository.reservers {
            if reserver.held.as_ref().is_some_and(|held| held.reservation == *id) {
                reserver.held = None;
            }
        }
        for sandbox in &mut self.repository.sandboxes {
            if sandbox.reservation.as_ref() == Some(id) {
                sandbox.reservation = None;
            }
        }
    }

    pub(super) fn release(&mut self, call: ReleaseCall, seen: Option<Claimant>) -> Reply {
        if let Some(Claimant { generation, state, .. }) = seen {
            if generation > call.generation {
                return Reply::Done;
            }
            if let ClaimState::Has { sandbox_id, .. } = state {
                // When a session has it after all, the bridge refuses, and the session's own order ends it.
                self.discard(&sandbox_id);
            }
        }
        let (session_id, generation, at) = (call.session_id, call.generation, self.now());
        let over = Claimant { session_id, generation, at, state: ClaimState::Over };
        self.order(Effect::SaveClaimant(over));
        Reply::Done
    }
}
