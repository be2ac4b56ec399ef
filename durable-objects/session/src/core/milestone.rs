//! Moments that metrics need and no table keeps: the agent's first word, the pull request's way, and how long prompts waited for sandboxes.
//!
//! What was noted once stays as it is, so that facts which are told twice are the same.

use super::sandbox::LiveSandbox;
use super::step::Step;
use protocol::bridge::SandboxSource;
use protocol::id::TurnId;
use protocol::pull::PullState;
use protocol::time::Timestamp;
use protocol::timeline::ItemContent;
use serde::{Deserialize, Serialize};

protocol::objects!(Milestones, Start);

/// Starts that are kept; older ones were told long ago.
const STARTS_MAX: usize = 20;

/// What has happened for the first time, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Milestones {
    /// The agent said or thought something.
    pub first_token_at: Option<Timestamp>,
    /// The pull request was opened.
    pub pull_created_at: Option<Timestamp>,
    /// It was merged.
    pub pull_merged_at: Option<Timestamp>,
    /// Sandboxes that a turn began in, the newest last.
    pub starts: Vec<Start>,
    /// Rises with each change of the others.
    pub changes: u64,
}

/// A sandbox and the first turn that its agent got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Start {
    /// Of the sandbox.
    pub generation: u64,
    /// What the sandbox was.
    pub kind: StartKind,
    /// Which turn.
    pub turn_id: TurnId,
    /// When the agent had it.
    pub at: Timestamp,
}

/// What a sandbox was when it was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartKind {
    /// Claimed, from the repository's warm pool.
    Warm,
    /// Made from the repository's image.
    Image,
    /// Restored from the session's snapshot.
    Snapshot,
    /// Made from the base image.
    Base,
}

impl StartKind {
    fn of(sandbox: &LiveSandbox) -> Self {
        match &sandbox.source {
            _ if sandbox.warm => Self::Warm,
            SandboxSource::Image { .. } => Self::Image,
            SandboxSource::Snapshot { .. } => Self::Snapshot,
            SandboxSource::Base => Self::Base,
        }
    }
}

/// Whether an item is what the agent says or thinks, and not empty.
pub(super) fn has_words(content: &ItemContent) -> bool {
    match content {
        ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => !text.is_empty(),
        ItemContent::Tool { .. }
        | ItemContent::Plan { .. }
        | ItemContent::Notice { .. }
        | ItemContent::Unknown => false,
    }
}

impl Step<'_> {
    /// The agent has said or thought something.
    pub(super) fn note_words(&mut self) {
        if self.session.milestones.first_token_at.is_none() {
            let now = self.now();
            self.note(|milestones| milestones.first_token_at = Some(now));
        }
    }

    /// The pull request is known to be so; `at` is the code host's word for since when, and is not believed about the future.
    pub(super) fn note_pull(&mut self, state: PullState, at: Timestamp) {
        let (now, known) = (self.now(), &self.session.milestones);
        let created_at = known.pull_created_at.unwrap_or(now);
        if known.pull_created_at.is_none() {
            self.note(|milestones| milestones.pull_created_at = Some(created_at));
        }
        if state == PullState::Merged && self.session.milestones.pull_merged_at.is_none() {
            let merged_at = at.min(now).max(created_at);
            self.note(|milestones| milestones.pull_merged_at = Some(merged_at));
        }
    }

    /// The agent has the running turn.
    pub(super) fn note_start(&mut self, turn_id: &TurnId) {
        let (at, generation) = (self.now(), self.session.generation);
        let is_known =
            self.session.milestones.starts.last().is_some_and(|start| start.generation == generation);
        let Some(sandbox) = self.session.sandbox.as_ref().filter(|_| !is_known) else { return };
        let start = Start { generation, kind: StartKind::of(sandbox), turn_id: turn_id.clone(), at };
        self.note(|milestones| {
            milestones.starts.push(start);
            let surplus = milestones.starts.len().saturating_sub(STARTS_MAX);
            milestones.starts.drain(..surplus);
        });
    }

    fn note(&mut self, change: impl FnOnce(&mut Milestones)) {
        change(&mut self.session.milestones);
        self.session.milestones.changes += 1;
        self.tell_index();
    }
}
