//! 64 claimants on 16 warm sandboxes through two bridges, with the repository's real object in workerd: no sandbox has two owners,
//! and whoever gets none hears so.
//!
//! Needs the built Worker and node; skipped where they are missing. `FARHAND_ROUNDS` says how often, 3 times where it is absent.

use crate::balancer::Balancer;
use crate::fake_runner::FakeRunner;
use crate::fleet::Fleet;
use crate::object::{EDGE_SECRET, Worker};
use fakes::modal::ModalOptions;
use protocol::id::{RepositoryId, SandboxId, SessionId};
use protocol::repository::{ClaimSandboxRequest, SandboxClaimed, WarmState};
use protocol::runner::RunnerMessage;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

const REPOSITORY: &str = "acme/moved";
const CLAIMANTS: usize = 64;
const POOL: usize = 16;

fn rounds() -> usize {
    std::env::var("FARHAND_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// Dials in as the runner of each warm sandbox that was made, at one bridge or the other, and stays.
async fn run_runners(fleet: Arc<Fleet>, balancer: Arc<Balancer>) {
    let mut made = balancer.warm.subscribe();
    let mut known = HashSet::new();
    loop {
        let ids = made.borrow_and_update().clone();
        for id in ids {
            if !known.insert(id.clone()) {
                continue;
            }
            let (fleet, balancer) = (Arc::clone(&fleet), Arc::clone(&balancer));
            tokio::spawn(async move {
                let gateway = &fleet.replicas[balancer.next(2)].gateway;
                let Ok(mut runner) = FakeRunner::dial(gateway, &fleet.token(&id)).await else { return };
                runner.hello(&id, 0).await;
                runner.expect_prepare().await;
                runner
                    .say(&RunnerMessage::Warm { state: WarmState::Ready { agent: "agent 1".to_owned() } })
                    .await;
                while let (next, Some(_)) = runner.linger().await {
                    runner = next;
                }
            });
        }
        if made.changed().await.is_err() {
            return;
        }
    }
}

/// What one claimant came to: the sandbox, and what object and bridge took, in milliseconds.
struct Claimed {
    sandbox_id: SandboxId,
    is_bound: bool,
    claim_ms: f64,
    bind_ms: f64,
}

async fn claim(fleet: &Fleet, worker: &Worker, session: &str) -> Option<Claimed> {
    let (answer, claim_ms) = worker.ask("claim", &json!({ "sessionId": session, "generation": 1 })).await;
    if answer["type"] == "none" {
        assert!(answer["imageId"].is_string() && answer["reason"].is_string(), "{answer}");
        return None;
    }
    assert_eq!(answer["type"], "claimed", "{answer}");
    let sandbox_id = SandboxId::parse(answer["sandboxId"].as_str().unwrap()).unwrap();
    let request = ClaimSandboxRequest {
        session_id: SessionId::parse(session).unwrap(),
        generation: 1,
        repository: RepositoryId::parse(REPOSITORY).unwrap(),
        branch: "farhand/one".to_owned(),
        model: "demo/demo".to_owned(),
        models: vec!["demo/demo".to_owned()],
    };
    let (url, path) = (answer["bridgeUrl"].as_str().unwrap(), format!("/sandboxes/{sandbox_id}/claimed"));
    let begun = Instant::now();
    let bound = fleet.put_to::<SandboxClaimed>(url, &path, &request).await;
    let bind_ms = begun.elapsed().as_secs_f64() * 1000.0;
    // Somebody who was not promised it comes to both bridges, too late.
    for replica in [0, 1] {
        let thief =
            ClaimSandboxRequest { session_id: SessionId::parse("ses_thief").unwrap(), ..request.clone() };
        fleet.put::<SandboxClaimed>(replica, &path, &thief).await.unwrap_err();
    }
    Some(Claimed { sandbox_id, is_bound: bound.is_ok(), claim_ms, bind_ms })
}

fn quantiles(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize];
    format!("p50 {:.1} ms, p99 {:.1} ms of {}", at(0.5), at(0.99), values.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_claimants_on_sixteen_sandboxes_through_two_bridges_never_share_one() {
    let (balancer, url) = Balancer::start().await;
    let Some(worker) = Worker::start(REPOSITORY, &url).await else { return };
    let fleet = Arc::new(Fleet::start(&worker.origin, EDGE_SECRET, ModalOptions::default()).await);
    let urls = fleet.replicas.iter().map(|replica| replica.bridge.url.clone()).collect();
    balancer.aim(urls);
    let source =
        json!({ "id": REPOSITORY, "cloneUrl": "https://code.example/moved.git", "defaultBranch": "main" });
    let settings = json!({ "poolTarget": POOL });
    worker.ask("configure", &json!({ "repository": source, "settings": settings })).await;
    balancer.build(fleet.replicas[0].bridge.provider(), &worker).await;
    let runners = tokio::spawn(run_runners(Arc::clone(&fleet), Arc::clone(&balancer)));

    let mut owners: BTreeMap<SandboxId, String> = BTreeMap::new();
    let (mut claims, mut bindings) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        worker.until("a full pool", |status| status["pool"]["ready"] == POOL).await;
        let sessions: Vec<String> = (0..CLAIMANTS).map(|number| format!("ses_r{round}n{number}")).collect();
        let asked = sessions.iter().map(|session| claim(&fleet, &worker, session));
        let answers = futures::future::join_all(asked).await;
        let mut count = 0;
        for (session, claimed) in sessions.iter().zip(answers) {
            let Some(claimed) = claimed else { continue };
            count += 1;
            assert!(claimed.is_bound, "round {round}: {} was not given to {session}", claimed.sandbox_id);
            let before = owners.insert(claimed.sandbox_id.clone(), session.clone());
            assert_eq!(before, None, "round {round}: {} has two owners", claimed.sandbox_id);
            claims.push(claimed.claim_ms);
            bindings.push(claimed.bind_ms);
        }
        // What is taken is made again at once, so that late claimants may get what was not there before.
        assert!((POOL..=CLAIMANTS).contains(&count), "round {round}: {count}");
    }
    println!("claims: {}; bindings: {}", quantiles(claims), quantiles(bindings));
    runners.abort();
}
