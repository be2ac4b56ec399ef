//! Items of the running turn: text grows without hole or overlap, sizes stay within limits, nothing is left running.
//!
//! Items that may still grow are kept whole, so that their end is told without their text, and their row is written at checkpoints.

use super::file::Output;
use super::input::{Effect, Work};
use super::limit::{
    ITEM_TEXT_BYTES_MAX, LINE_BYTES_MAX, OUTPUT_BYTES_MAX, PLAN_STEPS_MAX, TOOL_INPUT_BYTES_MAX,
    TURN_BYTES_MAX, TURN_ITEMS_MAX, UNSAVED_BYTES_MAX,
};
use super::milestone::has_words;
use super::outcome::cut;
use super::step::Step;
use protocol::id::{ArtifactId, ItemId};
use protocol::limit::TOOL_PREVIEW_BYTES_MAX;
use protocol::timeline::{Item, ItemContent, SessionEvent, ToolState, TurnOutcome};

/// An item of the running turn.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnItem {
    /// It does not grow: a plan, a notice, or what is done.
    Closed,
    /// Prose, reasoning or a tool call that may grow.
    Open {
        /// Its whole state.
        item: Box<Item>,
        /// Of its text or output.
        length: ItemLength,
        /// Bytes of it that are in events only.
        unsaved: usize,
    },
}

/// Length of what an item has of text or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemLength {
    /// As offsets count.
    pub utf16: u64,
    /// As limits count.
    pub bytes: usize,
}

impl ItemLength {
    /// Measures a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let utf16 = text.chars().map(|c| c.len_utf16() as u64).sum();
        Self { utf16, bytes: text.len() }
    }

    fn add(&mut self, more: Self) {
        self.utf16 += more.utf16;
        self.bytes += more.bytes;
    }
}

impl TurnItem {
    /// What a turn must remember of an item, `unsaved` bytes of whose text are not in its row.
    #[must_use]
    pub fn of(item: Item, unsaved: usize) -> Self {
        if !is_open(&item.content) {
            return Self::Closed;
        }
        let length = ItemLength::of(growing_text(&item.content).unwrap_or_default());
        Self::Open { length, item: Box::new(item), unsaved }
    }
}

/// Whether an item may still grow.
#[must_use]
pub fn is_open(content: &ItemContent) -> bool {
    match content {
        ItemContent::Text { done, .. } | ItemContent::Reasoning { done, .. } => !done,
        ItemContent::Tool { state, .. } => *state == ToolState::Running,
        ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => false,
    }
}

/// The text of an item that can grow.
#[must_use]
pub fn growing_text(content: &ItemContent) -> Option<&str> {
    match content {
        ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => Some(text),
        ItemContent::Tool { output, .. } => Some(output),
        ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => None,
    }
}

/// The same, to change it.
pub fn growing_text_mut(content: &mut ItemContent) -> Option<&mut String> {
    match content {
        ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => Some(text),
        ItemContent::Tool { output, .. } => Some(output),
        ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => None,
    }
}

impl Step<'_> {
    /// Whether the running turn's item can still end.
    pub(super) fn is_open_or_new(&self, id: &ItemId) -> bool {
        let known = self.session.turn.as_ref().and_then(|turn| turn.items.get(id));
        !matches!(known, Some(TurnItem::Closed))
    }

    pub(super) fn change_item(&mut self, mut item: Item) {
        let Some(turn) = &self.session.turn else { return };
        let known = turn.items.get(&item.id);
        let floods = known.is_none() && (turn.items.len() >= TURN_ITEMS_MAX || turn.bytes >= TURN_BYTES_MAX);
        if item.turn_id != turn.id || floods {
            return;
        }
        self.limit_content(&mut item);
        let seq = self.session.seq;
        let Some(turn) = &mut self.session.turn else { return };
        let grown = growing_text(&item.content).map_or(0, str::len);
        let says = has_words(&item.content);
        let event = match turn.items.get(&item.id) {
            Some(TurnItem::Open { item: known, unsaved, .. }) if is_revision(known, &item) => {
                let text = growing_text(&known.content).unwrap_or_default();
                let save = (*unsaved > 0).then(|| Effect::SaveText {
                    item_id: item.id.clone(),
                    seq,
                    text: text.to_owned(),
                });
                let mut revised = item.clone();
                if let Some(text) = growing_text_mut(&mut revised.content) {
                    text.clear();
                }
                turn.items.insert(item.id.clone(), TurnItem::of(item, 0));
                if let Some(save) = save {
                    self.order(save);
                }
                SessionEvent::ItemRevised { item: revised }
            }
            Some(_) | None => {
                turn.bytes += grown;
                turn.items.insert(item.id.clone(), TurnItem::of(item.clone(), 0));
                SessionEvent::ItemChanged { item }
            }
        };
        self.record(event);
        if says {
            self.note_words();
        }
    }

    /// Text that begins before the item's end loses what is known; text that leaves a hole is left out, and the item's next whole
    /// state heals it.
    pub(super) fn append_item(&mut self, item_id: ItemId, offset: u64, text: &str) {
        let Some(turn) = &mut self.session.turn else { return };
        let room = TURN_BYTES_MAX.saturating_sub(turn.bytes);
        let Some(TurnItem::Open { item, length, unsaved }) = turn.items.get_mut(&item_id) else { return };
        let Some(overlap) = length.utf16.checked_sub(offset) else { return };
        let limit = match &item.content {
            ItemContent::Tool { .. } => TOOL_PREVIEW_BYTES_MAX,
            ItemContent::Text { .. }
            | ItemContent::Reasoning { .. }
            | ItemContent::Plan { .. }
            | ItemContent::Notice { .. }
            | ItemContent::Unknown => ITEM_TEXT_BYTES_MAX,
        };
        let mut text = skip_utf16(text, overlap).to_owned();
        cut(&mut text, limit.saturating_sub(length.bytes).min(room));
        if text.is_empty() {
            return;
        }
        let offset = length.utf16;
        length.add(ItemLength::of(&text));
        turn.bytes += text.len();
        *unsaved += text.len();
        let (mut whole, mut says) = (None, false);
        if let Some(grown) = growing_text_mut(&mut item.content) {
            grown.push_str(&text);
            if *unsaved >= UNSAVED_BYTES_MAX {
                *unsaved = 0;
                whole = Some(grown.clone());
            }
            says = has_words(&item.content);
        }
        let seq = self.record(SessionEvent::ItemAppended { item_id: item_id.clone(), offset, text });
        if let Some(text) = whole {
            self.order(Effect::SaveText { item_id, seq, text });
        }
        if says {
            self.note_words();
        }
    }

    /// Writes the text of every item that may still grow to its row.
    pub(super) fn save_texts(&mut self) {
        let seq = self.session.seq;
        let Some(turn) = &mut self.session.turn else { return };
        let mut saves = Vec::new();
        for (item_id, known) in turn.items.iter_mut() {
            if let TurnItem::Open { item, unsaved, .. } = known {
                *unsaved = 0;
                let text = growing_text(&item.content).unwrap_or_default().to_owned();
                saves.push(Effect::SaveText { item_id: item_id.clone(), seq, text });
            }
        }
        for save in saves {
            self.order(save);
        }
    }

    /// A turn that is over has nothing that runs or grows.
    pub(super) fn close_items(&mut self, outcome: &TurnOutcome) {
        let now = self.now();
        let message = match outcome {
            TurnOutcome::Completed => "the turn ended before this call answered",
            TurnOutcome::Stopped => "cut off by the stop",
            TurnOutcome::Failed { .. } => "cut off: the turn failed",
        };
        let Some(turn) = &self.session.turn else { return };
        let open = turn.items.values().filter_map(|known| match known {
            TurnItem::Open { item, .. } => Some(item.as_ref().clone()),
            TurnItem::Closed => None,
        });
        for mut item in open.collect::<Vec<_>>() {
            let duration_ms = now.ms_since(item.started_at);
            match &mut item.content {
                ItemContent::Tool { state, .. } => {
                    *state = ToolState::Failed { duration_ms, message: message.to_owned() };
                }
                ItemContent::Text { done, .. } | ItemContent::Reasoning { done, .. } => *done = true,
                ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => {}
            }
            self.change_item(item);
        }
    }

    /// Brings an item within its limits. Output too long for events becomes a preview, and the whole an artifact.
    fn limit_content(&mut self, item: &mut Item) {
        match &mut item.content {
            ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => {
                cut(text, ITEM_TEXT_BYTES_MAX);
            }
            ItemContent::Tool { name, title, input, output, state, omitted_bytes, artifact_id } => {
                cut(name, LINE_BYTES_MAX);
                cut(title, LINE_BYTES_MAX);
                cut(input, TOOL_INPUT_BYTES_MAX);
                cut(output, OUTPUT_BYTES_MAX);
                // A runner cannot name artifacts of ours.
                *artifact_id = None;
                if let ToolState::Failed { message, .. } = state {
                    cut(message, TOOL_INPUT_BYTES_MAX);
                }
                if output.len() > TOOL_PREVIEW_BYTES_MAX {
                    let preview = preview_of(output);
                    *omitted_bytes = omitted_bytes.saturating_add((output.len() - preview.len()) as u64);
                    let whole = std::mem::replace(output, preview);
                    if *state != ToolState::Running {
                        let id = ArtifactId::from_random(self.draw());
                        *artifact_id = Some(id.clone());
                        self.keep_output(id, whole);
                    }
                }
            }
            ItemContent::Plan { steps } => {
                steps.truncate(PLAN_STEPS_MAX);
                for step in steps {
                    cut(&mut step.text, LINE_BYTES_MAX);
                }
            }
            ItemContent::Notice { text, .. } => cut(text, TOOL_INPUT_BYTES_MAX),
            ItemContent::Unknown => {}
        }
    }

    fn keep_output(&mut self, artifact_id: ArtifactId, text: String) {
        self.order(Effect::SaveOutput { artifact_id: artifact_id.clone(), output: Output::of_text(text) });
        self.enqueue(Work::StoreOutput { artifact_id });
    }
}

/// Whether only something else than the text has changed.
fn is_revision(known: &Item, new: &Item) -> bool {
    growing_text(&new.content).is_some()
        && std::mem::discriminant(&known.content) == std::mem::discriminant(&new.content)
        && growing_text(&known.content) == growing_text(&new.content)
}

/// The first and the last part of a long output.
fn preview_of(output: &str) -> String {
    let head = output.floor_char_boundary(TOOL_PREVIEW_BYTES_MAX / 2);
    let tail = output.ceil_char_boundary(output.len() - TOOL_PREVIEW_BYTES_MAX / 2 + 8);
    let part = |range: &str| range.to_owned();
    format!(
        "{}\n…\n{}",
        part(output.get(..head).unwrap_or_default()),
        part(output.get(tail..).unwrap_or_default())
    )
}

/// The text without its first `units` UTF-16 code units; a character cut in half is left out.
fn skip_utf16(text: &str, units: u64) -> &str {
    let mut skipped = 0;
    for (index, character) in text.char_indices() {
        if skipped >= units {
            return text.get(index..).unwrap_or_default();
        }
        skipped += character.len_utf16() as u64;
    }
    ""
}
