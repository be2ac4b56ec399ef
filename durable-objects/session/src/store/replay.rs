//! Events as the frames that clients get. Those that a client missed are put together by SQLite and never parsed here.

use super::Store;
use super::sql::{Sql, StoreError};
use protocol::time::Timestamp;
use protocol::timeline::Seq;

/// The frame of one event, `protocol::client::ServerMessage::Event`, from the event's JSON.
#[must_use]
pub fn render_event_frame(seq: Seq, at: Timestamp, data: &str) -> String {
    format!(r#"{{"type":"event","seq":{seq},"at":{},"event":{data}}}"#, at.0)
}

/// Rows read at once, so that a long absence is not one large answer of SQLite.
const PAGE_ROWS: u64 = 1000;

impl<S: Sql> Store<S> {
    /// Gives the frame of each event after `since` to `send`, in order.
    pub fn replay(&self, since: Seq, mut send: impl FnMut(&str)) -> Result<(), StoreError> {
        let mut last = since;
        loop {
            let rows = self.sql.exec(
                r#"SELECT seq, '{"type":"event","seq":' || seq || ',"at":' || at || ',"event":' || data || '}'
                   FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"#,
                &[last.into(), PAGE_ROWS.into()],
            )?;
            for row in &rows {
                last = row.number(0)?;
                send(row.text(1)?);
            }
            if (rows.len() as u64) < PAGE_ROWS {
                return Ok(());
            }
        }
    }

    /// Takes a ticket; `false` when it was taken before. Tickets that have expired are forgotten.
    pub fn take_ticket(
        &self,
        ticket_id: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.sql.transaction(|| {
            self.sql.exec("DELETE FROM tickets WHERE expires_at < ?1", &[now.into()])?;
            let rows = self.sql.exec(
                "INSERT INTO tickets (ticket_id, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING RETURNING 1",
                &[ticket_id.into(), expires_at.into()],
            )?;
            Ok(!rows.is_empty())
        })
    }
}
