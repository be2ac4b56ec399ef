//! The port over SQLite in memory. Numbers go through `f64` in both directions, as they do in a Worker.

use crate::store::{Row, Sql, StoreError, Value};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

pub(super) struct Memory {
    connection: Connection,
    /// Statements that still succeed; then everything is refused.
    pub(super) statements_left: Cell<usize>,
    /// Every statement that ran, once.
    pub(super) statements: RefCell<BTreeSet<String>>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.set_prepared_statement_cache_capacity(200);
        Self { connection, statements_left: Cell::new(usize::MAX), statements: RefCell::default() }
    }

    /// How SQLite goes about a statement.
    pub(super) fn plan(&self, statement: &str) -> Vec<String> {
        let mut prepared = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let nulls = vec![rusqlite::types::Null; prepared.parameter_count()];
        let steps = prepared.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap();
        steps.map(Result::unwrap).collect()
    }

    fn count(&self) -> Result<(), StoreError> {
        let left = self.statements_left.get().checked_sub(1);
        self.statements_left.set(left.ok_or_else(|| StoreError::Sql("no statements left".into()))?);
        Ok(())
    }
}

fn refused(error: rusqlite::Error) -> StoreError {
    StoreError::Sql(error.to_string())
}

fn bind(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Null => rusqlite::types::Value::Null,
        Value::Integer(number) => rusqlite::types::Value::Real(*number as f64),
        Value::Real(number) => rusqlite::types::Value::Real(*number),
        Value::Text(text) => rusqlite::types::Value::Text(text.clone()),
    }
}

fn read(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) if number.fract() == 0.0 => Value::Integer(number as i64),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(_) => panic!("no column of ours is a blob"),
    }
}

impl Sql for Memory {
    fn exec(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.count()?;
        self.statements.borrow_mut().insert(statement.to_owned());
        let mut prepared = self.connection.prepare_cached(statement).map_err(refused)?;
        let columns = prepared.column_count();
        let mut rows =
            prepared.query(rusqlite::params_from_iter(params.iter().map(bind))).map_err(refused)?;
        let mut read_rows = Vec::new();
        while let Some(row) = rows.next().map_err(refused)? {
            read_rows.push(Row((0..columns).map(|column| read(row.get_ref(column).unwrap())).collect()));
        }
        Ok(read_rows)
    }

    fn exec_script(&self, script: &str) -> Result<(), StoreError> {
        for statement in script.split_inclusive(";\n") {
            self.count()?;
            self.connection.execute_batch(statement).map_err(refused)?;
        }
        Ok(())
    }

    fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.connection.execute_batch("SAVEPOINT step").map_err(refused)?;
        let result = body();
        let end = if result.is_ok() { "RELEASE step" } else { "ROLLBACK TO step; RELEASE step" };
        self.connection.execute_batch(end).map_err(refused)?;
        result
    }
}
