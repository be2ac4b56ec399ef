//! How a run ends: one more prompt when everything rests, and the deletion where it is planned.
//!
//! Called by the run's loop whenever nothing is left to be done.

use super::{DeletionState, Finale, World};
use crate::happening::{ClientStep, FromClient, Happening, user_id};
use protocol::timeline::{PromptState, Role};
use session::core::Input;

impl World {
    /// A session that has come to rest takes one more prompt and brings it to its end; whether that is over.
    pub(super) fn go_on_to_the_end(&mut self) -> bool {
        let Some(reference) = &self.observer.reference else { return true };
        match self.finale.clone() {
            Finale::Unarchiving(asked_at) if self.scene.now < asked_at + 30_000 => false,
            Finale::NotBegun | Finale::Unarchiving(_) => {
                let may = |role| matches!(role, Role::Owner | Role::Driver);
                let is_archived = reference.session.archived_at.is_some();
                let mut people = reference.participants.iter();
                let who = people.find(|known| known.role == Role::Owner || (!is_archived && may(known.role)));
                let who = who.map(|known| known.user_id.clone());
                let client = self.clients.iter_mut().find(|client| Some(&client.user.id) == who.as_ref());
                let Some(client) = client else {
                    self.scene.fail("I8", "nobody is there who may prompt");
                    return true;
                };
                if is_archived {
                    client.unarchive(&mut self.scene);
                    self.finale = Finale::Unarchiving(self.scene.now);
                } else {
                    self.finale = Finale::Prompted(client.close_with_prompt(&mut self.scene));
                }
                false
            }
            Finale::Prompted(prompt_id) => {
                let prompt = reference.prompts.iter().find(|prompt| prompt.id == prompt_id);
                let turns: Vec<_> =
                    reference.turns.iter().filter(|turn| turn.prompt_id == prompt_id).collect();
                // Nobody has noticed yet when the waiting sandbox is gone: that costs a try.
                let done = prompt.is_some_and(|prompt| prompt.state == PromptState::Done) && turns.len() <= 2;
                let what = format!("the last prompt ran as {turns:?}");
                self.scene.hold("I8", done, || what);
                self.finale = Finale::Over;
                true
            }
            Finale::Over => true,
        }
    }

    /// The owner asks for the deletion until it is answered.
    pub(super) fn ask_for_deletion(&mut self) {
        self.deletion = DeletionState::Asked;
        if self.observer.is_deleted {
            return;
        }
        self.scene.after(20_000, Happening::Deletion);
        if self.observer_has_owner()
            && let Some(by) = user_id(0)
        {
            let request = FromClient::Request(0, Box::new(Input::DeletionRequested { by }));
            self.scene.after(10, ClientStep::Sent(0, request));
        } else {
            // Somebody else owns the session by now.
            for index in 0..self.scene.plan.people {
                if let Some(by) = user_id(index) {
                    let request = FromClient::Request(index, Box::new(Input::DeletionRequested { by }));
                    self.scene.after(10, ClientStep::Sent(0, request));
                }
            }
        }
    }

    pub(super) fn observer_has_owner(&self) -> bool {
        let Some(reference) = &self.observer.reference else { return false };
        let owner = user_id(0);
        reference.participants.iter().any(|known| {
            Some(&known.user_id) == owner.as_ref() && known.role == protocol::timeline::Role::Owner
        })
    }
}
