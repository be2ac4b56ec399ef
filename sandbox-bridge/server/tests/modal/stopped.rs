//! A bridge's process that is stopped for longer than a session waits for it, and continued: meanwhile the other one has taken over,
//! and whatever the first one still does is refused, by the generation that it has it from.
//!
//! With the real objects of session and repository in workerd, and two real bridges at the stand-in of Modal.

use crate::balancer::Balancer;
use crate::fake_runner::FakeRunner;
use crate::fleet::RUNNER;
use crate::object::Worker;
use crate::process::{Given, Replica, Runners, say};
use crate::support::{config, credentials, new_sandbox_id, request, soon};
use fakes::modal::ModalFake;
use nix::sys::signal::Signal;
use protocol::bridge::{
    CommandRequest, CreateSandboxRequest, EventBatch, RunnerAttached, SandboxEnded, TerminateRequest,
};
use protocol::error::ErrorCode;
use protocol::id::{RepositoryId, SandboxId, SessionId};
use protocol::repository::ClaimSandboxRequest;
use protocol::runner::{BridgeMessage, RunnerCommand, RunnerEvent, TurnOrder};
use protocol::timeline::{TurnOutcome, Usage};
use sandbox_bridge::provider::modal::ModalProvider;
use serde_json::{Value, json};
use std::sync::Arc;

const REPOSITORY: &str = "acme/shop";

/// Two bridges, and all that stands around them.
struct Scene {
    worker: Worker,
    balancer: Arc<Balancer>,
    modal: Arc<ModalFake>,
    replicas: [Replica; 2],
    runners: Runners,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// With one warm sandbox, whose runner is connected to the first bridge.
    async fn start() -> Option<Self> {
        let (balancer, url) = Balancer::start().await;
        let worker = Worker::start(REPOSITORY, &url).await?;
        let modal = Arc::new(ModalFake::start().await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let stub = folder.path().join("runner");
        std::fs::write(&stub, RUNNER).unwrap();
        let replicas = [
            Replica::start(&modal, &worker.origin, &stub).await,
            Replica::start(&modal, &worker.origin, &stub).await,
        ];
        balancer.aim(replicas.iter().map(|replica| replica.url.clone()).collect());
        let settings = format!("/api/repositories/{REPOSITORY}/settings");
        worker.user("PUT", &settings, &json!({ "poolTarget": 1 })).await;
        let provider = ModalProvider::start(config(folder.path(), stub), credentials(&modal));
        let provider = soon("a provider beside them", provider).await.unwrap();
        balancer.build(&provider, &worker).await;
        let runners = Runners::begin(Arc::clone(&modal), replicas[0].gateway);
        worker.until("a warm sandbox", |status| status["pool"]["ready"] == 1).await;
        Some(Self { worker, balancer, modal, replicas, runners, _folder: folder })
    }

    /// Stops one bridge; from here on everybody comes to the other.
    fn stop(&self, stopped: usize) {
        let other = &self.replicas[1 - stopped];
        self.balancer.aim(vec![other.url.clone()]);
        self.runners.aim(other.gateway);
        self.replicas[stopped].signal(Signal::SIGSTOP);
    }

    async fn session(&self, prompt: &str) -> SessionId {
        let prompt = json!({ "id": "prm_01stopped", "text": prompt, "origin": "web" });
        let asked = json!({ "repository": REPOSITORY, "prompt": prompt });
        let answer = self.worker.user("POST", "/api/sessions", &asked).await;
        SessionId::parse(answer["sessionId"].as_str().unwrap()).unwrap()
    }

    async fn status(&self, session: &SessionId) -> Value {
        self.worker.user("GET", &format!("/api/sessions/{session}/status"), &json!({})).await
    }

    /// The generation that a session's sandbox has at the provider.
    async fn generation(&self, sandbox_id: &SandboxId) -> u64 {
        let find = || {
            let tag = |name: &str| name == "farhand-generation";
            let sandbox = self.modal.running().into_iter().find(|it| it.name == sandbox_id.as_str())?;
            sandbox.tags.iter().find(|it| tag(&it.tag_name))?.tag_value.parse().ok()
        };
        crate::support::until("the sandbox says whose it is", || find().is_some()).await;
        find().unwrap()
    }

    /// What anybody who still believes in this sandbox and generation says is refused, by the session and by its repository.
    async fn objects_refuse(&self, session: &SessionId, sandbox_id: &SandboxId, generation: u64) {
        let attached = RunnerAttached {
            sandbox_id: sandbox_id.clone(),
            generation,
            bridge_url: self.replicas[0].url.clone(),
            runner_version: "1".to_owned(),
        };
        let events = EventBatch {
            sandbox_id: sandbox_id.clone(),
            generation,
            events: vec![crate::fake_runner::record(1, RunnerEvent::Heartbeat)],
            spending: None,
        };
        let ended = SandboxEnded {
            sandbox_id: sandbox_id.clone(),
            generation,
            reason: "lost".to_owned(),
            halted: false,
        };
        let before = self.status(session).await;
        for (what, body) in [
            ("attached", serde_json::to_value(attached).unwrap()),
            ("events", serde_json::to_value(events).unwrap()),
        ] {
            let (status, answer) =
                self.worker.say(&format!("/api/bridge/sessions/{session}/{what}"), &body).await;
            assert_eq!((status, &answer["code"]), (409, &json!("generation_stale")), "{what}: {answer}");
        }
        // The end of what is not the session's any more is no news to it.
        let (status, answer) =
            self.worker.say(&format!("/api/bridge/sessions/{session}/ended"), &ended).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(self.status(session).await["sandbox"], before["sandbox"]);
        let claim = json!({ "sessionId": session, "generation": generation });
        let (answer, _) = self.worker.ask("claim", &claim).await;
        assert_eq!(answer["code"], "generation_stale", "{answer}");
    }

    /// The same at both bridges: nothing is done to, or made beside, what the session has.
    async fn bridges_refuse(&self, session: &SessionId, current: &SandboxId, generation: u64) {
        for replica in &self.replicas {
            let command = RunnerCommand::StopTurn { turn_id: protocol::id::TurnId::parse("trn_1").unwrap() };
            let command = replica.ask(
                &format!("/sandboxes/{current}/commands/cmd_1"),
                &CommandRequest { generation, command },
            );
            assert_eq!(command.await.unwrap_err().code, ErrorCode::GenerationStale, "{}", replica.url);
            let end = TerminateRequest { generation, session_id: Some(session.clone()) };
            let end = replica.ask(&format!("/sandboxes/{current}/terminated"), &end);
            assert_eq!(end.await.unwrap_err().code, ErrorCode::GenerationStale, "{}", replica.url);
            let new = new_sandbox_id();
            let order = CreateSandboxRequest {
                session_id: session.clone(),
                generation,
                repository: protocol::bridge::RepositorySource {
                    id: RepositoryId::parse(REPOSITORY).unwrap(),
                    ..request().repository
                },
                ..request()
            };
            replica.ask(&format!("/sandboxes/{new}"), &order).await.unwrap_err();
            assert!(self.modal.running().iter().all(|sandbox| sandbox.name != new.as_str()));
        }
        assert!(self.modal.running().iter().any(|sandbox| sandbox.name == current.as_str()));
    }

    async fn ends_well(&self, session: &SessionId, given: &mut Given, input_tokens: u64) {
        let end = turn_ended(&given.turn, input_tokens);
        say(&mut given.runner, 3, end).await;
        given.runner.expect_ack(3).await;
        let status = self.status(session).await;
        assert_eq!(status["activity"], "idle", "{status}");
        assert_eq!(status["usage"]["inputTokens"], input_tokens, "another attempt was counted: {status}");
    }
}

fn turn_ended(turn: &TurnOrder, input_tokens: u64) -> RunnerEvent {
    RunnerEvent::TurnEnded {
        turn_id: turn.turn_id.clone(),
        attempt: turn.attempt,
        outcome: TurnOutcome::Completed,
        change: None,
        files: Vec::new(),
        usage: Usage { input_tokens, ..Usage::default() },
        first_token_ms: None,
    }
}

fn claim_by(session: &SessionId, generation: u64) -> ClaimSandboxRequest {
    ClaimSandboxRequest {
        session_id: session.clone(),
        generation,
        repository: RepositoryId::parse(REPOSITORY).unwrap(),
        branch: "farhand/one".to_owned(),
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_stood_still_over_a_claim_is_refused_everywhere_when_it_goes_on() {
    let Some(mut scene) = Scene::start().await else { return };
    let first = SandboxId::parse(&scene.modal.running()[0].name).unwrap();
    scene.stop(0);
    let session = scene.session("Wait for nobody").await;

    // It is given the only warm one, whose bridge says nothing; it gives that up, and the other bridge has the next one.
    let mut given = scene.runners.next().await;
    assert_eq!(given.turn.attempt, 1, "it costs no try");
    assert_ne!(given.sandbox_id, first);
    let generation = scene.generation(&given.sandbox_id).await;
    assert!(generation > 1);

    // What the session asked of the stopped bridge, as anybody may whose request is still on its way.
    let late = scene.replicas[0].ask(&format!("/sandboxes/{first}/claimed"), &claim_by(&session, 1));
    let late = tokio::spawn(late);
    scene.replicas[0].signal(Signal::SIGCONT);
    late.await.unwrap().unwrap_err();
    scene.objects_refuse(&session, &first, 1).await;
    scene.bridges_refuse(&session, &given.sandbox_id, 1).await;
    for replica in &scene.replicas {
        for (id, by) in [(&first, 1), (&given.sandbox_id, 1)] {
            let claim = replica.ask(&format!("/sandboxes/{id}/claimed"), &claim_by(&session, by));
            claim.await.unwrap_err();
        }
    }
    let gone = || scene.modal.running().iter().all(|sandbox| sandbox.name != first.as_str());
    crate::support::until("what was claimed and not taken has ended", gone).await;
    scene.ends_well(&session, &mut given, 7).await;
}

/// Waits until the bridge has told the runner that nobody wants it, or has cut it off.
async fn retired(mut runner: FakeRunner) {
    while let Some(message) = runner.next().await {
        match message {
            BridgeMessage::Retired { .. } => return,
            BridgeMessage::Ack { seq } => assert!(seq < 3, "what came too late was taken"),
            BridgeMessage::Command { .. } => {}
            other @ (BridgeMessage::Welcome { .. }
            | BridgeMessage::Prepare { .. }
            | BridgeMessage::Unknown) => {
                panic!("{other:?}")
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_in_hand_of_a_bridge_that_stands_still_is_tried_again_once_at_the_other() {
    let Some(mut scene) = Scene::start().await else { return };
    let session = scene.session("Work through it").await;
    let before = scene.runners.next().await;
    assert_eq!((before.turn.attempt, scene.generation(&before.sandbox_id).await), (1, 1));
    // The next warm one has its runner at the same bridge, and is what the session is offered first.
    scene.worker.until("the next warm sandbox", |status| status["pool"]["ready"] == 1).await;
    scene.stop(0);

    let mut given = scene.runners.next().await;
    assert_eq!((given.turn.attempt, &given.turn.prompt), (2, &before.turn.prompt));
    assert_ne!(given.sandbox_id, before.sandbox_id);

    // What the first runner has done meanwhile comes through the first bridge, as soon as that goes on.
    let Given { sandbox_id, turn, mut runner } = before;
    say(&mut runner, 3, turn_ended(&turn, 100)).await;
    scene.replicas[0].signal(Signal::SIGCONT);
    retired(runner).await;
    scene.objects_refuse(&session, &sandbox_id, 1).await;
    scene.bridges_refuse(&session, &given.sandbox_id, 1).await;
    let gone = || scene.modal.running().iter().all(|sandbox| sandbox.name != sandbox_id.as_str());
    crate::support::until("what the session has lost has ended", gone).await;
    scene.ends_well(&session, &mut given, 7).await;
}
