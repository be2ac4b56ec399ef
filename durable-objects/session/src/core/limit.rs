//! Limits and waiting times of a session that are no one else's business. Those of the wires are in `protocol::limit`.

/// A session's title, in characters.
pub(super) const TITLE_CHARACTERS_MAX: usize = 80;
/// One line for humans: a set-up step, a reason.
pub(super) const LINE_BYTES_MAX: usize = 2 * 1024;
/// Text of one item or output of one tool. With every character escaped its row stays below SQLite's 2 MB.
pub(super) const ITEM_TEXT_BYTES_MAX: usize = 256 * 1024;
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

/// A turn's runner that says nothing for this long is lost; it has a heartbeat of 10 s.
pub(super) const SILENCE_MS_MAX: u64 = 60_000;
/// A turn that the runner has not confirmed is sent again after this.
pub(super) const CONFIRM_MS_MAX: u64 = 30_000;
/// A created sandbox whose runner has not dialled in after this is lost.
pub(super) const ATTACH_MS_MAX: u64 = 120_000;
/// A runner that sets up and says nothing for this long is lost: one step may be a large clone.
pub(super) const SETUP_SILENCE_MS_MAX: u64 = 900_000;
/// A stop is sent again after this …
pub(super) const STOP_REPEAT_MS: u64 = 15_000;
/// … and enforced after this.
pub(super) const STOP_MS_MAX: u64 = 30_000;
/// The next prompt waits this long for a snapshot.
pub(super) const SNAPSHOT_MS_MAX: u64 = 120_000;
/// A deadline noticed this late means that the session itself was away, not its runner.
pub(super) const AWAY_MS_MIN: u64 = 10_000;
