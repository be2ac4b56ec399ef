//! What two bridges on one app answer to edge and runners: whichever is asked, a sandbox is one session's.

use crate::BRIDGE_SECRET;
use crate::edge::FakeEdge;
use crate::fake_runner::FakeRunner;
use crate::fleet::Fleet;
use crate::support::{new_sandbox_id, request, soon, until};
use fakes::modal::ModalOptions;
use protocol::bridge::{CommandRequest, CreateSandboxRequest, SandboxCreated, TerminateRequest};
use protocol::error::ErrorCode;
use protocol::id::{SandboxId, SessionId, TurnId};
use protocol::repository::{
    ClaimSandboxRequest, Inventory, RepositoryRequest, SandboxClaimed, WarmSandboxRequest, WarmState,
};
use protocol::runner::{BridgeMessage, RunnerCommand, RunnerMessage};
use sandbox_bridge::provider::SandboxProvider;
use serde_json::Value;

/// Two bridges, an edge, and an image to make warm sandboxes of.
struct Scene {
    fleet: Fleet,
    edge: FakeEdge,
    warm: WarmSandboxRequest,
}

impl Scene {
    async fn start() -> Self {
        let edge = FakeEdge::start().await;
        let fleet = Fleet::start(&edge.url, BRIDGE_SECRET, ModalOptions::default()).await;
        let warm = crate::fleet::image(&fleet).await;
        Self { fleet, edge, warm }
    }

    async fn warm(&self, replica: usize) -> SandboxId {
        let id = new_sandbox_id();
        let path = format!("/sandboxes/{id}/warm");
        self.fleet.put::<SandboxCreated>(replica, &path, &self.warm).await.unwrap();
        id
    }

    /// A runner that has said hello.
    async fn dial(&self, replica: usize, id: &SandboxId) -> FakeRunner {
        let gateway = &self.fleet.replicas[replica].gateway;
        let mut runner = FakeRunner::dial(gateway, &self.fleet.token(id)).await.unwrap();
        runner.hello(id, 0).await;
        runner
    }

    async fn claim(
        &self,
        replica: usize,
        id: &SandboxId,
        session: &str,
    ) -> Result<SandboxClaimed, ErrorCode> {
        let request = ClaimSandboxRequest {
            session_id: SessionId::parse(session).unwrap(),
            generation: 1,
            repository: self.warm.repository.id.clone(),
            branch: "farhand/one".to_owned(),
            model: "demo/demo".to_owned(),
            models: vec!["demo/demo".to_owned()],
        };
        let claimed = self.fleet.put(replica, &format!("/sandboxes/{id}/claimed"), &request).await;
        claimed.map_err(|error| error.code)
    }

    async fn discard(&self, replica: usize, id: &SandboxId) -> Result<Value, ErrorCode> {
        let request = RepositoryRequest { repository: self.warm.repository.id.clone() };
        let path = format!("/sandboxes/{id}/discarded");
        self.fleet.put(replica, &path, &request).await.map_err(|error| error.code)
    }

    async fn inventory(&self, replica: usize) -> Vec<SandboxId> {
        let request = RepositoryRequest { repository: self.warm.repository.id.clone() };
        self.fleet.put::<Inventory>(replica, "/inventory", &request).await.unwrap().warm
    }

    async fn end(&self, replica: usize, id: &SandboxId, session: Option<&str>) -> Result<Value, ErrorCode> {
        let session_id = session.map(|id| SessionId::parse(id).unwrap());
        let path = format!("/sandboxes/{id}/terminated");
        let ended = self.fleet.put(replica, &path, &TerminateRequest { generation: 1, session_id }).await;
        ended.map_err(|error| error.code)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_goes_from_one_bridge_to_the_other_and_stays_its_session_s() {
    let scene = Scene::start().await;
    let id = scene.warm(0).await;
    for replica in [0, 1] {
        assert_eq!(scene.inventory(replica).await, std::slice::from_ref(&id), "replica {replica}");
    }
    // Made by the first, its runner dials the second.
    let mut runner = scene.dial(1, &id).await;
    runner.expect_prepare().await;
    runner.say(&RunnerMessage::Warm { state: WarmState::Ready { agent: "agent 1".to_owned() } }).await;
    scene.edge.until("it is ready", |session| !session.repository.warm.is_empty()).await;
    assert_eq!(scene.claim(0, &id, "ses_one").await.unwrap_err(), ErrorCode::Unavailable);
    let lingering = tokio::spawn(runner.linger());
    scene.claim(1, &id, "ses_one").await.unwrap();
    let (runner, message) = soon("the welcome", lingering).await.unwrap();
    assert!(matches!(message, Some(BridgeMessage::Welcome { resume_from: 1, .. })), "{message:?}");

    // The first one knows it too, whatever it is asked.
    assert_eq!(scene.claim(0, &id, "ses_two").await.unwrap_err(), ErrorCode::IdConflict);
    scene.claim(0, &id, "ses_one").await.unwrap();
    assert_eq!(scene.discard(0, &id).await.unwrap_err(), ErrorCode::IdConflict);
    assert_eq!(scene.end(0, &id, Some("ses_two")).await.unwrap_err(), ErrorCode::IdConflict);
    assert_eq!(scene.inventory(0).await, []);

    // The second one loses the connection; the runner dials the first, which commands go to from here on.
    drop(runner);
    let mut runner = scene.dial(0, &id).await;
    assert_eq!(runner.expect_welcome().await.1.session_id.as_str(), "ses_one");
    let attached = scene.edge.read(|session| session.attached.last().cloned().unwrap());
    assert_eq!(attached.bridge_url, scene.fleet.replicas[0].bridge.url);
    let command = RunnerCommand::StopTurn { turn_id: TurnId::parse("trn_1").unwrap() };
    let request = CommandRequest { generation: 1, command };
    let lingering = tokio::spawn(runner.linger());
    scene.fleet.put::<Value>(0, &format!("/sandboxes/{id}/commands/cmd_1"), &request).await.unwrap();
    let (runner, message) = soon("the command", lingering).await.unwrap();
    assert!(matches!(message, Some(BridgeMessage::Command { .. })), "{message:?}");

    // It is told by the first one alone how it ended.
    let provider = scene.fleet.replicas[0].bridge.provider();
    until("the first one looks after it", || !provider.list().is_empty()).await;
    let modal_id = scene.fleet.modal.running().iter().find(|it| it.name == id.as_str()).unwrap().clone();
    scene.fleet.modal.preempt(&modal_id.sandbox_id).await;
    drop(runner);
    scene.edge.until("its end is told", |session| !session.ended.is_empty()).await;
    assert_eq!(scene.claim(1, &id, "ses_one").await.unwrap_err(), ErrorCode::NotFound);
    assert_eq!(scene.edge.read(|session| session.ended.len()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_bridge_throws_away_the_other_does_not_give() {
    let scene = Scene::start().await;
    let id = scene.warm(0).await;
    let mut runner = scene.dial(1, &id).await;
    runner.expect_prepare().await;
    let lingering = tokio::spawn(runner.linger());
    let both = async { tokio::join!(scene.claim(1, &id, "ses_one"), scene.discard(0, &id)) };
    let (claimed, discarded) = soon("both", both).await;
    assert!(claimed.is_ok() != discarded.is_ok(), "{claimed:?} {discarded:?}");
    lingering.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_a_warm_sandbox_that_it_was_promised_and_did_not_get() {
    let scene = Scene::start().await;
    let id = scene.warm(0).await;
    assert_eq!(scene.end(1, &id, None).await.unwrap_err(), ErrorCode::GenerationStale);
    scene.end(1, &id, Some("ses_one")).await.unwrap();
    assert!(scene.fleet.modal.running().iter().all(|sandbox| sandbox.name != id.as_str()));
    // The bridge that made it and was slow with the claim does not give it any more.
    assert!(scene.claim(0, &id, "ses_one").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_is_repeated_at_the_other_bridge_and_one_sandbox_remains() {
    let scene = Scene::start().await;
    let (id, order) = (new_sandbox_id(), request());
    let path = format!("/sandboxes/{id}");
    let create = |replica| scene.fleet.put::<SandboxCreated>(replica, &path, &order);
    let (one, other) = soon("both", async { tokio::join!(create(0), create(1)) }).await;
    assert_eq!(one.unwrap(), other.unwrap());
    let named = |id: &SandboxId| {
        scene.fleet.modal.running().into_iter().filter(|sandbox| sandbox.name == id.as_str()).count()
    };
    assert_eq!(named(&id), 1);
    // A newer generation at the one, and a late order of the older one at the other.
    let newer = CreateSandboxRequest { generation: 3, ..request() };
    let next = new_sandbox_id();
    scene.fleet.put::<SandboxCreated>(0, &format!("/sandboxes/{next}"), &newer).await.unwrap();
    let late = new_sandbox_id();
    let older = CreateSandboxRequest { generation: 2, ..request() };
    scene.fleet.put::<SandboxCreated>(1, &format!("/sandboxes/{late}"), &older).await.unwrap_err();
    assert_eq!((named(&next), named(&late)), (1, 0));
}
