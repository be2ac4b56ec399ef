//! The port over SQLite in memory, with a place to fail at and a memory of what ran.

use crate::store::{MemorySql, Row, Sql, StoreError, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

pub(super) struct Memory {
    sql: MemorySql,
    /// Statements that still succeed; then everything is refused.
    pub(super) statements_left: Cell<usize>,
    /// Every statement that ran, once.
    pub(super) statements: RefCell<BTreeSet<String>>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            sql: MemorySql::open().unwrap(),
            statements_left: Cell::new(usize::MAX),
            statements: RefCell::default(),
        }
    }

    /// How SQLite goes about a statement.
    pub(super) fn plan(&self, statement: &str) -> Vec<String> {
        let explained = format!("EXPLAIN QUERY PLAN {statement}");
        let mut prepared = self.sql.connection().prepare(&explained).unwrap();
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

impl Sql for Memory {
    fn exec(&self, statement: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.count()?;
        self.statements.borrow_mut().insert(statement.to_owned());
        self.sql.exec(statement, params)
    }

    fn exec_script(&self, script: &str) -> Result<(), StoreError> {
        for statement in script.split_inclusive(";\n") {
            self.count()?;
            self.sql.exec_script(statement)?;
        }
        Ok(())
    }

    fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.sql.transaction(body)
    }
}
