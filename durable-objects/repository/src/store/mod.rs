//! A repository in SQLite. The only module that knows SQL; it decides nothing.
//!
//! Everything goes through the port of `platform`: the object implements it over its storage, the tests over SQLite in memory, with the
//! very migrations that ship.

mod claim;
mod commit;
mod load;
mod log;
mod outbox;

#[cfg(test)]
mod tests;

use crate::core::Repository;
use platform::migrate;
use platform::sql::Sql;
pub use platform::sql::StoreError;
use protocol::time::Timestamp;

pub use log::LogPart;
pub use outbox::OutboxRow;

/// Every migration, oldest first. Published ones never change.
const MIGRATIONS: [(&str, &str); 1] =
    [("0001_repository", include_str!("../../../../migrations/repository/0001_repository.sql"))];

/// The tables of one repository.
#[derive(Debug)]
pub struct Store<S> {
    sql: S,
}

impl<S: Sql> Store<S> {
    /// A store over a connection. Nothing is read or written before the first call.
    pub fn new(sql: S) -> Self {
        Self { sql }
    }

    /// Whether this storage has ever been a repository. Asking leaves no trace in it.
    pub fn exists(&self) -> Result<bool, StoreError> {
        migrate::has_table(&self.sql, "repository")
    }

    /// Applies the migrations that are missing; each is one transaction.
    pub fn migrate(&self, now: Timestamp) -> Result<(), StoreError> {
        migrate::migrate(&self.sql, &MIGRATIONS, now)
    }

    /// The repository as it was stored last.
    pub fn load(&self) -> Result<Option<Repository>, StoreError> {
        load::load(&self.sql)
    }
}
