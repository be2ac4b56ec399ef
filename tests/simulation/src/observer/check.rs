//! What must hold of each event as it is recorded, and of the machine after each step.
//!
//! Compares with what runners said and what people see; changes nothing. Called by the observer with every commit.

use super::{Heard, Observer};
use crate::scene::Scene;
use protocol::client::SessionSnapshot;
use protocol::id::{ItemId, PromptId, TurnId};
use protocol::limit::{TOOL_PREVIEW_BYTES_MAX, TURN_ATTEMPTS_MAX};
use protocol::runner::RunnerEvent;
use protocol::timeline::{
    Artifact, ArtifactContent, PromptState, Role, SessionEvent, TurnEnd, TurnOutcome, Usage,
};
use session::core::{SandboxPhase, Session, Steering, growing_text};
use std::collections::BTreeSet;

impl Observer {
    pub(super) fn check_event(&mut self, scene: &mut Scene, event: &SessionEvent, heard: Option<&Heard>) {
        let Some(reference) = &self.reference else { return };
        if let SessionEvent::PromptQueued { prompt } = event {
            let known = reference.prompts.iter().any(|known| known.id == prompt.id);
            scene.hold("F19", !known, || format!("{} is queued a second time", prompt.id));
            scene.hold("F19", prompt.text != "other words", || {
                format!("{} was accepted with other words", prompt.id)
            });
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
    pub(super) fn check_output(
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
        let mut files: BTreeSet<&ItemId> = BTreeSet::new();
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
                RunnerEvent::FileMade { item_id, .. } => {
                    files.extend(item_id.iter().filter(|id| expected.iter().any(|(known, _)| known == *id)));
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
        let kept: BTreeSet<&ItemId> =
            reference.artifacts.iter().filter_map(|artifact| file_of(artifact, turn_id)).collect();
        scene.hold("I1", kept == files, || {
            format!("{turn_id} has files of {kept:?}; its runner sent {files:?}")
        });
        scene.hold("I1", same, || format!("{turn_id} shows {shown:?}; its runner said {expected:?}"));
    }

    /// What must hold of the machine after every step.
    pub(super) fn check(&self, scene: &mut Scene, session: &Session) {
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

    pub(super) fn check_queue(&self, scene: &mut Scene, session: &Session, reference: &SessionSnapshot) {
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
}

fn check_report(scene: &mut Scene, turn_id: &TurnId, end: &TurnEnd, outcome: &TurnOutcome, usage: &Usage) {
    scene.hold("I1", end.outcome == *outcome && end.usage == *usage, || {
        format!("{turn_id} ended as {end:?}; its runner said {outcome:?} with {usage:?}")
    });
}

/// The call that brought a file of this turn.
fn file_of<'a>(artifact: &'a Artifact, turn_id: &TurnId) -> Option<&'a ItemId> {
    match &artifact.content {
        ArtifactContent::File { item_id, .. } if artifact.turn_id == *turn_id => item_id.as_ref(),
        ArtifactContent::File { .. }
        | ArtifactContent::Branch { .. }
        | ArtifactContent::Diff { .. }
        | ArtifactContent::PullRequest { .. }
        | ArtifactContent::Unknown => None,
    }
}
