//! What the runner knows of one turn in OpenCode: translates its messages and pieces into output, sums usage, and tells how far
//! the turn is. Knows nothing of HTTP. Used by `drive`.

use super::tool::{files_of, plan_of, translate};
use super::wire::{Delta, Message, Part};
use crate::output::{Output, ProseKind};
use protocol::timeline::{NoticeLevel, Usage};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// One turn.
pub(super) struct TurnView {
    workspace: PathBuf,
    pub(super) prompt_message: String,
    /// Messages of earlier turns, whose late changes are not this turn's.
    past: BTreeSet<String>,
    /// Messages that asked the model in this turn: the prompt, and what OpenCode adds after compacting.
    users: BTreeSet<String>,
    assistants: BTreeMap<String, Message>,
    prose: BTreeMap<String, ProseKind>,
    /// Pieces of which some deltas were missed: their final text brings the rest.
    incomplete: BTreeSet<String>,
    /// While events come from the history: pieces that begin there may have had deltas already.
    catching_up: bool,
}

impl TurnView {
    pub(super) fn new(workspace: PathBuf, past: BTreeSet<String>, prompt_message: String) -> Self {
        Self {
            workspace,
            past,
            users: BTreeSet::from([prompt_message.clone()]),
            prompt_message,
            assistants: BTreeMap::new(),
            prose: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            catching_up: false,
        }
    }

    /// All messages known, for the next turn's `past`.
    pub(super) fn into_past(self) -> BTreeSet<String> {
        let mut past = self.past;
        past.extend(self.users);
        past.extend(self.assistants.into_keys());
        past
    }

    /// One more prompt of this turn is on its way.
    pub(super) fn expect_prompt(&mut self, message: String) {
        self.users.insert(message);
    }

    /// Whether the model has been asked about this prompt, or about what came after it.
    pub(super) fn has_asked_about(&self, prompt_message: &str) -> bool {
        // Ids of prompts begin with their time.
        self.assistants
            .values()
            .filter_map(|message| message.parent_id.as_deref())
            .any(|parent| parent >= prompt_message)
    }

    /// Applies a durable event of our session.
    pub(super) async fn apply(&mut self, kind: &str, data: &Value, output: &mut Output) {
        // The kind ends with its version.
        let kind = kind.rsplit_once('.').map_or(kind, |(name, version)| {
            if version.bytes().all(|byte| byte.is_ascii_digit()) { name } else { kind }
        });
        match kind {
            "message.updated" => {
                if let Some(message) = read::<Message>(data.get("info")) {
                    self.apply_message(message);
                }
            }
            "message.part.updated" => {
                if let Some(part) = read::<Part>(data.get("part")) {
                    self.apply_part(part, output).await;
                }
            }
            _ => {}
        }
    }

    pub(super) fn apply_message(&mut self, message: Message) {
        if self.past.contains(&message.id) {
            return;
        }
        if message.role == "user" {
            self.users.insert(message.id);
        } else if message.parent_id.as_ref().is_some_and(|parent| self.users.contains(parent))
            || self.assistants.contains_key(&message.id)
        {
            self.assistants.insert(message.id.clone(), message);
        }
    }

    pub(super) async fn apply_part(&mut self, part: Part, output: &mut Output) {
        let Some(message) = self.assistants.get(&part.message_id) else { return };
        if part.synthetic || message.summary == Value::Bool(true) {
            return;
        }
        match part.kind.as_str() {
            "text" => self.apply_prose(part, ProseKind::Text, output).await,
            "reasoning" => self.apply_prose(part, ProseKind::Reasoning, output).await,
            "tool" => {
                if let Some(steps) = plan_of(&part) {
                    output.set_plan(steps).await;
                } else if !part.tool.starts_with("todo") {
                    let (call, text) = translate(&part, &self.workspace);
                    let files = files_of(&part, &call.title);
                    output.set_tool(&part.id, call, &text).await;
                    output.keep_files(&part.id, files).await;
                }
            }
            _ => {}
        }
    }

    async fn apply_prose(&mut self, part: Part, kind: ProseKind, output: &mut Output) {
        let new = self.prose.insert(part.id.clone(), kind).is_none();
        if part.time.end.is_some() {
            self.incomplete.remove(&part.id);
        } else if new && self.catching_up {
            self.incomplete.insert(part.id.clone());
        }
        if !part.text.is_empty() {
            output.finish_prose(&part.id, kind, &part.text).await;
        }
    }

    /// Applies a delta, which OpenCode sends once and never again.
    pub(super) async fn apply_delta(&mut self, delta: &Delta, output: &mut Output) {
        if delta.field != "text" || self.incomplete.contains(&delta.part_id) {
            return;
        }
        if let Some(kind) = self.prose.get(&delta.part_id) {
            output.append_prose(&delta.part_id, *kind, &delta.delta).await;
        }
    }

    /// The stream was interrupted: deltas of every piece may be missing.
    pub(super) fn miss_deltas(&mut self) {
        self.incomplete.extend(self.prose.keys().cloned());
    }

    /// What is applied from here on was missing in the stream.
    pub(super) fn begin_catch_up(&mut self) {
        self.catching_up = true;
    }

    /// What is applied from here on is of the stream.
    pub(super) fn end_catch_up(&mut self) {
        self.catching_up = false;
    }

    /// The newest message of the model, when it is complete.
    pub(super) fn settled(&self) -> Option<&Message> {
        // Ids are no order; time is.
        let newest = self.assistants.values().max_by(|a, b| a.time.created.total_cmp(&b.time.created))?;
        (newest.time.completed.is_some() || newest.error.is_some()).then_some(newest)
    }

    /// Whether the model has been asked anything.
    pub(super) fn has_begun(&self) -> bool {
        !self.assistants.is_empty()
    }

    /// Sum over all messages of the turn.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for message in self.assistants.values() {
            let tokens = &message.tokens;
            usage.add(&Usage {
                input_tokens: whole(tokens.input + tokens.cache.read + tokens.cache.write),
                output_tokens: whole(tokens.output + tokens.reasoning),
                cached_tokens: whole(tokens.cache.read),
                cost_usd: message.cost.max(0.0),
            });
        }
        usage
    }

    /// What the reader should know about how the model ended.
    pub(super) async fn remark(&self, output: &Output) {
        if self.settled().and_then(|message| message.finish.as_deref()) == Some("length") {
            let line = "The model stopped because its answer reached the length limit.";
            output.notice(NoticeLevel::Warning, line).await;
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Option<&Value>) -> Option<T> {
    T::deserialize(value?).ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped; counts of tokens are small"
)]
fn whole(count: f64) -> u64 {
    count.clamp(0.0, 9e15) as u64
}
