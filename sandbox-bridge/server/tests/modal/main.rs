//! The Modal provider against the stand-in of Modal: its calls as recorded flows have them, faults, restarts, and the whole way from
//! a real runner through the gateway.
//!
//! What needs the static runner is skipped where it is not built; see it with `--nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing helper is a failing test"
)]

mod balancer;
mod claims;
mod client;
#[expect(dead_code, reason = "shared with the tests of the bridge")]
#[path = "../bridge/support/edge.rs"]
mod edge;
#[expect(dead_code, reason = "shared with the tests of the bridge")]
#[path = "../bridge/support/runner.rs"]
mod fake_runner;
mod faults;
mod fenced;
mod fleet;
mod flows;
mod killed;
#[expect(dead_code, reason = "shared with the tests of the bridge")]
#[path = "../bridge/support/object.rs"]
mod object;
mod process;
mod replicas;
mod restart;
mod stopped;
mod support;
mod whole;

use support::soon;

/// Shared by edge and bridge of all tests.
const BRIDGE_SECRET: &str = "a shared secret of at least thirty-two bytes";
