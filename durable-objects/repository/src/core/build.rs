//! One build at a time: when it begins, what it says, how it ends. The last good image stays whatever happens here.

use super::breaker::Circuit;
use super::input::{Effect, Reply, Work, WorkOutcome};
use super::limit::{BUILD_GRACE_MS, BUILD_MS_MAX, BUILDS_KEPT, LINE_BYTES_MAX, LOGS_KEPT};
use super::recipe::cut;
use super::state::{Build, Ended, Image, Phase};
use super::step::Step;
use crate::call::{EndedCall, LogCall};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{BuildId, ImageId};
use protocol::limit::BUILD_INTERVAL_MS;
use protocol::repository::BuildOutcome;

/// What a build is at before the bridge has said anything.
const ORDERING: &str = "ordering the build";

impl Step<'_> {
    /// Starts a build when it is time, none runs and the provider may be asked.
    pub(super) fn start_due_build(&mut self) {
        let now = self.now();
        if self.repository.next_build_at > now || self.repository.running_build().is_some() {
            return;
        }
        let is_free = match self.repository.breaker.circuit(now) {
            Circuit::Closed => true,
            Circuit::Open(_) => false,
            // One thing is tried, and a warm sandbox shows sooner whether the provider works.
            Circuit::HalfOpen => {
                let is_filling = self.repository.sandboxes.iter().any(|s| s.phase == Phase::Filling);
                !is_filling && self.repository.missing(now) == 0
            }
        };
        if !is_free {
            return;
        }
        let (build, image) = (self.draw(), self.draw());
        let id = BuildId::from_random(build);
        self.repository.next_build_at = now.plus_ms(BUILD_INTERVAL_MS);
        self.repository.builds.push(Build {
            id: id.clone(),
            image_id: ImageId::from_random(image),
            started_at: now,
            accepted_at: None,
            word_at: now,
            ended: None,
            step: ORDERING.to_owned(),
            log_bytes: 0,
        });
        self.enqueue(Work::StartBuild(id));
        self.forget_old_builds();
    }

    fn forget_old_builds(&mut self) {
        let builds = &mut self.repository.builds;
        let surplus = builds.len().saturating_sub(BUILDS_KEPT);
        builds.drain(..surplus);
        // One more than is kept has begun, so at most one log goes.
        let position = builds.len().checked_sub(LOGS_KEPT + 1);
        let oldest = position.and_then(|position| builds.get(position)).map(|build| build.id.clone());
        if let Some(id) = oldest {
            self.order(Effect::DropLog(id));
        }
    }

    /// The bridge has taken the order, or has not.
    pub(super) fn build_answered(&mut self, id: &BuildId, outcome: WorkOutcome) {
        let now = self.now();
        match outcome {
            WorkOutcome::Done => {
                if let Some(build) = self.repository.builds.iter_mut().find(|build| build.id == *id) {
                    build.accepted_at = Some(now);
                    build.word_at = now;
                }
            }
            WorkOutcome::Gone { reason } | WorkOutcome::Rejected { reason } => {
                if self.runs(id) {
                    self.fail_build(reason);
                }
            }
            WorkOutcome::Inventory { .. } | WorkOutcome::Delayed { .. } => {}
        }
    }

    fn runs(&self, id: &BuildId) -> bool {
        self.repository.running_build().is_some_and(|build| build.id == *id)
    }

    /// Ends the running build, because it takes too long.
    pub(super) fn end_overdue_build(&mut self) {
        let now = self.now();
        let Some(build) = self.repository.running_build() else { return };
        if now.ms_since(build.started_at) < BUILD_MS_MAX + BUILD_GRACE_MS {
            return;
        }
        let mut reason = format!("timed out after {} min", BUILD_MS_MAX / 60_000);
        if build.accepted_at.is_none() {
            reason =
                format!("{reason}: the sandbox bridge did not take it: {}", self.repository.breaker.reason);
        }
        self.give_up_build(reason);
    }

    /// Ends the running build without the bridge's word, and sees to it that the bridge ends it too.
    pub(super) fn give_up_build(&mut self, reason: String) {
        let Some(id) = self.repository.running_build().map(|build| build.id.clone()) else { return };
        self.order(Effect::Withdraw(Work::StartBuild(id.clone())));
        self.enqueue(Work::CancelBuild(id));
        self.fail_build(reason);
    }

    fn fail_build(&mut self, reason: String) {
        let step = self.repository.running_build().map(|build| build.step.clone()).unwrap_or_default();
        self.end_build(BuildOutcome::Failed { step, reason });
    }

    fn end_build(&mut self, mut outcome: BuildOutcome) {
        let at = self.now();
        let Some(build) = self.repository.builds.last_mut() else { return };
        if let BuildOutcome::Failed { step, reason } = &mut outcome {
            cut(step, LINE_BYTES_MAX);
            cut(reason, LINE_BYTES_MAX);
            step.clone_into(&mut build.step);
        }
        build.ended = Some(Ended { at, outcome });
    }

    /// The bridge says that a build is over.
    pub(super) fn take_end(&mut self, call: EndedCall) -> Reply {
        let EndedCall { build_id, ended } = call;
        if !self.runs(&build_id) {
            // Of a build that was given up: its image is nobody's. A repeat about an image that is here changes nothing.
            if let BuildOutcome::Built { image_id, .. } = ended.outcome
                && !self.repository.images.iter().any(|image| image.id == image_id)
            {
                self.enqueue(Work::DeleteImage(image_id));
            }
            return Reply::Done;
        }
        self.order(Effect::Withdraw(Work::StartBuild(build_id)));
        match ended.outcome {
            BuildOutcome::Built { image_id, origin, recipe, size_bytes } => {
                let now = self.now();
                let outcome = BuildOutcome::Built {
                    image_id: image_id.clone(),
                    origin: origin.clone(),
                    recipe: recipe.clone(),
                    size_bytes,
                };
                if let Some(replaced) = self.repository.images.last_mut() {
                    replaced.used_at = now;
                }
                let image = Image { id: image_id, origin, recipe, size_bytes, built_at: now, used_at: now };
                self.repository.images.push(image);
                self.end_build(outcome);
                self.provider_works();
            }
            BuildOutcome::Unchanged if self.repository.images.is_empty() => {
                self.fail_build("nothing has changed, but the image is gone".to_owned());
            }
            BuildOutcome::Unchanged => {
                self.end_build(BuildOutcome::Unchanged);
                self.provider_works();
            }
            BuildOutcome::Failed { step, reason } => self.end_build(BuildOutcome::Failed { step, reason }),
            BuildOutcome::Unknown => {
                self.fail_build("the sandbox bridge is newer than this deployment; deploy again".to_owned());
            }
        }
        Reply::Done
    }

    /// A piece of a log: only what continues it is taken.
    pub(super) fn take_log(&mut self, call: LogCall) -> Reply {
        let LogCall { build_id, piece } = call;
        let now = self.now();
        let Some(build) = self.repository.builds.iter_mut().find(|build| build.id == build_id) else {
            return Reply::Refused(ErrorBody::new(ErrorCode::NotFound, "there is no such build"));
        };
        build.word_at = now;
        if build.ended.is_none() {
            build.step = piece.step;
            cut(&mut build.step, LINE_BYTES_MAX);
        }
        let at = build.log_bytes;
        let known = at.checked_sub(piece.offset).and_then(|known| usize::try_from(known).ok());
        let text = known.and_then(|known| piece.text.get(known..)).unwrap_or_default().to_owned();
        build.log_bytes += text.len() as u64;
        let offset = build.log_bytes;
        if !text.is_empty() {
            self.order(Effect::AppendLog { build_id, at, text });
        }
        Reply::LogAcked { offset }
    }
}
