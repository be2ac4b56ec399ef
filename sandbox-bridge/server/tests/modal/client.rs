//! The client by itself: metadata, tokens, retries, commands whose streams are cut, lists in pages, builds with logs.

use crate::support::{PATIENCE, client, credentials, soon};
use bytes::Bytes;
use fakes::modal::{Fault, ModalFake, ModalOptions};
use modal_api::{NetworkAccess, NetworkAccessType, Resources, Sandbox, TaskExecStdioReadRequest};
use sandbox_bridge::config::Secret;
use sandbox_bridge::provider::modal::{
    CommandRouter, Created, Credentials, ErrorKind, Exec, ExecEnd, ExecFile, ExecOrder, ExecReader,
    ImageRecipe, ModalClient, ModalError, Tags,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

const APP: &str = "tests";

fn recipe(commands: &[&str]) -> ImageRecipe {
    ImageRecipe {
        commands: commands.iter().map(|text| (*text).to_owned()).collect(),
        timeout: PATIENCE,
        ..ImageRecipe::default()
    }
}

fn sleeper(image_id: &str, name: Option<&str>) -> Sandbox {
    Sandbox {
        entrypoint_args: ["/bin/sleep", "1000"].map(str::to_owned).to_vec(),
        image_id: image_id.to_owned(),
        resources: Some(Resources::default()),
        timeout_secs: 600,
        network_access: Some(NetworkAccess {
            network_access_type: NetworkAccessType::Blocked.into(),
            ..NetworkAccess::default()
        }),
        name: name.map(str::to_owned),
        ..Sandbox::default()
    }
}

struct Ready {
    modal: ModalFake,
    client: ModalClient,
    app: String,
    image: String,
}

impl Ready {
    async fn start(options: ModalOptions) -> Self {
        let modal = ModalFake::start_with(options).await.unwrap();
        let client = client(&modal);
        let app = client.app(APP).await.unwrap();
        let image = client.build_image(&app, &recipe(&["FROM debian:bookworm"]), |_| {}).await.unwrap();
        modal.forget_calls();
        Self { modal, client, app, image }
    }

    async fn create(&self, name: Option<&str>) -> Result<Created, ModalError> {
        let definition = sleeper(&self.image, name);
        self.client.create_sandbox(&self.app, definition, &Tags::new(), BTreeMap::new()).await
    }

    async fn sandbox(&self) -> Arc<CommandRouter> {
        let Created { modal_id, task_id, access } = self.create(None).await.unwrap();
        Arc::new(CommandRouter::new(self.client.clone(), modal_id, task_id, access))
    }
}

fn script(text: &str) -> ExecOrder {
    ExecOrder { arguments: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(), ..ExecOrder::default() }
}

async fn read_all(mut reader: ExecReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = soon("output", reader.next()).await.unwrap() {
        all.extend_from_slice(&piece);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_says_who_calls_and_secrets_are_in_no_debug_form() {
    let ready = Ready::start(ModalOptions::default()).await;
    ready.create(Some("one")).await.unwrap();
    let calls = ready.modal.calls();
    let create = calls.iter().find(|call| call.method == "SandboxCreateV2").unwrap();
    let value = |name: &str| create.metadata.get(name).map(String::as_str);
    assert_eq!(value("x-modal-client-type"), Some("1"));
    assert_eq!(value("x-modal-client-version"), Some("1.6.4"));
    assert_eq!(value("x-modal-token-id"), Some(ready.modal.token_id()));
    assert_eq!(value("x-modal-token-secret"), Some(ready.modal.token_secret()));
    assert_eq!(value("x-modal-host"), Some("127.0.0.1"));
    assert_eq!((value("x-retry-attempt"), value("x-throttle-retry-attempt")), (Some("0"), Some("0")));
    assert_eq!(value("x-idempotency-key").unwrap().len(), 36);
    assert!(value("x-modal-auth-token").unwrap().split('.').count() == 3);
    let shown = format!("{:?}", credentials(&ready.modal));
    assert!(
        !shown.contains(ready.modal.token_secret()) && !shown.contains(ready.modal.token_id()),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_said_with_their_remedy() {
    let modal = ModalFake::start().await.unwrap();
    let wrong = Credentials { token_secret: Secret::new("as-wrong"), ..credentials(&modal) };
    let error = ModalClient::new(wrong).unwrap().app(APP).await.unwrap_err();
    assert_eq!((error.kind(), error.code), (ErrorKind::Rejected, Code::Unauthenticated));
    assert!(error.to_string().contains("check MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_made_again_with_the_same_key_until_it_works() {
    let ready = Ready::start(ModalOptions::default()).await;
    ready.modal.script("SandboxCreateV2", 2, &Fault::UNAVAILABLE);
    ready.modal.script("SandboxCreateV2", 1, &Fault::Throttled(Duration::from_millis(150)));
    ready.create(Some("one")).await.unwrap();
    let calls = ready.modal.calls_of("SandboxCreateV2");
    let values = |name: &str| -> Vec<String> {
        calls.iter().map(|call| call.metadata.get(name).cloned().unwrap_or_default()).collect()
    };
    assert_eq!(values("x-retry-attempt"), ["0", "1", "2", "2"]);
    assert_eq!(values("x-throttle-retry-attempt"), ["0", "0", "0", "1"]);
    let mut keys = values("x-idempotency-key");
    keys.dedup();
    assert_eq!(keys.len(), 1);
    assert!(values("x-throttle-retry-delay")[3].parse::<f32>().unwrap() >= 0.15);
    assert_eq!(ready.modal.running().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_not_waited_for() {
    let ready = Ready::start(ModalOptions::default()).await;
    let fault = Fault::Fails(Code::ResourceExhausted, "Workspace billing limit reached");
    ready.modal.script("SandboxCreateV2", 1, &fault);
    let error = ready.create(None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("billing limit reached"), "{error}");
    assert_eq!(ready.modal.calls_of("SandboxCreateV2").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_fetched_anew_once_for_all_callers() {
    let ready = Ready::start(ModalOptions::default()).await;
    ready.create(None).await.unwrap();
    ready.modal.forget_calls();
    ready.modal.revoke_tokens();
    let creations = (0..8).map(|_| ready.create(None));
    for created in futures::future::join_all(creations).await {
        created.unwrap();
    }
    let fetched = ready.modal.calls_of("AuthTokenGet").len();
    assert!((1..=2).contains(&fetched), "{fetched} fetches");
    assert_eq!(ready.modal.running().len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_s_output_survives_cuts_at_any_place() {
    let ready = Ready::start(ModalOptions::default()).await;
    let router = ready.sandbox().await;
    let exec = Exec::start(router, script("for i in 1 2 3 4 5 6; do echo line$i; sleep 0.1; done; exit 5"));
    let exec = exec.await.unwrap();
    ready.modal.script("TaskExecStdioRead", 3, &Fault::Cut(1));
    ready.modal.script("TaskExecStdioRead", 2, &Fault::UNAVAILABLE);
    ready.modal.script("TaskExecStdioRead", 1, &Fault::TOKEN_EXPIRED);
    let output = read_all(exec.output(ExecFile::Stdout)).await;
    assert_eq!(String::from_utf8(output).unwrap(), "line1\nline2\nline3\nline4\nline5\nline6\n");
    assert_eq!(exec.wait().await.unwrap(), ExecEnd::Code(5));
    let offsets: Vec<u64> = ready
        .modal
        .calls_of("TaskExecStdioRead")
        .iter()
        .map(|call| call.message::<TaskExecStdioReadRequest>().unwrap().offset)
        .collect();
    assert!(offsets.len() >= 6 && offsets.is_sorted(), "{offsets:?}");
    // Read again from the beginning, it is all there once more.
    assert_eq!(read_all(exec.output(ExecFile::Stdout)).await.len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_arrives_once_although_answers_are_lost() {
    let ready = Ready::start(ModalOptions::default()).await;
    let router = ready.sandbox().await;
    let exec = Exec::start(router.clone(), script("cat")).await.unwrap();
    ready.modal.script("TaskExecStdinWrite", 1, &Fault::ReplyLost);
    ready.modal.script("TaskExecStdinWrite", 1, &Fault::UNAVAILABLE);
    let mut input = exec.input();
    input.write(Bytes::from_static(b"one ")).await.unwrap();
    input.write(Bytes::from_static(b"two")).await.unwrap();
    input.close(Bytes::new()).await.unwrap();
    assert_eq!(read_all(exec.output(ExecFile::Stdout)).await, b"one two");

    let content: Bytes = (0..3_000_000_u32).map(|at| (at % 249) as u8).collect::<Vec<_>>().into();
    let exec = Exec::start(router, script("sha256sum")).await.unwrap();
    ready.modal.script("TaskExecStdinWriteStream", 1, &Fault::ReplyLost);
    ready.modal.script("TaskExecStdinWriteStream", 1, &Fault::UNAVAILABLE);
    exec.send_all(&content).await.unwrap();
    let output = String::from_utf8(read_all(exec.output(ExecFile::Stdout)).await).unwrap();
    assert_eq!(output, format!("{}  -\n", protocol::sign::sha256_hex(&content)));
    assert_eq!(exec.wait().await.unwrap(), ExecEnd::Code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn access_to_a_command_router_is_renewed_when_it_has_expired() {
    // So short that a refusal is believed.
    let options = ModalOptions { router_token_life: Duration::from_secs(25), ..ModalOptions::default() };
    let ready = Ready::start(options).await;
    let router = ready.sandbox().await;
    assert_eq!(
        Exec::start(router.clone(), script("exit 1")).await.unwrap().wait().await.unwrap(),
        ExecEnd::Code(1)
    );
    assert!(ready.modal.calls_of("SandboxGetCommandRouterAccess").is_empty());
    ready.modal.script("TaskExecStart", 1, &Fault::TOKEN_EXPIRED);
    let exec = Exec::start(router, script("kill -9 $$")).await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), ExecEnd::Signal(9));
    assert_eq!(ready.modal.calls_of("SandboxGetCommandRouterAccess").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_pages_and_has_everything_once() {
    let ready = Ready::start(ModalOptions { page_size: 2, ..ModalOptions::default() }).await;
    let tags = Tags::from([("pool".to_owned(), "warm".to_owned())]);
    let mut expected = Vec::new();
    for _ in 0..5 {
        let definition = sleeper(&ready.image, None);
        let created =
            ready.client.create_sandbox(&ready.app, definition, &tags, BTreeMap::new()).await.unwrap();
        expected.push(created.modal_id);
    }
    ready.create(None).await.unwrap();
    let listed = ready.client.list_sandboxes(&ready.app, &tags).await.unwrap();
    let mut ids: Vec<String> = listed.into_iter().map(|sandbox| sandbox.id).collect();
    ids.reverse();
    assert_eq!(ids, expected);
    assert_eq!(ready.modal.calls_of("SandboxListV2").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_won_by_one_and_tags_are_replaced_as_a_whole() {
    let ready = Ready::start(ModalOptions::default()).await;
    let (one, other) = (ready.create(None).await.unwrap(), ready.create(None).await.unwrap());
    ready.client.name_sandbox(&one.modal_id, "claimed").await.unwrap();
    ready.client.name_sandbox(&one.modal_id, "claimed").await.unwrap();
    let lost = ready.client.name_sandbox(&other.modal_id, "claimed").await.unwrap_err();
    assert_eq!(lost.code, Code::AlreadyExists);
    assert_eq!(ready.client.find_sandbox(APP, "claimed").await.unwrap(), Some(one.modal_id.clone()));
    assert_eq!(ready.client.find_sandbox(APP, "nobody").await.unwrap(), None);
    for value in ["warm", "claimed"] {
        let tags = Tags::from([("pool".to_owned(), value.to_owned())]);
        ready.client.set_tags(&one.modal_id, &tags).await.unwrap();
        assert_eq!(ready.client.tags(&one.modal_id).await.unwrap(), tags);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_s_logs_come_once_and_in_order_although_the_stream_is_cut() {
    let commands = ["FROM node:22", "RUN echo one", "RUN echo two", "RUN echo three"];
    let logs = async |faults: bool| {
        let modal = ModalFake::start().await.unwrap();
        let client = client(&modal);
        let app = client.app(APP).await.unwrap();
        if faults {
            modal.script("ImageJoinStreaming", 1, &Fault::UNAVAILABLE);
            modal.script("ImageJoinStreaming", 3, &Fault::Cut(1));
        }
        let mut log = String::new();
        let image = client.build_image(&app, &recipe(&commands), |text| log.push_str(text)).await.unwrap();
        client.find_image(&image).await.unwrap();
        log
    };
    let (whole, mended) = (logs(false).await, logs(true).await);
    assert!(whole.contains("one") && whole.contains("three"), "{whole}");
    assert_eq!(whole, mended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_says_why_and_shows_its_log() {
    let ready = Ready::start(ModalOptions::default()).await;
    ready.modal.fail_command("npm install", "E404 no such package");
    let mut log = String::new();
    let recipe = recipe(&["FROM node:22", "RUN npm install nothing"]);
    let error = ready.client.build_image(&ready.app, &recipe, |text| log.push_str(text)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().starts_with("could not build the image at Modal: "), "{error}");
    assert!(log.contains("E404 no such package"), "{log}");
    let unknown = self::recipe(&["FROM nowhere.example/none"]);
    let error = ready.client.build_image(&ready.app, &unknown, |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
}
