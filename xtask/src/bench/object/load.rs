//! What a runner reports: prose in deltas and tool calls, as an agent at work writes them.

use protocol::bridge::EventBatch;
use protocol::id::{ItemId, SandboxId, TurnId};
use protocol::limit::BATCH_EVENTS_MAX;
use protocol::runner::{RunnerEvent, RunnerEventRecord};
use protocol::time::Timestamp;
use protocol::timeline::{Item, ItemContent, NoticeLevel, ToolState};
use std::time::{SystemTime, UNIX_EPOCH};

/// A delta of a model, in characters.
pub(super) const DELTA: usize = 21;
/// Batches that one text item goes on for.
const BATCHES_PER_TEXT: u64 = 10;
/// Deltas before each tool call of a batch.
const DELTAS: usize = 7;
const TOOLS: usize = 5;

/// Now, as both sides write it.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// English prose of at least `length` characters, all ASCII: the licence, over and over.
pub(super) fn prose(length: usize) -> anyhow::Result<String> {
    let licence = std::fs::read_to_string(stack::root().join("LICENSE"))?;
    let words: Vec<&str> = licence.split_whitespace().filter(|word| word.is_ascii()).collect();
    let mut prose = String::new();
    for word in words.iter().cycle() {
        if prose.len() >= length {
            break;
        }
        prose.push_str(word);
        prose.push(' ');
    }
    Ok(prose)
}

/// The runner of one sandbox, with one turn.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) sandbox_id: SandboxId,
    pub(super) turn_id: TurnId,
    pub(super) seq: u64,
    prose: String,
    cursor: usize,
    items: u64,
    batches: u64,
    text: Option<(ItemId, String)>,
}

impl Runner {
    pub(super) fn new(sandbox_id: SandboxId, turn_id: TurnId, seq: u64) -> anyhow::Result<Self> {
        let prose = prose(100_000)?;
        Ok(Self { sandbox_id, turn_id, seq, prose, cursor: 0, items: 0, batches: 0, text: None })
    }

    /// Numbers events and puts them into a batch.
    pub(super) fn batch(&mut self, events: Vec<RunnerEvent>) -> EventBatch {
        let at = now();
        let events = events
            .into_iter()
            .map(|event| {
                self.seq += 1;
                RunnerEventRecord { seq: self.seq, at, event }
            })
            .collect();
        EventBatch { sandbox_id: self.sandbox_id.clone(), generation: 1, events, spending: None }
    }

    pub(super) fn item(&mut self, content: ItemContent) -> Item {
        self.items += 1;
        // As long as a runner's ids, because each delta carries one.
        let random = u128::from(self.items).to_be_bytes();
        Item { id: ItemId::from_random(random), turn_id: self.turn_id.clone(), started_at: now(), content }
    }

    fn words(&mut self, length: usize) -> String {
        if self.cursor + length > self.prose.len() {
            self.cursor = 0;
        }
        let piece = self.prose.get(self.cursor..self.cursor + length).unwrap_or_default().to_owned();
        self.cursor += length;
        piece
    }

    /// A full batch of an agent at work: five times some prose and a tool call that starts, prints and ends.
    pub(super) fn work(&mut self) -> EventBatch {
        let mut events = Vec::with_capacity(BATCH_EVENTS_MAX);
        let turns_page = self.batches.is_multiple_of(BATCHES_PER_TEXT);
        self.batches += 1;
        if turns_page {
            if let Some((id, text)) = self.text.take() {
                let content = ItemContent::Text { text, done: true };
                let item = Item { id, turn_id: self.turn_id.clone(), started_at: now(), content };
                events.push(RunnerEvent::ItemChanged { item });
            }
            let item = self.item(ItemContent::Text { text: String::new(), done: false });
            self.text = Some((item.id.clone(), String::new()));
            events.push(RunnerEvent::ItemChanged { item });
        }
        let mut deltas = BATCH_EVENTS_MAX - 3 * TOOLS - events.len();
        for _ in 0..TOOLS {
            for _ in 0..deltas.min(DELTAS) {
                events.extend(self.delta());
            }
            deltas = deltas.saturating_sub(DELTAS);
            events.extend(self.tool());
        }
        self.batch(events)
    }

    fn delta(&mut self) -> Option<RunnerEvent> {
        let piece = self.words(DELTA);
        let (id, text) = self.text.as_mut()?;
        let offset = text.len() as u64;
        text.push_str(&piece);
        Some(RunnerEvent::ItemAppended { item_id: id.clone(), offset, text: piece })
    }

    fn tool(&mut self) -> [RunnerEvent; 3] {
        let output = self.words(160);
        let title = self.words(40);
        let input = self.words(60);
        let content = |state, output: &str| ItemContent::Tool {
            name: "bash".to_owned(),
            title: title.clone(),
            input: input.clone(),
            state,
            output: output.to_owned(),
            omitted_bytes: 0,
            artifact_id: None,
        };
        let running = self.item(content(ToolState::Running, ""));
        let state = ToolState::Completed { duration_ms: 12, exit_code: Some(0), edit: None };
        let completed = Item { content: content(state, &output), ..running.clone() };
        [
            RunnerEvent::ItemChanged { item: running.clone() },
            RunnerEvent::ItemAppended { item_id: running.id, offset: 0, text: output },
            RunnerEvent::ItemChanged { item: completed },
        ]
    }

    /// A batch of finished tool calls: each is an event of its own for clients, however events are merged.
    pub(super) fn tools(&mut self, count: usize) -> EventBatch {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            let [_, _, completed] = self.tool();
            events.push(completed);
        }
        self.batch(events)
    }

    /// One line that viewers can recognise.
    pub(super) fn notice(&mut self, text: String) -> EventBatch {
        let item = self.item(ItemContent::Notice { level: NoticeLevel::Info, text });
        self.batch(vec![RunnerEvent::ItemChanged { item }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_batch_is_full_and_its_texts_have_no_holes() {
        let mut runner =
            Runner::new(SandboxId::from_random([1; 16]), TurnId::from_random([2; 16]), 0).unwrap();
        let mut lengths = std::collections::BTreeMap::new();
        for round in 0..25 {
            let batch = runner.work();
            assert_eq!(batch.events.len(), BATCH_EVENTS_MAX, "batch {round}");
            for record in batch.events {
                if let RunnerEvent::ItemAppended { item_id, offset, text } = record.event {
                    let known: &mut u64 = lengths.get_mut(&item_id).unwrap();
                    assert_eq!(*known, offset);
                    *known += text.len() as u64;
                } else if let RunnerEvent::ItemChanged { item } = record.event
                    && let ItemContent::Text { text, .. } | ItemContent::Tool { output: text, .. } =
                        item.content
                {
                    lengths.insert(item.id, text.len() as u64);
                }
            }
        }
        assert_eq!(runner.seq, 25 * BATCH_EVENTS_MAX as u64);
    }

    #[test]
    fn prose_is_long_enough_and_ascii() {
        let text = prose(42_000).unwrap();
        assert!(text.len() >= 42_000 && text.is_ascii());
    }
}
