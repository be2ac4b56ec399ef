//! Brings the tables up to date: each file of `migrations/session` once, in order. Running it again changes nothing.

use super::Store;
use super::sql::{Sql, StoreError, Value};
use protocol::time::Timestamp;

/// Every migration, oldest first. Published ones never change.
pub(super) const MIGRATIONS: [(&str, &str); 3] = [
    ("0001_session", include_str!("../../../../migrations/session/0001_session.sql")),
    ("0002_multiplayer", include_str!("../../../../migrations/session/0002_multiplayer.sql")),
    ("0003_egress", include_str!("../../../../migrations/session/0003_egress.sql")),
];

impl<S: Sql> Store<S> {
    /// Whether this storage has ever been a session. Asking leaves no trace in it.
    pub fn exists(&self) -> Result<bool, StoreError> {
        let rows =
            self.sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'session'", &[])?;
        Ok(!rows.is_empty())
    }

    /// Applies the migrations that are missing; each is one transaction.
    pub fn migrate(&self, now: Timestamp) -> Result<(), StoreError> {
        self.sql.exec_script(
            "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
        )?;
        let applied = self.sql.exec("SELECT name FROM migrations", &[])?;
        let applied: Vec<&str> = applied.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        for (name, script) in MIGRATIONS {
            if applied.contains(&name) {
                continue;
            }
            self.sql.transaction(|| {
                self.sql.exec_script(script)?;
                self.sql
                    .exec("INSERT INTO migrations VALUES (?1, ?2)", &[Value::from(name), Value::from(now)])?;
                Ok(())
            })?;
        }
        Ok(())
    }
}
