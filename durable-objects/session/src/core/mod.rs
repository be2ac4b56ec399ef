//! The decisions of a session: what its inputs change, record and order. No IO, no clock, no randomness.
//!
//! The shell gives [`Session::apply`] one [`Input`] and a [`Context`], and carries out the [`Effect`]s in one transaction. The same
//! inputs in the same order give the same effects.

mod answer;
mod deadline;
mod input;
mod item;
mod limit;
mod outcome;
mod prompt;
mod reduce;
mod retry;
mod runner;
mod sandbox;
mod session;
mod step;
mod turn;

#[cfg(test)]
pub(crate) mod tests;

pub use answer::evaluate_refusal;
pub use deadline::DeadlineReason;
pub use input::{Context, Effect, Input, PullRequestOrder, Reply, Work, WorkOutcome};
pub use item::{ItemLength, TurnItem};
pub use prompt::{Accepted, QueuedPrompt, prompt_digest};
pub use reduce::apply_event;
pub use retry::{Retry, evaluate_retry};
pub use sandbox::{LiveSandbox, SandboxPhase};
pub use session::{NewSession, Person, PullRequestState, Saving, Session};
pub use turn::{RunningTurn, StopState};
