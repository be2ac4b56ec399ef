//! Compares what the provider has with what is known here: answers get lost, and processes die between two steps.

use super::input::{Effect, Work};
use super::limit::{BUILD_SILENCE_MS, CLAIM_KEPT_MS};
use super::state::Phase;
use super::step::Step;
use protocol::id::SandboxId;
use protocol::repository::Inventory;
use protocol::time::Timestamp;

impl Step<'_> {
    /// `asked_at` is when the provider was asked: what came to be later may be missing in its answer.
    pub(super) fn compare(&mut self, inventory: Inventory, asked_at: Timestamp, claimed: &[SandboxId]) {
        self.compare_builds(&inventory, asked_at);
        self.compare_images(&inventory, asked_at);
        let is_lost = |known_at: Option<Timestamp>, id: &SandboxId| {
            known_at.is_some_and(|at| at < asked_at) && !inventory.warm.contains(id)
        };
        self.repository
            .sandboxes
            .retain(|sandbox| sandbox.phase == Phase::Discarding || !is_lost(sandbox.known_at, &sandbox.id));
        for id in &inventory.warm {
            if self.repository.sandbox(id).is_none() && !claimed.contains(id) {
                self.discard(id);
            }
        }
        let before = Timestamp(self.now().0.saturating_sub(CLAIM_KEPT_MS));
        self.order(Effect::ForgetClaims { before });
    }

    fn compare_builds(&mut self, inventory: &Inventory, asked_at: Timestamp) {
        let now = self.now();
        let running = self.repository.running_build().map(|build| build.id.clone());
        for id in inventory.builds.iter().filter(|id| running.as_ref() != Some(*id)) {
            self.enqueue(Work::CancelBuild(id.clone()));
        }
        let Some(build) = self.repository.running_build() else { return };
        let is_silent = now.ms_since(build.word_at) >= BUILD_SILENCE_MS;
        let was_there = build.accepted_at.is_some_and(|at| at < asked_at);
        if was_there && is_silent && !inventory.builds.contains(&build.id) {
            self.give_up_build("the sandbox bridge that made it has ended; it is tried again".to_owned());
        }
    }

    fn compare_images(&mut self, inventory: &Inventory, asked_at: Timestamp) {
        let lost = self.repository.images.iter();
        let lost = lost.filter(|image| image.built_at < asked_at && !inventory.images.contains(&image.id));
        let lost: Vec<_> = lost.map(|image| image.id.clone()).collect();
        for id in lost {
            self.lose_image(&id, "the provider does not have it any more");
        }
        let making = self.repository.running_build().map(|build| build.image_id.clone());
        for id in &inventory.images {
            let is_known = self.repository.images.iter().any(|image| image.id == *id);
            if !is_known && making.as_ref() != Some(id) {
                self.enqueue(Work::DeleteImage(id.clone()));
            }
        }
    }
}
