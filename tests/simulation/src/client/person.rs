//! The person at a client: begins to write, prompts, edits, moves, stops, and looks after roles and titles.
//!
//! Acts on what the client shows, which may be out of date. Called by `world` at moments that the plan has drawn.

use super::Client;
use crate::happening::{ROLES, user_id};
use crate::plan::Fault;
use crate::runner::POISON;
use crate::scene::Scene;
use protocol::client::PromptRequest;
use protocol::id::PromptId;
use protocol::timeline::{Delivery, PromptOrigin};
use session::core::Input;

impl Client {
    /// The person does something.
    pub(crate) fn act(&mut self, scene: &mut Scene) {
        if self.is_dismissed || scene.calm || self.acts_left == 0 {
            return;
        }
        self.acts_left -= 1;
        let by = self.user.id.clone();
        let chosen = scene.random.below(100);
        let queue = self.snapshot.as_ref().map(|snapshot| snapshot.queue.clone()).unwrap_or_default();
        let input = match chosen {
            0..=44 => return self.prompt(scene),
            45..=50 => {
                scene.see("prompt-begun");
                Input::PromptBegun { by }
            }
            51..=54 => return self.contradict(scene),
            55..=61 => {
                let Some(prompt_id) = scene.random.pick(&queue).cloned() else { return self.prompt(scene) };
                let text = format!("edited {}", scene.random.below(1000));
                Input::PromptEdited { prompt_id, text, by }
            }
            62..=68 => {
                let Some(prompt_id) = scene.random.pick(&queue).cloned() else { return self.prompt(scene) };
                let before = scene.random.pick(&queue).cloned();
                Input::PromptMoved { prompt_id, before, by }
            }
            69..=74 => {
                let Some(prompt_id) = scene.random.pick(&queue).cloned() else { return self.prompt(scene) };
                Input::PromptCancelled { prompt_id, by }
            }
            75..=84 => match self.turn_seen(scene) {
                Some(turn_id) => Input::StopRequested { turn_id, by },
                None => return self.prompt(scene),
            },
            85..=90 => {
                let people = scene.plan.people as u64;
                let whom = usize::try_from(scene.random.below(people)).unwrap_or(0);
                let (Some(user_id), Some(role)) = (user_id(whom), scene.random.pick(&ROLES).copied()) else {
                    return;
                };
                Input::RoleChanged { user_id, role, by }
            }
            91..=94 => Input::TitleChanged { title: format!("title {}", scene.random.below(100)), by },
            _ => Input::ArchiveChanged { archived: scene.random.chance(500), by },
        };
        self.want(scene, input);
    }

    pub(super) fn turn_seen(&self, scene: &mut Scene) -> Option<protocol::id::TurnId> {
        let turns = &self.snapshot.as_ref()?.turns;
        // Mostly the one that runs; sometimes one that is over.
        let running = turns.iter().rev().find(|turn| turn.end.is_none());
        let chosen = if scene.random.chance(100) { turns.first() } else { running };
        chosen.map(|turn| turn.id.clone())
    }

    /// Submits one last prompt, when nothing goes wrong any more.
    pub(crate) fn close_with_prompt(&mut self, scene: &mut Scene) -> PromptId {
        let id = PromptId::from_random(scene.random.bytes());
        let text = "one more thing".to_owned();
        let (origin, delivery) = (PromptOrigin::Web, Delivery::Queue);
        self.submit(
            scene,
            PromptRequest {
                id: id.clone(),
                text,
                model: None,
                effort: None,
                origin,
                delivery,
                attachments: Vec::new(),
                traceparent: None,
            },
        );
        id
    }

    /// Takes an archived session up again.
    pub(crate) fn unarchive(&mut self, scene: &mut Scene) {
        let by = self.user.id.clone();
        self.want(scene, Input::ArchiveChanged { archived: false, by });
    }

    /// Submits other words under the id of an accepted prompt.
    fn contradict(&mut self, scene: &mut Scene) {
        let Some(id) = scene.random.pick(&self.accepted).cloned() else { return self.prompt(scene) };
        self.conflicting.insert(id.clone());
        let (origin, delivery) = (PromptOrigin::Web, Delivery::Queue);
        let prompt = PromptRequest {
            id,
            text: "other words".to_owned(),
            model: None,
            effort: None,
            origin,
            delivery,
            attachments: Vec::new(),
            traceparent: None,
        };
        self.want(scene, Input::PromptSubmitted { author: self.user.clone(), prompt });
    }

    pub(super) fn prompt(&mut self, scene: &mut Scene) {
        let mut text = format!("prompt of {} at {}", self.user.login, scene.now);
        if scene.strikes(Fault::AgentPoisoned) {
            text.push_str(POISON);
        }
        let steers = scene.random.chance(300);
        let request = PromptRequest {
            id: PromptId::from_random(scene.random.bytes()),
            text,
            model: None,
            effort: None,
            origin: PromptOrigin::Web,
            delivery: if steers { Delivery::Steer } else { Delivery::Queue },
            attachments: Vec::new(),
            traceparent: None,
        };
        self.submit(scene, request);
    }
}
