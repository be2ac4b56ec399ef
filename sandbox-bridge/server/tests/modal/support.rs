//! What tests against the stand-in of Modal share: a provider of its own folder, orders, and waiting with a bound.

use fakes::modal::{ModalFake, ModalOptions};
use protocol::bridge::{CreateSandboxRequest, RepositorySource, SandboxLimits, SandboxSource};
use protocol::id::{BuildId, ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::repository::{ImageOrigin, Recipe};
use protocol::runner::AgentKind;
use protocol::supervisor::{ExecCommand, ExecExit};
use sandbox_bridge::config::Secret;
use sandbox_bridge::provider::modal::{
    BaseImage, Credentials, Inside, ModalClient, ModalConfig, ModalProvider,
};
use sandbox_bridge::provider::{
    BootSecrets, ImageRecord, Owner, SandboxExit, SandboxOrder, SandboxProvider, SessionOwner,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// No single step of a test takes longer, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The token that sandboxes of tests are booted with.
pub(crate) const TOKEN: &str = "sandbox-token-of-this-test";
/// What stands in for the runner: it waits until it is told to end, from inside.
pub(crate) const WAIT: &str = "while [ ! -e /tmp/end ]; do sleep 0.05; done; exit 7";

/// A provider with a stand-in of Modal.
pub(crate) struct Bench {
    pub(crate) provider: ModalProvider,
    pub(crate) exits: mpsc::Receiver<SandboxExit>,
    pub(crate) modal: ModalFake,
    pub(crate) folder: TempDir,
    pub(crate) config: ModalConfig,
}

impl Bench {
    /// `None` when the runner is not built, after saying so.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(ModalOptions::default(), |_| {}).await
    }

    pub(crate) async fn start_with(
        options: ModalOptions,
        change: impl FnOnce(&mut ModalConfig),
    ) -> Option<Self> {
        let runner = runner()?;
        let modal = ModalFake::start_with(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), runner);
        change(&mut config);
        let provider = ModalProvider::start(config.clone(), credentials(&modal)).await.unwrap();
        let exits = provider.exits().unwrap();
        Some(Self { provider, exits, modal, folder, config })
    }

    /// Another provider in the same place, as after a restart of the bridge.
    pub(crate) async fn restart(self) -> Self {
        let Self { provider, exits, modal, folder, config } = self;
        drop((provider, exits));
        let provider = ModalProvider::start(config.clone(), credentials(&modal)).await.unwrap();
        let exits = provider.exits().unwrap();
        Self { provider, exits, modal, folder, config }
    }

    pub(crate) async fn create(&self, order: &SandboxOrder) -> SandboxId {
        let id = new_sandbox_id();
        soon("the creation", self.provider.create(&id, order, &secrets())).await.unwrap();
        id
    }
}

/// Settings for sandboxes that do nothing.
pub(crate) fn config(folder: &Path, runner: PathBuf) -> ModalConfig {
    let gateway = "http://127.0.0.1:1".parse().unwrap();
    let mut config = ModalConfig::new(gateway, folder.join("modal"), runner);
    config.base_image = BaseImage::Dockerfile(vec!["FROM debian:bookworm-slim".to_owned()]);
    config.creations_per_second = 100;
    // All sandboxes of the stand-in have the network of this machine.
    config.inside = Inside {
        command: ["/bin/sh", "-c", WAIT].map(str::to_owned).to_vec(),
        listen: "none".to_owned(),
        ..Inside::default()
    };
    config
}

pub(crate) fn credentials(modal: &ModalFake) -> Credentials {
    Credentials {
        server_url: modal.url().parse().unwrap(),
        token_id: Secret::new(modal.token_id()),
        token_secret: Secret::new(modal.token_secret()),
        environment: String::new(),
    }
}

/// A client by itself.
pub(crate) fn client(modal: &ModalFake) -> ModalClient {
    ModalClient::new(credentials(modal)).unwrap()
}

/// The static build, where somebody has made it.
pub(crate) fn runner() -> Option<PathBuf> {
    let named = std::env::var_os("TEST_RUNNER").map(PathBuf::from);
    let built = || {
        let target = Path::new(env!("CARGO_BIN_EXE_sandbox-bridge")).parent()?.parent()?.to_owned();
        let builds = ["debug", "release", "native"];
        let paths = builds.map(|build| target.join("x86_64-unknown-linux-musl").join(build).join("runner"));
        paths.into_iter().find(|path| path.exists())
    };
    let found = named.or_else(built);
    if found.is_none() {
        println!(
            "skipped: build it with cargo build -p runner --target x86_64-unknown-linux-musl, or name it in TEST_RUNNER"
        );
    }
    found
}

pub(crate) fn secrets() -> BootSecrets {
    BootSecrets { sandbox_token: TOKEN.to_owned(), ..BootSecrets::default() }
}

fn unique() -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    format!("t{}n{}", std::process::id(), NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

pub(crate) fn new_sandbox_id() -> SandboxId {
    SandboxId::parse(&format!("sbx_{}", unique())).unwrap()
}

pub(crate) fn new_snapshot_id() -> SnapshotId {
    SnapshotId::parse(&format!("snp_{}", unique())).unwrap()
}

pub(crate) fn session() -> SessionId {
    SessionId::parse("ses_suite").unwrap()
}

pub(crate) fn request() -> CreateSandboxRequest {
    CreateSandboxRequest {
        session_id: session(),
        generation: 1,
        repository: RepositorySource {
            id: RepositoryId::parse("octo/demo").unwrap(),
            clone_url: "http://127.0.0.1:1/octo/demo.git".to_owned(),
            default_branch: "main".to_owned(),
        },
        branch: "farhand/test".to_owned(),
        source: SandboxSource::Base,
        limits: SandboxLimits::default(),
        agent: AgentKind::Scripted,
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    }
}

/// What a session orders.
pub(crate) fn order() -> SandboxOrder {
    SandboxOrder::of_session(&request())
}

pub(crate) fn from_snapshot(snapshot_id: &SnapshotId) -> SandboxOrder {
    SandboxOrder { source: SandboxSource::Snapshot { snapshot_id: snapshot_id.clone() }, ..order() }
}

pub(crate) fn from_image(image_id: &ImageId) -> SandboxOrder {
    SandboxOrder { source: SandboxSource::Image { image_id: image_id.clone() }, ..order() }
}

/// What a repository's warm pool orders.
pub(crate) fn warm_order() -> SandboxOrder {
    let CreateSandboxRequest { model, models, .. } = request();
    SandboxOrder { owner: Owner::Warm { model, models }, ..order() }
}

/// What the build of an image orders.
pub(crate) fn build_order() -> SandboxOrder {
    let build_id = BuildId::parse(&format!("bld_{}", unique())).unwrap();
    SandboxOrder { owner: Owner::Build { build_id }, ..order() }
}

/// A session that claims.
pub(crate) fn claimant(session_id: &str) -> SessionOwner {
    let CreateSandboxRequest { model, models, branch, .. } = request();
    SessionOwner { session_id: SessionId::parse(session_id).unwrap(), generation: 1, branch, model, models }
}

/// An image of the usual repository that nobody has made yet.
pub(crate) fn new_image() -> ImageRecord {
    ImageRecord {
        image_id: ImageId::parse(&format!("img_{}", unique())).unwrap(),
        repository: request().repository.id,
        origin: ImageOrigin { commit: "a".repeat(40), recipe_fingerprint: "b".repeat(64) },
        recipe: Recipe { setup: Some(vec!["true".to_owned()]), ..Recipe::default() },
        settings: Recipe::default(),
    }
}

pub(crate) fn shell(script: &str) -> ExecCommand {
    ExecCommand { arguments: ["sh", "-c", script].map(str::to_owned).to_vec(), ..ExecCommand::default() }
}

pub(crate) fn exited(code: i32) -> ExecExit {
    ExecExit { code: Some(code), signal: None }
}

/// Runs a script to its end.
pub(crate) async fn run<P: SandboxProvider>(
    provider: &P,
    id: &SandboxId,
    script: &str,
) -> (String, String, ExecExit) {
    let stream = soon("the start", provider.exec(id, shell(script))).await.unwrap();
    let (output, errors, exit) = soon("the end", stream.collect(8 << 20)).await.unwrap();
    (String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap(), exit)
}

pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for a state that nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
