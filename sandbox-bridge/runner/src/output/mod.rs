//! What a turn shows: turns an agent's words into items and events, within the limits of the wire.
//!
//! Text travels as it comes, each piece once; the output of tools, which may come byte by byte, is gathered for a moment. Agents
//! call it; it writes to the spool and so waits while that is full.

mod file;
mod prose;
mod text;
mod tool;

use crate::random;
use crate::spool::Spool;
use file::Files;
pub(crate) use file::MadeFile;
use prose::Prose;
pub(crate) use prose::ProseKind;
use protocol::id::{ItemId, TurnId};
use protocol::runner::RunnerEvent;
use protocol::time::Timestamp;
use protocol::timeline::{Item, ItemContent, NoticeLevel, PlanStep};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tool::Tool;
pub(crate) use tool::ToolCall;

/// Output of tools is sent this often at most. Much shorter than the bridge's batches, whose delay is the one that a viewer feels.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(10);
/// Steps of a plan, and the length of each.
const PLAN_STEPS_MAX: usize = 100;
const PLAN_STEP_BYTES_MAX: usize = 500;
const NOTICE_BYTES_MAX: usize = 4 * 1024;

/// Where an item stands on its way to the session.
struct Place {
    spool: Arc<Spool>,
    turn_id: TurnId,
    id: ItemId,
    started_at: Timestamp,
}

/// The output of one turn.
pub(crate) struct Output {
    spool: Arc<Spool>,
    turn_id: TurnId,
    received: Instant,
    first_token_ms: Option<u64>,
    prose: BTreeMap<String, Prose>,
    tools: BTreeMap<String, Tool>,
    plan: Option<Place>,
    notices: BTreeMap<&'static str, Place>,
    files: Files,
    /// Tools that have output to send.
    waiting: BTreeSet<String>,
}

impl Output {
    /// Nothing yet.
    pub(crate) fn new(spool: Arc<Spool>, turn_id: TurnId, received: Instant) -> Self {
        Self {
            spool,
            turn_id,
            received,
            first_token_ms: None,
            prose: BTreeMap::new(),
            tools: BTreeMap::new(),
            plan: None,
            notices: BTreeMap::new(),
            files: Files::default(),
            waiting: BTreeSet::new(),
        }
    }

    /// Turn received → first text or reasoning.
    pub(crate) fn first_token_ms(&self) -> Option<u64> {
        self.first_token_ms
    }

    fn place(&self) -> Place {
        Place {
            spool: Arc::clone(&self.spool),
            turn_id: self.turn_id.clone(),
            id: random::item_id(),
            started_at: random::now(),
        }
    }

    /// Text or reasoning that comes next in the piece `key`.
    pub(crate) async fn append_prose(&mut self, key: &str, kind: ProseKind, text: &str) {
        if text.is_empty() {
            return;
        }
        self.saw_token();
        self.prose_of(key, kind).append(text).await;
    }

    /// The whole text of the piece `key`: sends what is missing, or replaces it where it differs.
    pub(crate) async fn finish_prose(&mut self, key: &str, kind: ProseKind, text: &str) {
        if text.is_empty() && !self.prose.contains_key(key) {
            return;
        }
        self.saw_token();
        self.prose_of(key, kind).finish(text).await;
    }

    fn prose_of(&mut self, key: &str, kind: ProseKind) -> &mut Prose {
        let place = self.place();
        self.prose.entry(key.to_owned()).or_insert_with(|| Prose::new(place, kind))
    }

    fn saw_token(&mut self) {
        if self.first_token_ms.is_none() {
            self.first_token_ms = u64::try_from(self.received.elapsed().as_millis()).ok();
        }
    }

    /// The state of a call; `output` is everything so far.
    pub(crate) async fn set_tool(&mut self, key: &str, call: ToolCall, output: &str) {
        let tool = self.tool_of(key);
        let waits = tool.set(call, output).await;
        self.set_waiting(key, waits);
    }

    /// More output of a running call.
    pub(crate) async fn append_tool_output(&mut self, key: &str, output: &str) {
        let waits = self.tool_of(key).append(output).await;
        self.set_waiting(key, waits);
    }

    /// A call's new state; its output stays.
    pub(crate) async fn set_tool_state(&mut self, key: &str, call: ToolCall) {
        self.tool_of(key).change(call).await;
        self.waiting.remove(key);
    }

    fn tool_of(&mut self, key: &str) -> &mut Tool {
        let place = self.place();
        self.tools.entry(key.to_owned()).or_insert_with(|| Tool::new(place))
    }

    fn set_waiting(&mut self, key: &str, waits: bool) {
        if waits {
            self.waiting.insert(key.to_owned());
        } else {
            self.waiting.remove(key);
        }
    }

    /// Whether [`Self::flush`] is to be called within [`FLUSH_EVERY`].
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends the output that was held back.
    pub(crate) async fn flush(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            if let Some(tool) = self.tools.get_mut(&key) {
                tool.flush().await;
            }
        }
    }

    /// The agent's plan.
    pub(crate) async fn set_plan(&mut self, steps: Vec<PlanStep>) {
        let cut = |step: PlanStep| PlanStep { text: text::cut(&step.text, PLAN_STEP_BYTES_MAX), ..step };
        let steps = steps.into_iter().take(PLAN_STEPS_MAX).map(cut).collect();
        let place = self.place();
        self.plan.get_or_insert(place).change(ItemContent::Plan { steps }).await;
    }

    /// One line of its own.
    pub(crate) async fn notice(&self, level: NoticeLevel, line: &str) {
        self.place().change(ItemContent::Notice { level, text: text::cut(line, NOTICE_BYTES_MAX) }).await;
    }

    /// One line that replaces the former one with the same `key`.
    pub(crate) async fn replace_notice(&mut self, key: &'static str, level: NoticeLevel, line: &str) {
        let place = self.place();
        let place = self.notices.entry(key).or_insert(place);
        place.change(ItemContent::Notice { level, text: text::cut(line, NOTICE_BYTES_MAX) }).await;
    }

    /// The turn is over: tools that still run were cut.
    pub(crate) async fn close(&mut self, why: &str) {
        self.flush().await;
        for tool in self.tools.values_mut() {
            tool.close(why).await;
        }
    }
}

impl Place {
    async fn change(&self, content: ItemContent) {
        let item =
            Item { id: self.id.clone(), turn_id: self.turn_id.clone(), started_at: self.started_at, content };
        self.spool.append(RunnerEvent::ItemChanged { item }).await;
    }

    async fn append(&self, offset: u64, text: &str) {
        let event = RunnerEvent::ItemAppended { item_id: self.id.clone(), offset, text: text.to_owned() };
        self.spool.append(event).await;
    }
}

#[cfg(test)]
mod tests;
