//! Limits and waiting times of a session that are no one else's business. Those of the wires are in `protocol::limit`.

/// One line for humans: a set-up step, a reason.
pub(super) const LINE_BYTES_MAX: usize = 2 * 1024;
/// A host's name; names in DNS have at most 253.
pub(super) const HOST_BYTES_MAX: usize = 255;
/// Text of one item. With every character escaped its row stays below SQLite's 2 MB.
pub(super) const ITEM_TEXT_BYTES_MAX: usize = 256 * 1024;
/// The same for the output of one tool that is kept as an artifact.
pub(super) const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Text that an item may have grown by before it is written to its row; until then it is in the events only.
pub(super) const UNSAVED_BYTES_MAX: usize = 16 * 1024;
/// Text of all items of one turn; a runner that floods gets no more.
pub(super) const TURN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events that are kept for clients that come back; one that missed more gets a snapshot …
pub(super) const EVENTS_KEPT: u64 = 20_000;
/// … and how many more may gather before they are removed together.
pub(super) const EVENTS_SURPLUS: u64 = 5_000;
/// Snapshots to fall back to.
pub(super) const SNAPSHOTS_KEPT: usize = 3;
/// Participants of one session.
pub(super) const PARTICIPANTS_MAX: usize = 10_000;
/// What a tool was called with.
pub(super) const TOOL_INPUT_BYTES_MAX: usize = 16 * 1024;
/// Steps of a plan.
pub(super) const PLAN_STEPS_MAX: usize = 100;
/// Items of one turn; a runner that floods gets no more.
pub(super) const TURN_ITEMS_MAX: usize = 20_000;
/// Serialised hunks of a diff, so that artifact and event fit their rows.
pub(super) const DIFF_JSON_BYTES_MAX: usize = 1024 * 1024;
/// Files of a diff that are listed; the sums in `Change` count them all.
pub(super) const DIFF_FILES_MAX: usize = 3000;
/// Numbers beyond this are not exact in JavaScript.
pub(super) const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Pixels of a picture that browsers are given to show; it is decoded to four bytes for each.
pub(super) const PIXELS_MAX: u64 = 40_000_000;

/// How long a turn is leased to its sandbox; each word of its runner renews the lease, and its heartbeat comes every 10 s …
pub(super) const LEASE_MS: u64 = 30_000;
/// … and the margin for what is on its way when the lease ends.
pub(super) const LEASE_MARGIN_MS: u64 = 5_000;
/// How long before the end of a sandbox's life its work is handed over to another one.
pub(super) const HANDOVER_MS: u64 = 300_000;
/// A turn that the runner has not confirmed is sent again after this.
pub(super) const CONFIRM_MS_MAX: u64 = 30_000;
/// A repository that has not answered a claim after this is not waited for: the session makes a sandbox of its own.
pub(super) const CLAIM_MS_MAX: u64 = 3_000;
/// A bridge that has not confirmed a claimed sandbox after this is not asked for it any more.
pub(super) const BIND_MS_MAX: u64 = 5_000;
/// A claimed sandbox, whose runner was connected a moment before, is lost when it has not been announced after this …
pub(super) const WARM_ATTACH_MS_MAX: u64 = 10_000;
/// … or says nothing for this long before it is ready.
pub(super) const WARM_SETUP_MS_MAX: u64 = 60_000;
/// So many warm sandboxes one after the other come to nothing before the session makes a sandbox of its own.
pub(super) const FALSE_STARTS_MAX: u32 = 5;
/// A created sandbox whose runner has not dialled in after this is lost.
pub(super) const ATTACH_MS_MAX: u64 = 120_000;
/// A runner that is connected and has not said what it does after this is lost.
pub(super) const FIRST_WORD_MS_MAX: u64 = 60_000;
/// A runner that sets up and says nothing for this long is lost: one step may be a large clone. One that gives signs of life meanwhile
/// has [`LEASE_MS`].
pub(super) const SETUP_SILENCE_MS_MAX: u64 = 900_000;
/// A stop is sent again after this …
pub(super) const STOP_REPEAT_MS: u64 = 15_000;
/// … and enforced after this.
pub(super) const STOP_MS_MAX: u64 = 30_000;
/// The next prompt waits this long for a snapshot.
pub(super) const SNAPSHOT_MS_MAX: u64 = 120_000;
/// How often the time until a pull request is looked at again is doubled: a quarter of an hour becomes 16 hours.
pub(super) const LOOK_DOUBLINGS_MAX: u32 = 6;
/// Checks of a pull request that are shown.
pub(super) const CHECKS_MAX: usize = 100;
/// What was said about a pull request and is recognised when it is told again.
pub(super) const REVIEWS_KNOWN_MAX: usize = 500;
/// One thing that was said about a pull request.
pub(super) const PULL_TEXT_BYTES_MAX: usize = 4 * 1024;
/// A deadline noticed this late means that the session itself was away, not its runner.
pub(super) const AWAY_MS_MIN: u64 = 10_000;
