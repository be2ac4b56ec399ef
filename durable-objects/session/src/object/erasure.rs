//! Takes a person out of the session.

use super::failure::Failure;
use super::shell::Shell;
use crate::call::Erased;
use crate::core::{Erasure, Input, evaluate_erasure};
use protocol::error::ErrorCode;
use protocol::id::UserId;
use protocol::timeline::User;
use std::rc::Rc;

/// What tells others who somebody is, or comes back with the name: none of it may be on its way when the name changes.
const WITH_NAMES: [&str; 4] = ["update_index", "ask_ledger", "open_pull_request", "look_at_pull_request"];

impl Shell {
    /// Removes the session, or puts a pseudonym in a user's place. May be repeated.
    pub(super) fn erase(self: &Rc<Self>, user: &UserId, pseudonym: &User) -> Result<Erased, Failure> {
        match self.with_session(|session| evaluate_erasure(session, user))? {
            // What a fresh object has left to do begins with the first word from outside.
            Erasure::Deleting => {
                self.go_on();
                Ok(Erased::Deleting)
            }
            Erasure::Delete => self.apply(Input::Forsaken).map(|_| Erased::Deleting),
            Erasure::Rewrite => {
                if WITH_NAMES.iter().any(|kind| self.is_on_its_way(kind)) {
                    let message = "the session is just telling something in this person's name; ask again";
                    return Err(Failure::refused(ErrorCode::Unavailable, message));
                }
                let Some(_alone) = self.consulting.try_lock() else {
                    let message = "the session is just asking the ledger in this person's name; ask again";
                    return Err(Failure::refused(ErrorCode::Unavailable, message));
                };
                self.store.erase_person(user, pseudonym)?;
                self.forget_machine();
                Ok(Erased::Rewritten)
            }
        }
    }
}
