//! The local provider on this very machine: real namespaces, real overlays, real processes.
//!
//! What the kernel or the host cannot do is skipped with its reason printed; see it with `--nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing helper is a failing test"
)]

mod adopt;
mod archive;
mod dying;
mod egress;
mod exec;
mod jail;
mod kills;
mod lifecycle;
mod limits;
mod ordinary;
mod runner;
mod snapshots;
mod support;
mod weak;
