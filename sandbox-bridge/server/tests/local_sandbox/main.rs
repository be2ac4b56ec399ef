//! The local provider on this very machine: real namespaces, real overlays, real processes.
//!
//! What the kernel or the host cannot do is skipped with its reason printed; see it with `--nocapture`.

mod adopt;
mod jail;
mod lifecycle;
mod ordinary;
mod support;
mod weak;
