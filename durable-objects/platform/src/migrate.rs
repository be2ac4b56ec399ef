//! Brings an object's tables up to date: each of its migrations once, in order. Running it again changes nothing.

use crate::sql::{Sql, StoreError, Value};
use protocol::time::Timestamp;

/// Applies the migrations that are missing; each, a name and its statements, is one transaction.
pub fn migrate<S: Sql>(sql: &S, migrations: &[(&str, &str)], now: Timestamp) -> Result<(), StoreError> {
    sql.exec_script(
        "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
    )?;
    let applied = sql.exec("SELECT name FROM migrations", &[])?;
    let applied: Vec<&str> = applied.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    for (name, script) in migrations {
        if applied.contains(name) {
            continue;
        }
        sql.transaction(|| {
            sql.exec_script(script)?;
            sql.exec("INSERT INTO migrations VALUES (?1, ?2)", &[Value::from(*name), Value::from(now)])?;
            Ok(())
        })?;
    }
    Ok(())
}

/// Whether this storage has a table. Asking leaves no trace in it.
pub fn has_table<S: Sql>(sql: &S, name: &str) -> Result<bool, StoreError> {
    let rows = sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", &[name.into()])?;
    Ok(!rows.is_empty())
}
