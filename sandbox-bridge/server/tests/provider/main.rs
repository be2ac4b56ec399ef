//! One suite for all providers: the same assertions against the local provider, the stand-in of Modal, and Modal itself where its
//! token is in the environment.
//!
//! What a machine cannot do is skipped with its reason printed; see it with `--nocapture`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod live;
mod local;
mod modal_fake;
mod repository;
mod suite;
#[expect(dead_code, reason = "shared with the tests of the Modal provider")]
#[path = "../modal/support.rs"]
mod support;
