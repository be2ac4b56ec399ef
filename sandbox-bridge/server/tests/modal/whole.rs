//! The whole way: a bridge, its gateway's own address, a sandbox at the stand-in of Modal with the real runner, and a code host.

use crate::BRIDGE_SECRET;
use crate::edge::FakeEdge;
use crate::support::{config, credentials, new_sandbox_id, request, run, runner, soon};
use fakes::github::{Github, GithubOptions};
use fakes::modal::ModalFake;
use fakes::{seed, token};
use protocol::bridge::{CreateSandboxRequest, RepositorySource, SandboxCreated};
use protocol::id::{RepositoryId, SandboxId};
use protocol::runner::RunnerEvent;
use protocol::sign::{Audience, BridgeKeys, sign_request};
use protocol::timeline::Isolation;
use sandbox_bridge::clock;
use sandbox_bridge::config::{Keys, Secret, Secrets};
use sandbox_bridge::gateway::egress::EgressSettings;
use sandbox_bridge::provider::modal::{Inside, ModalConfig, ModalProvider};
use sandbox_bridge::serve::{self, Bridge, Sandboxes, Settings};
use serde::Serialize;
use std::net::{SocketAddr, TcpListener};

/// What stays when a bridge is replaced.
struct Ground {
    edge: FakeEdge,
    github: Github,
    modal: ModalFake,
    config: ModalConfig,
    gateway: SocketAddr,
    app_token: String,
    _folder: tempfile::TempDir,
}

impl Ground {
    async fn new() -> Option<Self> {
        let runner = runner()?;
        let folder = tempfile::tempdir().unwrap();
        let app_token = token::installation_token();
        let options = GithubOptions {
            root: folder.path().join("git"),
            port: 0,
            accounts: Vec::new(),
            app_token: app_token.clone(),
            app: None,
        };
        seed::shop(&options.root).await.unwrap();
        let gateway = free_address();
        let mut config = config(folder.path(), runner);
        config.gateway_url = format!("http://{gateway}").parse().unwrap();
        config.inside = Inside { listen: free_address().to_string(), ..Inside::default() };
        Some(Self {
            edge: FakeEdge::start().await,
            github: Github::start(options).await.unwrap(),
            modal: ModalFake::start().await.unwrap(),
            config,
            gateway,
            app_token,
            _folder: folder,
        })
    }

    async fn bridge(&self) -> Bridge<ModalProvider> {
        let origin = self.github.url().to_owned();
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: None,
            edge_url: self.edge.url.parse().unwrap(),
            secrets: Secrets {
                shared: vec![Secret::new(BRIDGE_SECRET)],
                keys: Keys::from_secret(BRIDGE_SECRET).unwrap(),
                git_credentials: [(origin, Secret::new(&self.app_token))].into(),
                model_providers: [].into(),
                repositories: [].into(),
            },
            egress: EgressSettings::default(),
            gateway: Some(TcpListener::bind(self.gateway).unwrap()),
        };
        let credentials = credentials(&self.modal);
        let start = |_| ModalProvider::start(self.config.clone(), credentials);
        serve::start(settings, start).await.unwrap()
    }

    fn order(&self) -> CreateSandboxRequest {
        let repository = RepositorySource {
            id: RepositoryId::parse("acme/shop").unwrap(),
            clone_url: format!("{}/acme/shop.git", self.github.url()),
            default_branch: "main".to_owned(),
        };
        CreateSandboxRequest { repository, ..request() }
    }
}

/// An address that nobody listens on at the moment.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn create(bridge: &Bridge<ModalProvider>, id: &SandboxId, order: &impl Serialize) -> SandboxCreated {
    let (path, body) = (format!("/sandboxes/{id}"), serde_json::to_vec(order).unwrap());
    let key = BridgeKeys::parse(BRIDGE_SECRET).unwrap();
    let nonce = clock::random().unwrap();
    let signature = sign_request(&key, Audience::Bridge, "PUT", &path, &body, nonce, clock::now());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = http.put(format!("{}{path}", bridge.url)).header("authorization", signature).body(body);
    let answer = soon("the creation", call.send()).await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_at_modal_reaches_its_session_its_repository_and_nothing_that_is_not_allowed() {
    let Some(ground) = Ground::new().await else { return };
    let bridge = ground.bridge().await;
    let id = new_sandbox_id();
    let created = create(&bridge, &id, &ground.order()).await;
    assert_eq!(created, SandboxCreated { provider: "modal".to_owned(), isolation: Isolation::Vm });
    ground.edge.until("the runner is attached", |session| session.attached.len() == 1).await;
    let is_ready = |event: &RunnerEvent| matches!(event, RunnerEvent::Ready { .. });
    ground.edge.until("it is ready", |session| session.stored.iter().any(|it| is_ready(&it.event))).await;

    let provider = bridge.provider().clone();
    let (branch, _, _) = run(&*provider, &id, "git rev-parse --abbrev-ref HEAD").await;
    assert_eq!(branch, "farhand/test\n");
    let (head, _, _) = run(&*provider, &id, "curl -s -o /dev/null -D - http://forbidden.example/").await;
    assert!(head.to_ascii_lowercase().contains("x-farhand-reason: host_not_allowed"), "{head}");
    let (refused, _, _) =
        run(&*provider, &id, "curl -s -o /dev/null -w '%{http_connect}' https://forbidden.example/").await;
    assert_eq!(refused, "403");
    let sandbox = ground.modal.running().remove(0);
    assert!(!format!("{:?}", sandbox.environment).contains(&ground.app_token));

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, bearer, expected) in [
        ("/sandbox", None, 401),
        ("/sandbox", Some("nonsense"), 401),
        ("/runner", None, 404),
        ("/health", None, 404),
    ] {
        let mut call = http.get(format!("http://{}{path}", ground.gateway));
        if let Some(bearer) = bearer {
            call = call.bearer_auth(bearer);
        }
        let status = soon("an answer", call.send()).await.unwrap().status();
        assert_eq!(status.as_u16(), expected, "{path} {bearer:?}");
    }
    bridge.stop(Sandboxes::End).await;
    assert!(ground.modal.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_dials_the_next_bridge_which_knows_it() {
    let Some(ground) = Ground::new().await else { return };
    let bridge = ground.bridge().await;
    let id = new_sandbox_id();
    create(&bridge, &id, &ground.order()).await;
    ground.edge.until("the runner is attached", |session| session.attached.len() == 1).await;
    soon("the bridge's end", bridge.stop(Sandboxes::RunOn)).await;
    assert_eq!(ground.modal.running().len(), 1);
    let bridge = ground.bridge().await;
    ground.edge.until("the runner is attached again", |session| session.attached.len() == 2).await;
    let attached = ground.edge.read(|session| session.attached[1].clone());
    assert_eq!((attached.sandbox_id, attached.generation), (id, 1));
    assert_eq!(attached.bridge_url, bridge.url);
    bridge.stop(Sandboxes::End).await;
    assert!(ground.modal.running().is_empty());
}
