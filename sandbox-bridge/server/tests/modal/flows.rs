//! The client's calls equal the recorded calls of Modal's own client (1.6.4) in order and in what they say.
//!
//! `flows.json` has the significant part of what was recorded: fields with their default value are absent, ids are words.

use crate::support::{PATIENCE, client, credentials};
use bytes::Bytes;
use fakes::modal::{Call, Fault, ModalFake, ModalOptions};
use modal_api as api;
use modal_api::{NetworkAccess, NetworkAccessType, PortSpecs, Resources, Sandbox};
use prost::Message;
use sandbox_bridge::provider::modal::{
    CommandRouter, Created, Credentials, Exec, ExecFile, ExecOrder, ExecReader, ImageRecipe, ModalClient,
    Tags,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const APP: &str = "hosted-agents";

/// A call as the fixture has it.
fn recorded(call: &Call) -> Value {
    let mut fields = significant(call);
    remove_defaults(&mut fields);
    let mut all = json!({ "method": call.method, "fields": fields });
    let tries: Map<String, Value> = ["x-retry-attempt", "x-throttle-retry-attempt"]
        .into_iter()
        .filter_map(|name| {
            Some((name.to_owned(), json!(call.metadata.get(name).filter(|value| *value != "0")?)))
        })
        .collect();
    if !tries.is_empty() {
        all["metadata"] = tries.into();
    }
    all
}

/// What a call says, ids as words.
fn significant(call: &Call) -> Value {
    let said = of_images(call).or_else(|| of_sandboxes(call)).or_else(|| of_commands(call));
    said.unwrap_or_else(|| panic!("{} is in no recorded flow", call.method))
}

fn of<M: Message + Default>(call: &Call) -> M {
    call.message().unwrap()
}

fn tags(tags: Vec<api::SandboxTag>) -> Value {
    tags.into_iter().map(|tag| json!({ "tag_name": tag.tag_name, "tag_value": tag.tag_value })).collect()
}

fn network(access: Option<NetworkAccess>) -> Value {
    let access = access.unwrap_or_default();
    let kind = match access.network_access_type() {
        NetworkAccessType::Open => "OPEN",
        NetworkAccessType::Allowlist => "ALLOWLIST",
        NetworkAccessType::Blocked => "BLOCKED",
        NetworkAccessType::Unspecified => "",
    };
    json!({
        "network_access_type": kind,
        "allowed_cidrs": access.allowed_cidrs,
        "allowed_domains": access.allowed_domains,
    })
}

fn of_images(call: &Call) -> Option<Value> {
    Some(match call.method {
        "AppGetOrCreate" => {
            let m: api::AppGetOrCreateRequest = of(call);
            assert_eq!(m.object_creation_type(), api::ObjectCreationType::CreateIfMissing);
            let kind = "OBJECT_CREATION_TYPE_CREATE_IF_MISSING";
            json!({ "app_name": m.app_name, "environment_name": m.environment_name, "object_creation_type": kind })
        }
        "EnvironmentGetOrCreate" => {
            json!({ "deployment_name": of::<api::EnvironmentGetOrCreateRequest>(call).deployment_name })
        }
        "ImageGetOrCreate" => {
            let m: api::ImageGetOrCreateRequest = of(call);
            assert_eq!(m.namespace(), api::DeploymentNamespace::Workspace);
            let image = m.image.unwrap();
            let bases: Value = image
                .base_images
                .into_iter()
                .map(|base| json!({ "image_id": "<image>", "docker_tag": base.docker_tag }))
                .collect();
            json!({
                "image": { "base_images": bases, "dockerfile_commands": image.dockerfile_commands },
                "app_id": "<app>",
                "namespace": "DEPLOYMENT_NAMESPACE_WORKSPACE",
                "builder_version": m.builder_version,
            })
        }
        "ImageJoinStreaming" => {
            let m: api::ImageJoinStreamingRequest = of(call);
            json!({ "image_id": "<image>", "timeout": m.timeout, "last_entry_id": m.last_entry_id })
        }
        "ImageFromId" | "ImageDelete" => json!({ "image_id": "<image>" }),
        _ => return None,
    })
}

fn of_sandboxes(call: &Call) -> Option<Value> {
    Some(match call.method {
        "SandboxCreateV2" => {
            let m: api::SandboxCreateV2Request = of(call);
            let definition = m.definition.unwrap();
            assert!(definition.open_ports_oneof.is_some(), "the official client sends its ports, if none");
            json!({
                "app_id": "<app>",
                "definition": {
                    "entrypoint_args": definition.entrypoint_args,
                    "image_id": "<image>",
                    "timeout_secs": definition.timeout_secs,
                    "network_access": network(definition.network_access),
                    "name": definition.name,
                },
                "tags": tags(m.tags),
            })
        }
        "SandboxTagsSetV2" => {
            json!({ "sandbox_id": "<sandbox_id>", "tags": tags(of::<api::SandboxTagsSetRequest>(call).tags) })
        }
        "SandboxTagsGetV2"
        | "SandboxTerminateV2"
        | "SandboxGetTaskIdV2"
        | "SandboxGetCommandRouterAccess" => {
            json!({ "sandbox_id": "<sandbox_id>" })
        }
        "SandboxListV2" => {
            let m: api::SandboxListRequest = of(call);
            let before = if m.before_timestamp > 0.0 { "<time>" } else { "" };
            json!({ "app_id": "<app>", "tags": tags(m.tags), "before_timestamp": before })
        }
        "SandboxGetFromNameV2" => {
            let m: api::SandboxGetFromNameRequest = of(call);
            json!({ "sandbox_name": m.sandbox_name, "app_name": m.app_name })
        }
        "SandboxSetName" => {
            json!({ "sandbox_id": "<sandbox_id>", "name": of::<api::SandboxSetNameRequest>(call).name })
        }
        "SandboxWaitV2" => {
            json!({ "sandbox_id": "<sandbox_id>", "timeout": of::<api::SandboxWaitRequest>(call).timeout })
        }
        _ => return None,
    })
}

fn of_commands(call: &Call) -> Option<Value> {
    Some(match call.method {
        "TaskExecStart" => {
            let m: api::TaskExecStartRequest = of(call);
            assert_eq!(m.stdout_config(), api::TaskExecStdoutConfig::Pipe);
            assert_eq!(m.stderr_config(), api::TaskExecStderrConfig::Pipe);
            json!({
                "task_id": "<task_id>",
                "exec_id": "<uuid4>",
                "command_args": m.command_args,
                "stdout_config": "TASK_EXEC_STDOUT_CONFIG_PIPE",
                "stderr_config": "TASK_EXEC_STDERR_CONFIG_PIPE",
            })
        }
        "TaskExecStdioRead" => {
            let m: api::TaskExecStdioReadRequest = of(call);
            let file = match m.file_descriptor() {
                api::TaskExecStdioFileDescriptor::Stdout => "",
                api::TaskExecStdioFileDescriptor::Stderr => "TASK_EXEC_STDIO_FILE_DESCRIPTOR_STDERR",
            };
            json!({ "task_id": "<task_id>", "exec_id": "<uuid4>", "offset": m.offset, "file_descriptor": file })
        }
        "TaskExecStdinWrite" => {
            let m: api::TaskExecStdinWriteRequest = of(call);
            let data = String::from_utf8(m.data.to_vec()).unwrap();
            json!({ "task_id": "<task_id>", "exec_id": "<uuid4>", "offset": m.offset, "data": data, "eof": m.eof })
        }
        "TaskExecWait" => json!({ "task_id": "<task_id>", "exec_id": "<uuid4>" }),
        "TaskSnapshotFilesystem" => {
            let m: api::TaskSnapshotFilesystemRequest = of(call);
            json!({ "task_id": "<task_id>", "snapshot_id": "<uuid4>", "ttl_seconds": m.ttl_seconds })
        }
        "TaskSetNetworkAccess" => {
            let m: api::TaskSetNetworkAccessRequest = of(call);
            json!({ "task_id": "<task_id>", "network_access": network(m.network_access) })
        }
        _ => return None,
    })
}

fn remove_defaults(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(remove_defaults);
        fields.retain(|_, value| match value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(value) => value.as_f64() != Some(0.0),
            Value::String(value) => !value.is_empty(),
            Value::Array(values) => !values.is_empty(),
            Value::Object(_) => true,
        });
    }
    if let Value::Array(values) = value {
        values.iter_mut().for_each(remove_defaults);
    }
}

/// A stand-in, a client, and a sandbox to work with.
struct Scene {
    modal: ModalFake,
    client: ModalClient,
    app: String,
    image: String,
    sandbox: Created,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(ModalOptions::default()).await
    }

    async fn start_with(options: ModalOptions) -> Self {
        let modal = ModalFake::start_with(options).await.unwrap();
        let client = client(&modal);
        let app = client.app(APP).await.unwrap();
        let recipe = recipe(&["FROM node:20-bookworm"]);
        let image = client.build_image(&app, &recipe, |_| {}).await.unwrap();
        let definition = definition(&image, &["sleep", "infinity"], 3600);
        let sandbox = client.create_sandbox(&app, definition, &Tags::new(), BTreeMap::new()).await.unwrap();
        modal.forget_calls();
        Self { modal, client, app, image, sandbox }
    }

    /// The calls so far, compared with the fixture. Fetching the client's token is a matter of time, not of the flow.
    fn expect(&self, flow: &str) {
        let flows: BTreeMap<String, Vec<Value>> = serde_json::from_str(include_str!("flows.json")).unwrap();
        let calls = self.modal.calls();
        let calls: Vec<Value> =
            calls.iter().filter(|call| call.method != "AuthTokenGet").map(recorded).collect();
        let mut expected = flows[flow].clone();
        for call in &mut expected {
            remove_defaults(&mut call["fields"]);
        }
        assert_eq!(json!(calls), json!(expected), "{flow}");
        self.modal.forget_calls();
    }

    fn router(&self) -> Arc<CommandRouter> {
        let Created { modal_id, task_id, access } = self.sandbox.clone();
        Arc::new(CommandRouter::new(self.client.clone(), modal_id, task_id, access))
    }

    async fn exec(&self, arguments: &[&str]) -> Exec {
        Exec::start(self.router(), command(arguments)).await.unwrap()
    }
}

fn recipe(commands: &[&str]) -> ImageRecipe {
    let commands = commands.iter().map(|text| (*text).to_owned()).collect();
    ImageRecipe { commands, timeout: PATIENCE, ..ImageRecipe::default() }
}

fn command(arguments: &[&str]) -> ExecOrder {
    ExecOrder { arguments: arguments.iter().map(|text| (*text).to_owned()).collect(), ..ExecOrder::default() }
}

fn definition(image: &str, arguments: &[&str], seconds: u32) -> Sandbox {
    Sandbox {
        entrypoint_args: arguments.iter().map(|text| (*text).to_owned()).collect(),
        image_id: image.to_owned(),
        resources: Some(Resources::default()),
        timeout_secs: seconds,
        network_access: Some(NetworkAccess {
            network_access_type: NetworkAccessType::Open.into(),
            ..NetworkAccess::default()
        }),
        open_ports_oneof: Some(api::sandbox::OpenPortsOneof::OpenPorts(PortSpecs::default())),
        ..Sandbox::default()
    }
}

async fn read_all(mut reader: ExecReader) {
    while reader.next().await.unwrap().is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_and_images_are_asked_for_as_recorded() {
    let scene = Scene::start().await;
    let credentials = Credentials { environment: "main".to_owned(), ..credentials(&scene.modal) };
    let client = ModalClient::new(credentials).unwrap();
    let app = client.app(APP).await.unwrap();
    scene.expect("app");
    // Another base than the one that is built already, by the same name as recorded.
    let fresh = ModalFake::start().await.unwrap();
    let credentials = Credentials { environment: "main".to_owned(), ..crate::support::credentials(&fresh) };
    let client = ModalClient::new(credentials).unwrap();
    let own = client.app(APP).await.unwrap();
    fresh.forget_calls();
    let commands = ["FROM node:20-bookworm", "RUN npm i -g opencode-ai", "WORKDIR /workspace"];
    client.build_image(&own, &recipe(&commands), |_| {}).await.unwrap();
    Scene { modal: fresh, client, app, ..scene }.expect("image_build");
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_are_created_as_recorded() {
    let scene = Scene::start().await;
    let tags = Tags::from([("pool", "warm"), ("repo", "org/x")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    let network_access = Some(NetworkAccess {
        network_access_type: NetworkAccessType::Allowlist.into(),
        allowed_cidrs: vec!["140.82.112.0/20".to_owned()],
        allowed_domains: ["github.com", "*.githubusercontent.com"].map(str::to_owned).to_vec(),
    });
    let name = Some("sess-1".to_owned());
    let whole = Sandbox { name, network_access, ..definition(&scene.image, &["sleep", "infinity"], 3600) };
    scene.client.create_sandbox(&scene.app, whole, &tags, BTreeMap::new()).await.unwrap();
    scene.expect("create");
    scene.client.find_image(&scene.image).await.unwrap();
    let plain = definition(&scene.image, &["sleep", "infinity"], 3600);
    let create = async |definition: &Sandbox| {
        scene
            .client
            .create_sandbox(&scene.app, definition.clone(), &Tags::new(), BTreeMap::new())
            .await
            .unwrap();
    };
    create(&plain).await;
    scene.expect("create_from_snapshot");
    let short = definition(&scene.image, &["sleep", "1"], 60);
    scene.modal.script("SandboxCreateV2", 2, &Fault::UNAVAILABLE);
    create(&short).await;
    scene.expect("create_unavailable_twice");
    scene.modal.script("SandboxCreateV2", 1, &Fault::Throttled(Duration::from_millis(100)));
    create(&short).await;
    scene.expect("create_throttled");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_run_as_recorded() {
    let scene = Scene::start().await;
    let script = "echo one; sleep 0.3; echo two; echo err >&2; exit 3";
    let exec = scene.exec(&["bash", "-c", script]).await;
    read_all(exec.output(ExecFile::Stdout)).await;
    read_all(exec.output(ExecFile::Stderr)).await;
    exec.wait().await.unwrap();
    scene.expect("exec");

    let exec = scene.exec(&["cat"]).await;
    let mut input = exec.input();
    input.write(Bytes::from_static(b"hello")).await.unwrap();
    input.close(Bytes::from_static(b" world")).await.unwrap();
    read_all(exec.output(ExecFile::Stdout)).await;
    exec.wait().await.unwrap();
    scene.expect("exec_input");

    scene.modal.script("TaskExecStdioRead", 1, &Fault::Cut(1));
    let exec = scene.exec(&["bash", "-c", "for i in 1 2 3 4; do echo line$i; sleep 0.2; done"]).await;
    read_all(exec.output(ExecFile::Stdout)).await;
    exec.wait().await.unwrap();
    scene.expect("exec_cut");

    scene.modal.script("TaskExecStart", 1, &Fault::TOKEN_EXPIRED);
    scene.exec(&["true"]).await.wait().await.unwrap();
    scene.expect("exec_refused_token");

    scene.modal.script("TaskExecStart", 1, &Fault::Throttled(Duration::from_millis(100)));
    scene.exec(&["true"]).await.wait().await.unwrap();
    scene.expect("exec_throttled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_of_a_router_is_replaced_as_recorded() {
    // So short that a refusal is believed.
    let life = Duration::from_secs(25);
    let scene = Scene::start_with(ModalOptions { router_token_life: life, ..ModalOptions::default() }).await;
    scene.modal.script("TaskExecStart", 1, &Fault::TOKEN_EXPIRED);
    scene.exec(&["true"]).await.wait().await.unwrap();
    scene.expect("exec_expired_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_known_by_its_id_is_reached_as_recorded() {
    let scene = Scene::start().await;
    let id = &scene.sandbox.modal_id;
    assert!(scene.client.poll_end(id).await.unwrap().is_none());
    let task_id = scene.client.task_id(id).await.unwrap();
    let router = Arc::new(CommandRouter::new(scene.client.clone(), id.clone(), task_id, None));
    let exec = Exec::start(router, command(&["echo", "hi"])).await.unwrap();
    read_all(exec.output(ExecFile::Stdout)).await;
    exec.wait().await.unwrap();
    scene.expect("reattach");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_networks_tags_names_and_ends_are_as_recorded() {
    let scene = Scene::start().await;
    let (client, id, router) = (&scene.client, &scene.sandbox.modal_id, scene.router());
    let month = Duration::from_secs(30 * 24 * 3600);
    let key = "6f1a0b52-9c1c-4c93-a6c8-8f4f0d4c2a11";
    let image = router.snapshot(key, month).await.unwrap();
    scene.expect("snapshot");
    scene.modal.script("TaskSnapshotFilesystem", 1, &Fault::UNAVAILABLE);
    assert_eq!(router.snapshot(key, month).await.unwrap(), image);
    scene.expect("snapshot_repeated");
    let allowed =
        NetworkAccess { allowed_domains: vec!["github.com".to_owned()], ..NetworkAccess::default() };
    router.set_network(allowed).await.unwrap();
    scene.expect("network");
    let claimed = Tags::from([("pool".to_owned(), "claimed".to_owned())]);
    client.set_tags(id, &claimed).await.unwrap();
    assert_eq!(client.tags(id).await.unwrap(), claimed);
    scene.expect("tags");
    client.set_tags(id, &Tags::from([("pool".to_owned(), "warm".to_owned())])).await.unwrap();
    scene.modal.forget_calls();
    let warm = Tags::from([("pool".to_owned(), "warm".to_owned())]);
    assert_eq!(client.list_sandboxes(&scene.app, &warm).await.unwrap().len(), 1);
    scene.expect("list");
    assert_eq!(client.find_sandbox(APP, "sess-1").await.unwrap(), None);
    scene.expect("find_by_name");
    client.name_sandbox(id, "session-42").await.unwrap();
    scene.expect("claim_name");
    client.delete_image(&image).await.unwrap();
    scene.expect("delete_image");
    client.terminate_sandbox(id).await.unwrap();
    assert!(client.wait_for_end(id).await.unwrap().is_some());
    scene.expect("terminate");
}
