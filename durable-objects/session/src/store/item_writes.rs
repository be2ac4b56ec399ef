//! What a batch does to the rows of items, written once per item and with one statement for all of them: an agent at work changes
//! each of its tool calls several times within a batch, and every statement is a crossing into the runtime.

use super::Store;
use super::item::{item_type, split_text};
use super::row::{BOUND_BYTES_MAX, json, push_element};
use super::sql::{Sql, StoreError, Value};
use crate::core::is_open;
use protocol::id::{ItemId, TurnId};
use protocol::time::Timestamp;
use protocol::timeline::{Item, Seq};

/// Changes of items that are not written yet.
#[derive(Default)]
pub(super) struct ItemWrites {
    rows: Vec<ItemWrite>,
}

/// The newest state of one item, as far as this batch says.
struct ItemWrite {
    item_id: ItemId,
    /// Turn, type and position, when the batch has all of the item; otherwise its row is there.
    whole: Option<(TurnId, &'static str, Seq)>,
    /// Start, content without the growing text, whether it may grow.
    state: Option<(Timestamp, String, bool)>,
    /// The text, and the newest event in it.
    text: Option<(String, Seq)>,
}

impl ItemWrites {
    fn update(&mut self, item_id: &ItemId, update: impl FnOnce(&mut ItemWrite)) {
        let mut row = match self.rows.iter().position(|row| row.item_id == *item_id) {
            Some(place) => self.rows.swap_remove(place),
            None => ItemWrite { item_id: item_id.clone(), whole: None, state: None, text: None },
        };
        update(&mut row);
        self.rows.push(row);
    }

    /// All of an item.
    pub(super) fn change(&mut self, seq: Seq, item: &Item) -> Result<(), StoreError> {
        let (content, text) = split_text(&item.content);
        let state = (item.started_at, json(&content)?, is_open(&item.content));
        self.update(&item.id, |row| {
            let position = row.whole.as_ref().map_or(seq, |(_, _, position)| *position);
            row.whole = Some((item.turn_id.clone(), item_type(&item.content), position));
            row.state = Some(state);
            row.text = Some((text, seq));
        });
        Ok(())
    }

    /// Everything but the text.
    pub(super) fn revise(&mut self, item: &Item) -> Result<(), StoreError> {
        let (content, _) = split_text(&item.content);
        let state = (item.started_at, json(&content)?, is_open(&item.content));
        self.update(&item.id, |row| row.state = Some(state));
        Ok(())
    }

    /// The text only.
    pub(super) fn save_text(&mut self, item_id: &ItemId, seq: Seq, text: &str) {
        self.update(item_id, |row| row.text = Some((text.to_owned(), seq)));
    }
}

impl ItemWrite {
    fn bytes(&self) -> usize {
        let content = self.state.as_ref().map_or(0, |(_, content, _)| content.len());
        content + self.text.as_ref().map_or(0, |(text, _)| text.len())
    }

    /// As one element of the statements' JSON.
    fn element(&self) -> Result<String, StoreError> {
        let whole = self.whole.as_ref();
        let state = self.state.as_ref();
        json(&(
            self.item_id.as_str(),
            whole.map(|(turn_id, _, _)| turn_id.as_str()),
            whole.map(|(_, kind, _)| *kind),
            whole.map(|(_, _, position)| *position),
            state.map(|(started_at, _, _)| started_at.0),
            state.map(|(_, content, _)| content.as_str()),
            state.map(|(_, _, open)| u32::from(*open)),
            self.text.as_ref().map(|(text, _)| text.as_str()),
            self.text.as_ref().map(|(_, seq)| *seq),
        ))
    }

    /// SQLite ends a text out of JSON at the character NUL, which a program may well print.
    fn needs_own_statement(&self) -> bool {
        self.text.as_ref().is_some_and(|(text, _)| text.contains('\0'))
    }
}

impl<S: Sql> Store<S> {
    /// Writes what has gathered.
    pub(super) fn write_items(&self, writes: &mut ItemWrites) -> Result<(), StoreError> {
        // Elements of JSON arrays, without the brackets.
        let (mut inserts, mut updates) = (String::new(), String::new());
        for row in writes.rows.drain(..) {
            if row.needs_own_statement() || row.bytes() > BOUND_BYTES_MAX {
                self.write_item(row)?;
                continue;
            }
            let is_whole = row.whole.is_some();
            let rows = if is_whole { &mut inserts } else { &mut updates };
            push_element(rows, &row.element()?);
            if rows.len() > BOUND_BYTES_MAX {
                self.write_rows(is_whole, std::mem::take(rows))?;
            }
        }
        self.write_rows(true, inserts)?;
        self.write_rows(false, updates)
    }

    fn write_rows(&self, is_whole: bool, rows: String) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let statement = if is_whole {
            "INSERT INTO items (item_id, turn_id, type, position, started_at, content, open, text, text_seq) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
             value ->> 7, value ->> 8 FROM json_each('[' || ?1 || ']') WHERE TRUE \
             ON CONFLICT (item_id) DO UPDATE SET turn_id = excluded.turn_id, type = excluded.type, \
             started_at = excluded.started_at, content = excluded.content, open = excluded.open, text = excluded.text, \
             text_seq = excluded.text_seq"
        } else {
            "UPDATE items SET started_at = COALESCE(value ->> 4, started_at), content = COALESCE(value ->> 5, content), \
             open = COALESCE(value ->> 6, open), text = COALESCE(value ->> 7, text), \
             text_seq = COALESCE(value ->> 8, text_seq) \
             FROM json_each('[' || ?1 || ']') WHERE item_id = value ->> 0"
        };
        self.sql.exec(statement, &[rows.into()])?;
        Ok(())
    }

    /// One row, bound value by value.
    fn write_item(&self, row: ItemWrite) -> Result<(), StoreError> {
        if let Some((turn_id, kind, position)) = row.whole {
            self.sql.exec(
                "INSERT INTO items (item_id, turn_id, type, position, started_at, content, text) \
                 VALUES (?1, ?2, ?3, ?4, 0, '', '') \
                 ON CONFLICT (item_id) DO UPDATE SET turn_id = excluded.turn_id, type = excluded.type",
                &[row.item_id.as_str().into(), turn_id.as_str().into(), kind.into(), position.into()],
            )?;
        }
        let (started_at, content, open) =
            row.state.map_or((None, None, None), |(started_at, content, open)| {
                (Some(started_at), Some(content), Some(u32::from(open)))
            });
        let (text, text_seq) = row.text.map_or((None, None), |(text, seq)| (Some(text), Some(seq)));
        self.sql.exec(
            "UPDATE items SET started_at = COALESCE(?2, started_at), content = COALESCE(?3, content), \
             open = COALESCE(?4, open), text = COALESCE(?5, text), text_seq = COALESCE(?6, text_seq) WHERE item_id = ?1",
            &[
                row.item_id.as_str().into(),
                started_at.into(),
                content.into(),
                open.into(),
                Value::from(text),
                text_seq.into(),
            ],
        )?;
        Ok(())
    }
}
