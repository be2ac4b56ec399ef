//! The whole present state for a client that knows nothing yet, and what it leaves out, page by page.
//!
//! Lists are put together by SQLite and never parsed here. The oldest part of the transcript is left out when it would become too
//! large.

use super::Store;
use super::page::END;
use super::row::json;
use super::sql::{Sql, StoreError};
use protocol::timeline::Seq;

/// Transcript in a snapshot, roughly.
const SNAPSHOT_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Transcript in a page of history, roughly.
const PAGE_BYTES_MAX: u64 = 512 * 1024;

impl<S: Sql> Store<S> {
    /// The frame of the present state, [`protocol::client::ServerMessage::Snapshot`], and the number of the newest event in it.
    pub fn render_snapshot(&self) -> Result<(Seq, String), StoreError> {
        let seq = self.load_seq()?;
        let session = json(&self.require_info()?)?;
        let part = self.load_part(END, SNAPSHOT_BYTES_MAX)?;
        let mut frame =
            format!(r#"{{"type":"snapshot","seq":{seq},"snapshot":{{"session":{session},"participants":["#);
        self.splice(
            &mut frame,
            "",
            "SELECT rowid, '{\"userId\":\"' || user_id || '\",\"login\":' || json_quote(login) || ',\"name\":' \
             || json_quote(name) || ',\"joinedAt\":' || joined_at \
             || CASE role WHEN 'driver' THEN '' ELSE ',\"role\":\"' || role || '\"' END || '}' FROM participants",
            &[],
        )?;
        frame.push_str(r#"],"queue":["#);
        self.splice(
            &mut frame,
            "",
            "SELECT position, '\"' || prompt_id || '\"' FROM queue JOIN prompts USING (prompt_id) WHERE state = 'queued'",
            &[],
        )?;
        frame.push_str("],");
        self.render_part(&mut frame, part, true)?;
        frame.push_str(r#","artifacts":["#);
        self.splice(
            &mut frame,
            "",
            "SELECT position, '{\"id\":\"' || artifact_id || '\",\"turnId\":\"' || turn_id || '\",\"changedAt\":' || changed_at \
             || ',\"content\":' || content || '}' FROM artifacts",
            &[],
        )?;
        frame.push_str(r#"],"notices":["#);
        self.splice(
            &mut frame,
            "",
            "SELECT seq, '{\"seq\":' || seq || ',\"at\":' || at || ',\"event\":' || data || '}' FROM notices",
            &[],
        )?;
        let sandbox = self.first_row("SELECT status, account -> '$.state' FROM sandbox", &[])?;
        let sandbox = sandbox.ok_or_else(|| StoreError::Corrupt("there is no sandbox row".to_owned()))?;
        let usage = json(&self.load_usage()?)?;
        // A session that never heard of budgets has none to show.
        let budget = sandbox.text_or_null(1)?.unwrap_or("{}");
        let status = sandbox.text(0)?;
        frame.push_str(&format!(r#"],"sandbox":{status},"budget":{budget},"usage":{usage}}}}}"#));
        Ok((seq, frame))
    }

    /// What was before a snapshot's or another page's `earlier`, as [`protocol::client::HistoryPage`].
    pub fn render_history(&self, before: Seq) -> Result<String, StoreError> {
        let part = self.load_part(before.min(END), PAGE_BYTES_MAX)?;
        let mut page = String::from("{");
        self.render_part(&mut page, part, false)?;
        page.push('}');
        Ok(page)
    }
}
