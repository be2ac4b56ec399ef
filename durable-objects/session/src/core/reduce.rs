//! What an event means to someone who has a snapshot. This is the specification of the client's reducer.
//!
//! Applying all events after a snapshot gives the later snapshot. An event that refers to something left out changes nothing.

use protocol::client::SessionSnapshot;
use protocol::id::{PromptId, TurnId};
use protocol::timeline::{Item, ItemContent, PromptState, SessionEvent, TurnEnd};

/// Applies one event to a snapshot of all events before it.
pub fn apply_event(snapshot: &mut SessionSnapshot, event: &SessionEvent) {
    match event {
        SessionEvent::TitleChanged { title } => snapshot.session.title.clone_from(title),
        SessionEvent::ParticipantJoined { participant } => {
            put(&mut snapshot.participants, participant, |a, b| a.user_id == b.user_id);
        }
        SessionEvent::PromptQueued { prompt } => put(&mut snapshot.prompts, prompt, |a, b| a.id == b.id),
        SessionEvent::PromptCancelled { prompt_id, .. } => {
            set_prompt_state(snapshot, prompt_id, PromptState::Cancelled);
        }
        SessionEvent::TurnStarted { turn } => {
            set_prompt_state(snapshot, &turn.prompt_id, PromptState::Running);
            put(&mut snapshot.turns, turn, |a, b| a.id == b.id);
        }
        SessionEvent::TurnEnded { turn_id, end, prompt_state } => {
            end_turn(snapshot, turn_id, end, *prompt_state);
        }
        SessionEvent::ItemChanged { item } => put(&mut snapshot.items, item, |a, b| a.id == b.id),
        SessionEvent::ItemAppended { item_id, offset, text } => {
            if let Some(item) = snapshot.items.iter_mut().find(|item| item.id == *item_id) {
                append(item, *offset, text);
            }
        }
        SessionEvent::SandboxChanged { status } => snapshot.sandbox.clone_from(status),
        SessionEvent::ArtifactChanged { artifact } => {
            put(&mut snapshot.artifacts, artifact, |a, b| a.id == b.id);
        }
        SessionEvent::SessionCreated { .. }
        | SessionEvent::StopRequested { .. }
        | SessionEvent::SnapshotTaken { .. }
        | SessionEvent::EffectFailed { .. }
        | SessionEvent::Unknown => {}
    }
}

/// Replaces the value that is the same thing, where it stands, or adds it at the end.
fn put<T: Clone>(values: &mut Vec<T>, value: &T, is_same: impl Fn(&T, &T) -> bool) {
    match values.iter_mut().find(|known| is_same(known, value)) {
        Some(known) => known.clone_from(value),
        None => values.push(value.clone()),
    }
}

fn set_prompt_state(snapshot: &mut SessionSnapshot, prompt_id: &PromptId, state: PromptState) {
    if let Some(prompt) = snapshot.prompts.iter_mut().find(|prompt| prompt.id == *prompt_id) {
        prompt.state = state;
    }
}

fn end_turn(snapshot: &mut SessionSnapshot, turn_id: &TurnId, end: &TurnEnd, prompt_state: PromptState) {
    snapshot.usage.add(&end.usage);
    if let Some(turn) = snapshot.turns.iter_mut().find(|turn| turn.id == *turn_id) {
        turn.end = Some(end.clone());
        let prompt_id = turn.prompt_id.clone();
        set_prompt_state(snapshot, &prompt_id, prompt_state);
    }
}

/// `text` belongs at `offset` UTF-16 code units, which is the end of what is there.
fn append(item: &mut Item, offset: u64, text: &str) {
    let grown = match &mut item.content {
        ItemContent::Text { text, .. } | ItemContent::Reasoning { text, .. } => text,
        ItemContent::Tool { output, .. } => output,
        ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => return,
    };
    if grown.encode_utf16().count() as u64 == offset {
        grown.push_str(text);
    }
}
