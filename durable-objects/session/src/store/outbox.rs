//! What must happen outside, as rows: there before it is tried, gone when it has happened.

use super::Store;
use super::row::{from_json, json};
use super::sql::{Row, Sql, StoreError};
use crate::core::Work;
use protocol::status::Backlog;
use protocol::time::Timestamp;

/// One thing that must happen outside.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// [`Work::key`].
    pub key: String,
    /// Rises each time the same work is ordered again: an older try does not remove a newer order.
    pub version: u64,
    /// Failed tries so far.
    pub attempts: u32,
    /// Not before this.
    pub next_at: Timestamp,
    /// What.
    pub work: Work,
}

const COLUMNS: &str = "SELECT key, version, attempts, next_at, payload FROM outbox";

impl<S: Sql> Store<S> {
    pub(super) fn enqueue(&self, work: &Work, now: Timestamp) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO outbox (key, kind, payload, version, attempts, next_at) VALUES (?1, ?2, ?3, 1, 0, ?4) \
             ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, version = version + 1, attempts = 0, \
             next_at = excluded.next_at",
            &[work.key().into(), work.kind().into(), json(work)?.into(), now.into()],
        )?;
        Ok(())
    }

    pub(super) fn remove_outbox(&self, key: &str, version: u64) -> Result<(), StoreError> {
        self.sql.exec("DELETE FROM outbox WHERE key = ?1 AND version = ?2", &[key.into(), version.into()])?;
        Ok(())
    }

    /// What is due, what a turn waits for first.
    pub fn load_due(&self, now: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        let query = format!(
            "{COLUMNS} WHERE next_at <= ?1 ORDER BY kind NOT IN ('start_turn', 'steer_turn', 'stop_turn'), \
             kind NOT IN ('claim_sandbox', 'bind_sandbox'), next_at LIMIT 50"
        );
        let mut due = Vec::new();
        for row in self.sql.exec(&query, &[now.into()])? {
            due.push(read(&row)?);
        }
        Ok(due)
    }

    /// Keys and times of the rows that are due first.
    pub fn load_schedule(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows = self.sql.exec("SELECT key, next_at FROM outbox ORDER BY next_at LIMIT 100", &[])?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.timestamp(1)?))).collect()
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

    /// A try failed; the next one comes later.
    pub fn postpone(&self, row: &OutboxRow, next_at: Timestamp) -> Result<(), StoreError> {
        self.sql.exec(
            "UPDATE outbox SET attempts = attempts + 1, next_at = ?3 WHERE key = ?1 AND version = ?2",
            &[row.key.as_str().into(), row.version.into(), next_at.into()],
        )?;
        Ok(())
    }
}

fn read(row: &Row) -> Result<OutboxRow, StoreError> {
    Ok(OutboxRow {
        key: row.text(0)?.to_owned(),
        version: row.number(1)?,
        attempts: u32::try_from(row.number(2)?).unwrap_or(u32::MAX),
        next_at: row.timestamp(3)?,
        work: from_json(row.text(4)?)?,
    })
}
