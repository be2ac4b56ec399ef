//! The decisions of a repository: when images are made and removed, what the warm pool lacks, who gets which sandbox. No IO, no clock,
//! no randomness.
//!
//! The shell gives [`Repository::apply`] one [`Input`] and a [`Context`], and keeps the changed state and the [`Effect`]s in one
//! transaction. The same inputs in the same order give the same effects.

mod breaker;
mod build;
mod claim;
mod deadline;
mod image;
mod input;
mod limit;
mod pool;
mod reaper;
mod recipe;
mod reserve;
mod retry;
mod state;
mod status;
mod step;

#[cfg(test)]
pub(crate) mod tests;

pub use breaker::Breaker;
pub use input::{Context, Effect, Input, Reply, Work, WorkOutcome};
pub use limit::*;
pub use retry::{Retry, evaluate_refusal, evaluate_retry};
pub use state::{Build, ClaimState, Claimant, Ended, Held, Image, Phase, Repository, Reserver, WarmSandbox};
