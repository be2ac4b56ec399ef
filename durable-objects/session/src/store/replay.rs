//! Events as the frames that clients get. Those that a client missed are put together by SQLite and never parsed here.

use super::Store;
use super::row::push_element;
use super::sql::{Sql, StoreError};
use protocol::limit::{FRAME_EVENTS_BYTES_MAX, FRAME_EVENTS_MAX};
use protocol::time::Timestamp;
use protocol::timeline::Seq;

/// Bytes that one statement answers, roughly: memory, not time, is what a long absence could cost.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What an event's record has besides the event: the names and two numbers.
const ENVELOPE_BYTES: u64 = 64;
/// Events that begin in one stretch of this many bytes share a frame; a longer one is alone. Two stretches fit a frame.
const STRETCH_BYTES: u64 = FRAME_EVENTS_BYTES_MAX as u64 / 2 - 64;

/// The JSON of an event as [`protocol::timeline::EventRecord`].
pub(super) fn render_record(seq: Seq, at: Timestamp, data: &str) -> String {
    format!(r#"{{"seq":{seq},"at":{},"event":{data}}}"#, at.0)
}

/// The frame of one event, [`protocol::client::ServerMessage::Event`], from its record.
#[must_use]
pub fn render_event_frame(record: &str) -> String {
    let members = record.strip_prefix('{').unwrap_or(record);
    format!(r#"{{"type":"event",{members}"#)
}

/// The frame of several events, [`protocol::client::ServerMessage::Events`], from their records.
#[must_use]
pub fn render_events_frame<T: AsRef<str>>(records: &[T]) -> String {
    let bytes: usize = records.iter().map(|record| record.as_ref().len() + 1).sum();
    let mut frame = String::with_capacity(bytes + 32);
    frame.push_str(r#"{"type":"events","events":["#);
    for record in records {
        push_element(&mut frame, record.as_ref());
    }
    frame.push_str("]}");
    frame
}

impl<S: Sql> Store<S> {
    /// Gives the events after `since` to `send`, in order: frames of several events within the limits of the wire. All of them must
    /// be kept, see [`crate::core::Session::kept_from`].
    pub fn replay(&self, since: Seq, mut send: impl FnMut(&str)) -> Result<(), StoreError> {
        let newest = self.load_seq()?;
        let mut last = since;
        while last < newest {
            let rows = self.sql.exec(
                "WITH sized AS (SELECT seq, octet_length(data) + ?3 AS bytes FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2), \
                 summed AS (SELECT seq, bytes, bytes > ?4 AS alone, SUM(bytes) OVER before AS total, \
                 SUM(bytes > ?4) OVER before AS loners FROM sized \
                 WINDOW before AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)) \
                 SELECT MAX(seq), '{\"type\":\"events\",\"events\":[' || group_concat(\
                 '{\"seq\":' || seq || ',\"at\":' || at || ',\"event\":' || data || '}', ',' ORDER BY seq) || ']}' \
                 FROM summed CROSS JOIN events USING (seq) WHERE total - bytes < ?5 \
                 GROUP BY loners, alone, CAST((total - bytes) / ?4 AS INTEGER) ORDER BY 1",
                &[
                    last.into(),
                    (FRAME_EVENTS_MAX as u64).into(),
                    ENVELOPE_BYTES.into(),
                    STRETCH_BYTES.into(),
                    ANSWER_BYTES_MAX.into(),
                ],
            )?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                last = row.number(0)?;
                send(row.text(1)?);
            }
        }
        Ok(())
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
