//! A session in SQLite. The only module that knows SQL; it decides nothing.
//!
//! Everything goes through the [`Sql`] port: the object implements it over its storage, the tests over SQLite in memory, with the
//! very migrations that ship.

mod commit;
mod digest;
mod item;
mod item_writes;
mod load;
mod migrate;
mod outbox;
mod page;
mod record;
mod replay;
mod row;
mod snapshot;
mod sql;
#[cfg(any(test, feature = "sqlite"))]
mod sqlite;
mod view;
mod watch;

#[cfg(test)]
mod tests;

pub use outbox::OutboxRow;
pub use replay::{render_event_frame, render_events_frame};
pub use sql::{Row, Sql, StoreError, Value};
#[cfg(any(test, feature = "sqlite"))]
pub use sqlite::MemorySql;
pub use view::{IndexRow, PullRequestText};

/// The tables of one session.
#[derive(Debug)]
pub struct Store<S> {
    sql: S,
}

impl<S: Sql> Store<S> {
    /// A store over a connection. Nothing is read or written before the first call.
    pub fn new(sql: S) -> Self {
        Self { sql }
    }
}
