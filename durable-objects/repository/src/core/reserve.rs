//! Sandboxes held for people who compose a prompt. One that was held is never given to somebody else: it ends quietly.

use super::input::Reply;
use super::limit::{RESERVATIONS_ASKED_MAX, RESERVATIONS_MAX, RESERVATIONS_WINDOW_MS};
use super::state::{Held, Phase, Reserver};
use super::step::Step;
use crate::call::ReserveCall;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::ReservationId;
use protocol::limit::RESERVATION_MS_MAX;

impl Step<'_> {
    pub(super) fn reserve(&mut self, call: ReserveCall) -> Reply {
        let now = self.now();
        let until = now.plus_ms(RESERVATION_MS_MAX);
        let reservers = &mut self.repository.reservers;
        let is_it = |held: &Held| held.reservation == call.reservation;
        if reservers.iter().any(|other| other.user_id != call.by && other.held.as_ref().is_some_and(is_it)) {
            let message = "this reservation is somebody else's; choose an id of your own";
            return Reply::Refused(ErrorBody::new(ErrorCode::IdConflict, message));
        }
        let active = reservers.iter().filter(|reserver| reserver.held.is_some()).count();
        let position =
            reservers.iter().position(|reserver| reserver.user_id == call.by).unwrap_or_else(|| {
                reservers.push(Reserver { user_id: call.by, held: None, window_at: now, asked: 0 });
                reservers.len() - 1
            });
        let Some(reserver) = reservers.get_mut(position) else { return Reply::Done };
        if let Some(held) = &mut reserver.held
            && held.reservation == call.reservation
            && held.until > now
        {
            held.until = until;
            return Reply::Done;
        }
        if now.ms_since(reserver.window_at) >= RESERVATIONS_WINDOW_MS {
            reserver.window_at = now;
            reserver.asked = 0;
        }
        if reserver.asked >= RESERVATIONS_ASKED_MAX {
            let message =
                "too many prompts were begun in a minute; send one, it starts without a reservation";
            return Reply::Refused(ErrorBody::new(ErrorCode::RateLimited, message));
        }
        reserver.asked += 1;
        let new = Held { reservation: call.reservation.clone(), until };
        match reserver.held.replace(new) {
            // The same person goes on with another prompt, and with the same sandbox.
            Some(old) => self.pass_on(&old.reservation, &call.reservation),
            None if active >= RESERVATIONS_MAX => reserver.held = None,
            None => {}
        }
        Reply::Done
    }

    fn pass_on(&mut self, old: &ReservationId, new: &ReservationId) {
        for sandbox in &mut self.repository.sandboxes {
            if sandbox.reservation.as_ref() == Some(old) {
                sandbox.reservation = Some(new.clone());
            }
        }
    }

    /// Ends what nobody asked for again.
    pub(super) fn expire_reservations(&mut self) {
        let now = self.now();
        let mut over = Vec::new();
        for reserver in &mut self.repository.reservers {
            if let Some(held) = reserver.held.take_if(|held| held.until <= now) {
                over.push(held.reservation);
            }
        }
        self.repository.reservers.retain(|reserver| {
            reserver.held.is_some() || now.ms_since(reserver.window_at) < RESERVATIONS_WINDOW_MS
        });
        for reservation in over {
            let held =
                self.repository.sandboxes.iter().filter(|s| s.reservation.as_ref() == Some(&reservation));
            let ids: Vec<_> = held.map(|sandbox| sandbox.id.clone()).collect();
            for id in ids {
                self.discard(&id);
            }
        }
    }

    /// Holds the youngest valid sandbox for everybody who has none: it stays valid for as long as the prompt may take.
    pub(super) fn hold_reserved(&mut self) {
        let now = self.now();
        let repository = &*self.repository;
        let has = |id: &ReservationId| {
            let mut sandboxes = repository.sandboxes.iter();
            sandboxes.any(|s| s.phase != Phase::Discarding && s.reservation.as_ref() == Some(id))
        };
        let held = repository.reservers.iter().filter_map(|reserver| reserver.held.as_ref());
        let without: Vec<ReservationId> =
            held.filter(|held| !has(&held.reservation)).map(|held| held.reservation.clone()).collect();
        for reservation in without {
            let repository = &*self.repository;
            let free = repository.sandboxes.iter().enumerate();
            let free = free.filter(|(_, s)| s.reservation.is_none() && repository.is_valid(s, now));
            let Some(position) = free.max_by_key(|(_, s)| s.created_at).map(|(position, _)| position) else {
                return;
            };
            if let Some(sandbox) = self.repository.sandboxes.get_mut(position) {
                sandbox.reservation = Some(reservation);
            }
        }
    }
}
