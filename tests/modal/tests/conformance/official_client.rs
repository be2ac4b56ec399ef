//! Modal's own Python client does its work against our stand-in: each flow ends as it expects, and calls what was recorded of the
//! real client.

use crate::python::{run, script};
use fakes::modal::{Fault, ModalFake, ModalOptions};
use std::time::Duration;

/// Runs one flow of `flows.py`; the answer is the methods that it called.
async fn flow(fake: &ModalFake, name: &str) -> Vec<&'static str> {
    let mut command = script("flows.py");
    command
        .arg(name)
        .env("MODAL_SERVER_URL", fake.url())
        .env("MODAL_TOKEN_ID", fake.token_id())
        .env("MODAL_TOKEN_SECRET", fake.token_secret());
    let output = tokio::task::spawn_blocking(move || run(command, b"")).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}\ncalls: {:?}", fake.methods());
    fake.methods()
}

/// Without what every flow begins with: an app, an image and a token, in an order that the client chooses.
fn significant(methods: Vec<&'static str>) -> Vec<&'static str> {
    let preparations = [
        "AppGetOrCreate",
        "AuthTokenGet",
        "EnvironmentGetOrCreate",
        "ImageGetOrCreate",
        "ImageJoinStreaming",
    ];
    methods.into_iter().filter(|method| !preparations.contains(method)).collect()
}

async fn start() -> ModalFake {
    ModalFake::start().await.unwrap()
}

#[tokio::test]
async fn it_builds_an_image_layer_by_layer() {
    let fake = start().await;
    let methods = flow(&fake, "image_build").await;
    let layer = ["ImageGetOrCreate", "ImageJoinStreaming"];
    let expected = [["AppGetOrCreate", "EnvironmentGetOrCreate"], layer, layer].concat();
    assert_eq!(methods, expected);
}

#[tokio::test]
async fn it_says_why_a_build_failed() {
    let fake = start().await;
    fake.fail_command("npm ci", "npm ERR! missing lock file");
    flow(&fake, "image_build_fails").await;
}

#[tokio::test]
async fn it_goes_on_with_the_logs_of_a_build_that_were_cut() {
    let fake = start().await;
    fake.script("ImageJoinStreaming", 1, &Fault::Cut(1));
    flow(&fake, "image_build").await;
    assert_eq!(fake.calls_of("ImageJoinStreaming").len(), 3);
}

#[tokio::test]
async fn it_creates_a_sandbox_with_everything_and_ends_it() {
    let fake = start().await;
    let methods = significant(flow(&fake, "create_and_terminate").await);
    let expected = [
        "SecretGetOrCreate",
        "SecretGetOrCreate",
        "SandboxCreateV2",
        "SandboxWaitV2",
        "SandboxTerminateV2",
        "SandboxWaitV2",
    ];
    assert_eq!(methods, expected);
    let sandbox = &fake.sandboxes()[0];
    assert_eq!(sandbox.name, "session-1");
    assert_eq!(sandbox.network.allowed_domains, ["github.com", "*.githubusercontent.com"]);
    assert_eq!(sandbox.network.allowed_cidrs, ["140.82.112.0/20"]);
}

#[tokio::test]
async fn it_runs_a_command_and_reads_both_outputs() {
    let fake = start().await;
    let methods = significant(flow(&fake, "exec").await);
    assert_eq!(methods.iter().filter(|method| **method == "TaskExecStdioRead").count(), 2, "{methods:?}");
    assert_eq!((methods[0], methods[1]), ("SandboxCreateV2", "TaskExecStart"));
}

#[tokio::test]
async fn it_loses_no_output_when_the_stream_is_cut() {
    let fake = start().await;
    fake.script("TaskExecStdioRead", 1, &Fault::Cut(1));
    flow(&fake, "exec_lines").await;
    let offsets: Vec<u64> = fake
        .calls_of("TaskExecStdioRead")
        .iter()
        .map(|call| call.message::<modal_api::TaskExecStdioReadRequest>().unwrap().offset)
        .collect();
    assert_eq!(offsets.len(), 2);
    assert_eq!(offsets[0], 0);
    assert!(offsets[1] > 0, "{offsets:?}");
}

#[tokio::test]
async fn it_writes_input() {
    let fake = start().await;
    flow(&fake, "exec_stdin").await;
}

#[tokio::test]
async fn it_asks_for_access_again_when_its_token_is_about_to_end() {
    for (life, asks) in [(Duration::from_secs(20), 1), (Duration::from_secs(3600), 0)] {
        let options = ModalOptions { router_token_life: life, ..ModalOptions::default() };
        let fake = ModalFake::start_with(options).await.unwrap();
        fake.script("TaskExecStart", 1, &Fault::TOKEN_EXPIRED);
        flow(&fake, "exec_lines").await;
        assert_eq!(fake.calls_of("TaskExecStart").len(), 2);
        assert_eq!(fake.calls_of("SandboxGetCommandRouterAccess").len(), asks, "{life:?}");
    }
}

#[tokio::test]
async fn it_saves_a_sandbox_and_starts_another_from_it() {
    let fake = start().await;
    let methods = significant(flow(&fake, "snapshot_and_restore").await);
    assert!(methods.contains(&"TaskSnapshotFilesystem") && methods.contains(&"ImageFromId"), "{methods:?}");
    let ttl: Vec<Option<i64>> = fake
        .calls_of("TaskSnapshotFilesystem")
        .iter()
        .map(|call| call.message::<modal_api::TaskSnapshotFilesystemRequest>().unwrap().ttl_seconds)
        .collect();
    assert_eq!(ttl, [Some(2_592_000)]);
}

#[tokio::test]
async fn it_is_told_that_an_image_is_gone() {
    let fake = start().await;
    flow(&fake, "image_missing").await;
}

#[tokio::test]
async fn it_is_told_that_a_name_is_taken_and_finds_who_has_it() {
    let fake = start().await;
    let methods = significant(flow(&fake, "names").await);
    assert!(methods.contains(&"SandboxGetFromNameV2") && methods.contains(&"SandboxSetName"), "{methods:?}");
}

#[tokio::test]
async fn it_tags_and_lists() {
    let fake = ModalFake::start_with(ModalOptions { page_size: 2, ..ModalOptions::default() }).await.unwrap();
    flow(&fake, "tags_and_lists").await;
}

#[tokio::test]
async fn it_reattaches_by_id() {
    let fake = start().await;
    let methods = significant(flow(&fake, "reattach").await);
    let after: Vec<_> = methods.into_iter().skip_while(|method| *method != "SandboxWaitV2").take(4).collect();
    assert_eq!(
        after,
        ["SandboxWaitV2", "SandboxGetTaskIdV2", "SandboxGetCommandRouterAccess", "TaskExecStart"]
    );
}

#[tokio::test]
async fn it_reads_what_the_first_process_wrote_and_how_it_ended() {
    let fake = start().await;
    flow(&fake, "entrypoint_output").await;
}

#[tokio::test]
async fn it_tries_again_what_was_unavailable_or_throttled() {
    let fake = start().await;
    fake.script("SandboxCreateV2", 2, &Fault::UNAVAILABLE);
    fake.script("SandboxCreateV2", 1, &Fault::Throttled(Duration::from_millis(100)));
    flow(&fake, "create_only").await;
    let calls = fake.calls_of("SandboxCreateV2");
    assert_eq!(calls.len(), 4);
    let of = |name: &str| -> Vec<String> {
        calls.iter().map(|call| call.metadata.get(name).cloned().unwrap_or_default()).collect()
    };
    let keys = of(modal_api::metadata::IDEMPOTENCY_KEY);
    assert!(keys.iter().all(|key| *key == keys[0] && !key.is_empty()), "{keys:?}");
    assert_eq!(of(modal_api::metadata::RETRY_ATTEMPT), ["0", "1", "2", "2"]);
    assert_eq!(of(modal_api::metadata::THROTTLE_RETRY_ATTEMPT).last().unwrap(), "1");
}

#[tokio::test]
async fn it_narrows_the_network_of_a_running_sandbox() {
    let fake = start().await;
    flow(&fake, "network_update").await;
    assert_eq!(fake.sandboxes()[0].network.allowed_domains, ["example.org"]);
}
