//! Items: their rows, and the text that is in events only. A closed item's row has all of its text; an open one's is completed by
//! the pieces in the events after its `text_seq`. Read here, written by `item_writes`. Called by `commit`, `load` and `page`.

use super::Store;
use super::row::{from_json, id};
use super::sql::{Row, Sql, StoreError};
use crate::core::{Output, TurnItem, growing_text_mut};
use platform::map::Map;
use protocol::id::{ArtifactId, ItemId, TurnId};
use protocol::timeline::{Item, ItemContent};

/// `pieces(item_id, piece)`: what open items grew by since their rows were written, as the inside of a JSON string, so that it is
/// neither unescaped nor escaped again. The events looked at are those of one turn at most, and none when no item with this
/// condition is open.
pub(super) fn pieces_of(condition: &str) -> String {
    format!(
        "pieces AS MATERIALIZED (\
         SELECT item_id, group_concat(substr(grown_text, 2, length(grown_text) - 2), '' ORDER BY grown.seq) AS piece FROM (\
         SELECT seq, data ->> '$.itemId' AS grown_id, data -> '$.text' AS grown_text FROM events \
         WHERE seq > (SELECT MIN(text_seq) FROM items WHERE open = 1 AND {condition}) \
         AND data GLOB '{{\"type\":\"item_appended\"*') AS grown \
         CROSS JOIN items ON item_id = grown_id WHERE open = 1 AND grown.seq > text_seq GROUP BY item_id)"
    )
}

impl<S: Sql> Store<S> {
    pub(super) fn save_output(&self, artifact_id: &ArtifactId, output: &Output) -> Result<(), StoreError> {
        self.sql.exec(
            "INSERT INTO outputs (artifact_id, media_type, text) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &[artifact_id.as_str().into(), output.media_type.as_str().into(), output.text.as_str().into()],
        )?;
        Ok(())
    }

    /// A tool's whole output, or a file, that is not yet stored as an artifact.
    pub fn load_output(&self, artifact_id: &ArtifactId) -> Result<Option<Output>, StoreError> {
        let row = self.first_row(
            "SELECT media_type, text FROM outputs WHERE artifact_id = ?1",
            &[artifact_id.as_str().into()],
        )?;
        row.map(|row| Ok(Output { media_type: row.text(0)?.to_owned(), text: row.text(1)?.to_owned() }))
            .transpose()
    }

    /// The items of the running turn as the core knows them, and the bytes of their text.
    pub(super) fn load_turn_items(
        &self,
        turn_id: &TurnId,
    ) -> Result<(Map<ItemId, TurnItem>, usize), StoreError> {
        let mut items = Map::new();
        let mut bytes = 0;
        let closed = self.sql.exec(
            "SELECT item_id, octet_length(text) FROM items WHERE turn_id = ?1 AND open = 0",
            &[turn_id.as_str().into()],
        )?;
        for row in &closed {
            bytes += usize::try_from(row.number(1)?).unwrap_or(usize::MAX);
            items.insert(id(ItemId::parse(row.text(0)?))?, TurnItem::Closed);
        }
        let open = self.sql.exec(
            &format!(
                "WITH {} SELECT item_id, turn_id, started_at, content, text, piece FROM items LEFT JOIN pieces USING (item_id) \
                 WHERE turn_id = ?1 AND open = 1",
                pieces_of("turn_id = ?1")
            ),
            &[turn_id.as_str().into()],
        )?;
        for row in &open {
            let mut item = read_item(row)?;
            let piece: String = match row.text_or_null(5)? {
                Some(piece) => from_json(&format!("\"{piece}\""))?,
                None => String::new(),
            };
            if let Some(text) = growing_text_mut(&mut item.content) {
                text.push_str(&piece);
                bytes += text.len();
            }
            items.insert(item.id.clone(), TurnItem::of(item, piece.len()));
        }
        Ok((items, bytes))
    }
}

/// An item's content without the text that grows, and that text.
pub(super) fn split_text(content: &ItemContent) -> (ItemContent, String) {
    let mut content = content.clone();
    let text = growing_text_mut(&mut content).map(std::mem::take).unwrap_or_default();
    (content, text)
}

/// Reads `item_id, turn_id, started_at, content, text`.
fn read_item(row: &Row) -> Result<Item, StoreError> {
    let mut item = Item {
        id: id(ItemId::parse(row.text(0)?))?,
        turn_id: id(TurnId::parse(row.text(1)?))?,
        started_at: row.timestamp(2)?,
        content: from_json(row.text(3)?)?,
    };
    if let Some(text) = growing_text_mut(&mut item.content) {
        row.text(4)?.clone_into(text);
    }
    Ok(item)
}

pub(super) fn item_type(content: &ItemContent) -> &'static str {
    match content {
        ItemContent::Text { .. } => "text",
        ItemContent::Reasoning { .. } => "reasoning",
        ItemContent::Tool { .. } => "tool",
        ItemContent::Plan { .. } => "plan",
        ItemContent::Notice { .. } => "notice",
        ItemContent::Unknown => "unknown",
    }
}
