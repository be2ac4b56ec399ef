//! What is stored about a person, where, how they get it, and how it is removed. Pure: statements and decisions; the edge carries them out.
//!
//! [`table::TABLES`] names every table of every database. Export and erasure are made from it and from nothing else.

/// Sessions that a user (`?1`) began, was in, paid for or has open: one column. D1 takes at most five selections in one union.
macro_rules! sessions_of {
    () => {
        "SELECT session_id FROM sessions WHERE created_by = ?1
        UNION SELECT session_id FROM session_people WHERE user_id = ?1
        UNION SELECT session_id FROM spending WHERE user_id = ?1
        UNION SELECT session_id FROM (SELECT session_id, user_id FROM budget_leases UNION ALL SELECT session_id, user_id FROM slots)
            WHERE user_id = ?1
        UNION SELECT session_id FROM sockets WHERE user_id = ?1"
    };
}
use sessions_of;

pub mod erasure;
pub mod export;
pub mod table;
