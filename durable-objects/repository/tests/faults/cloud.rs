//! The bridge and what the provider has. Sandboxes and images outlive a killed bridge; builds and words that were not delivered do not.

use crate::random::Random;
use protocol::id::{BuildId, ImageId, SandboxId, SessionId};
use protocol::repository::{BuildEnded, BuildOutcome, ImageOrigin, Inventory, Recipe, WarmReport, WarmState};
use repository::call::{EndedCall, WarmCall};
use repository::core::{Work, WorkOutcome};
use std::collections::{BTreeMap, BTreeSet};

/// Something that the bridge says until it was heard.
#[derive(Clone)]
pub(crate) enum Word {
    Ended(EndedCall),
    Warm(WarmCall),
}

#[derive(Default)]
pub(crate) struct Cloud {
    pub(crate) images: BTreeSet<ImageId>,
    /// Sandboxes that nobody has, and when they are ready.
    pub(crate) warm: BTreeMap<SandboxId, u64>,
    pub(crate) bound: BTreeMap<SandboxId, SessionId>,
    /// What runs, and when it ends.
    pub(crate) builds: BTreeMap<BuildId, (ImageId, u64)>,
    /// Words and when they are said next.
    pub(crate) words: Vec<(u64, Word)>,
    ended: BTreeMap<BuildId, EndedCall>,
    pub(crate) is_away_until: u64,
    commits: u64,
}

impl Cloud {
    /// Carries a command out; `None` when there is nobody to do it.
    pub(crate) fn carry_out(
        &mut self,
        work: &Work,
        image: Option<ImageId>,
        now: u64,
        random: &mut Random,
    ) -> Option<WorkOutcome> {
        if now < self.is_away_until {
            return None;
        }
        match work {
            Work::StartBuild(id) => {
                if let Some(ended) = self.ended.get(id) {
                    self.words.push((now, Word::Ended(ended.clone())));
                } else if let Some(image) = image {
                    let ends_at = now + 20_000 + random.below(400_000);
                    self.builds.entry(id.clone()).or_insert((image, ends_at));
                }
            }
            Work::CancelBuild(id) => {
                self.builds.remove(id);
            }
            Work::DeleteImage(id) => {
                self.images.remove(id);
            }
            Work::Fill(id) => {
                let known = self.warm.contains_key(id) || self.bound.contains_key(id);
                if !known && image.is_none_or(|image| !self.images.contains(&image)) {
                    return Some(WorkOutcome::Gone { reason: "the image cannot be restored".into() });
                }
                if !known {
                    // One in twenty never gets ready.
                    let ready_at =
                        if random.chance(5) { u64::MAX } else { now + 2_000 + random.below(20_000) };
                    self.warm.insert(id.clone(), ready_at);
                }
            }
            Work::Discard(id) => {
                if self.bound.contains_key(id) {
                    return Some(WorkOutcome::Rejected { reason: "a session has it".into() });
                }
                self.warm.remove(id);
            }
            Work::TakeInventory => {
                let inventory = Inventory {
                    warm: self.warm.keys().cloned().collect(),
                    builds: self.builds.keys().cloned().collect(),
                    images: self.images.iter().cloned().collect(),
                };
                let asked_at = protocol::time::Timestamp(0);
                return Some(WorkOutcome::Inventory { inventory, asked_at, claimed: vec![] });
            }
        }
        Some(WorkOutcome::Done)
    }

    /// What becomes ready, or ends, by now.
    pub(crate) fn advance(&mut self, now: u64, random: &mut Random) {
        if now < self.is_away_until {
            return;
        }
        for (id, ready_at) in &mut self.warm {
            if *ready_at <= now {
                *ready_at = u64::MAX;
                self.words.push((now, warm_word(id, WarmState::Ready { agent: "scripted".into() })));
                self.words.push((now + 3_000, warm_word(id, WarmState::Synced { commit: "c0ffee".into() })));
            }
        }
        let over: Vec<BuildId> =
            self.builds.iter().filter(|(_, (_, at))| *at <= now).map(|(id, _)| id.clone()).collect();
        for build_id in over {
            let Some((image_id, _)) = self.builds.remove(&build_id) else { continue };
            let outcome = if random.chance(25) {
                BuildOutcome::Failed { step: "npm ci".into(), reason: "exit status 1".into() }
            } else {
                self.images.insert(image_id.clone());
                self.commits += 1;
                let origin = ImageOrigin {
                    commit: format!("{:040x}", self.commits),
                    recipe_fingerprint: "0".repeat(64),
                };
                BuildOutcome::Built { image_id, origin, recipe: Recipe::default(), size_bytes: 1 }
            };
            let call = EndedCall { build_id: build_id.clone(), ended: BuildEnded { outcome } };
            self.ended.insert(build_id, call.clone());
            self.words.push((now, Word::Ended(call)));
        }
    }

    /// The bridge is gone, and comes back with nothing but what the provider has: sandboxes that were ready are announced again.
    pub(crate) fn kill(&mut self, now: u64, random: &mut Random) {
        self.builds.clear();
        self.ended.clear();
        self.words.clear();
        self.is_away_until = now + random.below(180_000);
        for ready_at in self.warm.values_mut() {
            *ready_at = self.is_away_until + 500 + random.below(5_000);
        }
    }

    /// A sandbox dies by itself.
    pub(crate) fn lose(&mut self, now: u64, random: &mut Random) {
        let index = random.below(self.warm.len().max(1) as u64) as usize;
        let Some(id) = self.warm.keys().nth(index).cloned() else { return };
        self.warm.remove(&id);
        if random.chance(50) {
            self.words.push((now, warm_word(&id, WarmState::Ended { reason: "preempted".into() })));
        }
    }

    /// Gives a sandbox to a session: whether it has it.
    pub(crate) fn bind(&mut self, id: &SandboxId, session: &SessionId, now: u64) -> Option<bool> {
        if now < self.is_away_until {
            return None;
        }
        if let Some(owner) = self.bound.get(id) {
            assert_eq!(owner, session, "{id} was handed to two sessions");
            return Some(true);
        }
        if self.warm.remove(id).is_none() {
            return Some(false);
        }
        self.bound.insert(id.clone(), session.clone());
        Some(true)
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        let ready = self.warm.values().copied().filter(|at| *at != u64::MAX);
        let own = ready.chain(self.builds.values().map(|(_, at)| *at)).map(|at| at.max(self.is_away_until));
        own.chain(self.words.iter().map(|(at, _)| *at)).min()
    }
}

fn warm_word(id: &SandboxId, state: WarmState) -> Word {
    let report = WarmReport { bridge_url: "http://bridge".into(), state };
    Word::Warm(WarmCall { sandbox_id: id.clone(), report })
}
