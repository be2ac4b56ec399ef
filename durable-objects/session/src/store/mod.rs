//! A session in SQLite. The only module that knows SQL; it decides nothing.
//!
//! Everything goes through the [`Sql`] port: the object implements it over its storage, the tests over SQLite in memory, with the
//! very migrations that ship.

mod attachment;
mod commit;
mod digest;
mod erasure;
mod facts;
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
mod thread;
mod view;
mod watch;

#[cfg(test)]
mod tests;

pub use outbox::OutboxRow;
#[cfg(any(test, feature = "sqlite"))]
pub use platform::memory::MemorySql;
use platform::sql;
pub use platform::sql::{Row, Sql, StoreError, Value};
pub use replay::{render_event_frame, render_events_frame};
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
