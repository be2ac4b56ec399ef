//! Logs of builds: as they came, and cut in the middle where they are long.

use super::Store;
use platform::sql::{Sql, StoreError};
use protocol::id::BuildId;
use protocol::limit::BUILD_LOG_BYTES_MAX;

/// Kept of a log's beginning, and of its end.
const HALF: u64 = BUILD_LOG_BYTES_MAX as u64 / 2;

/// A log from some byte on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// What is kept of it; what is missing in between is marked.
    pub text: String,
    /// Bytes of the log up to its end: where to go on.
    pub end: u64,
}

impl<S: Sql> Store<S> {
    /// What is kept of a log from byte `from` on.
    pub fn load_log(&self, build_id: &BuildId, from: u64) -> Result<LogPart, StoreError> {
        let rows = self.sql.exec(
            "SELECT at, text FROM log_pieces WHERE build_id = ?1 ORDER BY at",
            &[build_id.as_str().into()],
        )?;
        let mut part = LogPart { text: String::new(), end: from };
        for row in &rows {
            let (at, text) = (row.number(0)?, row.text(1)?);
            if at > part.end {
                part.text.push_str(&format!("\n[… {} bytes are not kept …]\n", at - part.end));
                part.end = at;
            }
            let known = usize::try_from(part.end - at).unwrap_or(usize::MAX);
            // Inside of a character: with it.
            let known = text.floor_char_boundary(known.min(text.len()));
            let rest = text.get(known..).unwrap_or_default();
            part.text.push_str(rest);
            part.end = part.end.max(at + text.len() as u64);
        }
        Ok(part)
    }

    pub(super) fn append_log(&self, build_id: &BuildId, at: u64, text: &str) -> Result<(), StoreError> {
        let id = build_id.as_str();
        self.sql.exec("INSERT INTO log_pieces VALUES (?1, ?2, ?3)", &[id.into(), at.into(), text.into()])?;
        let end = at + text.len() as u64;
        if end > 2 * HALF {
            self.sql.exec(
                "DELETE FROM log_pieces WHERE build_id = ?1 AND at >= ?2 AND at < ?3",
                &[id.into(), HALF.into(), (end - HALF).into()],
            )?;
        }
        Ok(())
    }

    pub(super) fn drop_log(&self, build_id: &BuildId) -> Result<(), StoreError> {
        self.sql.exec("DELETE FROM log_pieces WHERE build_id = ?1", &[build_id.as_str().into()])?;
        Ok(())
    }
}
