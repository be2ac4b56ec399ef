//! Faults of Modal: each ends in the right result or the right error, with no sandbox twice and none left.

use crate::support::{
    Bench, build_order, exited, from_image, from_snapshot, new_image, new_sandbox_id, new_snapshot_id, order,
    run, secrets, session, shell, soon, until,
};
use fakes::modal::{Call, Fault, ModalOptions};
use modal_api::{
    GenericStatus, ImageGetOrCreateRequest, SandboxCreateV2Request, TaskSnapshotFilesystemRequest,
};
use protocol::bridge::SandboxLimits;
use sandbox_bridge::provider::{BootSecrets, ProviderError, SandboxOrder, SandboxProvider};
use std::time::Duration;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_whose_creation_was_not_answered_is_taken_over() {
    let Some(bench) = Bench::start().await else { return };
    // The retry of the same call finds the name taken.
    bench.modal.script("SandboxCreateV2", 1, &Fault::ReplyLost);
    let id = bench.create(&order()).await;
    assert_eq!(run(&bench.provider, &id, "exit 4").await.2, exited(4));
    assert_eq!(bench.modal.running().len(), 1);
    assert!(!bench.modal.calls_of("SandboxGetFromNameV2").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_fails_for_good_is_taken_over_by_the_next_order() {
    let Some(bench) = Bench::start().await else { return };
    bench.modal.script("SandboxCreateV2", 4, &Fault::UNAVAILABLE);
    let id = new_sandbox_id();
    let error = bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error}");
    assert!(bench.modal.running().is_empty() && bench.provider.list().is_empty());
    // Whether there is one cannot be found out: nothing is made until it can. Then an answer is lost for good.
    bench.modal.script("SandboxCreateV2", 1, &Fault::ReplyLost);
    bench.modal.script("SandboxCreateV2", 3, &Fault::UNAVAILABLE);
    bench.modal.script("SandboxGetFromNameV2", 8, &Fault::UNAVAILABLE);
    let error = bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error}");
    let error = bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error}");
    soon("the creation", bench.provider.create(&id, &order(), &secrets())).await.unwrap();
    assert_eq!(bench.modal.sandboxes().len(), 1);
    assert_eq!(bench.provider.reap().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_sandbox_that_is_told_to_end_is_ended_by_its_name() {
    let Some(bench) = Bench::start().await else { return };
    bench.modal.script("SandboxCreateV2", 1, &Fault::ReplyLost);
    bench.modal.script("SandboxCreateV2", 3, &Fault::UNAVAILABLE);
    bench.modal.script("SandboxGetFromNameV2", 4, &Fault::UNAVAILABLE);
    let id = new_sandbox_id();
    bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert_eq!(bench.modal.running().len(), 1);
    soon("the end", bench.provider.terminate(&id)).await.unwrap();
    assert!(bench.modal.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_orders_at_once_make_one_sandbox() {
    let Some(bench) = Bench::start().await else { return };
    bench.modal.script("SandboxCreateV2", 1, &Fault::Slow(Duration::from_millis(200)));
    let (id, order, secrets) = (new_sandbox_id(), order(), secrets());
    let creations = (0..50).map(|_| bench.provider.create(&id, &order, &secrets));
    for created in soon("all creations", futures::future::join_all(creations)).await {
        created.unwrap();
    }
    assert_eq!(bench.modal.calls_of("SandboxCreateV2").len(), 1);
    assert_eq!(bench.modal.running().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_double_is_ended_and_the_known_one_stays() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    let create =
        bench.modal.calls_of("SandboxCreateV2").remove(0).message::<SandboxCreateV2Request>().unwrap();
    let double = modal_api::Sandbox { name: None, ..create.definition.unwrap() };
    let tags = create.tags.into_iter().map(|tag| (tag.tag_name, tag.tag_value)).collect();
    let client = bench.provider.client();
    client.create_sandbox(&create.app_id, double, &tags, [].into()).await.unwrap();
    assert_eq!(bench.modal.running().len(), 2);
    assert_eq!(bench.provider.reap().await.unwrap(), 1);
    assert_eq!(bench.modal.running().len(), 1);
    assert_eq!(run(&bench.provider, &id, "exit 0").await.2, exited(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preempted_sandbox_is_reported_in_words() {
    let Some(mut bench) = Bench::start().await else { return };
    for (status, exception, words) in [
        (GenericStatus::Terminated, "Sandbox was preempted", "taken away (preempted)"),
        (GenericStatus::KernelOomKill, "", "more memory than it may"),
        (GenericStatus::InternalFailure, "worker lost", "worker lost"),
    ] {
        let id = bench.create(&order()).await;
        let modal_id = bench.modal.running().remove(0).sandbox_id;
        bench.modal.end(&modal_id, status, exception).await;
        let exit = soon("the report", bench.exits.recv()).await.unwrap();
        assert_eq!(exit.record.sandbox_id, id);
        assert!(exit.reason.contains(words), "{}", exit.reason);
        let gone = bench.provider.exec(&id, shell("true")).await.err().unwrap();
        assert!(matches!(gone, ProviderError::NotFound(_)), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_preempted_sandbox_ends_with_an_error() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    let mut stream = soon("the start", bench.provider.exec(&id, shell("echo on; sleep 100"))).await.unwrap();
    soon("its output", stream.output.next()).await.unwrap();
    let modal_id = bench.modal.running().remove(0).sandbox_id;
    bench.modal.preempt(&modal_id).await;
    let ended = soon("its end", async { while stream.output.next().await.is_ok() {} }).await;
    assert_eq!(ended, ());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_snapshot_is_said_so_and_nothing_is_made() {
    let life = Duration::from_secs(7 * 24 * 3600);
    let Some(bench) = Bench::start_with(ModalOptions::default(), |config| config.snapshot_life = life).await
    else {
        return;
    };
    let id = bench.create(&order()).await;
    let snapshot_id = new_snapshot_id();
    soon("the snapshot", bench.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    let taken = bench.modal.calls_of("TaskSnapshotFilesystem").remove(0);
    let taken = taken.message::<TaskSnapshotFilesystemRequest>().unwrap();
    assert_eq!(taken.ttl_seconds, Some(7 * 24 * 3600));
    soon("the end", bench.provider.terminate(&id)).await.unwrap();
    bench.modal.clock().advance(life + Duration::from_secs(1));
    let order = from_snapshot(&snapshot_id);
    let refusal = bench.provider.create(&new_sandbox_id(), &order, &secrets()).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::SnapshotUnusable(why) if why.contains("expired")), "{refusal}");
    assert!(bench.modal.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_answer_is_lost_is_one_image() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    let before = bench.modal.images().len();
    bench.modal.script("TaskSnapshotFilesystem", 1, &Fault::ReplyLost);
    bench.modal.script("TaskSnapshotFilesystem", 1, &Fault::TOKEN_EXPIRED);
    let snapshot_id = new_snapshot_id();
    soon("the snapshot", bench.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    let calls = bench.modal.calls_of("TaskSnapshotFilesystem");
    let mut keys: Vec<String> = calls
        .iter()
        .map(|call| call.message::<TaskSnapshotFilesystemRequest>().unwrap().snapshot_id)
        .collect();
    assert_eq!(keys.len(), 3);
    keys.dedup();
    assert_eq!((keys.len(), bench.modal.images().len()), (1, before + 1));
    bench.provider.delete_snapshot(&snapshot_id, &session()).await.unwrap();
    assert_eq!(bench.modal.images().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_s_output_is_whole_although_every_stream_is_cut() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    bench.modal.script("TaskExecStdioRead", 6, &Fault::Cut(1));
    bench.modal.script("TaskExecStdinWrite", 1, &Fault::ReplyLost);
    let (output, _, end) = run(&bench.provider, &id, "seq 1 20000; exit 6").await;
    let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    assert!(output == expected && end == exited(6), "{} bytes, {end:?}", output.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_cannot_be_given_its_runner_is_ended() {
    let Some(bench) = Bench::start().await else { return };
    bench.modal.script("TaskExecStart", 1, &Fault::Fails(Code::FailedPrecondition, "no room"));
    let id = new_sandbox_id();
    let error = bench.provider.create(&id, &order(), &secrets()).await.unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
    assert!(bench.modal.running().is_empty() && bench.provider.list().is_empty());
    soon("the repeat", bench.provider.create(&id, &order(), &secrets())).await.unwrap();
    assert_eq!(bench.modal.running().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_modal_would_refuse_is_refused_with_its_remedy() {
    let Some(bench) = Bench::start().await else { return };
    let limits = SandboxLimits { life_ms: 25 * 3_600_000, ..SandboxLimits::default() };
    let long = SandboxOrder { limits, ..order() };
    let refusal = bench.provider.create(&new_sandbox_id(), &long, &secrets()).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("SANDBOX_LIFE_MS")), "{refusal}");
    let stand_ins = [("no-name".to_owned(), "x".to_owned())].into();
    let secrets = BootSecrets { stand_ins, ..secrets() };
    let refusal = bench.provider.create(&new_sandbox_id(), &order(), &secrets).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains("no-name")), "{refusal}");
    assert!(bench.modal.sandboxes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_is_the_sandbox_s_token_and_no_other_credential() {
    let Some(bench) = Bench::start().await else { return };
    let secrets = BootSecrets { direct_hosts: vec!["registry.example".to_owned()], ..secrets() };
    let id = new_sandbox_id();
    soon("the creation", bench.provider.create(&id, &order(), &secrets)).await.unwrap();
    let sandbox = bench.modal.running().remove(0);
    assert_eq!(sandbox.environment["FARHAND_SANDBOX_TOKEN"], crate::support::TOKEN);
    let all = format!("{:?}", sandbox.environment);
    assert!(!all.contains(bench.modal.token_id()) && !all.contains(bench.modal.token_secret()), "{all}");
    assert_eq!(sandbox.network.allowed_domains, ["registry.example"]);
    assert_eq!(sandbox.network.allowed_cidrs, ["127.0.0.1/32"]);
    assert_eq!(sandbox.name, id.as_str());
    let blocked = run(&bench.provider, &id, "command -v runner").await;
    assert!(blocked.0.contains("/var/lib/farhand/kit-"), "{blocked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_has_the_runner_is_not_sent_it_again() {
    let Some(bench) = Bench::start().await else { return };
    let id = bench.create(&order()).await;
    let snapshot_id = new_snapshot_id();
    soon("the snapshot", bench.provider.snapshot(&id, &snapshot_id)).await.unwrap();
    bench.modal.forget_calls();
    let restored = bench.create(&from_snapshot(&snapshot_id)).await;
    assert!(bench.modal.calls_of("TaskExecStdinWriteStream").is_empty());
    assert_eq!(run(&bench.provider, &restored, "exit 0").await.2, exited(0));
    let first = run(&bench.provider, &restored, "ls /run/farhand/spool").await.0;
    assert_eq!(first.trim(), restored.as_str());
    until("only two run", || bench.modal.running().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_image_is_not_listed_and_not_restored() {
    let life = Duration::from_secs(7 * 24 * 3600);
    let Some(bench) = Bench::start_with(ModalOptions::default(), |config| config.snapshot_life = life).await
    else {
        return;
    };
    let (id, image) = (bench.create(&build_order()).await, new_image());
    soon("the image", bench.provider.save_image(&id, &image)).await.unwrap();
    let taken = bench.modal.calls_of("TaskSnapshotFilesystem").remove(0);
    assert_eq!(taken.message::<TaskSnapshotFilesystemRequest>().unwrap().ttl_seconds, Some(7 * 24 * 3600));
    assert_eq!(bench.provider.images(&image.repository).await.unwrap().len(), 1);
    soon("the end", bench.provider.terminate(&id)).await.unwrap();
    bench.modal.clock().advance(life + Duration::from_secs(1));
    assert!(bench.provider.images(&image.repository).await.unwrap().is_empty());
    let order = from_image(&image.image_id);
    let refusal = bench.provider.create(&new_sandbox_id(), &order, &secrets()).await.unwrap_err();
    assert!(matches!(&refusal, ProviderError::SnapshotUnusable(why) if why.contains("expired")), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_runner_works_where_an_image_is_built() {
    let Some(bench) = Bench::start().await else { return };
    bench.create(&build_order()).await;
    let create =
        bench.modal.calls_of("SandboxCreateV2").remove(0).message::<SandboxCreateV2Request>().unwrap();
    let arguments = create.definition.unwrap().entrypoint_args;
    let Some([runner, mode]) = arguments.last_chunk() else { panic!("{arguments:?}") };
    assert!(runner.ends_with("/bin/runner") && mode == "rest", "{arguments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_is_one_of_a_registry_and_tools_are_refused() {
    let Some(bench) = Bench::start().await else { return };
    let named = |name: &str| SandboxOrder { base_image: Some(name.to_owned()), ..build_order() };
    bench.modal.forget_calls();
    let id = bench.create(&named("node:22-bookworm")).await;
    assert_eq!(run(&bench.provider, &id, "exit 0").await.2, exited(0));
    let built = bench.modal.calls_of("ImageGetOrCreate");
    let commands =
        |call: &Call| call.message::<ImageGetOrCreateRequest>().unwrap().image.unwrap().dockerfile_commands;
    assert!(built.iter().any(|call| commands(call) == ["FROM node:22-bookworm"]));
    let tools = SandboxOrder { tools: vec!["jdk-21".to_owned()], ..build_order() };
    for (order, words) in [(named("node\nRUN id"), "not the name of an image"), (tools, "jdk-21")] {
        let refusal = bench.provider.create(&new_sandbox_id(), &order, &secrets()).await.unwrap_err();
        assert!(matches!(&refusal, ProviderError::Rejected(why) if why.contains(words)), "{refusal}");
    }
    assert_eq!(bench.modal.sandboxes().len(), 1);
}
