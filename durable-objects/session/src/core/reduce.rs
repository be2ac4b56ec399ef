//! What an event means to someone who has a snapshot. This is the specification of the client's reducer.
//!
//! Applying all events after a snapshot gives the later snapshot. An event that refers to something left out changes nothing.

use super::item::{growing_text, growing_text_mut};
use super::session::UNTITLED;
use protocol::client::{Places, SessionInfo, SessionSnapshot};
use protocol::id::{ItemId, PromptId, TurnId};
use protocol::limit::NOTICES_MAX;
use protocol::timeline::{
    BudgetState, EventRecord, Item, Prompt, PromptState, SandboxStatus, SessionEvent, TurnEnd, Usage,
};

/// What there is of a session before its first event.
#[must_use]
pub fn empty_snapshot(info: &SessionInfo) -> SessionSnapshot {
    SessionSnapshot {
        session: SessionInfo { title: UNTITLED.to_owned(), archived_at: None, ..info.clone() },
        participants: Vec::new(),
        prompts: Vec::new(),
        queue: Vec::new(),
        turns: Vec::new(),
        earlier: None,
        items: Vec::new(),
        places: Places::default(),
        artifacts: Vec::new(),
        sandbox: SandboxStatus::None,
        usage: Usage::default(),
        notices: Vec::new(),
        budget: BudgetState::default(),
    }
}

/// Applies one event to a snapshot of all events before it.
pub fn apply_event(snapshot: &mut SessionSnapshot, record: &EventRecord) {
    note_place(snapshot, record);
    match &record.event {
        SessionEvent::TitleChanged { title, .. } => snapshot.session.title.clone_from(title),
        SessionEvent::ParticipantJoined { participant } => {
            put(&mut snapshot.participants, participant, |a, b| a.user_id == b.user_id);
        }
        SessionEvent::RoleChanged { user_id, role, .. } => {
            let known = snapshot.participants.iter_mut().find(|known| known.user_id == *user_id);
            if let Some(participant) = known {
                participant.role = *role;
            }
        }
        SessionEvent::PromptQueued { prompt } => {
            put(&mut snapshot.prompts, prompt, |a, b| a.id == b.id);
            snapshot.queue.push(prompt.id.clone());
        }
        SessionEvent::PromptEdited { prompt_id, text, by } => change_prompt(snapshot, prompt_id, |prompt| {
            prompt.text.clone_from(text);
            prompt.edited_by = Some(by.clone());
        }),
        SessionEvent::PromptMoved { prompt_id, before, delivery, .. } => {
            move_prompt(snapshot, prompt_id, before.as_ref());
            if let Some(delivery) = delivery {
                change_prompt(snapshot, prompt_id, |prompt| prompt.delivery = *delivery);
            }
        }
        SessionEvent::PromptCancelled { prompt_id, by } => take_prompt(snapshot, prompt_id, |prompt| {
            prompt.state = PromptState::Cancelled;
            prompt.cancelled_by = Some(by.clone());
        }),
        SessionEvent::PromptSteered { prompt_id, turn_id } => take_prompt(snapshot, prompt_id, |prompt| {
            prompt.state = PromptState::Running;
            prompt.steered_into = Some(turn_id.clone());
        }),
        SessionEvent::TurnStarted { turn } => {
            take_prompt(snapshot, &turn.prompt_id, |prompt| prompt.state = PromptState::Running);
            put(&mut snapshot.turns, turn, |a, b| a.id == b.id);
        }
        SessionEvent::StopRequested { turn_id, by } => {
            if let Some(turn) = snapshot.turns.iter_mut().find(|turn| turn.id == *turn_id) {
                turn.stop_requested_by = Some(by.clone());
            }
        }
        SessionEvent::TurnEnded { turn_id, end, prompt_state } => {
            end_turn(snapshot, turn_id, end, *prompt_state);
        }
        SessionEvent::ItemChanged { item } => put(&mut snapshot.items, item, |a, b| a.id == b.id),
        SessionEvent::ItemRevised { item } => revise(snapshot, item),
        SessionEvent::ItemAppended { item_id, offset, text } => append(snapshot, item_id, *offset, text),
        SessionEvent::SandboxChanged { status } => snapshot.sandbox.clone_from(status),
        SessionEvent::ArtifactChanged { artifact } => {
            put(&mut snapshot.artifacts, artifact, |a, b| a.id == b.id);
        }
        SessionEvent::BudgetChanged(state) => snapshot.budget.clone_from(state),
        SessionEvent::SessionArchived { .. } => snapshot.session.archived_at = Some(record.at),
        SessionEvent::SessionUnarchived { .. } => snapshot.session.archived_at = None,
        SessionEvent::EffectFailed { .. }
        | SessionEvent::ConversationRestored { .. }
        | SessionEvent::EgressDenied { .. }
        | SessionEvent::PullRequestChanged { .. }
        | SessionEvent::ReviewAdded { .. } => {
            snapshot.notices.push(record.clone());
            let surplus = snapshot.notices.len().saturating_sub(NOTICES_MAX);
            snapshot.notices.drain(..surplus);
        }
        SessionEvent::SessionCreated { .. } | SessionEvent::SnapshotTaken { .. } | SessionEvent::Unknown => {}
    }
}

/// Notes where something stands that an event is about to bring.
fn note_place(snapshot: &mut SessionSnapshot, record: &EventRecord) {
    let places = &mut snapshot.places;
    if let SessionEvent::PromptQueued { prompt } = &record.event
        && snapshot.prompts.iter().all(|known| known.id != prompt.id)
    {
        places.prompts.push(record.seq);
    }
    if let SessionEvent::TurnStarted { turn } = &record.event
        && snapshot.turns.iter().all(|known| known.id != turn.id)
    {
        places.turns.push(record.seq);
    }
    if let SessionEvent::ItemChanged { item } = &record.event
        && snapshot.items.iter().all(|known| known.id != item.id)
    {
        places.items.push(record.seq);
    }
}

/// Replaces the value that is the same thing, where it stands, or adds it at the end.
fn put<T: Clone>(values: &mut Vec<T>, value: &T, is_same: impl Fn(&T, &T) -> bool) {
    match values.iter_mut().find(|known| is_same(known, value)) {
        Some(known) => known.clone_from(value),
        None => values.push(value.clone()),
    }
}

fn change_prompt(snapshot: &mut SessionSnapshot, prompt_id: &PromptId, change: impl FnOnce(&mut Prompt)) {
    if let Some(prompt) = snapshot.prompts.iter_mut().find(|prompt| prompt.id == *prompt_id) {
        change(prompt);
    }
}

/// A prompt waits no more.
fn take_prompt(snapshot: &mut SessionSnapshot, prompt_id: &PromptId, change: impl FnOnce(&mut Prompt)) {
    snapshot.queue.retain(|known| known != prompt_id);
    change_prompt(snapshot, prompt_id, change);
}

fn move_prompt(snapshot: &mut SessionSnapshot, prompt_id: &PromptId, before: Option<&PromptId>) {
    snapshot.queue.retain(|known| known != prompt_id);
    let place = snapshot.queue.iter().position(|known| Some(known) == before);
    snapshot.queue.insert(place.unwrap_or(snapshot.queue.len()), prompt_id.clone());
}

/// The turn's prompt, and those that went into it, share their end; when it waits again, so do they, right behind it.
fn end_turn(snapshot: &mut SessionSnapshot, turn_id: &TurnId, end: &TurnEnd, prompt_state: PromptState) {
    snapshot.usage.add(&end.usage);
    let Some(turn) = snapshot.turns.iter_mut().find(|turn| turn.id == *turn_id) else { return };
    turn.end = Some(end.clone());
    let prompt_id = turn.prompt_id.clone();
    change_prompt(snapshot, &prompt_id, |prompt| prompt.state = prompt_state);
    let mut again = Vec::new();
    if prompt_state == PromptState::Queued {
        again.push(prompt_id);
    }
    for prompt in &mut snapshot.prompts {
        if prompt.steered_into.as_ref() != Some(turn_id) {
            continue;
        }
        if prompt_state == PromptState::Done {
            prompt.state = PromptState::Done;
        } else {
            prompt.state = PromptState::Queued;
            prompt.steered_into = None;
            again.push(prompt.id.clone());
        }
    }
    snapshot.queue.splice(0..0, again);
}

/// Everything of an item but its text is new.
fn revise(snapshot: &mut SessionSnapshot, revised: &Item) {
    let Some(item) = snapshot.items.iter_mut().find(|item| item.id == revised.id) else { return };
    let text = growing_text(&item.content).unwrap_or_default().to_owned();
    item.clone_from(revised);
    if let Some(kept) = growing_text_mut(&mut item.content) {
        *kept = text;
    }
}

/// `text` belongs at `offset` UTF-16 code units, which is the end of what is there.
fn append(snapshot: &mut SessionSnapshot, item_id: &ItemId, offset: u64, text: &str) {
    let item = snapshot.items.iter_mut().find(|item| item.id == *item_id);
    if let Some(grown) = item.and_then(|item| growing_text_mut(&mut item.content))
        && grown.encode_utf16().count() as u64 == offset
    {
        grown.push_str(text);
    }
}
