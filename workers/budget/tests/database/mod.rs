//! A database of the deployment, of its real migrations.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing helper fails its test")]

use budget::ledger::{self, Columns};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};

/// The tables of the index that budgets and slots need.
pub(crate) struct Database(pub(crate) Connection);

/// One row of an answer.
pub(crate) struct Row(Vec<Sql>);

impl Columns for Row {
    fn text(&self, column: u32) -> String {
        match &self.0[column as usize] {
            Sql::Text(text) => text.clone(),
            Sql::Null | Sql::Integer(_) | Sql::Real(_) | Sql::Blob(_) => String::new(),
        }
    }

    fn number(&self, column: u32) -> Option<u64> {
        match self.0[column as usize] {
            Sql::Integer(number) => Some(u64::try_from(number).unwrap()),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole, and below 2^53"
            )]
            Sql::Real(number) => Some(number as u64),
            Sql::Null | Sql::Text(_) | Sql::Blob(_) => None,
        }
    }
}

impl Database {
    pub(crate) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../../migrations/d1/0001_index.sql")).unwrap();
        connection.execute_batch(include_str!("../../../../migrations/d1/0010_budgets.sql")).unwrap();
        connection.execute_batch(include_str!("../../../../migrations/d1/0012_slots.sql")).unwrap();
        Self(connection)
    }

    pub(crate) fn run(&self, (sql, values): &ledger::Statement<'_>) -> Vec<Row> {
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let columns = statement.column_count();
        let values = params_from_iter(values);
        let rows = statement.query_map(values, |row| (0..columns).map(|column| row.get(column)).collect());
        rows.unwrap().map(|row| Row(row.unwrap())).collect()
    }
}
