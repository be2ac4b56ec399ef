//! Which images stay: the current one, the one before, and those that something stands on.

use super::input::Work;
use super::limit::{IMAGE_GRACE_MS, IMAGES_KEPT, LINE_BYTES_MAX};
use super::recipe::cut;
use super::state::Repository;
use super::step::Step;
use protocol::id::ImageId;
use protocol::repository::BuildOutcome;
use protocol::time::Timestamp;

/// What a build is said to have failed at when the provider has lost what it made.
const KEEPING: &str = "keeping the image";

impl Repository {
    /// The oldest image that is not needed, and when it goes.
    pub(super) fn next_retirement(&self) -> Option<(Timestamp, ImageId)> {
        let surplus = self.images.len().saturating_sub(IMAGES_KEPT);
        let is_unused = |id: &ImageId| !self.sandboxes.iter().any(|sandbox| sandbox.image_id == *id);
        let unused = self.images.iter().take(surplus).filter(|image| is_unused(&image.id));
        unused.map(|image| (image.used_at.plus_ms(IMAGE_GRACE_MS), image.id.clone())).min()
    }
}

impl Step<'_> {
    /// Orders the removal of what is needed no longer.
    pub(super) fn retire_images(&mut self) {
        while let Some((at, id)) = self.repository.next_retirement() {
            if at > self.now() {
                return;
            }
            self.repository.images.retain(|image| image.id != id);
            self.enqueue(Work::DeleteImage(id));
        }
    }

    /// An image cannot be restored: another is current, or is made at once. Its build says why, to whoever looks or claims meanwhile.
    pub(super) fn lose_image(&mut self, id: &ImageId, reason: &str) {
        let was_current = self.repository.current_image().is_some_and(|image| image.id == *id);
        let count = self.repository.images.len();
        self.repository.images.retain(|image| image.id != *id);
        if self.repository.images.len() == count {
            return;
        }
        self.enqueue(Work::DeleteImage(id.clone()));
        let made = self.repository.builds.iter_mut().find(|build| build.image_id == *id);
        if let Some(ended) = made.and_then(|build| build.ended.as_mut()) {
            let mut reason = format!("the image is lost, and another is built: {reason}");
            cut(&mut reason, LINE_BYTES_MAX);
            ended.outcome = BuildOutcome::Failed { step: KEEPING.to_owned(), reason };
        }
        if was_current {
            self.repository.next_build_at = self.now();
        }
    }
}
