//! What must happen outside, as rows: there before it is tried, gone when it has happened.

use super::Store;
use crate::core::Work;
use platform::sql::{Sql, StoreError};
use protocol::status::Backlog;
use protocol::time::Timestamp;

/// What is read of the outbox, in this order: condition, and how many rows at most.
const PARTS: [(&str, u32); 2] = [
    // More than are ever wanted: a pool and its reservations, a build, an inventory.
    ("(key < 'cancel/' OR key >= 'discard0')", 200),
    // Rows of [`Work::is_removal`], `cancel/`, `delete/` and `discard/`: more than are tried at a time, since those that are being tried
    // are among them.
    ("key >= 'cancel/' AND key < 'discard0'", 20),
];

/// One thing that must happen outside.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// What, as [`Work::key`] writes it.
    pub key: String,
    /// Rises each time the same work is ordered again: an older try does not remove a newer order.
    pub version: u64,
    /// Failed tries so far.
    pub attempts: u32,
}

impl<S: Sql> Store<S> {
    pub(super) fn enqueue(&self, work: &Work, now: Timestamp) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO outbox VALUES (?1, 1, 0, ?2) ON CONFLICT (key) DO UPDATE SET version = version + 1, attempts = 0, \
             next_at = ?2",
            &[work.key().into(), now.into()],
        )?;
        Ok(())
    }

    pub(super) fn withdraw(&self, work: &Work) -> Result<(), StoreError> {
        self.sql.exec("DELETE FROM outbox WHERE key = ?1", &[work.key().into()])?;
        Ok(())
    }

    pub(super) fn remove_outbox(&self, key: &str, version: u64) -> Result<(), StoreError> {
        self.sql.exec("DELETE FROM outbox WHERE key = ?1 AND version = ?2", &[key.into(), version.into()])?;
        Ok(())
    }

    /// What is due: removals last, and only some of them, however many there are.
    pub fn load_due(&self, now: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        let mut due = Vec::new();
        for (which, limit) in PARTS {
            let query = format!(
                "SELECT key, version, attempts FROM outbox WHERE next_at <= ?1 AND {which} ORDER BY next_at LIMIT {limit}"
            );
            for row in self.sql.exec(&query, &[now.into()])? {
                due.push(OutboxRow {
                    key: row.text(0)?.to_owned(),
                    version: row.number(1)?,
                    attempts: u32::try_from(row.number(2)?).unwrap_or(u32::MAX),
                });
            }
        }
        Ok(due)
    }

    /// Keys and times of the rows that are due first, of removals and of all others.
    pub fn load_schedule(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let mut schedule = Vec::new();
        for (which, limit) in PARTS {
            let query =
                format!("SELECT key, next_at FROM outbox WHERE {which} ORDER BY next_at LIMIT {limit}");
            for row in self.sql.exec(&query, &[])? {
                schedule.push((row.text(0)?.to_owned(), row.timestamp(1)?));
            }
        }
        Ok(schedule)
    }

    /// How much is waiting, and how much of it has failed before.
    pub fn load_backlog(&self) -> Result<Backlog, StoreError> {
        let rows = self.sql.exec(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE attempts > 0), COALESCE(MAX(attempts), 0) FROM outbox",
            &[],
        )?;
        let Some(row) = rows.first() else { return Ok(Backlog::default()) };
        let count = |column| Ok(u32::try_from(row.number(column)?).unwrap_or(u32::MAX));
        Ok(Backlog { waiting: count(0)?, failing: count(1)?, tries: count(2)? })
    }

    /// The next try comes later; `attempts` is how many have failed by then.
    pub fn postpone(&self, row: &OutboxRow, attempts: u32, next_at: Timestamp) -> Result<(), StoreError> {
        self.sql.exec(
            "UPDATE outbox SET attempts = ?3, next_at = ?4 WHERE key = ?1 AND version = ?2",
            &[row.key.as_str().into(), row.version.into(), attempts.into(), next_at.into()],
        )?;
        Ok(())
    }
}
