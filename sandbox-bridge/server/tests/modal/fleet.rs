//! Two bridges on one app at Modal, with runners of the tests' own. Each bridge has the address and the folder of a machine of its own.

use crate::support::{build_order, config, credentials, new_image, new_sandbox_id, request, secrets, soon};
use axum::Router;
use fakes::modal::{ModalFake, ModalOptions};
use protocol::bridge::CreateSandboxRequest;
use protocol::error::ErrorBody;
use protocol::id::{RepositoryId, SandboxId};
use protocol::repository::WarmSandboxRequest;
use protocol::sign::{Audience, BridgeKeys, SandboxClaims, sign, sign_request};
use sandbox_bridge::clock;
use sandbox_bridge::config::{Keys, Secret, Secrets};
use sandbox_bridge::gateway::egress::EgressSettings;
use sandbox_bridge::provider::modal::ModalProvider;
use sandbox_bridge::provider::{ImageRecord, SandboxOrder, SandboxProvider};
use sandbox_bridge::serve::{self, Bridge, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// In the place of the runner's program: becomes what it is to run, or waits.
pub(crate) const RUNNER: &str =
    "#!/bin/sh\nif [ \"$1\" = init ]; then shift 8; exec \"$@\"; fi\nexec sleep 1000\n";

/// One bridge.
pub(crate) struct Replica {
    pub(crate) bridge: Bridge<ModalProvider>,
    /// Where runners find its gateway: a host and a port.
    pub(crate) gateway: String,
    _folder: TempDir,
}

/// All of them.
pub(crate) struct Fleet {
    pub(crate) modal: ModalFake,
    pub(crate) replicas: Vec<Replica>,
    secret: String,
    http: reqwest::Client,
}

impl Fleet {
    /// Two bridges for an edge with this secret.
    pub(crate) async fn start(edge_url: &str, secret: &str, options: ModalOptions) -> Self {
        let modal = ModalFake::start_with(options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut fleet = Self { modal, replicas: Vec::new(), secret: secret.to_owned(), http };
        for _ in 0..2 {
            let replica = fleet.replica(edge_url).await;
            fleet.replicas.push(replica);
        }
        fleet
    }

    async fn replica(&self, edge_url: &str) -> Replica {
        let folder = tempfile::tempdir().unwrap();
        // Nothing runs it: what matters here is who is told what.
        let runner = folder.path().join("runner");
        std::fs::write(&runner, RUNNER).unwrap();
        let config = config(folder.path(), runner);
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: None,
            edge_url: edge_url.parse().unwrap(),
            secrets: Secrets {
                shared: vec![Secret::new(&self.secret)],
                keys: Keys::from_secret(&self.secret).unwrap(),
                git_credentials: [].into(),
                model_providers: [].into(),
                repositories: [].into(),
            },
            egress: EgressSettings::default(),
            gateway: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap().to_string();
        let credentials = credentials(&self.modal);
        let start = |inside: Router| {
            tokio::spawn(async move { axum::serve(listener, inside).await });
            ModalProvider::start(config, credentials)
        };
        let bridge = soon("the bridge", serve::start(settings, start)).await.unwrap();
        Replica { bridge, gateway, _folder: folder }
    }

    /// What the sandbox was booted with, for whichever bridge.
    pub(crate) fn token(&self, sandbox_id: &SandboxId) -> String {
        let keys = Keys::from_secret(&self.secret).unwrap();
        let now = clock::now();
        let claims = SandboxClaims { sandbox_id: sandbox_id.clone() };
        sign(&keys.gateway, Audience::Gateway, claims, now, now.plus_ms(3_600_000))
    }

    /// A signed request to one of the bridges.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        replica: usize,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ErrorBody> {
        self.put_to(&self.replicas[replica].bridge.url, path, body).await
    }

    pub(crate) async fn put_to<T: DeserializeOwned>(
        &self,
        url: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ErrorBody> {
        let body = serde_json::to_vec(body).unwrap();
        let key = BridgeKeys::parse(&self.secret).unwrap();
        let nonce = clock::random().unwrap();
        let signature = sign_request(&key, Audience::Bridge, "PUT", path, &body, nonce, clock::now());
        let call = self.http.put(format!("{url}{path}")).header("authorization", signature).body(body);
        let answer = soon(path, call.send()).await.unwrap();
        let (status, text) = (answer.status(), answer.bytes().await.unwrap());
        if status.is_success() {
            return Ok(serde_json::from_slice(&text).unwrap());
        }
        Err(serde_json::from_slice(&text).unwrap())
    }
}

/// Makes an image of the usual repository; answers the order of a warm sandbox of it.
pub(crate) async fn image(fleet: &Fleet) -> WarmSandboxRequest {
    let provider = fleet.replicas[0].bridge.provider();
    let id = new_sandbox_id();
    let CreateSandboxRequest { mut repository, limits, agent, model, models, .. } = request();
    repository.id = RepositoryId::parse("acme/shop").unwrap();
    let image = ImageRecord { repository: repository.id.clone(), ..new_image() };
    let order = SandboxOrder { repository: repository.clone(), ..build_order() };
    soon("the creation", provider.create(&id, &order, &secrets())).await.unwrap();
    soon("the image", provider.save_image(&id, &image)).await.unwrap();
    soon("the end", provider.terminate(&id)).await.unwrap();
    WarmSandboxRequest { repository, image_id: image.image_id, limits, agent, model, models }
}
