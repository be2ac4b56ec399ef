//! One input on its way through the session: collects effects, numbers events, draws ids, and decides at the end what goes on.

use super::input::{Context, Effect, Reply, Work};
use super::session::{Person, Session};
use protocol::time::Timestamp;
use protocol::timeline::{SandboxStatus, Seq, SessionEvent, User};

/// The session while it takes one input.
pub(super) struct Step<'a> {
    pub(super) session: &'a mut Session,
    pub(super) context: Context<'a>,
    drawn: u128,
    index_stale: bool,
    effects: Vec<Effect>,
}

impl<'a> Step<'a> {
    pub(super) fn new(session: &'a mut Session, context: Context<'a>) -> Self {
        Self { session, context, drawn: 0, index_stale: false, effects: Vec::new() }
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
        self.effects.push(Effect::Enqueue(work));
    }

    pub(super) fn withdraw(&mut self, work: &Work) {
        self.effects.push(Effect::Withdraw { key: work.key() });
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

    /// Makes a user a participant, or notices that the account has changed.
    pub(super) fn join(&mut self, user: &User) {
        let known = self.session.participants.get(&user.id);
        if known.is_some_and(|known| known.user == *user) {
            return;
        }
        let seen_anew =
            known.is_none_or(|known| known.user.login != user.login || known.user.name != user.name);
        let joined_at = known.map_or(self.context.now, |known| known.joined_at);
        let person = Person { user: user.clone(), joined_at };
        let participant = person.participant();
        self.session.participants.insert(user.id.clone(), person.clone());
        self.order(Effect::SaveParticipant(person));
        if seen_anew {
            self.record(SessionEvent::ParticipantJoined { participant });
        }
    }

    /// Starts what can start, and closes the input.
    pub(super) fn finish(mut self, reply: Reply) -> Vec<Effect> {
        self.go_on();
        if self.index_stale {
            self.enqueue(Work::UpdateIndex);
        }
        self.effects.push(Effect::Reply(reply));
        self.effects
    }

    fn go_on(&mut self) {
        if self.session.turn.is_some() || self.session.saving.is_some() || self.session.queue.is_empty() {
            return;
        }
        match &self.session.sandbox {
            None => self.order_sandbox(),
            Some(sandbox) if sandbox.is_ready() => self.start_turn(),
            Some(_) => {}
        }
    }
}

/// Whether the row of the session index looks different after this event.
fn changes_index(event: &SessionEvent) -> bool {
    match event {
        SessionEvent::SessionCreated { .. }
        | SessionEvent::TitleChanged { .. }
        | SessionEvent::PromptQueued { .. }
        | SessionEvent::PromptCancelled { .. }
        | SessionEvent::TurnStarted { .. }
        | SessionEvent::TurnEnded { .. }
        | SessionEvent::ArtifactChanged { .. } => true,
        SessionEvent::ParticipantJoined { .. }
        | SessionEvent::StopRequested { .. }
        | SessionEvent::ItemChanged { .. }
        | SessionEvent::ItemAppended { .. }
        | SessionEvent::SandboxChanged { .. }
        | SessionEvent::SnapshotTaken { .. }
        | SessionEvent::EffectFailed { .. }
        | SessionEvent::Unknown => false,
    }
}
