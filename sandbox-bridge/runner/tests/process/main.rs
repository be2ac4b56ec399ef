//! The runner as a process: against a fake bridge, a real git server and the real OpenCode.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

mod attachments;
mod effort;
mod faults;
mod held_edits;
mod opencode;
mod opencode_faults;
mod scripted;
mod steer;
mod support;
mod warm;
