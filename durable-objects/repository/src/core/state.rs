//! Everything that is known of a repository. Small on purpose: it is in memory as a whole, and what differs after an input is stored.

use super::breaker::Breaker;
use protocol::bridge::RepositorySource;
use protocol::id::{BuildId, ImageId, ReservationId, SandboxId, SessionId, UserId};
use protocol::repository::{BuildOutcome, ImageOrigin, Recipe};
use protocol::time::Timestamp;

/// One repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    /// Where it is.
    pub source: RepositorySource,
    /// What wins over the recipe in it.
    pub settings: Recipe,
    /// When the next build is due.
    pub next_build_at: Timestamp,
    /// When the provider is asked next what it has.
    pub inventory_at: Timestamp,
    /// Whether anything is asked of the provider at present.
    pub breaker: Breaker,
    /// Oldest first.
    pub builds: Vec<Build>,
    /// Those that can be restored, oldest first: the last one is the current one.
    pub images: Vec<Image>,
    /// The warm pool, oldest first. What was claimed is not in it.
    pub sandboxes: Vec<WarmSandbox>,
    /// Those who compose prompts, or did a moment ago.
    pub reservers: Vec<Reserver>,
}

/// One attempt to make an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// Which.
    pub id: BuildId,
    /// What its image is called when it succeeds.
    pub image_id: ImageId,
    /// When it was ordered.
    pub started_at: Timestamp,
    /// When the bridge took it.
    pub accepted_at: Option<Timestamp>,
    /// When it said something last.
    pub word_at: Timestamp,
    /// How it ended.
    pub ended: Option<Ended>,
    /// What it is at, or was at last.
    pub step: String,
    /// Length of its log.
    pub log_bytes: u64,
}

/// The end of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: BuildOutcome,
}

/// A restorable image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Which.
    pub id: ImageId,
    /// What it was made of.
    pub origin: ImageOrigin,
    /// The recipe as it was carried out.
    pub recipe: Recipe,
    /// What it takes on disk.
    pub size_bytes: u64,
    /// When its build ended.
    pub built_at: Timestamp,
    /// When it was replaced; for the current one, when its build ended.
    pub used_at: Timestamp,
}

/// A sandbox that belongs to nobody yet.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmSandbox {
    /// Which.
    pub id: SandboxId,
    /// What it is made from.
    pub image_id: ImageId,
    /// When it was ordered: its age counts from here.
    pub created_at: Timestamp,
    /// Since when the provider certainly has it.
    pub known_at: Option<Timestamp>,
    /// How far it is.
    pub phase: Phase,
    /// What its workspace is at.
    pub commit: Option<String>,
    /// Whom it is held for.
    pub reservation: Option<ReservationId>,
}

/// How far a warm sandbox is. A claimed one has left the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was ordered.
    Filling,
    /// It can be claimed.
    Ready {
        /// The replica that its runner is connected to.
        bridge_url: String,
    },
    /// Its end was ordered.
    Discarding,
}

/// Somebody who composes prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct Reserver {
    /// Who.
    pub user_id: UserId,
    /// What is held.
    pub held: Option<Held>,
    /// Since when new reservations are counted …
    pub window_at: Timestamp,
    /// … and how many there were.
    pub asked: u32,
}

/// One reservation.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Which.
    pub reservation: ReservationId,
    /// How long it holds.
    pub until: Timestamp,
}

/// The newest generation of a session that was heard of, and what it got. Kept apart from [`Repository`], because there are many.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimant {
    /// Which session.
    pub session_id: SessionId,
    /// Its generation.
    pub generation: u64,
    /// When it was answered.
    pub at: Timestamp,
    /// What it got.
    pub state: ClaimState,
}

/// What came of the claims of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// This sandbox is the session's.
    Has {
        /// Which.
        sandbox_id: SandboxId,
        /// The replica that its runner was connected to.
        bridge_url: String,
        /// What it was made from.
        image_id: ImageId,
    },
    /// There was none.
    Nothing,
    /// The session does not want one any more.
    Over,
}

impl Repository {
    /// What sandboxes start from.
    #[must_use]
    pub fn current_image(&self) -> Option<&Image> {
        self.images.last()
    }

    /// The build that runs.
    #[must_use]
    pub fn running_build(&self) -> Option<&Build> {
        self.builds.last().filter(|build| build.ended.is_none())
    }

    /// A sandbox of the pool.
    #[must_use]
    pub fn sandbox(&self, id: &SandboxId) -> Option<&WarmSandbox> {
        self.sandboxes.iter().find(|sandbox| sandbox.id == *id)
    }
}
