//! What a session asks of the sandbox bridge, and what the answers mean to it.

use super::failure::Failure;
use super::shell::Shell;
use crate::core::{Work, WorkOutcome, evaluate_refusal};
use platform::bridge::{Answered, Ask, Unanswered};
use protocol::bridge::{
    CommandRequest, CreateSandboxRequest, DeleteSnapshotRequest, RepositorySource, SandboxCreated,
    SandboxLimits, SnapshotRequest, TerminateRequest,
};
use protocol::repository::{ClaimSandboxRequest, SandboxClaimed};
use protocol::runner::RunnerCommand;
use protocol::trace::TraceParent;

/// A prompt waits for it; the bridge looks whether the runner is there.
const BIND_MS_MAX: u64 = 4_000;
/// A command is an answer of one hop.
const COMMAND_MS_MAX: u64 = 10_000;
/// Making and saving a sandbox takes the provider's time.
const SANDBOX_MS_MAX: u64 = 115_000;

impl Shell {
    /// Carries out work that is the bridge's.
    pub(super) async fn ask_bridge(&self, work: &Work, trace: Option<TraceParent>) -> WorkOutcome {
        let ask = match self.render_ask(work) {
            Ok(Some(ask)) => ask.traced(trace),
            // What it was for is over.
            Ok(None) => return WorkOutcome::Done,
            Err(failure) => return self.failed(failure),
        };
        let Answered { status, body, .. } = match self.settings.bridge.send(&ask).await {
            Ok(answered) => answered,
            Err(Unanswered::Misconfigured(reason)) => return WorkOutcome::Failed { reason },
            Err(Unanswered::Silent(reason)) => return WorkOutcome::Delayed { reason },
        };
        if !(200..300).contains(&status) {
            return match (work, evaluate_refusal(status, &body)) {
                // Its runner is not connected, and whoever waits does not wait for it.
                (Work::BindSandbox { .. }, WorkOutcome::Delayed { reason }) if status == 503 => {
                    WorkOutcome::Failed { reason }
                }
                (_, outcome) => outcome,
            };
        }
        match work {
            Work::BindSandbox { .. } => match protocol::read_json::<SandboxClaimed>(&body) {
                Ok(claimed) => {
                    WorkOutcome::SandboxCreated { provider: claimed.provider, isolation: claimed.isolation }
                }
                Err(error) => {
                    WorkOutcome::Delayed { reason: format!("its answer is not understood: {error}") }
                }
            },
            Work::CreateSandbox { .. } => match protocol::read_json::<SandboxCreated>(&body) {
                Ok(created) => {
                    WorkOutcome::SandboxCreated { provider: created.provider, isolation: created.isolation }
                }
                Err(error) => {
                    WorkOutcome::Delayed { reason: format!("its answer is not understood: {error}") }
                }
            },
            Work::ClaimSandbox { .. }
            | Work::ReleaseClaim { .. }
            | Work::StartTurn { .. }
            | Work::SteerTurn { .. }
            | Work::StopTurn { .. }
            | Work::TakeSnapshot { .. }
            | Work::DeleteSnapshot { .. }
            | Work::TerminateSandbox { .. }
            | Work::OpenPullRequest(_)
            | Work::LookAtPullRequest { .. }
            | Work::StoreOutput { .. }
            | Work::DeleteArtifacts
            | Work::AskLedger
            | Work::UpdateIndex
            | Work::RemoveIndex => WorkOutcome::Done,
        }
    }

    /// The request for some work; `None` when the work has become pointless.
    fn render_ask(&self, work: &Work) -> Result<Option<Ask>, Failure> {
        let replica = self.with_session(|session| session.sandbox.as_ref()?.bridge_url.clone())?;
        let ask = match work {
            Work::CreateSandbox { sandbox_id, generation, source } => {
                let request = self.with_session(|session| CreateSandboxRequest {
                    session_id: session.info.id.clone(),
                    generation: *generation,
                    repository: RepositorySource {
                        id: session.info.repository.clone(),
                        clone_url: session.clone_url.clone(),
                        default_branch: session.info.default_branch.clone(),
                    },
                    branch: session.info.branch.clone(),
                    source: source.clone(),
                    limits: SandboxLimits {
                        life_ms: self.settings.timing.life_ms,
                        ..SandboxLimits::default()
                    },
                    agent: self.settings.agent,
                    model: session.info.model.clone(),
                    models: self.settings.models.clone(),
                })?;
                Ask::new(format!("/sandboxes/{sandbox_id}"), &request, SANDBOX_MS_MAX, None)?
            }
            Work::BindSandbox { sandbox_id, generation } => {
                let request = self.with_session(|session| ClaimSandboxRequest {
                    session_id: session.info.id.clone(),
                    generation: *generation,
                    repository: session.info.repository.clone(),
                    branch: session.info.branch.clone(),
                    model: session.info.model.clone(),
                    models: self.settings.models.clone(),
                })?;
                Ask::new(format!("/sandboxes/{sandbox_id}/claimed"), &request, BIND_MS_MAX, replica)?
            }
            Work::StartTurn { sandbox_id, generation, turn_id } => {
                let Some(mut turn) = self.store.load_turn_order(turn_id)? else { return Ok(None) };
                turn.means = self.means();
                let request =
                    CommandRequest { generation: *generation, command: RunnerCommand::StartTurn { turn } };
                let Some(path) = command_path(work, sandbox_id.as_str()) else { return Ok(None) };
                Ask::new(path, &request, COMMAND_MS_MAX, replica)?
            }
            Work::SteerTurn { sandbox_id, generation, turn_id, prompt_id } => {
                let Some(command) = self.store.load_steering(turn_id, prompt_id)? else { return Ok(None) };
                let request = CommandRequest { generation: *generation, command };
                let Some(path) = command_path(work, sandbox_id.as_str()) else { return Ok(None) };
                Ask::new(path, &request, COMMAND_MS_MAX, replica)?
            }
            Work::StopTurn { sandbox_id, generation, turn_id } => {
                let command = RunnerCommand::StopTurn { turn_id: turn_id.clone() };
                let request = CommandRequest { generation: *generation, command };
                let Some(path) = command_path(work, sandbox_id.as_str()) else { return Ok(None) };
                Ask::new(path, &request, COMMAND_MS_MAX, replica)?
            }
            Work::TakeSnapshot { sandbox_id, generation, snapshot_id } => {
                let request = SnapshotRequest { generation: *generation };
                let path = format!("/sandboxes/{sandbox_id}/snapshots/{snapshot_id}");
                Ask::new(path, &request, SANDBOX_MS_MAX, replica)?
            }
            Work::TerminateSandbox { sandbox_id, generation, bridge_url } => {
                let session_id = self.with_session(|session| session.info.id.clone())?;
                let request = TerminateRequest { generation: *generation, session_id: Some(session_id) };
                let path = format!("/sandboxes/{sandbox_id}/terminated");
                Ask::new(path, &request, COMMAND_MS_MAX, bridge_url.clone())?
            }
            Work::DeleteSnapshot { snapshot_id } => {
                let request = self
                    .with_session(|session| DeleteSnapshotRequest { session_id: session.info.id.clone() })?;
                let path = format!("/snapshots/{snapshot_id}/deleted");
                Ask::new(path, &request, SANDBOX_MS_MAX, None)?
            }
            Work::ClaimSandbox { .. }
            | Work::ReleaseClaim { .. }
            | Work::OpenPullRequest(_)
            | Work::LookAtPullRequest { .. }
            | Work::StoreOutput { .. }
            | Work::DeleteArtifacts
            | Work::AskLedger
            | Work::UpdateIndex
            | Work::RemoveIndex => return Ok(None),
        };
        Ok(Some(ask))
    }
}

fn command_path(work: &Work, sandbox_id: &str) -> Option<String> {
    work.command_id().map(|command_id| format!("/sandboxes/{sandbox_id}/commands/{command_id}"))
}
