//! Items of the running turn: text grows without hole or overlap, sizes stay within limits, nothing is left running.
//!
//! Only what later events may refer to is kept: the length of prose, the whole of a running tool call.

use super::limit::{
    ITEM_TEXT_BYTES_MAX, LINE_BYTES_MAX, PLAN_STEPS_MAX, TOOL_INPUT_BYTES_MAX, TURN_ITEMS_MAX,
};
use super::outcome::cut;
use super::step::Step;
use protocol::id::ItemId;
use protocol::timeline::{Item, ItemContent, SessionEvent, ToolState, TurnOutcome};

/// An item of the running turn.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnItem {
    /// It does not grow: a plan, a notice, or what is done.
    Closed,
    /// Prose or reasoning that may grow.
    Growing(ItemLength),
    /// A tool call that runs.
    Tool {
        /// Its whole state.
        item: Box<Item>,
        /// Of its output.
        length: ItemLength,
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
    /// What a turn must remember of an item.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        match &item.content {
            ItemContent::Text { text, done: false } | ItemContent::Reasoning { text, done: false } => {
                Self::Growing(ItemLength::of(text))
            }
            ItemContent::Tool { state: ToolState::Running, output, .. } => {
                Self::Tool { length: ItemLength::of(output), item: Box::new(item.clone()) }
            }
            ItemContent::Text { .. }
            | ItemContent::Reasoning { .. }
            | ItemContent::Tool { .. }
            | ItemContent::Plan { .. }
            | ItemContent::Notice { .. }
            | ItemContent::Unknown => Self::Closed,
        }
    }
}

impl Step<'_> {
    pub(super) fn change_item(&mut self, mut item: Item) {
        let Some(turn) = &mut self.session.turn else { return };
        let floods = turn.items.len() >= TURN_ITEMS_MAX && !turn.items.contains_key(&item.id);
        if item.turn_id != turn.id || floods {
            return;
        }
        limit_content(&mut item.content);
        turn.items.insert(item.id.clone(), TurnItem::of(&item));
        self.record(SessionEvent::ItemChanged { item });
    }

    /// Text that begins before the item's end loses what is known; text that leaves a hole is left out, and the item's next whole
    /// state heals it.
    pub(super) fn append_item(&mut self, item_id: ItemId, offset: u64, text: &str) {
        let Some(known) = self.session.turn.as_mut().and_then(|turn| turn.items.get_mut(&item_id)) else {
            return;
        };
        let length = match known {
            TurnItem::Closed => return,
            TurnItem::Growing(length) | TurnItem::Tool { length, .. } => length,
        };
        let Some(overlap) = length.utf16.checked_sub(offset) else { return };
        let mut text = skip_utf16(text, overlap).to_owned();
        cut(&mut text, ITEM_TEXT_BYTES_MAX.saturating_sub(length.bytes));
        if text.is_empty() {
            return;
        }
        let offset = length.utf16;
        length.add(ItemLength::of(&text));
        if let TurnItem::Tool { item, .. } = known
            && let ItemContent::Tool { output, .. } = &mut item.content
        {
            output.push_str(&text);
        }
        self.record(SessionEvent::ItemAppended { item_id, offset, text });
    }

    /// A turn that is over has no running tool.
    pub(super) fn close_tools(&mut self, outcome: &TurnOutcome) {
        let now = self.now();
        let message = match outcome {
            TurnOutcome::Completed => "the turn ended before this call answered",
            TurnOutcome::Stopped => "cut off by the stop",
            TurnOutcome::Failed { .. } => "cut off: the turn failed",
        };
        let Some(turn) = &mut self.session.turn else { return };
        let mut open = Vec::new();
        for known in turn.items.values_mut() {
            if let TurnItem::Tool { item, .. } = known {
                open.push(item.as_ref().clone());
                *known = TurnItem::Closed;
            }
        }
        for mut item in open {
            let duration_ms = now.ms_since(item.started_at);
            if let ItemContent::Tool { state, .. } = &mut item.content {
                *state = ToolState::Failed { duration_ms, message: message.to_owned() };
            }
            self.record(SessionEvent::ItemChanged { item });
        }
    }
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

fn limit_content(content: &mut ItemContent) {
    match content {
        ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => {
            cut(text, ITEM_TEXT_BYTES_MAX)
        }
        ItemContent::Tool { name, title, input, output, state, .. } => {
            cut(name, LINE_BYTES_MAX);
            cut(title, LINE_BYTES_MAX);
            cut(input, TOOL_INPUT_BYTES_MAX);
            cut(output, ITEM_TEXT_BYTES_MAX);
            if let ToolState::Failed { message, .. } = state {
                cut(message, TOOL_INPUT_BYTES_MAX);
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
