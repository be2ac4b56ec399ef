//! A participant is being removed from the deployment: what becomes of the session.

use super::session::Session;
use protocol::account::is_pseudonym;
use protocol::id::UserId;

/// What becomes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// It was that person's alone, or only of people who are removed: everything goes.
    Delete,
    /// It is being deleted already.
    Deleting,
    /// Others are in it: it stays, and knows a pseudonym.
    Rewrite,
}

/// What becomes of a session when a user is removed.
#[must_use]
pub fn evaluate_erasure(session: &Session, user: &UserId) -> Erasure {
    let is_other = |id: &UserId| id != user && !is_pseudonym(id);
    if session.deleted {
        Erasure::Deleting
    } else if session.participants.values().any(|person| is_other(&person.user.id)) || !is_of(session, user) {
        Erasure::Rewrite
    } else {
        Erasure::Delete
    }
}

/// Whether the session knows the user at all: nobody's session goes because of somebody who was never in it.
fn is_of(session: &Session, user: &UserId) -> bool {
    session.info.created_by == *user || session.participants.contains_key(user)
}
