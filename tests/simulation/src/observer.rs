//! Who never looks away: knows every event, every word of every runner and every promise, and compares.
//!
//! It keeps its own account from what was said and committed, by rules simpler than those of the session, and fails the run at the
//! first difference.

use crate::coverage::milestone;
use crate::happening::TellBody;
use crate::scene::Scene;
use protocol::client::{SessionInfo, SessionSnapshot};
use protocol::error::ErrorBody;
use protocol::id::{ItemId, PromptId, SandboxId, SnapshotId, TurnId};
use protocol::limit::{TOOL_PREVIEW_BYTES_MAX, TURN_ATTEMPTS_MAX};
use protocol::runner::{Author, RunnerEvent, RunnerEventRecord, TurnOrder};
use protocol::timeline::{
    EventRecord, Prompt, PromptState, Role, SandboxStatus, Seq, SessionEvent, TurnEnd, TurnOutcome, Usage,
};
use session::core::{Effect, Input, Reply, SandboxPhase, Session, Steering, apply_event, growing_text};
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
        self.reference = Some(empty_snapshot(session));
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

    fn check_event(&mut self, scene: &mut Scene, event: &SessionEvent, heard: Option<&Heard>) {
        let Some(reference) = &self.reference else { return };
        if let SessionEvent::PromptQueued { prompt } = event {
            let known = reference.prompts.iter().any(|known| known.id == prompt.id);
            scene.hold("F19", !known, || format!("{} is queued a second time", prompt.id));
        }
        if let SessionEvent::TurnStarted { turn } = event {
            let open = reference.turns.iter().find(|turn| turn.end.is_none());
            scene.hold("I3", open.is_none(), || format!("{} starts while another turn runs", turn.id));
            scene.hold("I3", reference.queue.first() == Some(&turn.prompt_id), || {
                format!("{} starts and is not the first in the queue", turn.prompt_id)
            });
            scene.hold("I3", turn.attempt <= TURN_ATTEMPTS_MAX, || {
                format!("{} is tried {} times", turn.prompt_id, turn.attempt)
            });
        }
        if let SessionEvent::TurnEnded { turn_id, end, prompt_state } = event {
            let turn = reference.turns.iter().find(|turn| turn.id == *turn_id);
            scene.hold("I3", turn.is_some_and(|turn| turn.end.is_none()), || {
                format!("{turn_id} ends and does not run")
            });
            let prompt_id = turn.map(|turn| turn.prompt_id.clone());
            if let (PromptState::Done, Some(prompt_id)) = (prompt_state, &prompt_id) {
                scene.hold("I3", !self.done.contains(prompt_id), || format!("{prompt_id} is done twice"));
                self.done.insert(prompt_id.clone());
            }
            self.check_output(scene, (turn_id, prompt_id.as_ref()), end, heard);
        }
        if let SessionEvent::SnapshotTaken { snapshot_id } = event {
            self.taken.push(snapshot_id.clone());
        }
    }

    /// What a turn shows at its end is what its runner said of it, each word once.
    fn check_output(
        &mut self,
        scene: &mut Scene,
        (turn_id, prompt_id): (&TurnId, Option<&PromptId>),
        end: &TurnEnd,
        heard: Option<&Heard>,
    ) {
        let carried = heard.and_then(|heard| heard.events.clone());
        let Some((sandbox_id, upto)) = carried.or_else(|| self.cursor.clone()) else { return };
        let said = self.said.get(&sandbox_id).map(Vec::as_slice).unwrap_or_default();
        let upto = usize::try_from(upto).unwrap_or(usize::MAX).min(said.len());
        let mut expected: Vec<(ItemId, String)> = Vec::new();
        for record in said.get(..upto).unwrap_or_default() {
            match &record.event {
                RunnerEvent::ItemChanged { item } if item.turn_id == *turn_id => {
                    let text = growing_text(&item.content).unwrap_or_default().to_owned();
                    match expected.iter_mut().find(|(id, _)| *id == item.id) {
                        Some(known) => known.1 = text,
                        None => expected.push((item.id.clone(), text)),
                    }
                }
                RunnerEvent::ItemAppended { item_id, text, .. } => {
                    if let Some(known) = expected.iter_mut().find(|(id, _)| id == item_id) {
                        known.1.push_str(text);
                    }
                }
                RunnerEvent::TurnEnded { turn_id: ended, outcome, usage, .. } if ended == turn_id => {
                    check_report(scene, turn_id, end, outcome, usage);
                    if let Some(prompt_id) = prompt_id {
                        self.reported.insert(turn_id.clone(), prompt_id.clone());
                    }
                    break;
                }
                RunnerEvent::SetupFailed { .. } => break,
                RunnerEvent::ItemChanged { .. }
                | RunnerEvent::TurnEnded { .. }
                | RunnerEvent::SetupStep { .. }
                | RunnerEvent::Ready { .. }
                | RunnerEvent::TurnReceived { .. }
                | RunnerEvent::SteerTaken { .. }
                | RunnerEvent::Heartbeat
                | RunnerEvent::Unknown => {}
            }
        }
        let Some(reference) = &self.reference else { return };
        let shown = reference.items.iter().filter(|item| item.turn_id == *turn_id);
        let shown: Vec<_> = shown
            .map(|item| (item.id.clone(), growing_text(&item.content).unwrap_or_default().to_owned()))
            .collect();
        let same = shown.len() == expected.len()
            && shown.iter().zip(&expected).all(|(shown, expected)| {
                shown.0 == expected.0 && (shown.1 == expected.1 || expected.1.len() > TOOL_PREVIEW_BYTES_MAX)
            });
        scene.hold("I1", same, || format!("{turn_id} shows {shown:?}; its runner said {expected:?}"));
    }

    /// What must hold of the machine after every step.
    fn check(&self, scene: &mut Scene, session: &Session) {
        let Some(reference) = &self.reference else { return };
        scene.hold("I5", session.generation >= self.generation, || "the generation went back".to_owned());
        if session.deleted {
            let rests = session.sandbox.is_none() && session.turn.is_none() && session.queue.is_empty();
            return scene.hold("I6", rests, || "a deleted session still works".to_owned());
        }
        scene.hold("I1", session.seq == self.log.len() as u64, || "the event number is off".to_owned());
        if let (Some((id, known)), Some(sandbox)) = (&self.cursor, &session.sandbox)
            && *id == sandbox.id
        {
            scene.hold("I1", sandbox.runner_seq >= *known, || {
                format!("the session had {known} events of {id} and has {}", sandbox.runner_seq)
            });
        }
        self.check_queue(scene, session, reference);
        let owners = session.participants.values().filter(|person| person.role == Role::Owner).count();
        scene.hold("roles", owners > 0, || "nobody owns the session".to_owned());
        scene.hold("I2", reference.sandbox == session.status, || {
            format!("people see {:?}, the session has {:?}", reference.sandbox, session.status)
        });
        let Some(turn) = &session.turn else { return };
        let leased = session.sandbox.as_ref().is_some_and(|sandbox| sandbox.phase == SandboxPhase::Ready);
        scene.hold("I3", leased, || format!("{} runs in no sandbox", turn.id));
        scene
            .hold("I3", session.saving.is_none(), || "a snapshot is on its way while a turn runs".to_owned());
        let is_first = session.queue.front().is_some_and(|prompt| prompt.id == turn.prompt_id);
        scene.hold("I3", is_first, || format!("{} runs and its prompt is not the first", turn.id));
        let watched = session.next_deadline(scene.plan.timing).is_some();
        scene.hold("I8", watched, || format!("nobody watches {}", turn.id));
    }

    fn check_queue(&self, scene: &mut Scene, session: &Session, reference: &SessionSnapshot) {
        let mut running = reference.turns.iter().filter(|turn| turn.end.is_none()).map(|turn| &turn.id);
        let shown = (running.next(), running.next());
        scene.hold("I3", shown == (session.turn.as_ref().map(|turn| &turn.id), None), || {
            format!("people see {shown:?} run, the session runs {:?}", session.turn)
        });
        let own = session.turn.as_ref().map(|turn| &turn.prompt_id);
        let waiting = session
            .queue
            .iter()
            .filter(|prompt| Some(&prompt.id) != own && prompt.steering != Steering::Taken);
        scene.hold("I2", waiting.map(|prompt| &prompt.id).eq(&reference.queue), || {
            format!("people see the queue {:?}, the session has {:?}", reference.queue, session.queue)
        });
        for prompt in &reference.prompts {
            let open = matches!(prompt.state, PromptState::Queued | PromptState::Running);
            let kept = session.queue.iter().any(|queued| queued.id == prompt.id);
            scene.hold("I3", open == kept, || {
                format!("{} is {:?}, in the queue: {kept}", prompt.id, prompt.state)
            });
        }
        if session.turn.is_none() && !session.queue.is_empty() {
            scene.hold("I8", session.sandbox.is_some(), || {
                "a prompt waits and no sandbox is on its way".to_owned()
            });
        }
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

fn check_report(scene: &mut Scene, turn_id: &TurnId, end: &TurnEnd, outcome: &TurnOutcome, usage: &Usage) {
    scene.hold("I1", end.outcome == *outcome && end.usage == *usage, || {
        format!("{turn_id} ended as {end:?}; its runner said {outcome:?} with {usage:?}")
    });
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

/// What a client has before the first event.
pub(crate) fn empty_snapshot(session: &Session) -> SessionSnapshot {
    SessionSnapshot {
        session: SessionInfo { title: "New session".to_owned(), archived_at: None, ..session.info.clone() },
        participants: Vec::new(),
        prompts: Vec::new(),
        queue: Vec::new(),
        turns: Vec::new(),
        earlier: None,
        items: Vec::new(),
        artifacts: Vec::new(),
        sandbox: SandboxStatus::None,
        usage: Usage::default(),
        notices: Vec::new(),
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
