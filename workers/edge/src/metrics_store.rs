//! The tables that metrics are made of, as the edge asks them: rows of a question, and what others count for it. It decides nothing.

use crate::answer::OrInternal as _;
use metrics::query::{Query, Scope};
use metrics::table::{Cell, Kind};
use platform::d1::{Database, Value};
use protocol::error::ErrorBody;
use protocol::id::RepositoryId;
use protocol::time::Timestamp;
use worker::Env;

/// The tables.
pub(crate) struct MetricsStore(Database);

impl MetricsStore {
    /// Opens them.
    pub(crate) fn new(env: &Env) -> Result<Self, ErrorBody> {
        Database::new(env).map(Self).or_internal("finding the database")
    }

    /// The rows that answer a question.
    pub(crate) async fn rows(&self, query: &Query<'_>) -> Result<Vec<Vec<Cell>>, ErrorBody> {
        let rows = self.0.rows(&query.sql, &query.values).await.or_unavailable("the database")?;
        let read = rows.iter().map(|row| {
            let cells = (0..).zip(query.table.columns).map(|(place, column)| match column.kind {
                Kind::Text => row.text_or_null(place).map_or(Cell::Nothing, Cell::Text),
                Kind::Number => row.real(place).map_or(Cell::Nothing, Cell::Number),
            });
            cells.collect()
        });
        Ok(read.collect())
    }

    /// Repositories of a period whose pull requests are to be counted.
    pub(crate) async fn uncounted(&self, scope: &Scope<'_>) -> Result<Vec<RepositoryId>, ErrorBody> {
        let (sql, values) = metrics::query::uncounted(scope);
        let rows = self.0.rows(&sql, &values).await.or_unavailable("the database")?;
        Ok(rows.iter().filter_map(|row| RepositoryId::parse(&row.text(0)).ok()).collect())
    }

    /// Keeps what the code host has counted.
    pub(crate) async fn save_total(
        &self,
        id: &RepositoryId,
        scope: &Scope<'_>,
        total: u64,
    ) -> Result<(), ErrorBody> {
        let (sql, values) = metrics::record::total(scope, id.as_str(), total);
        self.0.rows(sql, &values).await.or_unavailable("the database").map(|_| ())
    }

    /// Keeps when the image of a repository was made.
    pub(crate) async fn save_image(
        &self,
        id: &RepositoryId,
        built_at: Option<Timestamp>,
    ) -> Result<(), ErrorBody> {
        let built_at = built_at.map_or(Value::Null, |at| Value::Number(at.0));
        let values = [Value::Text(id.as_str()), built_at];
        self.0.rows(metrics::record::IMAGE, &values).await.or_unavailable("the database").map(|_| ())
    }
}
