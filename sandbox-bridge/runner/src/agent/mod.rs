//! What the runner asks of an agent. `opencode` is the real one, `scripted` does what the prompt says, for tests and measurements.
//!
//! An agent shows its work through `Output` and reports how it ended; it never pushes and never ends the turn. Made by `worker`,
//! called by `turn`.

pub(crate) mod opencode;
pub(crate) mod scripted;

use crate::git::Identity;
use crate::output::Output;
use crate::steer::Steers;
use futures::future::BoxFuture;
use protocol::runner::TurnOrder;
use protocol::timeline::{TurnOutcome, Usage};
use tokio_util::sync::CancellationToken;

/// One prompt as the agent gets it.
pub(crate) struct TurnRequest<'a> {
    pub(crate) order: &'a TurnOrder,
    /// For commits that the agent makes itself.
    pub(crate) identity: &'a Identity,
    /// Cancelled when a participant stops the turn.
    pub(crate) stop: &'a CancellationToken,
    /// Prompts that participants add while it works.
    pub(crate) steers: &'a mut Steers,
}

/// How an agent's work ended.
#[derive(Debug)]
pub(crate) struct AgentReport {
    pub(crate) outcome: TurnOutcome,
    pub(crate) usage: Usage,
}

/// An agent that is ready for turns.
pub(crate) trait Agent {
    /// Name and version.
    fn description(&self) -> String;

    /// Works on one prompt, and on those that steer it, until they are done, stopped or failed.
    fn run_turn<'a>(
        &'a mut self,
        request: TurnRequest<'a>,
        output: &'a mut Output,
    ) -> BoxFuture<'a, AgentReport>;

    /// Ends the agent's processes.
    fn stop(&mut self) -> BoxFuture<'_, ()>;
}
