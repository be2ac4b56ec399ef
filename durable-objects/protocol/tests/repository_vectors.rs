//! Golden vectors of the messages about images and warm sandboxes; kept as `vectors.rs` says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod golden;

use golden::check;
use protocol::bridge::{RepositorySource, SandboxLimits, TerminateRequest};
use protocol::id::*;
use protocol::repository::*;
use protocol::runner::{AgentKind, BridgeMessage, RunnerMessage, WarmConfiguration};
use protocol::time::Timestamp;
use protocol::timeline::Isolation;

const AT: Timestamp = Timestamp(1_795_000_000_000);

fn repository() -> RepositoryId {
    RepositoryId::parse("acme/shop").unwrap()
}

fn source() -> RepositorySource {
    RepositorySource {
        id: repository(),
        clone_url: "https://github.example/acme/shop.git".into(),
        default_branch: "main".into(),
    }
}

fn origin() -> ImageOrigin {
    ImageOrigin {
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        recipe_fingerprint: "ab".repeat(32),
    }
}

fn recipe() -> Recipe {
    Recipe {
        base_image: Some("debian:bookworm-slim".into()),
        setup: Some(vec!["npm ci".into()]),
        build: Some(vec!["npm run build".into()]),
        warm: Some(vec!["npm test".into()]),
        start: Some("npm start".into()),
        tools: Some(vec!["jdk-21".into()]),
        secrets: Some(vec!["NPM_TOKEN".into()]),
        allowed_hosts: Some(vec!["*.npm.example".into()]),
        limits: Some(SandboxLimits::default()),
        pool_target: Some(3),
    }
}

fn outcomes() -> Vec<BuildOutcome> {
    vec![
        BuildOutcome::Built {
            image_id: ImageId::parse("img_1").unwrap(),
            origin: origin(),
            recipe: recipe(),
            size_bytes: 1 << 20,
        },
        BuildOutcome::Unchanged,
        BuildOutcome::Failed { step: "npm ci".into(), reason: "npm ci ended with 1".into() },
    ]
}

fn states() -> Vec<WarmState> {
    vec![
        WarmState::Ready { agent: "opencode 1.18.33".into() },
        WarmState::Synced { commit: origin().commit },
        WarmState::Ended { reason: "out of memory".into() },
    ]
}

#[test]
fn every_message_about_a_repository_matches_its_vector() {
    check("recipe", &recipe());
    check(
        "build_image_request",
        &BuildImageRequest {
            repository: source(),
            image_id: ImageId::parse("img_1").unwrap(),
            settings: Recipe { pool_target: Some(1), ..Recipe::default() },
            previous: Some(origin()),
            timeout_ms: 1_200_000,
        },
    );
    check("repository_request", &RepositoryRequest { repository: repository() });
    check(
        "warm_sandbox_request",
        &WarmSandboxRequest {
            repository: source(),
            image_id: ImageId::parse("img_1").unwrap(),
            limits: SandboxLimits::default(),
            agent: AgentKind::Opencode,
            model: "demo/demo-1".into(),
            models: vec!["demo/demo-1".into()],
        },
    );
    check(
        "claim_sandbox_request",
        &ClaimSandboxRequest {
            session_id: SessionId::parse("ses_1").unwrap(),
            generation: 2,
            repository: repository(),
            branch: "farhand/1".into(),
            model: "demo/demo-1".into(),
            models: vec!["demo/demo-1".into()],
        },
    );
    check("sandbox_claimed", &SandboxClaimed { provider: "local".into(), isolation: Isolation::Namespaces });
    check(
        "inventory",
        &Inventory {
            warm: vec![SandboxId::parse("sbx_1").unwrap()],
            builds: vec![BuildId::parse("bld_1").unwrap()],
            images: vec![ImageId::parse("img_1").unwrap()],
        },
    );
    check(
        "build_log_piece",
        &BuildLogPiece { offset: 12, text: "added 80 packages\n".into(), step: "npm ci".into() },
    );
    check("build_ended", &outcomes().into_iter().map(|outcome| BuildEnded { outcome }).collect::<Vec<_>>());
    check(
        "warm_reports",
        &states()
            .into_iter()
            .map(|state| WarmReport { bridge_url: "https://bridge.example".into(), state })
            .collect::<Vec<_>>(),
    );
    let warm = states().into_iter().map(|state| RunnerMessage::Warm { state }).collect::<Vec<_>>();
    check("runner_messages_2", &warm);
    check(
        "bridge_messages_2",
        &vec![BridgeMessage::Prepare {
            configuration: WarmConfiguration {
                repository: repository(),
                default_branch: "main".into(),
                agent: AgentKind::Opencode,
                model: "demo/demo-1".into(),
                models: vec!["demo/demo-1".into()],
            },
        }],
    );
}

#[test]
fn an_end_that_names_its_session_matches_its_vector() {
    let session_id = Some(SessionId::parse("ses_1").unwrap());
    check("terminate_request", &TerminateRequest { generation: 4, session_id });
}

#[test]
fn what_people_see_of_a_repository_matches_its_vector() {
    let build = |outcome: Option<BuildOutcome>| BuildDescription {
        build_id: BuildId::parse("bld_1").unwrap(),
        started_at: AT,
        ended_at: outcome.as_ref().map(|_| AT),
        outcome,
        step: "npm ci".into(),
        log_bytes: 18,
    };
    let mut builds = vec![build(None)];
    builds.extend(outcomes().into_iter().map(|outcome| build(Some(outcome))));
    check(
        "repository_status",
        &RepositoryStatus {
            repository: repository(),
            image: Some(ImageDescription {
                image_id: ImageId::parse("img_1").unwrap(),
                built_at: AT,
                origin: origin(),
                size_bytes: 1 << 20,
            }),
            builds,
            next_build_at: AT,
            pool: PoolDescription { target: 3, ready: 2, filling: 1, reserved: 0 },
            pause: Some(PauseDescription { reason: "no capacity".into(), until: AT }),
            settings: None,
            recipe: None,
            backlog: None,
        },
    );
}

#[test]
fn a_status_tells_what_was_set_and_by_which_recipe_the_image_was_made() {
    check(
        "repository_status_with_recipe",
        &RepositoryStatus {
            repository: repository(),
            image: None,
            builds: Vec::new(),
            next_build_at: AT,
            pool: PoolDescription::default(),
            pause: None,
            settings: Some(Recipe { pool_target: Some(5), ..Recipe::default() }),
            recipe: Some(Recipe {
                setup: Some(vec!["npm ci".into()]),
                pool_target: Some(5),
                ..Recipe::default()
            }),
            backlog: None,
        },
    );
}

#[test]
fn a_recipe_with_a_word_that_is_none_of_its_own_is_refused() {
    let error = serde_json::from_str::<Recipe>(r#"{"setpu":["npm ci"]}"#).unwrap_err().to_string();
    assert!(error.contains("setpu") && error.contains("setup"), "{error}");
}

#[test]
fn an_outcome_from_the_future_is_read_as_unknown() {
    let ended = serde_json::from_str::<BuildEnded>(r#"{"outcome":{"type":"hologram"}}"#).unwrap();
    assert_eq!(ended.outcome, BuildOutcome::Unknown);
    assert_eq!(serde_json::from_str::<WarmState>(r#"{"type":"lukewarm"}"#).unwrap(), WarmState::Unknown);
}
