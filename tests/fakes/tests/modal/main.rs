//! The stand-in for Modal, called as our client and the official ones call it.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod account;
mod builds;
mod caller;
mod commands;
mod faults;
mod sandboxes;
mod snapshots;
