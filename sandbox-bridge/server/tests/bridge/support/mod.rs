//! Starts a bridge with a provider, an edge and runners of the tests' own, and signs requests to it.

pub(crate) mod code_host;
pub(crate) mod edge;
#[expect(dead_code, reason = "shared with the tests of Modal's provider")]
pub(crate) mod object;
pub(crate) mod origin;
pub(crate) mod program;
pub(crate) mod provider;
pub(crate) mod runner;

use edge::FakeEdge;
use protocol::bridge::{
    CommandRequest, CreateSandboxRequest, RepositorySource, SandboxLimits, SandboxSource,
};
use protocol::error::ErrorBody;
use protocol::id::{RepositoryId, SandboxId, SessionId, TurnId};
use protocol::runner::{AgentKind, RunnerCommand};
use protocol::sign::{Audience, BridgeKeys, sign_request};
use provider::FakeProvider;
use reqwest::{Method, StatusCode};
use runner::FakeRunner;
use sandbox_bridge::clock;
use sandbox_bridge::config::{Keys, ModelProvider, Secret, Secrets};
use sandbox_bridge::gateway::egress::{EgressSettings, RepositoryPolicy};
use sandbox_bridge::serve::{self, Bridge, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for anything in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Shared by edge and bridge of all tests.
pub(crate) const BRIDGE_SECRET: &str = "a shared secret of at least thirty-two bytes";

/// A bridge with what stands around it.
pub(crate) struct Stack {
    pub(crate) bridge: Bridge<FakeProvider>,
    pub(crate) edge: FakeEdge,
    pub(crate) http: reqwest::Client,
}

/// What the gateway of a test's bridge holds.
#[derive(Default)]
pub(crate) struct GatewaySettings {
    pub(crate) git_credentials: BTreeMap<String, Secret>,
    pub(crate) model_providers: BTreeMap<String, ModelProvider>,
    pub(crate) repositories: BTreeMap<RepositoryId, RepositoryPolicy>,
    pub(crate) egress: EgressSettings,
    /// As in the weak tier, where every process of the machine can reach them.
    pub(crate) doors_are_open: bool,
    /// Where the bridge keeps what is to outlive it.
    pub(crate) folders: Option<PathBuf>,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::start_with(GatewaySettings::default()).await
    }

    pub(crate) async fn start_with(gateway: GatewaySettings) -> Self {
        Self::start_at(FakeEdge::start().await, gateway, Vec::new()).await
    }

    /// With sandboxes that were there before the bridge.
    pub(crate) async fn start_at(edge: FakeEdge, gateway: GatewaySettings, adopted: Vec<SandboxId>) -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: None,
            edge_url: edge.url.parse().unwrap(),
            secrets: Secrets {
                shared: vec![Secret::new(BRIDGE_SECRET)],
                keys: Keys::from_secret(BRIDGE_SECRET).unwrap(),
                git_credentials: gateway.git_credentials,
                model_providers: gateway.model_providers,
                repositories: gateway.repositories,
            },
            egress: gateway.egress,
            gateway: None,
        };
        let private = !gateway.doors_are_open;
        let folders = gateway.folders;
        let start = |inside| FakeProvider::start(inside, adopted, private, folders);
        let bridge = serve::start(settings, start).await.unwrap();
        Self { bridge, edge, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Sends a signed request; answers status and body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let signature = sign(&method, path, &body);
        self.send_as(&signature, method, path, body).await
    }

    pub(crate) async fn send_as(
        &self,
        signature: &str,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> (StatusCode, Vec<u8>) {
        let request = self.http.request(method, format!("{}{path}", self.bridge.url));
        let response = request.header("authorization", signature).body(body).send().await.unwrap();
        (response.status(), response.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ErrorBody> {
        let (status, body) = self.send(Method::PUT, path, serde_json::to_vec(body).unwrap()).await;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body).unwrap());
        }
        let error: ErrorBody = serde_json::from_slice(&body).unwrap();
        assert_eq!(error.code.http_status(), status.as_u16());
        Err(error)
    }

    pub(crate) async fn create(&self, order: &CreateSandboxRequest) -> SandboxId {
        let id = sandbox_id(&format!("{}-{}", &order.session_id.as_str()[4..], order.generation));
        self.put::<serde_json::Value>(&format!("/sandboxes/{id}"), order).await.unwrap();
        id
    }

    /// A sandbox of session `ses_1` whose runner is attached and welcomed.
    pub(crate) async fn attached(&self) -> (SandboxId, FakeRunner) {
        let id = self.create(&order("1", 1)).await;
        let runner = self.dial(&id).await;
        (id, runner)
    }

    /// Dials in as the runner of a sandbox and waits for the welcome.
    pub(crate) async fn dial(&self, id: &SandboxId) -> FakeRunner {
        let place = self.bridge.provider().place(id);
        let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
        runner.hello(id, 1).await;
        runner.expect_welcome().await;
        runner
    }

    pub(crate) async fn command(&self, id: &SandboxId, name: &str) -> Result<serde_json::Value, ErrorBody> {
        let command = RunnerCommand::StopTurn { turn_id: TurnId::parse("trn_1").unwrap() };
        self.put(&format!("/sandboxes/{id}/commands/cmd_{name}"), &CommandRequest { generation: 1, command })
            .await
    }
}

/// The edge's signature of a request.
pub(crate) fn sign(method: &Method, path: &str, body: &[u8]) -> String {
    let key = BridgeKeys::parse(BRIDGE_SECRET).unwrap();
    let nonce = clock::random().unwrap();
    sign_request(&key, Audience::Bridge, method.as_str(), path, body, nonce, clock::now())
}

pub(crate) fn sandbox_id(name: &str) -> SandboxId {
    SandboxId::parse(&format!("sbx_{name}")).unwrap()
}

/// An order for a sandbox of a session.
pub(crate) fn order(session: &str, generation: u64) -> CreateSandboxRequest {
    CreateSandboxRequest {
        session_id: SessionId::parse(&format!("ses_{session}")).unwrap(),
        generation,
        repository: RepositorySource {
            id: RepositoryId::parse("acme/shop").unwrap(),
            clone_url: "http://127.0.0.1:1/acme/shop.git".to_owned(),
            default_branch: "main".to_owned(),
        },
        branch: "farhand/one".to_owned(),
        source: SandboxSource::Base,
        limits: SandboxLimits::default(),
        agent: AgentKind::Scripted,
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    }
}

/// Waits for something, within [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen in {PATIENCE:?}"),
    }
}
