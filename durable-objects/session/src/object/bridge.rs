//! Signed requests to the sandbox bridge: first to the replica that has the runner, then to the bridge's common address.

use super::failure::Failure;
use super::platform::{now, random};
use super::shell::Shell;
use super::web::{JsUrl, Redirect, new_request};
use crate::core::{Work, WorkOutcome, evaluate_refusal};
use futures::future::{Either, select};
use protocol::bridge::{
    CommandRequest, CreateSandboxRequest, DeleteSnapshotRequest, RepositorySource, SandboxCreated,
    SandboxLimits, SnapshotRequest, TerminateRequest,
};
use protocol::runner::RunnerCommand;
use protocol::sign::{Audience, sign_request};
use serde::Serialize;
use std::time::Duration;
use worker::wasm_bindgen::JsValue;
use worker::{AbortController, Delay, Fetch, Method};

/// A command is an answer of one hop.
const COMMAND_MS_MAX: u64 = 10_000;
/// Making and saving a sandbox takes the provider's time.
const SANDBOX_MS_MAX: u64 = 115_000;

/// One request, to be sent to any replica.
struct Ask {
    path: String,
    body: String,
    timeout_ms: u64,
    /// The replica that should get it.
    replica: Option<String>,
}

impl Ask {
    fn new<T: Serialize>(
        path: String,
        body: &T,
        timeout_ms: u64,
        replica: Option<String>,
    ) -> Result<Self, Failure> {
        let body = serde_json::to_string(body).map_err(|error| Failure::Bug(error.to_string()))?;
        Ok(Self { path, body, timeout_ms, replica })
    }
}

impl Shell {
    /// Carries out work that is the bridge's.
    pub(super) async fn ask_bridge(&self, work: &Work) -> WorkOutcome {
        let ask = match self.render_ask(work) {
            Ok(Some(ask)) => ask,
            // What it was for is over.
            Ok(None) => return WorkOutcome::Done,
            Err(failure) => return WorkOutcome::Failed { reason: failure.into_body().message },
        };
        let (status, body) = match self.send_to_bridge(&ask).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        if !(200..300).contains(&status) {
            return evaluate_refusal(status, &body);
        }
        match work {
            Work::CreateSandbox { .. } => match protocol::read_json::<SandboxCreated>(&body) {
                Ok(created) => {
                    WorkOutcome::SandboxCreated { provider: created.provider, isolation: created.isolation }
                }
                Err(error) => {
                    WorkOutcome::Delayed { reason: format!("its answer is not understood: {error}") }
                }
            },
            Work::StartTurn { .. }
            | Work::SteerTurn { .. }
            | Work::StopTurn { .. }
            | Work::TakeSnapshot { .. }
            | Work::DeleteSnapshot { .. }
            | Work::TerminateSandbox { .. }
            | Work::OpenPullRequest(_)
            | Work::StoreOutput { .. }
            | Work::DeleteArtifacts
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
            Work::StartTurn { sandbox_id, generation, turn_id } => {
                let Some(turn) = self.store.load_turn_order(turn_id)? else { return Ok(None) };
                let request =
                    CommandRequest { generation: *generation, command: RunnerCommand::StartTurn { turn } };
                let Some(path) = command_path(work, sandbox_id.as_str()) else { return Ok(None) };
                Ask::new(path, &request, COMMAND_MS_MAX, replica)?
            }
            Work::SteerTurn { sandbox_id, generation, turn_id, prompt_id } => {
                let Some((prompt, author)) = self.store.load_steering(prompt_id)? else { return Ok(None) };
                let command = RunnerCommand::SteerTurn {
                    turn_id: turn_id.clone(),
                    prompt_id: prompt_id.clone(),
                    prompt,
                    author,
                };
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
                let request = TerminateRequest { generation: *generation };
                let path = format!("/sandboxes/{sandbox_id}/terminated");
                Ask::new(path, &request, COMMAND_MS_MAX, bridge_url.clone())?
            }
            Work::DeleteSnapshot { snapshot_id } => {
                let request = self
                    .with_session(|session| DeleteSnapshotRequest { session_id: session.info.id.clone() })?;
                let path = format!("/snapshots/{snapshot_id}/deleted");
                Ask::new(path, &request, SANDBOX_MS_MAX, None)?
            }
            Work::OpenPullRequest(_)
            | Work::StoreOutput { .. }
            | Work::DeleteArtifacts
            | Work::UpdateIndex
            | Work::RemoveIndex => return Ok(None),
        };
        Ok(Some(ask))
    }

    /// The first answer that is one; a replica that is away, or has lost the runner, is passed over.
    async fn send_to_bridge(&self, ask: &Ask) -> Result<(u16, Vec<u8>), WorkOutcome> {
        let common = &self.settings.bridge_url;
        if common.is_empty() {
            let reason = "BRIDGE_URL is not set; set it to the address of the sandbox bridge".to_owned();
            return Err(WorkOutcome::Failed { reason });
        }
        let replica = ask.replica.as_ref().filter(|replica| *replica != common);
        if let Some(replica) = replica
            && let Ok((status, body)) = self.send_once(replica, ask).await
            && !matches!(status, 404 | 421 | 502..=504)
        {
            return Ok((status, body));
        }
        self.send_once(common, ask).await
    }

    async fn send_once(&self, base: &str, ask: &Ask) -> Result<(u16, Vec<u8>), WorkOutcome> {
        let failed = |reason: &str| WorkOutcome::Failed { reason: reason.to_owned() };
        let Some(key) = &self.settings.bridge_key else {
            return Err(failed(
                "BRIDGE_KEY is not set, or is shorter than 32 bytes; set the secret that the bridge has",
            ));
        };
        let Ok(url) = JsUrl::new(&format!("{}{}", base.trim_end_matches('/'), ask.path)) else {
            return Err(failed("BRIDGE_URL is not a URL; set it to the address of the sandbox bridge"));
        };
        let signature =
            sign_request(key, Audience::Bridge, "PUT", &url.pathname(), ask.body.as_bytes(), random(), now());
        exchange(Method::Put, &url.href(), &[("authorization", signature)], Some(&ask.body), ask.timeout_ms)
            .await
            .map_err(|error| WorkOutcome::Delayed { reason: format!("it does not answer: {error}") })
    }
}

fn command_path(work: &Work, sandbox_id: &str) -> Option<String> {
    work.command_id().map(|command_id| format!("/sandboxes/{sandbox_id}/commands/{command_id}"))
}

/// Sends one request and reads the whole answer, within a time.
pub(super) async fn exchange(
    method: Method,
    url: &str,
    headers: &[(&str, String)],
    body: Option<&str>,
    timeout_ms: u64,
) -> worker::Result<(u16, Vec<u8>)> {
    let mut list = vec![("content-type", "application/json")];
    list.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = body.map(JsValue::from_str);
    let request = new_request(method.as_ref(), url, &list, Redirect::Follow, body.as_ref())?;
    let abort = AbortController::default();
    let signal = abort.signal();
    let answer = std::pin::pin!(async {
        let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
        let status = response.status_code();
        Ok((status, response.bytes().await?))
    });
    // A timer of our own, because it ends with the answer; `AbortSignal::timeout` would keep the object from sleeping until its time.
    let timer = Delay::from(Duration::from_millis(timeout_ms));
    match select(answer, timer).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => {
            abort.abort();
            Err(worker::Error::RustError(format!("no answer within {} s", timeout_ms / 1000)))
        }
    }
}
