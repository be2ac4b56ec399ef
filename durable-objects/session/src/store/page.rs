//! Which part of the transcript fits one snapshot or one page of history, and that part as JSON, put together by SQLite.
//!
//! Turns, items and prompts that were taken back have their places in one line, the numbers of the events that brought them. A part is
//! a stretch of that line, so the next one goes on exactly where it begins.

use super::Store;
use super::item::pieces_of;
use super::row::push_element;
use super::sql::{Sql, StoreError, Value};
use protocol::timeline::Seq;

/// Beyond every place.
pub(super) const END: Seq = (1 << 53) - 1;
/// Bytes of one text that SQLite answers, roughly; with the longest row it stays below SQLite's 2 MB.
const CHUNK_BYTES: u64 = 256 * 1024;
/// What a turn or an item weighs besides its texts. It also bounds the rows that are looked at.
const ROW_BYTES: u64 = 250;

/// A stretch of the transcript.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Place of the oldest thing in it; 0 when nothing is before it.
    from: Seq,
    /// Place of the oldest turn of which something is in it.
    first_turn: Seq,
    /// Where it ends.
    before: Seq,
}

impl Part {
    /// `before` of the part before this one.
    pub(super) fn earlier(self) -> Option<Seq> {
        (self.from > 0).then_some(self.from)
    }
}

/// The prompts of a part: of its turns, those that went into them, those taken back meanwhile, and on request those that wait.
const WANTED: &str = "shown AS (SELECT prompt_id, turn_id FROM turns WHERE position >= ?1 AND position < ?2), \
    wanted AS (SELECT prompt_id FROM shown UNION SELECT prompts.prompt_id FROM shown JOIN prompts \
    ON steered_into = shown.turn_id UNION SELECT prompt_id FROM prompts WHERE state = 'cancelled' AND seq >= ?3 \
    AND seq < ?2 UNION SELECT prompt_id FROM queue WHERE ?4),";

impl<S: Sql> Store<S> {
    /// The newest part before a place that fits: whole turns, unless those alone would leave half of it empty.
    pub(super) fn load_part(&self, before: Seq, bytes_max: u64) -> Result<Part, StoreError> {
        let row = self.first_row(
            "WITH line AS (\
             SELECT position, octet_length(content) + octet_length(text) + ?3 AS bytes, 0 AS is_turn FROM items \
             WHERE position < ?1 \
             UNION ALL SELECT position, octet_length(content) + COALESCE(octet_length(turn_end), 0) + ?3, 1 FROM turns \
             JOIN messages USING (prompt_id) WHERE position < ?1 AND role = 'user' \
             UNION ALL SELECT seq, octet_length(content) + ?3, 0 FROM prompts JOIN messages USING (prompt_id) \
             WHERE state = 'cancelled' AND seq < ?1 AND role = 'user' \
             ORDER BY position DESC LIMIT CAST(?2 / ?3 AS INTEGER) + 1), \
             summed AS (SELECT position, is_turn, bytes, SUM(bytes) OVER (ORDER BY position DESC ROWS UNBOUNDED PRECEDING) \
             AS total FROM line), \
             fitting AS (SELECT position, is_turn, total FROM summed WHERE total <= ?2 OR total = bytes), \
             start AS (SELECT COALESCE((SELECT MIN(position) FROM fitting WHERE is_turn AND total * 2 >= ?2 \
             AND (SELECT MIN(position) FROM fitting) < position), (SELECT MIN(position) FROM fitting)) AS place) \
             SELECT place, COALESCE((SELECT MAX(position) FROM turns WHERE position <= place), place), \
             EXISTS (SELECT 1 FROM turns WHERE position < place) \
             OR EXISTS (SELECT 1 FROM prompts WHERE state = 'cancelled' AND seq < place) FROM start",
            &[before.into(), bytes_max.into(), ROW_BYTES.into()],
        )?;
        let nothing = Part { from: 0, first_turn: 0, before };
        let Some(row) = row else { return Ok(nothing) };
        let Some(place) = row.number_or_null(0)? else { return Ok(nothing) };
        let from = if row.number(2)? == 1 { place } else { 0 };
        Ok(Part { from, first_turn: row.number(1)?.min(place), before })
    }

    /// The members `prompts`, `turns`, `items` and `places`, and `earlier` where something is left out.
    pub(super) fn render_part(
        &self,
        json: &mut String,
        part: Part,
        with_queue: bool,
    ) -> Result<(), StoreError> {
        let turns: [Value; 2] = [part.first_turn.into(), part.before.into()];
        let prompts = [turns[0].clone(), turns[1].clone(), part.from.into(), u32::from(with_queue).into()];
        let items: [Value; 2] = [part.from.into(), part.before.into()];
        json.push_str(r#""prompts":["#);
        self.splice(
            json,
            WANTED,
            "SELECT seq, '{\"id\":\"' || prompt_id || '\",\"author\":\"' || prompts.author_id || '\",\"origin\":\"' || origin \
             || '\",\"text\":' || json_quote(content) || CASE WHEN model IS NULL THEN '' ELSE ',\"model\":' || json_quote(model) END \
             || CASE WHEN effort IS NULL THEN '' ELSE ',\"effort\":\"' || effort || '\"' END \
             || ',\"submittedAt\":' || submitted_at || ',\"state\":\"' || state || '\"' \
             || CASE delivery WHEN 'queue' THEN '' ELSE ',\"delivery\":\"' || delivery || '\"' END \
             || CASE WHEN steered_into IS NULL THEN '' ELSE ',\"steeredInto\":\"' || steered_into || '\"' END \
             || CASE WHEN edited_by IS NULL THEN '' ELSE ',\"editedBy\":\"' || edited_by || '\"' END \
             || CASE WHEN cancelled_by IS NULL THEN '' ELSE ',\"cancelledBy\":\"' || cancelled_by || '\"' END \
             || CASE prompts.attachments WHEN '[]' THEN '' ELSE ',\"attachments\":' || prompts.attachments END \
             || CASE WHEN traceparent IS NULL THEN '' ELSE ',\"traceparent\":\"' || traceparent || '\"' END || '}' \
             FROM wanted JOIN prompts USING (prompt_id) JOIN messages USING (prompt_id) WHERE role = 'user'",
            &prompts,
        )?;
        json.push_str(r#"],"turns":["#);
        self.splice(
            json,
            "",
            "SELECT position, '{\"id\":\"' || turn_id || '\",\"promptId\":\"' || prompt_id || '\",\"attempt\":' || attempt \
             || ',\"startedAt\":' || started_at \
             || CASE WHEN stop_requested_by IS NULL THEN '' ELSE ',\"stopRequestedBy\":\"' || stop_requested_by || '\"' END \
             || CASE WHEN turn_end IS NULL THEN '' ELSE ',\"end\":' || turn_end END || '}' \
             FROM turns WHERE position >= ?1 AND position < ?2",
            &turns,
        )?;
        json.push_str(r#"],"items":["#);
        self.splice(
            json,
            &format!("{},", pieces_of("position >= ?1 AND position < ?2")),
            "SELECT position, '{\"id\":\"' || item_id || '\",\"turnId\":\"' || turn_id || '\",\"startedAt\":' || started_at \
             || ',\"content\":' || CASE WHEN type NOT IN ('text', 'reasoning', 'tool') THEN content \
             WHEN piece IS NULL THEN json_set(content, CASE type WHEN 'tool' THEN '$.output' ELSE '$.text' END, text) \
             ELSE json_set(content, CASE type WHEN 'tool' THEN '$.output' ELSE '$.text' END, \
             json(substr(json_quote(text), 1, length(json_quote(text)) - 1) || piece || '\"')) END || '}' \
             FROM items LEFT JOIN pieces USING (item_id) WHERE position >= ?1 AND position < ?2",
            &items,
        )?;
        json.push_str(r#"],"places":{"prompts":["#);
        self.splice(json, WANTED, "SELECT seq, seq FROM wanted JOIN prompts USING (prompt_id)", &prompts)?;
        json.push_str(r#"],"turns":["#);
        self.splice(
            json,
            "",
            "SELECT position, position FROM turns WHERE position >= ?1 AND position < ?2",
            &turns,
        )?;
        json.push_str(r#"],"items":["#);
        self.splice(
            json,
            "",
            "SELECT position, position FROM items WHERE position >= ?1 AND position < ?2",
            &items,
        )?;
        json.push_str("]}");
        if let Some(earlier) = part.earlier() {
            json.push_str(&format!(r#","earlier":{earlier}"#));
        }
        Ok(())
    }

    /// Puts the JSON texts of the second column of `select`, ordered by the first, into `json` with commas between.
    pub(super) fn splice(
        &self,
        json: &mut String,
        with: &str,
        select: &str,
        params: &[Value],
    ) -> Result<(), StoreError> {
        let query = format!(
            "WITH {with} rows (place, json) AS ({select}), \
             summed AS (SELECT place, json, SUM(octet_length(json)) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) AS total \
             FROM rows) SELECT group_concat(json, ',' ORDER BY place) FROM summed GROUP BY total / {CHUNK_BYTES} \
             ORDER BY MIN(place)"
        );
        for row in &self.sql.exec(&query, params)? {
            push_element(json, row.text(0)?);
        }
        Ok(())
    }
}
