//! Who never looks away: knows every event, every word of every runner and every promise, and compares.
//!
//! It keeps its own account from what was said and committed, by rules simpler than those of the session, and fails the run at the
//! first difference.

mod check;

use crate::coverage::milestone;
use crate::happening::TellBody;
use crate::scene::Scene;
use protocol::client::SessionSnapshot;
use protocol::error::ErrorBody;
use protocol::id::{PromptId, SandboxId, SnapshotId, TurnId};
use protocol::runner::{Author, RunnerEventRecord, TurnOrder};
use protocol::timeline::{EventRecord, Prompt, Seq, SessionEvent, Usage};
use session::core::{Effect, Input, Reply, Session, apply_event, empty_snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Idleness is measured in minutes, so the moment of the last activity need not be exact on disk.
const MINUTE_MS: u64 = 60_000;

/// The account of one run.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// What a client shows that never disconnected.
    pub(crate) reference: Option<SessionSnapshot>,
    /// Every event, from the first.
    pub(crate) log: Vec<Rc<EventRecord>>,
    /// Snapshots that were recorded since somebody looked.
    pub(crate) taken: Vec<SnapshotId>,
    pub(crate) is_deleted: bool,
    /// The machine that was in memory when memory was lost.
    forgotten: Option<Session>,
    /// Every event of every runner.
    said: BTreeMap<SandboxId, Vec<Rc<RunnerEventRecord>>>,
    /// The newest event of each runner that was acknowledged.
    acked: BTreeMap<SandboxId, Seq>,
    cursor: Option<(SandboxId, Seq)>,
    generation: u64,
    /// Turns that an agent began.
    begun: BTreeSet<TurnId>,
    /// Turns whose end an agent reported, with their prompts.
    reported: BTreeMap<TurnId, PromptId>,
    done: BTreeSet<PromptId>,
}

/// Which of a runner's events an input carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    events: Option<(SandboxId, Seq)>,
}

impl Observer {
    pub(crate) fn created(&mut self, session: &Session) {
        self.reference = Some(empty_snapshot(&session.info));
    }

    /// The object's memory is lost with this in it.
    pub(crate) fn forgotten(&mut self, session: Session) {
        self.forgotten = Some(session);
    }

    /// The machine was rebuilt from its tables: it must be what was in memory.
    pub(crate) fn rebuilt(&mut self, scene: &mut Scene, session: &Session) {
        let Some(mut expected) = self.forgotten.take() else { return };
        scene.see("rebuilt");
        let mut found = session.clone();
        let minute = |session: &Session| session.active_at.0 / MINUTE_MS;
        scene.hold("F07", minute(&expected) == minute(&found), || {
            format!("last active at {:?} in memory, {:?} on disk", expected.active_at, found.active_at)
        });
        found.active_at = expected.active_at;
        level(&mut expected, &mut found);
        if expected.deleted && found.deleted && expected.generation == found.generation {
            // What nobody will see again need not be the same.
            return;
        }
        if expected != found {
            let difference = first_difference(&format!("{expected:#?}"), &format!("{found:#?}"));
            scene.fail("F07", &format!("what was in memory is not what is stored: {difference}"));
        }
    }

    /// A runner appends an event to its spool.
    pub(crate) fn said(&mut self, sandbox_id: &SandboxId, record: Rc<RunnerEventRecord>) {
        self.said.entry(sandbox_id.clone()).or_default().push(record);
    }

    /// An input is about to be applied.
    #[expect(clippy::unused_self, reason = "the account of an input begins here")]
    pub(crate) fn hear(&self, input: &Input) -> Heard {
        let events = if let Input::RunnerEvents(batch) = input {
            batch.events.last().map(|record| (batch.sandbox_id.clone(), record.seq))
        } else {
            None
        };
        Heard { events }
    }

    /// What an input changed is stored.
    pub(crate) fn committed(
        &mut self,
        scene: &mut Scene,
        session: &Session,
        effects: &[Effect],
        heard: Option<&Heard>,
    ) {
        for effect in effects {
            match effect {
                Effect::Record { seq, at, event } => {
                    let record = Rc::new(EventRecord { seq: *seq, at: *at, event: event.clone() });
                    self.record(scene, record, heard);
                }
                Effect::Purge => {
                    scene.see("deleted");
                    self.is_deleted = true;
                }
                Effect::SaveParticipant(_)
                | Effect::SaveQueue(_)
                | Effect::SaveCursor
                | Effect::SaveWatch
                | Effect::SaveText { .. }
                | Effect::SaveOutput { .. }
                | Effect::SaveAttachments { .. }
                | Effect::DropOutput { .. }
                | Effect::Compact { .. }
                | Effect::Enqueue(_)
                | Effect::Withdraw { .. }
                | Effect::Reply(_) => {}
            }
        }
        self.check(scene, session);
        self.cursor = session.sandbox.as_ref().map(|sandbox| (sandbox.id.clone(), sandbox.runner_seq));
        self.generation = session.generation;
    }

    /// The caller is about to hear this.
    pub(crate) fn answered(&mut self, scene: &mut Scene, session: &Session, reply: &Reply, heard: &Heard) {
        let (Reply::Acked { acked }, Some((sandbox_id, _))) = (reply, &heard.events) else { return };
        let said = self.said.get(sandbox_id).map_or(0, |said| said.len() as u64);
        let known = self.acked.insert(sandbox_id.clone(), *acked).unwrap_or(0);
        scene.hold("I1", *acked <= said, || {
            format!("{acked} is acknowledged to {sandbox_id}, which has said {said}")
        });
        scene
            .hold("I1", *acked >= known, || format!("{acked} is acknowledged to {sandbox_id} after {known}"));
        let stored = session.sandbox.as_ref().filter(|sandbox| sandbox.id == *sandbox_id);
        scene.hold("I1", stored.is_none_or(|sandbox| sandbox.runner_seq == *acked), || {
            format!("{acked} is acknowledged to {sandbox_id} and not stored")
        });
    }

    fn record(&mut self, scene: &mut Scene, record: Rc<EventRecord>, heard: Option<&Heard>) {
        scene.trace.line(scene.now, || {
            let mut text = format!("  #{} {:?}", record.seq, record.event);
            text.truncate(text.floor_char_boundary(300));
            text
        });
        let expected = self.log.len() as u64 + 1;
        scene.hold("I1", record.seq == expected, || format!("event {} follows {}", record.seq, expected - 1));
        self.check_event(scene, &record.event, heard);
        if let Some(milestone) = milestone(&record.event) {
            scene.see(milestone);
        }
        if let Some(reference) = &mut self.reference {
            apply_event(reference, &record);
        }
        self.log.push(record);
    }

    /// Words of a sandbox that is not the session's any more were heard: nothing may have changed.
    pub(crate) fn stale(
        &self,
        scene: &mut Scene,
        what: &TellBody,
        before: &Session,
        after: Option<&Session>,
        reply: &Reply,
    ) {
        let (sandbox_id, generation) = what.subject();
        scene.see("stale-words-refused");
        let is_refused = matches!(reply, Reply::Refused(_)) || matches!(what, TellBody::Ended(_));
        scene.hold("I5", is_refused, || {
            format!("{sandbox_id} of generation {generation} is not the session's and was answered {reply:?}")
        });
        let is_same = after.is_some_and(|after| {
            // Work that goes on counts as activity whatever else is said.
            *before == Session { active_at: before.active_at, ..after.clone() }
        });
        scene.hold("I5", is_same, || {
            format!("{sandbox_id} of generation {generation} is not the session's and changed it")
        });
    }

    /// An agent begins to work.
    pub(crate) fn begins(&mut self, scene: &mut Scene, order: &TurnOrder, memory: &mut BTreeSet<TurnId>) {
        let first = self.begun.insert(order.turn_id.clone());
        scene.hold("I3", first, || format!("{} is worked on twice", order.turn_id));
        if self.is_deleted {
            return;
        }
        let prompt_id = self
            .reference
            .as_ref()
            .and_then(|reference| reference.turns.iter().find(|turn| turn.id == order.turn_id))
            .map(|turn| turn.prompt_id.clone());
        self.check_words(scene, prompt_id.as_ref(), &order.prompt, &order.author);
        // A prompt that is tried again is its own digest.
        let others = self.reported.iter().filter(|(_, other)| Some(*other) != prompt_id.as_ref());
        let forgotten = others.filter(|(turn_id, _)| !memory.contains(*turn_id)).count();
        scene.hold("F34", forgotten == 0 || order.digest.is_some(), || {
            format!("{} begins without a word about {forgotten} turns before it", order.turn_id)
        });
        memory.extend(self.reported.keys().cloned());
    }

    /// An agent is given one more prompt.
    pub(crate) fn steers(
        &self,
        scene: &mut Scene,
        turn_id: &TurnId,
        prompt_id: &PromptId,
        text: &str,
        author: &Author,
    ) {
        scene.trace.line(scene.now, || format!("{prompt_id} is steered into {turn_id}"));
        if !self.is_deleted {
            self.check_words(scene, Some(prompt_id), text, author);
        }
    }

    fn check_words(&self, scene: &mut Scene, prompt_id: Option<&PromptId>, text: &str, author: &Author) {
        let Some(reference) = &self.reference else { return };
        let prompt = prompt_id.and_then(|id| reference.prompts.iter().find(|prompt| prompt.id == *id));
        let name = |prompt: &Prompt| {
            let known = reference.participants.iter().find(|known| known.user_id == prompt.author);
            known.map(|known| known.name.clone())
        };
        scene.hold("F23", prompt.is_some_and(|prompt| prompt.text == text), || {
            format!("an agent was given {text:?}; people see {prompt:?}")
        });
        scene.hold("F23", prompt.and_then(name).as_ref() == Some(&author.name), || {
            format!("{author:?} is to be the author of {prompt:?}")
        });
    }

    /// A client was told that the session has its prompt.
    pub(crate) fn promised(&self, scene: &mut Scene, prompt_id: &PromptId, seq: Seq) {
        let index = usize::try_from(seq).unwrap_or(0).checked_sub(1);
        let record = index.and_then(|index| self.log.get(index));
        let kept = record.is_some_and(|record| {
            matches!(&record.event, SessionEvent::PromptQueued { prompt } if prompt.id == *prompt_id)
        });
        scene.hold("I1", kept, || format!("{prompt_id} was accepted at {seq} and is not there"));
    }

    /// A client was told that the session does not take its prompt.
    pub(crate) fn refused(&self, scene: &mut Scene, prompt_id: &PromptId, error: &ErrorBody) {
        let known = self
            .reference
            .as_ref()
            .is_some_and(|reference| reference.prompts.iter().any(|prompt| prompt.id == *prompt_id));
        scene.hold("F19", !known || self.is_deleted, || {
            format!("{prompt_id} is there and was refused: {error}")
        });
    }

    /// An event as a client got it.
    pub(crate) fn compare_event(&self, scene: &mut Scene, record: &EventRecord) {
        let index = usize::try_from(record.seq).unwrap_or(0).checked_sub(1);
        let known = index.and_then(|index| self.log.get(index));
        scene.hold("I2", known.is_some_and(|known| known.as_ref() == record), || {
            format!("a client was sent {record:?}; stored is {known:?}")
        });
    }

    /// What somebody shows as of an event.
    pub(crate) fn compare(&self, scene: &mut Scene, seq: Seq, shown: &SessionSnapshot, who: &str) {
        let newest = self.log.len() as u64;
        scene.hold("I2", seq <= newest, || format!("{who} shows {seq}; there are {newest} events"));
        if seq != newest {
            return;
        }
        if let Some(reference) = &self.reference
            && reference != shown
        {
            let difference = first_difference(&format!("{reference:#?}"), &format!("{shown:#?}"));
            scene.fail("I2", &format!("{who} shows something else at {seq}: {difference}"));
        }
    }

    /// The sum of what the turns used.
    pub(crate) fn check_usage(&self, scene: &mut Scene) {
        let Some(reference) = &self.reference else { return };
        let mut sum = Usage::default();
        for turn in &reference.turns {
            if let Some(end) = &turn.end {
                sum.add(&end.usage);
            }
        }
        scene.hold("F02", sum == reference.usage, || {
            format!("{:?} is shown, {sum:?} was used", reference.usage)
        });
    }
}

/// Differences between memory and disk that change nothing: what is not in rows yet, and what a replaced item counted for.
fn level(expected: &mut Session, found: &mut Session) {
    for session in [expected, found] {
        let Some(turn) = &mut session.turn else { continue };
        turn.bytes = 0;
        for item in turn.items.values_mut() {
            if let session::core::TurnItem::Open { unsaved, .. } = item {
                *unsaved = 0;
            }
        }
    }
}

/// The first lines in which two renderings differ.
fn first_difference(expected: &str, found: &str) -> String {
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    match lines.find(|(_, (expected, found))| expected != found) {
        Some((line, (expected, found))) => {
            format!("line {line}: expected {}, found {}", expected.trim(), found.trim())
        }
        None => "one of them goes on".to_owned(),
    }
}
