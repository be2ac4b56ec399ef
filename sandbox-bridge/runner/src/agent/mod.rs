//! What the runner asks of an agent. `opencode` is the real one, `scripted` does what the prompt says, for tests and measurements.
//!
//! An agent shows its work through `Output` and reports how it ended; it never pushes and never ends the turn. Made by `worker`,
//! called by `turn`.

pub(crate) mod opencode;
pub(crate) mod scripted;

use crate::gate::EditGate;
use crate::git::Identity;
use crate::output::Output;
use crate::steer::Steers;
use futures::future::BoxFuture;
use protocol::runner::{AgentKind, RunnerConfiguration, TurnOrder, WarmConfiguration};
use protocol::timeline::{TurnOutcome, Usage};
use tokio_util::sync::CancellationToken;

/// What an agent is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentSettings {
    pub(crate) kind: AgentKind,
    /// What its conversation is called where it needs a name.
    pub(crate) title: String,
    /// Model of prompts that name none.
    pub(crate) model: String,
    pub(crate) models: Vec<String>,
}

impl AgentSettings {
    pub(crate) fn of_session(configuration: &RunnerConfiguration) -> Self {
        let RunnerConfiguration { session_id, agent, model, models, .. } = configuration.clone();
        Self { kind: agent, title: format!("Farhand {session_id}"), model, models }
    }

    pub(crate) fn of_pool(configuration: &WarmConfiguration) -> Self {
        let WarmConfiguration { repository, agent, model, models, .. } = configuration.clone();
        Self { kind: agent, title: format!("Farhand {repository}"), model, models }
    }
}

/// One prompt as the agent gets it.
pub(crate) struct TurnRequest<'a> {
    pub(crate) order: &'a TurnOrder,
    /// For commits that the agent makes itself.
    pub(crate) identity: &'a Identity,
    /// Cancelled when a participant stops the turn.
    pub(crate) stop: &'a CancellationToken,
    /// Prompts that participants add while it works.
    pub(crate) steers: &'a mut Steers,
    /// To be passed before the workspace is changed.
    pub(crate) edits: &'a EditGate,
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

    /// The session that it is for has these settings; before its first turn. The error is for humans.
    fn configure(&mut self, settings: AgentSettings) -> BoxFuture<'_, Result<(), String>>;

    /// Works on one prompt, and on those that steer it, until they are done, stopped or failed.
    fn run_turn<'a>(
        &'a mut self,
        request: TurnRequest<'a>,
        output: &'a mut Output,
    ) -> BoxFuture<'a, AgentReport>;

    /// Ends the agent's processes.
    fn stop(&mut self) -> BoxFuture<'_, ()>;
}
