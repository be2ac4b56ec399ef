//! SQLite in memory with the migrations of the index, asked and told with the very statements that ship.

use crate::history::Named;
use metrics::period::Period;
use metrics::query::Query;
use metrics::record::{Facts, statements};
use metrics::table::{Cell, Kind};
use rusqlite::{Connection, params_from_iter};
use std::path::Path;

pub(crate) struct Database(Connection);

impl Database {
    pub(crate) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/d1");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            connection.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
        }
        for user in crate::history::USERS {
            let values = [user.user_id(), user.name()];
            let sql = "INSERT INTO users (user_id, login, name, email, created_at, seen_at) VALUES (?1, '', ?2, '', 0, 0)";
            connection.execute(sql, params_from_iter(values)).unwrap();
        }
        Self(connection)
    }

    pub(crate) fn clear(&self) {
        let tables = [
            "session_facts",
            "session_people",
            "sandbox_starts",
            "metric_hours",
            "start_totals",
            "pull_totals",
            "repositories",
        ];
        for table in tables {
            self.0.execute(&format!("DELETE FROM {table}"), []).unwrap();
        }
    }

    pub(crate) fn record(&self, facts: &Facts) {
        let transaction = self.0.unchecked_transaction().unwrap();
        for (sql, values) in statements(facts) {
            self.0.prepare_cached(sql).unwrap().execute(params_from_iter(values)).unwrap();
        }
        transaction.commit().unwrap();
    }

    pub(crate) fn save_image(&self, repository: &str, built_at: i64) {
        let sql = "INSERT INTO repositories (repository, description, default_branch, clone_url, created_at, checked_at, image_built_at) \
            VALUES (?1, '', '', '', 0, 0, ?2)";
        self.0.execute(sql, (repository, built_at)).unwrap();
    }

    pub(crate) fn save_total(&self, repository: &str, period: &Period, total: u32) {
        let sql = "INSERT INTO pull_totals (repository, since, until, total, checked_at) VALUES (?1, ?2, ?3, ?4, 0)";
        self.0.execute(sql, (repository, period.from, period.to, total)).unwrap();
    }

    pub(crate) fn ask(&self, query: &Query<'_>) -> Vec<Vec<Cell>> {
        let mut statement = self.0.prepare_cached(&query.sql).unwrap();
        assert_eq!(statement.column_count(), query.table.columns.len(), "{}", query.table.name);
        let rows = statement.query_map(params_from_iter(&query.values), |row| {
            Ok(query
                .table
                .columns
                .iter()
                .enumerate()
                .map(|(place, column)| match column.kind {
                    Kind::Text => {
                        row.get::<_, Option<String>>(place).unwrap().map_or(Cell::Nothing, Cell::Text)
                    }
                    Kind::Number => {
                        row.get::<_, Option<f64>>(place).unwrap().map_or(Cell::Nothing, Cell::Number)
                    }
                })
                .collect())
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}
