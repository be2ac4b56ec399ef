//! A plain caller of the stand-in: metadata on every call, no retries, so that tests see each answer.

use fakes::modal::{ModalFake, ModalOptions};
use modal_api::*;
use std::collections::BTreeMap;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

type Metadata = BTreeMap<&'static str, String>;

#[derive(Clone)]
pub(crate) struct Carry(Metadata);

impl tonic::service::Interceptor for Carry {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        Ok(request)
    }
}

pub(crate) type Control = control::Client<InterceptedService<Channel, Carry>>;
pub(crate) type Router = command_router::Client<InterceptedService<Channel, Carry>>;

pub(crate) struct Caller {
    pub(crate) fake: ModalFake,
    pub(crate) control: Control,
    pub(crate) app_id: String,
    pub(crate) image_id: String,
}

async fn channel(url: &str) -> Channel {
    Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap()
}

pub(crate) fn credentials(fake: &ModalFake) -> Metadata {
    BTreeMap::from([
        (metadata::TOKEN_ID, fake.token_id().to_owned()),
        (metadata::TOKEN_SECRET, fake.token_secret().to_owned()),
    ])
}

pub(crate) async fn control(fake: &ModalFake, metadata: Metadata) -> Control {
    control::Client::with_interceptor(channel(fake.url()).await, Carry(metadata))
}

impl Caller {
    pub(crate) async fn start() -> Self {
        Self::start_with(ModalOptions::default()).await
    }

    /// With an app and an image of Debian.
    pub(crate) async fn start_with(options: ModalOptions) -> Self {
        let fake = ModalFake::start_with(options).await.unwrap();
        let mut metadata = credentials(&fake);
        let mut plain = control(&fake, metadata.clone()).await;
        let token = plain.auth_token_get(AuthTokenGetRequest {}).await.unwrap().into_inner().token;
        metadata.insert(metadata::AUTH_TOKEN, token);
        let mut control = control(&fake, metadata).await;
        let app = AppGetOrCreateRequest {
            app_name: "farhand".to_owned(),
            object_creation_type: ObjectCreationType::CreateIfMissing.into(),
            ..AppGetOrCreateRequest::default()
        };
        let app_id = control.app_get_or_create(app).await.unwrap().into_inner().app_id;
        let mut caller = Self { fake, control, app_id, image_id: String::new() };
        let (image_id, result, _) = caller.build(&["FROM debian:bookworm-slim", "WORKDIR /workspace"]).await;
        assert_eq!(result.status(), GenericStatus::Success);
        caller.image_id = image_id;
        caller.fake.forget_calls();
        caller
    }

    pub(crate) fn layer(&self, commands: &[&str]) -> ImageGetOrCreateRequest {
        ImageGetOrCreateRequest {
            image: Some(Image {
                dockerfile_commands: commands.iter().map(|command| (*command).to_owned()).collect(),
                ..Image::default()
            }),
            app_id: self.app_id.clone(),
            namespace: DeploymentNamespace::Workspace.into(),
            builder_version: "2025.06".to_owned(),
            ..ImageGetOrCreateRequest::default()
        }
    }

    pub(crate) async fn build(&mut self, commands: &[&str]) -> (String, GenericResult, String) {
        let layer = self.layer(commands);
        self.build_layer(layer).await
    }

    /// Image, result and log.
    pub(crate) async fn build_layer(
        &mut self,
        layer: ImageGetOrCreateRequest,
    ) -> (String, GenericResult, String) {
        let begun = self.control.image_get_or_create(layer).await.unwrap().into_inner();
        let join = ImageJoinStreamingRequest {
            image_id: begun.image_id.clone(),
            timeout: 55.0,
            ..ImageJoinStreamingRequest::default()
        };
        let mut answers = self.control.image_join_streaming(join).await.unwrap().into_inner();
        let (mut log, mut result) = (String::new(), None);
        while let Some(answer) = answers.message().await.unwrap() {
            log.extend(answer.task_logs.into_iter().map(|piece| piece.data));
            result = answer.result.or(result);
        }
        (begun.image_id, result.unwrap(), log)
    }

    pub(crate) fn order(&self) -> SandboxCreateV2Request {
        SandboxCreateV2Request {
            app_id: self.app_id.clone(),
            definition: Some(Sandbox {
                entrypoint_args: ["sleep", "infinity"].map(str::to_owned).to_vec(),
                image_id: self.image_id.clone(),
                resources: Some(Resources::default()),
                timeout_secs: 3600,
                network_access: Some(NetworkAccess {
                    network_access_type: NetworkAccessType::Open.into(),
                    ..NetworkAccess::default()
                }),
                open_ports_oneof: Some(sandbox::OpenPortsOneof::OpenPorts(PortSpecs::default())),
                ..Sandbox::default()
            }),
            ..SandboxCreateV2Request::default()
        }
    }

    pub(crate) fn named(&self, name: &str) -> SandboxCreateV2Request {
        let mut order = self.order();
        order.definition.as_mut().unwrap().name = Some(name.to_owned());
        order
    }

    pub(crate) async fn create(&mut self, order: SandboxCreateV2Request) -> Result<Running, Status> {
        let created = self.control.sandbox_create_v2(order).await?.into_inner();
        let access = created.command_router_access.unwrap();
        let metadata = BTreeMap::from([(metadata::AUTHORIZATION, format!("Bearer {}", access.jwt))]);
        let router = command_router::Client::with_interceptor(channel(&access.url).await, Carry(metadata));
        Ok(Running { sandbox_id: created.sandbox_id, task_id: created.task_id, router, next_exec: 0 })
    }

    pub(crate) async fn wait(&mut self, sandbox_id: &str, timeout: f32) -> GenericResult {
        let wait = SandboxWaitRequest { sandbox_id: sandbox_id.to_owned(), timeout };
        self.control.sandbox_wait_v2(wait).await.unwrap().into_inner().result.unwrap()
    }

    pub(crate) async fn terminate(&mut self, sandbox_id: &str) -> SandboxTerminateResponse {
        let end = SandboxTerminateRequest { sandbox_id: sandbox_id.to_owned() };
        self.control.sandbox_terminate_v2(end).await.unwrap().into_inner()
    }
}

/// A sandbox and its command router.
pub(crate) struct Running {
    pub(crate) sandbox_id: String,
    pub(crate) task_id: String,
    pub(crate) router: Router,
    next_exec: u32,
}

impl Running {
    pub(crate) fn command(&mut self, arguments: &[&str]) -> TaskExecStartRequest {
        self.next_exec += 1;
        TaskExecStartRequest {
            task_id: self.task_id.clone(),
            exec_id: format!("exec-{}", self.next_exec),
            command_args: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            stdout_config: TaskExecStdoutConfig::Pipe.into(),
            stderr_config: TaskExecStderrConfig::Pipe.into(),
            ..TaskExecStartRequest::default()
        }
    }

    pub(crate) async fn begin(&mut self, command: TaskExecStartRequest) -> String {
        let exec_id = command.exec_id.clone();
        self.router.task_exec_start(command).await.unwrap();
        exec_id
    }

    /// Runs a line of shell to its end.
    pub(crate) async fn shell(&mut self, line: &str) -> (String, task_exec_wait_response::ExitStatus) {
        let command = self.command(&["sh", "-c", line]);
        let exec_id = self.begin(command).await;
        let output = self.read(&exec_id, 0, TaskExecStdioFileDescriptor::Stdout).await.unwrap();
        (output, self.exit(&exec_id).await)
    }

    pub(crate) fn output_request(
        &self,
        exec_id: &str,
        offset: u64,
        file: TaskExecStdioFileDescriptor,
    ) -> TaskExecStdioReadRequest {
        TaskExecStdioReadRequest {
            task_id: self.task_id.clone(),
            exec_id: exec_id.to_owned(),
            offset,
            file_descriptor: file.into(),
        }
    }

    pub(crate) async fn read(
        &mut self,
        exec_id: &str,
        offset: u64,
        file: TaskExecStdioFileDescriptor,
    ) -> Result<String, Status> {
        let request = self.output_request(exec_id, offset, file);
        let mut pieces = self.router.task_exec_stdio_read(request).await?.into_inner();
        let mut output = Vec::new();
        while let Some(piece) = pieces.message().await? {
            output.extend_from_slice(&piece.data);
        }
        Ok(String::from_utf8(output).unwrap())
    }

    pub(crate) async fn exit(&mut self, exec_id: &str) -> task_exec_wait_response::ExitStatus {
        let wait = TaskExecWaitRequest { task_id: self.task_id.clone(), exec_id: exec_id.to_owned() };
        self.router.task_exec_wait(wait).await.unwrap().into_inner().exit_status.unwrap()
    }

    pub(crate) async fn snapshot(
        &mut self,
        snapshot_id: &str,
        ttl_seconds: Option<i64>,
    ) -> Result<String, Status> {
        let request = TaskSnapshotFilesystemRequest {
            task_id: self.task_id.clone(),
            snapshot_id: snapshot_id.to_owned(),
            ttl_seconds,
        };
        Ok(self.router.task_snapshot_filesystem(request).await?.into_inner().image_id)
    }
}
