//! The way out of a real sandbox, with the bridge's own gateway behind its socket: allowed hosts, refusals, and secrets that are
//! nowhere inside.

#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../bridge/support/origin.rs"]
mod origin;

use crate::support::{AGENT, Desk, Place, can_isolate, config, new_snapshot_id, request, until};
use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use origin::{Names, Origin, TestAuthority};
use protocol::bridge::CreateSandboxRequest;
use protocol::id::{SandboxId, SessionId};
use protocol::runner::SandboxMemory;
use protocol::sign::{Audience, BridgeKeys, sign_request};
use sandbox_bridge::clock;
use sandbox_bridge::config::{Keys, ModelApi, ModelProvider, Secret, Secrets};
use sandbox_bridge::gateway::egress::authority::Authority;
use sandbox_bridge::gateway::egress::{EgressSettings, Resolver};
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use sandbox_bridge::serve::{self, Bridge, Settings};
use std::path::Path;
use std::sync::Arc;

const BRIDGE_SECRET: &str = "canary-bridge-secret-of-at-least-32-bytes";
const CANARIES: [&str; 4] = ["canary-npm-token", "canary-git-token", "canary-model-key", BRIDGE_SECRET];

/// A bridge with a real gateway, and a sandbox of it that does what it is told.
pub(crate) struct Scene {
    pub(crate) bridge: Bridge<LocalProvider>,
    pub(crate) desk: Desk,
    pub(crate) place: Place,
    pub(crate) id: SandboxId,
    secure: Origin,
}

impl Scene {
    /// `None` when this machine cannot, after saying why.
    async fn start() -> Option<Self> {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut LocalConfig)) -> Option<Self> {
        let runner = crate::runner::runner()?;
        if !can_isolate() {
            return None;
        }
        let (place, desk, authority) = (Place::new(), Desk::default(), TestAuthority::new());
        let echo = async |request: Request| format!("{:?}", request.headers().get("authorization"));
        let router = Router::new().fallback(any(echo));
        let secure = Origin::tls(&authority, &["secure.example", "tunnel.example"], router).await;
        let host = |name: &str| format!("{name}:{}", secure.port);
        let own = Authority::open(&place.path().join("egress"), &[authority.der()]).unwrap();
        let bundle = own.bundle().to_owned();
        let resolver: Arc<dyn Resolver> = Arc::new(Names::local(&["secure.example", "tunnel.example"]));
        let policy = serde_json::json!({ "octo/demo": { "secrets": {
            "NPM_TOKEN": { "host": host("secure.example"), "value": CANARIES[0] },
        } } });
        let model = ModelProvider {
            base_url: "http://127.0.0.1:1/v1".parse().unwrap(),
            api_key: Secret::new(CANARIES[2]),
            kind: ModelApi::Openai,
            prices: Default::default(),
            stream_usage: true,
        };
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: None,
            edge_url: "http://127.0.0.1:1".parse().unwrap(),
            secrets: Secrets {
                shared: vec![Secret::new(BRIDGE_SECRET)],
                keys: Keys::from_secret(BRIDGE_SECRET).unwrap(),
                git_credentials: [("http://127.0.0.1:1".to_owned(), Secret::new(CANARIES[1]))].into(),
                model_providers: [("demo".to_owned(), model)].into(),
                repositories: serde_json::from_value(policy).unwrap(),
            },
            egress: EgressSettings {
                private_hosts: vec![
                    host("secure.example").parse().unwrap(),
                    host("tunnel.example").parse().unwrap(),
                ],
                extra_authorities: vec![authority.der()],
                authority: Some(Arc::new(own)),
                resolver: Some(resolver),
                ..EgressSettings::default()
            },
            gateway: None,
        };
        let mut local = config(place.path());
        local.runner = runner;
        local.ca_bundle = Some(bundle);
        let agent = format!("URL=$FARHAND_BRIDGE_URL; {AGENT}");
        local.command =
            ["/opt/farhand/bin/runner", "init", "--", "/bin/sh", "-c", &agent].map(str::to_owned).into();
        change(&mut local);
        let doors = desk.router();
        let start = async |inside: Router| LocalProvider::start(local, doors.fallback_service(inside));
        let bridge = serve::start(settings, start).await.unwrap();
        let id = crate::support::new_sandbox_id();
        create(&bridge.url, &id, request()).await;
        Some(Self { bridge, desk, place, id, secure })
    }

    async fn run(&self, script: &str) -> String {
        let script = script.replace("PORT", &self.secure.port.to_string());
        self.desk.run(&self.id, &script).await.output
    }

    /// A sandbox of another session.
    pub(crate) async fn another(&self) -> SandboxId {
        let id = crate::support::new_sandbox_id();
        let order =
            CreateSandboxRequest { session_id: SessionId::parse("ses_another").unwrap(), ..request() };
        create(&self.bridge.url, &id, order).await;
        id
    }

    pub(crate) async fn finish(self) {
        for record in self.bridge.provider().list() {
            self.bridge.provider().terminate(&record.sandbox_id).await.unwrap();
        }
        let trash = self.place.path().join("state/trash");
        until("the trash is empty", || std::fs::read_dir(&trash).unwrap().count() == 0).await;
    }
}

async fn create(bridge: &str, id: &SandboxId, order: CreateSandboxRequest) {
    let (path, body) = (format!("/sandboxes/{id}"), serde_json::to_vec(&order).unwrap());
    let key = BridgeKeys::parse(BRIDGE_SECRET).unwrap();
    let nonce = clock::random().unwrap();
    let signature = sign_request(&key, Audience::Bridge, "PUT", &path, &body, nonce, clock::now());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = http.put(format!("{bridge}{path}")).header("authorization", signature).body(body).send().await;
    let answer = sent.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_hosts_are_reached_with_secrets_that_are_not_inside() {
    let Some(scene) = Scene::start().await else { return };
    for program in [
        "curl -s -H \"Authorization: Bearer $NPM_TOKEN\" https://secure.example:PORT/",
        "python3 -c 'import os, urllib.request as u; r = u.Request(\"https://secure.example:PORT/\", headers={\"Authorization\": \"Bearer \" + os.environ[\"NPM_TOKEN\"]}); print(u.urlopen(r).read().decode())'",
    ] {
        let said = scene.run(program).await;
        assert!(said.contains(&format!("Bearer {}", "*".repeat(CANARIES[0].len()))), "{program}: {said}");
        let seen = scene.secure.seen().last().unwrap().clone();
        assert_eq!(seen.headers["authorization"], format!("Bearer {}", CANARIES[0]).as_str());
    }
    // A tunnel is the host's own TLS, whose authority is in the bundle as well.
    assert_eq!(scene.run("curl -s https://tunnel.example:PORT/").await, "None");
    for (script, expected) in [
        ("curl -s -o /dev/null -w '%{http_connect}' https://evil.example/", "403"),
        ("curl -s http://evil.example/ | head -c 28", "{\"error\":\"host_not_allowed\","),
        ("curl -s -o /dev/null -w '%{http_connect}' https://127.0.0.1:PORT/ --noproxy nothing", "403"),
        ("curl -s --noproxy '*' https://secure.example:PORT/ || echo no way", "no way\n"),
        ("curl -s --noproxy '*' --max-time 5 https://127.0.0.1:PORT/ || echo no way", "no way\n"),
    ] {
        assert_eq!(scene.run(script).await, expected, "{script}");
    }
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_learns_what_its_bridge_sees_of_its_memory() {
    let Some(scene) = Scene::start().await else { return };
    let ask = "curl -s -H \"Authorization: Bearer $FARHAND_SANDBOX_TOKEN\" $FARHAND_BRIDGE_URL/memory";
    let said = scene.run(ask).await;
    if scene.bridge.provider().capabilities().limits.iter().any(|limit| limit == "memory") {
        let told: SandboxMemory = serde_json::from_str(&said).unwrap();
        assert_eq!((told.limit_mib, told.kills), (4096, 0));
        assert!(told.held_mib.is_some_and(|held| held < 1000), "{said}");
    } else {
        assert!(said.contains("is not limited as a whole"), "{said}");
    }
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_bridge_is_anywhere_inside_or_in_a_snapshot() {
    let Some(scene) = Scene::start().await else { return };
    scene.run("env > /workspace/env; echo \"$NPM_TOKEN\" > ~/.npmrc; curl -sv -H \"Authorization: Bearer $NPM_TOKEN\" https://secure.example:PORT/ > /workspace/answer 2>&1").await;
    for canary in CANARIES {
        // A pattern that does not match itself.
        let (first, rest) = canary.split_at(1);
        let script = format!(
            "grep -arsl -e '[{first}]{rest}' /workspace /home /tmp /etc /opt /run /var /proc/[0-9]*/environ /proc/[0-9]*/cmdline; echo done"
        );
        assert_eq!(scene.run(&script).await, "done\n", "{canary}");
    }
    let stand_in = scene.run("grep -o 'farhand_secret_[0-9a-f]*' /workspace/env").await;
    assert_eq!(stand_in.trim().len(), "farhand_secret_".len() + 40, "{stand_in}");
    let snapshot = new_snapshot_id();
    scene.bridge.provider().snapshot(&scene.id, &snapshot).await.unwrap();
    assert!(has(&scene.place.path().join("state"), stand_in.trim()));
    for canary in CANARIES {
        assert!(!has(&scene.place.path().join("state"), canary), "{canary}");
    }
    scene.finish().await;
}

/// Whether some file below has the text.
fn has(folder: &Path, text: &str) -> bool {
    // What overlayfs works in is closed to everybody, and no part of a snapshot.
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            return has(&entry.path(), text);
        }
        let bytes = if kind.is_file() { std::fs::read(entry.path()).unwrap_or_default() } else { Vec::new() };
        memchr::memmem::find(&bytes, text.as_bytes()).is_some()
    })
}
