//! Bounds and times of a repository that concern nobody else.

/// Warm sandboxes that are kept ready where nothing else is said.
pub const POOL_TARGET: u32 = 3;
/// Warm sandboxes that a recipe may ask for.
pub const POOL_TARGET_MAX: u32 = 50;
/// How long a build may take: it is over before the next one is due.
pub const BUILD_MS_MAX: u64 = 25 * 60_000;
/// The bridge ends a build that takes too long, and says so with its log; this much later it is ended without its word.
pub const BUILD_GRACE_MS: u64 = 60_000;
/// A build that the bridge does not list is given up when it has said nothing for this long: its last word may be on its way.
pub const BUILD_SILENCE_MS: u64 = 60_000;
/// How long a warm sandbox may take to become ready.
pub const FILL_MS_MAX: u64 = 2 * 60_000;
/// How often what the provider has is compared with what is known here.
pub const INVENTORY_INTERVAL_MS: u64 = 5 * 60_000;
/// Builds that are listed.
pub const BUILDS_KEPT: usize = 20;
/// Builds whose log is kept.
pub const LOGS_KEPT: usize = 10;
/// Images that are kept, the current one among them.
pub const IMAGES_KEPT: usize = 2;
/// How long an image is kept after it was replaced: a session that was told of it may be about to restore it.
pub const IMAGE_GRACE_MS: u64 = 15 * 60_000;
/// How long a claimed sandbox may stay without its session before it is ended.
pub const CLAIM_LEASE_MS: u64 = 10 * 60_000;
/// How long the newest generation of a session is remembered.
pub const CLAIM_KEPT_MS: u64 = 24 * 3_600_000;
/// Sandboxes that are held for people at the same time.
pub const RESERVATIONS_MAX: usize = 8;
/// New reservations of one user …
pub const RESERVATIONS_ASKED_MAX: u32 = 6;
/// … within this time.
pub const RESERVATIONS_WINDOW_MS: u64 = 60_000;
/// Failures of the provider …
pub const FAILURES_MAX: usize = 3;
/// … within this time, after which it is left alone for a while.
pub const FAILURES_WINDOW_MS: u64 = 5 * 60_000;
/// For how long at first; each failure after that doubles it …
pub const PAUSE_MS: u64 = 30_000;
/// … up to this.
pub const PAUSE_MS_MAX: u64 = 10 * 60_000;
/// The provider may ask for a longer pause, up to this.
pub const PAUSE_ASKED_MS_MAX: u64 = 60 * 60_000;
/// A name, a step or a reason.
pub const LINE_BYTES_MAX: usize = 2000;
/// Sandboxes, images and builds that are being ended at the same time.
pub const REMOVALS_MAX: usize = 4;
