//! One input on its way through the session: collects effects, numbers events, draws ids, and decides at the end what goes on.

use super::input::{Context, Effect, Reply, Work};
use super::limit::{EVENTS_KEPT, EVENTS_SURPLUS};
use super::prompt::QueuedPrompt;
use super::session::Session;
use super::slots::Needed;
use super::watch::Watch;
use protocol::time::Timestamp;
use protocol::timeline::{ItemContent, SandboxStatus, Seq, SessionEvent};
use std::collections::VecDeque;

/// The session while it takes one input.
pub(super) struct Step<'a> {
    pub(super) session: &'a mut Session,
    pub(super) context: Context<'a>,
    drawn: u128,
    index_stale: bool,
    effects: Vec<Effect>,
    /// As it was before the input, to see what must be kept.
    queue: VecDeque<QueuedPrompt>,
    needed: Needed,
    watch: Watch,
    cursor: Option<(Seq, Timestamp)>,
}

impl<'a> Step<'a> {
    pub(super) fn new(session: &'a mut Session, context: Context<'a>) -> Self {
        let (queue, watch, cursor) = (session.queue.clone(), Watch::of(session), session.cursor());
        let needed = session.copy_needed();
        Self {
            session,
            context,
            drawn: 0,
            index_stale: false,
            effects: Vec::new(),
            queue,
            needed,
            watch,
            cursor,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.context.now
    }

    /// Random bytes for an id, different at each call.
    pub(super) fn draw(&mut self) -> [u8; 16] {
        let bytes = u128::from_be_bytes(self.context.random).wrapping_add(self.drawn).to_be_bytes();
        self.drawn += 1;
        bytes
    }

    /// Records a fact and answers its number. Appended text of one item becomes one event as long as nothing stands between.
    pub(super) fn record(&mut self, event: SessionEvent) -> Seq {
        if self.grow_last(&event) {
            return self.session.seq;
        }
        self.index_stale |= changes_index(&event);
        self.session.seq += 1;
        let seq = self.session.seq;
        self.effects.push(Effect::Record { seq, at: self.context.now, event });
        seq
    }

    /// The row of the session index, or what goes with it, is to be written.
    pub(super) fn tell_index(&mut self) {
        self.index_stale = true;
    }

    fn grow_last(&mut self, event: &SessionEvent) -> bool {
        let SessionEvent::ItemAppended { item_id, text, .. } = event else { return false };
        match self.effects.last_mut() {
            Some(Effect::Record {
                event: SessionEvent::ItemAppended { item_id: last, text: grown, .. },
                ..
            }) if last == item_id => {
                // `item.rs` lets only gapless text through, so the offset of the first piece is that of both.
                grown.push_str(text);
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn enqueue(&mut self, work: Work) {
        if let Work::TerminateSandbox { sandbox_id, .. } = &work {
            self.note_ending(sandbox_id);
        }
        self.effects.push(Effect::Enqueue(work));
    }

    pub(super) fn withdraw(&mut self, work: &Work) {
        self.withdraw_key(work.key());
    }

    pub(super) fn withdraw_key(&mut self, key: String) {
        self.effects.push(Effect::Withdraw { key });
    }

    pub(super) fn order(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Tells people about the sandbox, unless they know.
    pub(super) fn set_status(&mut self, status: SandboxStatus) {
        if self.session.status != status {
            self.session.status = status.clone();
            self.record(SessionEvent::SandboxChanged { status });
        }
    }

    /// Starts what can start, and closes the input.
    pub(super) fn finish(mut self, reply: Reply) -> Vec<Effect> {
        if !self.session.deleted {
            self.go_on();
            self.compact();
            if self.index_stale {
                self.enqueue(Work::UpdateIndex);
            }
        }
        let needed = self.needed.clone();
        self.settle_slots(&needed);
        if self.session.queue != self.queue {
            let queue = self.session.queue.iter().cloned().collect();
            self.effects.push(Effect::SaveQueue(queue));
        }
        if Watch::of(self.session) != self.watch {
            self.effects.push(Effect::SaveWatch);
        } else if self.session.cursor() != self.cursor {
            self.effects.push(Effect::SaveCursor);
        }
        self.effects.push(Effect::Reply(reply));
        self.effects
    }

    fn go_on(&mut self) {
        self.finish_leaving();
        let is_working = self.session.turn.is_some() || self.session.saving.is_some();
        if is_working || self.session.has_waiting() {
            self.session.active_at = self.context.now;
        }
        if is_working || self.session.queue.is_empty() {
            self.steer();
            return;
        }
        if self.is_held() {
            return;
        }
        match &self.session.sandbox {
            None => self.order_sandbox(),
            Some(sandbox) if sandbox.is_ready() && !self.must_ask_first() => self.start_turn(),
            Some(sandbox) if sandbox.is_ready() && !self.session.account.is_asking => self.ask_ledger(),
            Some(_) => {}
        }
    }

    /// Removes events that nobody who was away for a while is sent, when there are many.
    fn compact(&mut self) {
        if self.session.seq < self.session.kept_from + EVENTS_KEPT + EVENTS_SURPLUS {
            return;
        }
        self.save_texts();
        self.session.kept_from = self.session.seq - EVENTS_KEPT;
        self.effects.push(Effect::Compact { from: self.session.kept_from });
    }
}

/// Whether the row of the session index, the card of its thread, or its facts for metrics look different after this event.
fn changes_index(event: &SessionEvent) -> bool {
    match event {
        SessionEvent::SessionCreated { .. }
        | SessionEvent::ParticipantJoined { .. }
        | SessionEvent::TitleChanged { .. }
        | SessionEvent::PromptQueued { .. }
        | SessionEvent::PromptCancelled { .. }
        | SessionEvent::TurnStarted { .. }
        | SessionEvent::TurnEnded { .. }
        | SessionEvent::SessionArchived { .. }
        | SessionEvent::SessionUnarchived { .. }
        | SessionEvent::ArtifactChanged { .. } => true,
        // The thread of a session shows its plan.
        SessionEvent::ItemChanged { item } | SessionEvent::ItemRevised { item } => {
            matches!(item.content, ItemContent::Plan { .. })
        }
        SessionEvent::RoleChanged { .. }
        | SessionEvent::PromptEdited { .. }
        | SessionEvent::PromptMoved { .. }
        | SessionEvent::PromptSteered { .. }
        | SessionEvent::StopRequested { .. }
        | SessionEvent::ItemAppended { .. }
        | SessionEvent::SandboxChanged { .. }
        | SessionEvent::ConversationRestored { .. }
        | SessionEvent::SnapshotTaken { .. }
        | SessionEvent::EffectFailed { .. }
        | SessionEvent::EgressDenied { .. }
        | SessionEvent::PullRequestChanged { .. }
        | SessionEvent::ReviewAdded { .. }
        | SessionEvent::BudgetChanged(_)
        | SessionEvent::Unknown => false,
    }
}
