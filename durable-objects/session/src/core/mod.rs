//! The decisions of a session: what its inputs change, record and order. No IO, no clock, no randomness.
//!
//! The shell gives [`Session::apply`] one [`Input`] and a [`Context`], and carries out the [`Effect`]s in one transaction. The same
//! inputs in the same order give the same effects.

mod account;
mod answer;
mod attachment;
mod claim;
mod deadline;
mod erasure;
mod file;
mod input;
mod item;
mod limit;
mod milestone;
mod outcome;
mod people;
mod policy;
mod prompt;
mod pull;
mod reduce;
mod repeat;
mod retry;
mod runner;
mod sandbox;
mod saving;
mod session;
mod slots;
mod step;
mod turn;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use account::{Account, Consultation, Counted, Granted, SpentDay};
pub use answer::evaluate_refusal;
pub use attachment::{CheckedAttachment, Served, serve_attachment};
pub use deadline::DeadlineReason;
pub use erasure::{Erasure, evaluate_erasure};
pub use file::Output;
pub use input::{Context, Effect, Input, PullRequestOrder, Reply, Timing, Work, WorkOutcome};
pub use item::{ItemLength, TurnItem, growing_text, growing_text_mut, is_open};
pub use milestone::{Milestones, Start, StartKind};
pub use policy::{Action, evaluate_permission};
pub use prompt::{Accepted, QueuedPrompt, Steering, prompt_digest};
pub use pull::Pull;
pub use reduce::{apply_event, empty_snapshot};
pub use repeat::{REPEATS_MAX, Repeat, Repeats};
pub use retry::{Retry, evaluate_retry};
pub use sandbox::{LiveSandbox, SandboxPhase};
pub use session::{NewSession, Person, PullRequestState, Saved, Saving, Session};
pub use slots::{HeldSlots, SlotsAsked};
pub use turn::{RunningTurn, StopCause, StopState};
