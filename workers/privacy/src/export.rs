//! What a person gets: everything that the tables say of them, as lines of JSON. Secrets are not among it, whoever asks.

use crate::table::{Database, Export, TABLES};

/// Sessions whose objects one answer asks; the platform allows a thousand calls for one request.
pub const SESSIONS_MAX: u64 = 500;

/// Name of each table of the index that a person gets rows of, and the query for them, whose one column is JSON; `?1` is the user's id.
pub fn queries() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().filter(|table| table.database == Database::Index).filter_map(|table| match table.export {
        Export::Rows(query) => Some((table.name, query)),
        Export::ByObject | Export::Nothing(_) => None,
    })
}

/// Sessions that a user (`?1`) began, was in, paid for or has open, behind the session `?2`; at most `?3`.
pub const SESSIONS: &str = concat!(
    "SELECT session_id FROM (",
    crate::sessions_of!(),
    ") WHERE session_id > ?2 ORDER BY session_id LIMIT ?3"
);
