//! The port over SQLite in memory, for native tests and simulations; never part of a Worker.
//!
//! Numbers go through `f64` in both directions, as they do in a Worker.

use crate::sql::{Row, Sql, StoreError, Value};
use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

/// Statements that are kept prepared: more than the store has.
const STATEMENTS_KEPT: usize = 200;

/// One database in memory, gone with its owner.
#[derive(Debug)]
pub struct MemorySql {
    connection: Connection,
}

impl MemorySql {
    /// An empty database.
    pub fn open() -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().map_err(refused)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Self { connection })
    }

    /// The connection itself, to look at more than the port shows.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn run(&self, statement: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(statement)
            .and_then(|mut prepared| prepared.execute([]))
            .map_err(refused)?;
        Ok(())
    }
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            #[expect(clippy::cast_precision_loss, reason = "numbers here are below 2^53")]
            Value::Integer(number) => ValueRef::Real(*number as f64),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn refused(error: rusqlite::Error) -> StoreError {
    StoreError::Sql(error.to_string())
}

fn read(value: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
        ValueRef::Real(number) if number.fract() == 0.0 => Value::Integer(number as i64),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|error| StoreError::Corrupt(error.to_string()))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(_) => return Err(StoreError::Corrupt("no column of ours is a blob".to_owned())),
    })
}

impl Sql for MemorySql {
    fn exec(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut prepared = self.connection.prepare_cached(statement).map_err(refused)?;
        let columns = prepared.column_count();
        let params = rusqlite::params_from_iter(params.iter().map(Bound));
        let mut rows = prepared.query(params).map_err(refused)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(refused)? {
            let values = (0..columns).map(|column| row.get_ref(column).map_err(refused).and_then(read));
            found.push(Row(values.collect::<Result<_, _>>()?));
        }
        Ok(found)
    }

    fn exec_script(&self, script: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(script).map_err(refused)
    }

    fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.run("SAVEPOINT step")?;
        let result = body();
        if result.is_err() {
            self.run("ROLLBACK TO step")?;
        }
        self.run("RELEASE step")?;
        result
    }
}
