//! Warm sandboxes at one bridge: what their runners are told, whose they become, and what they may do before they are anybody's.

use crate::support::runner::FakeRunner;
use crate::support::{GatewaySettings, Stack, order, sandbox_id, soon};
use protocol::bridge::{RepositorySource, SandboxLimits, TerminateRequest};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{ImageId, RepositoryId, SandboxId, SessionId};
use protocol::repository::{
    ClaimSandboxRequest, Inventory, RepositoryRequest, SandboxClaimed, WarmSandboxRequest, WarmState,
};
use protocol::runner::{AgentKind, BridgeMessage, RunnerMessage};
use reqwest::StatusCode;
use sandbox_bridge::config::{ModelApi, ModelProvider, Secret};
use sandbox_bridge::provider::SandboxExit;
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) fn repository() -> RepositoryId {
    RepositoryId::parse("acme/shop").unwrap()
}

pub(crate) fn warm_order(source: RepositorySource, image: &str) -> WarmSandboxRequest {
    WarmSandboxRequest {
        repository: source,
        image_id: ImageId::parse(image).unwrap(),
        limits: SandboxLimits::default(),
        agent: AgentKind::Scripted,
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    }
}

pub(crate) fn claim_by(session: &str, generation: u64) -> ClaimSandboxRequest {
    ClaimSandboxRequest {
        session_id: SessionId::parse(&format!("ses_{session}")).unwrap(),
        generation,
        repository: repository(),
        branch: "farhand/one".to_owned(),
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    }
}

impl Stack {
    async fn warm(&self, name: &str) -> (SandboxId, FakeRunner) {
        let id = sandbox_id(name);
        let order = warm_order(order("1", 1).repository, "img_1");
        self.put::<Value>(&format!("/sandboxes/{id}/warm"), &order).await.unwrap();
        (id.clone(), self.dial_warm(&id).await)
    }

    async fn dial_warm(&self, id: &SandboxId) -> FakeRunner {
        let place = self.bridge.provider().place(id);
        let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
        runner.hello(id, 0).await;
        let configuration = runner.expect_prepare().await;
        assert_eq!(configuration.default_branch, "main");
        runner
    }

    async fn claim(
        &self,
        id: &SandboxId,
        session: &str,
        generation: u64,
    ) -> Result<SandboxClaimed, ErrorBody> {
        self.put(&format!("/sandboxes/{id}/claimed"), &claim_by(session, generation)).await
    }

    async fn discard(&self, id: &SandboxId) -> Result<Value, ErrorBody> {
        let request = RepositoryRequest { repository: repository() };
        self.put(&format!("/sandboxes/{id}/discarded"), &request).await
    }

    async fn inventory(&self) -> Vec<SandboxId> {
        let request = RepositoryRequest { repository: repository() };
        self.put::<Inventory>("/inventory", &request).await.unwrap().warm
    }
}

fn ready() -> RunnerMessage {
    RunnerMessage::Warm { state: WarmState::Ready { agent: "agent 1".to_owned() } }
}

#[tokio::test]
async fn a_warm_sandbox_says_how_it_is_and_becomes_a_session_s_on_the_same_connection() {
    let stack = Stack::start().await;
    let (id, mut runner) = stack.warm("warm").await;
    runner.say(&ready()).await;
    let synced = WarmState::Synced { commit: "0".repeat(40) };
    runner.say(&RunnerMessage::Warm { state: synced.clone() }).await;
    stack.edge.until("both reports", |session| session.repository.warm.len() >= 2).await;
    let reports = stack.edge.read(|session| session.repository.warm.clone());
    let state = WarmState::Ready { agent: "agent 1".to_owned() };
    assert_eq!(reports, [(id.to_string(), state), (id.to_string(), synced)]);
    assert_eq!(stack.inventory().await, vec![id.clone()]);
    assert_eq!(stack.edge.read(|session| session.attached.len()), 0);

    let lingering = tokio::spawn(runner.linger());
    stack.claim(&id, "1", 4).await.unwrap();
    let (mut runner, message) = soon("the welcome", lingering).await.unwrap();
    let Some(BridgeMessage::Welcome { resume_from, configuration }) = message else { panic!("{message:?}") };
    assert_eq!((resume_from, configuration.branch.as_str()), (1, "farhand/one"));
    assert_eq!(configuration.session_id.as_str(), "ses_1");
    let attached = stack.edge.read(|session| session.attached.clone());
    assert_eq!((attached.len(), attached[0].generation), (1, 4));
    runner.events(1..=3).await;
    runner.expect_ack(3).await;

    // From here on it is as if the session had made it.
    assert_eq!(stack.inventory().await, []);
    assert_eq!(stack.discard(&id).await.unwrap_err().code, ErrorCode::IdConflict);
    let stale = TerminateRequest { generation: 3, session_id: None };
    let refusal = stack.put::<Value>(&format!("/sandboxes/{id}/terminated"), &stale).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::GenerationStale);
    let end = TerminateRequest { generation: 4, session_id: None };
    stack.put::<Value>(&format!("/sandboxes/{id}/terminated"), &end).await.unwrap();
    assert_eq!(stack.claim(&id, "1", 4).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_claim_may_be_repeated_and_nobody_else_gets_the_sandbox() {
    let stack = Stack::start().await;
    let (id, runner) = stack.warm("once").await;
    let lingering = tokio::spawn(runner.linger());
    let first = stack.claim(&id, "1", 2).await.unwrap();
    // The answer was lost, and the runner is gone meanwhile.
    drop(soon("the welcome", lingering).await.unwrap());
    assert_eq!(stack.claim(&id, "1", 2).await.unwrap(), first);
    for (session, generation) in [("2", 1), ("1", 1), ("1", 3)] {
        let refusal = stack.claim(&id, session, generation).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::IdConflict, "ses_{session} with {generation}");
    }
    let gives = stack.bridge.provider().calls().iter().filter(|call| call.starts_with("give")).count();
    assert_eq!(gives, 1);
    // The runner that comes back is the session's at once.
    let place = stack.bridge.provider().place(&id);
    let mut runner = FakeRunner::dial(&place.url, &place.token).await.unwrap();
    runner.hello(&id, 0).await;
    assert_eq!(runner.expect_welcome().await.0, 1);
}

#[tokio::test]
async fn only_a_sandbox_whose_runner_answers_can_be_claimed() {
    let stack = Stack::start().await;
    let (id, runner) = stack.warm("gone").await;
    // Connected, and silent: nobody reads the pings.
    assert_eq!(stack.claim(&id, "1", 1).await.unwrap_err().code, ErrorCode::Unavailable);
    drop(runner);
    assert_eq!(stack.claim(&id, "1", 1).await.unwrap_err().code, ErrorCode::Unavailable);
    let missing = sandbox_id("missing");
    assert_eq!(stack.claim(&missing, "1", 1).await.unwrap_err().code, ErrorCode::NotFound);
    let session_s = stack.create(&order("9", 1)).await;
    assert_eq!(stack.claim(&session_s, "1", 1).await.unwrap_err().code, ErrorCode::IdConflict);
    assert!(!stack.bridge.provider().calls().iter().any(|call| call.starts_with("give")));
    // Back again, it can.
    let runner = stack.dial_warm(&id).await;
    let lingering = tokio::spawn(runner.linger());
    stack.claim(&id, "1", 1).await.unwrap();
    soon("the welcome", lingering).await.unwrap();
}

#[tokio::test]
async fn a_session_that_has_moved_on_claims_nothing_and_its_older_sandbox_ends() {
    let stack = Stack::start().await;
    let old = stack.create(&order("1", 2)).await;
    let (id, runner) = stack.warm("next").await;
    let lingering = tokio::spawn(runner.linger());
    for generation in [1, 2] {
        let refusal = stack.claim(&id, "1", generation).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::GenerationStale);
    }
    stack.claim(&id, "1", 3).await.unwrap();
    soon("the welcome", lingering).await.unwrap();
    soon("the end of the older one", async {
        while stack.bridge.provider().list_ids().contains(&old.to_string()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_warm_sandbox_reads_its_repository_and_nothing_more() {
    let model = ModelProvider {
        base_url: "http://127.0.0.1:1/v1".parse().unwrap(),
        api_key: Secret::new("canary-model-key"),
        kind: ModelApi::Openai,
        prices: Default::default(),
        stream_usage: true,
    };
    let stack = Stack::start_with(GatewaySettings {
        git_credentials: [("http://127.0.0.1:1".to_owned(), Secret::new("canary-git-token"))].into(),
        model_providers: [("demo".to_owned(), model)].into(),
        ..GatewaySettings::default()
    })
    .await;
    let (id, runner) = stack.warm("idle").await;
    let place = stack.bridge.provider().place(&id);
    let ask = async |path: &str| {
        let request = match path.starts_with("/model") {
            true => stack.http.post(format!("http://{}{path}", place.url)).body("{\"model\":\"demo\"}"),
            false => stack.http.get(format!("http://{}{path}", place.url)),
        };
        request.bearer_auth(&place.token).send().await.unwrap().status()
    };
    // Code host and model of this test are nowhere: a request that may go out ends there.
    let fetch = "/git/acme/shop.git/info/refs?service=git-upload-pack";
    let push = "/git/acme/shop.git/info/refs?service=git-receive-pack";
    let model = "/model/demo/chat/completions";
    assert_eq!(ask(fetch).await, StatusCode::BAD_GATEWAY);
    assert_eq!(ask(push).await, StatusCode::FORBIDDEN);
    assert_eq!(ask(model).await, StatusCode::FORBIDDEN);
    assert_eq!(ask("/git/acme/other.git/info/refs?service=git-upload-pack").await, StatusCode::FORBIDDEN);
    let lingering = tokio::spawn(runner.linger());
    stack.claim(&id, "1", 1).await.unwrap();
    soon("the welcome", lingering).await.unwrap();
    assert_eq!(ask(push).await, StatusCode::BAD_GATEWAY);
    assert_eq!(ask(model).await, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_sandbox_that_nobody_wants_or_that_is_of_no_use_ends() {
    let stack = Stack::start().await;
    stack.edge.change(|session| session.repository.unwanted = Some(ErrorCode::NotFound));
    let (unwanted, mut runner) = stack.warm("unwanted").await;
    runner.say(&ready()).await;
    let gone = async |id: &SandboxId| {
        soon("its end", async {
            while stack.bridge.provider().list_ids().contains(&id.to_string()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    gone(&unwanted).await;
    stack.edge.change(|session| session.repository = Default::default());

    let (useless, mut runner) = stack.warm("useless").await;
    let ended = WarmState::Ended { reason: "no clone".to_owned() };
    runner.say(&RunnerMessage::Warm { state: ended.clone() }).await;
    gone(&useless).await;
    stack.edge.until("the report", |session| !session.repository.warm.is_empty()).await;
    assert_eq!(stack.edge.read(|session| session.repository.warm.clone()), [(useless.to_string(), ended)]);

    let (dead, _runner) = stack.warm("dead").await;
    let record = stack.bridge.provider().place(&dead).record;
    let exit = SandboxExit { record, reason: "out of memory".to_owned(), told_here: true };
    stack.bridge.provider().exits.send(exit).await.unwrap();
    stack.edge.until("the second report", |session| session.repository.warm.len() == 2).await;
    let report = stack.edge.read(|session| session.repository.warm[1].clone());
    assert_eq!(report, (dead.to_string(), WarmState::Ended { reason: "out of memory".to_owned() }));

    let (old, _runner) = stack.warm("old").await;
    stack.discard(&old).await.unwrap();
    stack.discard(&old).await.unwrap();
    assert!(!stack.bridge.provider().list_ids().contains(&old.to_string()));
}

#[tokio::test]
async fn sixty_four_claimants_of_sixteen_sandboxes_never_share_one() {
    let stack = Stack::start().await;
    for round in 0..8 {
        let mut ids = Vec::new();
        for number in 0..16 {
            let (id, runner) = stack.warm(&format!("r{round}n{number}")).await;
            tokio::spawn(runner.linger());
            ids.push(id);
        }
        // Each tries one after the other until it has one, beginning anywhere, and repeats what it was told.
        let claims = (0..64).map(|claimant| {
            let (stack, ids) = (&stack, &ids);
            async move {
                let session = format!("r{round}c{claimant}");
                for step in 0..ids.len() {
                    let id = &ids[(claimant * 7 + step) % ids.len()];
                    match stack.claim(id, &session, 1).await {
                        Ok(answer) => {
                            assert_eq!(stack.claim(id, &session, 1).await.unwrap(), answer);
                            return Some((id.clone(), session));
                        }
                        Err(refusal) => assert_eq!(refusal.code, ErrorCode::IdConflict),
                    }
                }
                None
            }
        });
        let owners: BTreeMap<_, _> = futures::future::join_all(claims).await.into_iter().flatten().collect();
        assert_eq!(owners.len(), 16, "each has one owner");
        for (id, session) in owners {
            let record = stack.bridge.provider().place(&id).record;
            assert_eq!(record.given.unwrap().session_id.as_str(), format!("ses_{session}"));
        }
    }
}
