//! What an agent does on one prompt: a script drawn when the turn begins, played one action at a time.

use crate::plan::Fault;
use crate::scene::Scene;
use protocol::id::ItemId;
use protocol::limit::TOOL_PREVIEW_BYTES_MAX;
use protocol::time::Timestamp;
use protocol::timeline::{Item, ItemContent, ToolState, TurnOutcome};
use protocol::{id::TurnId, runner::RunnerEvent};
use std::collections::VecDeque;

/// One thing that the agent does, after a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Begins an item.
    Begin(Kind),
    /// Adds to it.
    Grow,
    /// Ends it.
    Close,
    /// Has changed files, or not, and is done.
    End { changed: bool },
    /// Takes its sandbox with it.
    Die,
    /// Goes on for ever.
    Hang,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Reasoning,
    Tool { floods: bool },
}

/// The rest of a script.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    actions: VecDeque<(u64, Action)>,
    open: Option<Item>,
    turn_id: TurnId,
}

impl Script {
    /// What the agent will do on this prompt.
    pub(crate) fn draw(scene: &mut Scene, turn_id: TurnId, poisoned: bool) -> Self {
        let mut actions = VecDeque::new();
        let pace = *scene.random.pick(&[20, 200, 2_000, 8_000]).unwrap_or(&200);
        for _ in 0..scene.random.below(4) {
            let kind = match scene.random.below(4) {
                0 => Kind::Reasoning,
                1 => Kind::Tool { floods: scene.strikes(Fault::AgentFloods) },
                _ => Kind::Text,
            };
            actions.push_back((scene.random.between(1, pace), Action::Begin(kind)));
            for _ in 0..scene.random.below(5) {
                actions.push_back((scene.random.between(1, pace), Action::Grow));
            }
            if scene.random.chance(900) {
                actions.push_back((scene.random.between(1, pace), Action::Close));
            }
        }
        let mut last = scene.random.between(1, pace);
        if scene.strikes(Fault::AgentQuiet) {
            last += scene.random.between(40_000, 240_000);
        }
        let end = if poisoned {
            Action::Die
        } else if scene.strikes(Fault::AgentHangs) {
            Action::Hang
        } else {
            Action::End { changed: scene.random.chance(400) }
        };
        actions.push_back((last, end));
        Self { actions, open: None, turn_id }
    }

    /// How long until the next action; nothing when there is none.
    pub(crate) fn wait(&self) -> Option<u64> {
        self.actions.front().map(|(wait, _)| *wait)
    }

    /// The next action with what it says.
    pub(crate) fn play(&mut self, scene: &mut Scene, at: Timestamp) -> (Option<Action>, Vec<RunnerEvent>) {
        let Some((_, action)) = self.actions.pop_front() else { return (None, Vec::new()) };
        let mut said = Vec::new();
        match &action {
            Action::Begin(kind) => {
                self.close(&mut said);
                let content = match kind {
                    Kind::Text => ItemContent::Text { text: String::new(), done: false },
                    Kind::Reasoning => ItemContent::Reasoning { text: String::new(), done: false },
                    Kind::Tool { floods } => tool(if *floods { "flood" } else { "bash" }),
                };
                let id = ItemId::from_random(scene.random.bytes());
                let item = Item { id, turn_id: self.turn_id.clone(), started_at: at, content };
                said.push(RunnerEvent::ItemChanged { item: item.clone() });
                self.open = Some(item);
            }
            Action::Grow => self.grow(scene, &mut said),
            Action::Close | Action::End { .. } => self.close(&mut said),
            Action::Die | Action::Hang => {}
        }
        (Some(action), said)
    }

    /// Whatever is open is cut; the rest of the script is not played.
    pub(crate) fn cut(&mut self) -> Vec<RunnerEvent> {
        self.actions.clear();
        let mut said = Vec::new();
        self.close(&mut said);
        said
    }

    fn grow(&mut self, scene: &mut Scene, said: &mut Vec<RunnerEvent>) {
        let number = scene.random.below(1000);
        let Some(item) = &mut self.open else { return };
        let Some(text) = session::core::growing_text_mut(&mut item.content) else { return };
        // Offsets count UTF-16 code units, so the text has characters of every length.
        let more = match number % 4 {
            0 => format!("{number} "),
            1 => format!("ä{number}\n"),
            2 => format!("😀{number}"),
            _ => "words and words and words ".repeat(1 + usize::try_from(number % 7).unwrap_or(0)),
        };
        let offset = text.encode_utf16().count() as u64;
        text.push_str(&more);
        said.push(RunnerEvent::ItemAppended { item_id: item.id.clone(), offset, text: more });
    }

    fn close(&mut self, said: &mut Vec<RunnerEvent>) {
        let Some(mut item) = self.open.take() else { return };
        match &mut item.content {
            ItemContent::Text { done, .. } | ItemContent::Reasoning { done, .. } => *done = true,
            ItemContent::Tool { name, state, output, .. } => {
                *state = ToolState::Completed { duration_ms: 5, exit_code: Some(0), edit: None };
                if name == "flood" {
                    *output = "0123456789abcde\n".repeat(TOOL_PREVIEW_BYTES_MAX / 16 + 100);
                }
            }
            ItemContent::Plan { .. } | ItemContent::Notice { .. } | ItemContent::Unknown => {}
        }
        let file = file_of(&item);
        said.push(RunnerEvent::ItemChanged { item });
        said.extend(file);
    }
}

/// What some calls bring: a text, of which some have the same.
fn file_of(item: &Item) -> Option<RunnerEvent> {
    let ItemContent::Tool { output, .. } = &item.content else { return None };
    let data = if output.len().is_multiple_of(4) { "b25l" } else { "dHdv" };
    let (turn_id, name) = (item.turn_id.clone(), "found.txt".to_owned());
    output.len().is_multiple_of(2).then(|| RunnerEvent::FileMade {
        turn_id,
        item_id: Some(item.id.clone()),
        name,
        data: data.to_owned(),
    })
}

fn tool(name: &str) -> ItemContent {
    ItemContent::Tool {
        name: name.to_owned(),
        title: "a command".to_owned(),
        input: "{}".to_owned(),
        state: ToolState::Running,
        output: String::new(),
        omitted_bytes: 0,
        artifact_id: None,
    }
}

/// How a turn that was told to stop ends.
pub(crate) const STOPPED: TurnOutcome = TurnOutcome::Stopped;
