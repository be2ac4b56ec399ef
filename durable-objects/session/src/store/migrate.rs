//! Brings the tables up to date: each file of `migrations/session` once, in order. Running it again changes nothing.

use super::Store;
use super::sql::{Sql, StoreError};
use protocol::time::Timestamp;

/// Every migration, oldest first. Published ones never change.
pub(super) const MIGRATIONS: [(&str, &str); 13] = [
    ("0001_session", include_str!("../../../../migrations/session/0001_session.sql")),
    ("0002_multiplayer", include_str!("../../../../migrations/session/0002_multiplayer.sql")),
    ("0003_egress", include_str!("../../../../migrations/session/0003_egress.sql")),
    ("0004_claims", include_str!("../../../../migrations/session/0004_claims.sql")),
    ("0005_pull_request", include_str!("../../../../migrations/session/0005_pull_request.sql")),
    ("0006_thread", include_str!("../../../../migrations/session/0006_thread.sql")),
    ("0007_attachments", include_str!("../../../../migrations/session/0007_attachments.sql")),
    ("0008_metrics", include_str!("../../../../migrations/session/0008_metrics.sql")),
    ("0009_budget", include_str!("../../../../migrations/session/0009_budget.sql")),
    ("0010_effort", include_str!("../../../../migrations/session/0010_effort.sql")),
    ("0011_trace", include_str!("../../../../migrations/session/0011_trace.sql")),
    ("0012_files", include_str!("../../../../migrations/session/0012_files.sql")),
    ("0013_signs", include_str!("../../../../migrations/session/0013_signs.sql")),
];

impl<S: Sql> Store<S> {
    /// Whether this storage has ever been a session. Asking leaves no trace in it.
    pub fn exists(&self) -> Result<bool, StoreError> {
        platform::migrate::has_table(&self.sql, "session")
    }

    /// Applies the migrations that are missing; each is one transaction.
    pub fn migrate(&self, now: Timestamp) -> Result<(), StoreError> {
        platform::migrate::migrate(&self.sql, &MIGRATIONS, now)
    }
}
