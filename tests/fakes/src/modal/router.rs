//! The command router's methods. One server answers for all sandboxes; a token opens one of them.

use super::calls::{Answers, Ending};
use super::commands::Command;
use super::output::Output;
use super::process::Exit;
use super::sandboxes::Sandbox;
use super::service::Service;
use bytes::Bytes;
use futures::StreamExt as _;
use modal_api::command_router::Service as CommandRouter;
use modal_api::task_exec_stdin_write_stream_request::Payload;
use modal_api::{task_exec_poll_response, task_exec_wait_response, *};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming};

/// Answers for the workers of all sandboxes.
#[derive(Clone)]
pub(super) struct Router(pub(super) Arc<Service>);

type Answer<T> = Result<Response<T>, Status>;

impl Router {
    async fn admit<M: Message>(
        &self,
        method: &'static str,
        request: Request<M>,
        task_id: impl FnOnce(&M) -> &str,
    ) -> Result<(M, Arc<Sandbox>, Ending), Status> {
        let ending = self.0.calls.admit(method, &request).await?;
        let (metadata, _, message) = request.into_parts();
        let sandbox = self.open(&metadata, task_id(&message)).await?;
        Ok((message, sandbox, ending))
    }

    async fn open(
        &self,
        metadata: &tonic::metadata::MetadataMap,
        task_id: &str,
    ) -> Result<Arc<Sandbox>, Status> {
        self.0.tokens.check_task(metadata, &self.0.clock, task_id)?;
        let sandbox = self.0.task(task_id)?;
        sandbox.until_started().await;
        Ok(sandbox)
    }
}

fn command(sandbox: &Sandbox, exec_id: &str) -> Result<Arc<Command>, Status> {
    let found = sandbox.commands().get(exec_id).cloned();
    found.ok_or_else(|| Status::not_found(format!("Exec {exec_id} not found")))
}

/// Everything from an offset on, as `(offset, data)`.
fn pieces(output: Arc<Output>, offset: u64) -> impl futures::Stream<Item = (u64, Bytes)> + Send {
    futures::stream::unfold(offset, move |offset| {
        let output = Arc::clone(&output);
        async move {
            let piece = output.read(offset).await?;
            let next = piece.starting_offset + piece.data.len() as u64;
            Some(((piece.starting_offset, piece.data), next))
        }
    })
}

#[tonic::async_trait]
impl CommandRouter for Router {
    type SandboxStdioReadV2Stream = Answers<SandboxStdioReadV2Response>;
    type TaskExecStdioReadStream = Answers<TaskExecStdioReadResponse>;

    async fn sandbox_stdio_read_v2(
        &self,
        request: Request<SandboxStdioReadV2Request>,
    ) -> Answer<Self::SandboxStdioReadV2Stream> {
        let (request, sandbox, ending) =
            self.admit("SandboxStdioReadV2", request, |request| &request.task_id).await?;
        let first = sandbox
            .first_process()
            .ok_or_else(|| Status::failed_precondition("the sandbox did not start"))?;
        let output = match request.file_descriptor() {
            SandboxStdioFileDescriptor::Stdout => &first.stdout,
            SandboxStdioFileDescriptor::Stderr => &first.stderr,
        };
        let pieces = pieces(Arc::clone(output), request.offset);
        ending.stream(
            pieces.map(|(starting_offset, data)| Ok(SandboxStdioReadV2Response { data, starting_offset })),
        )
    }

    async fn task_exec_poll(&self, request: Request<TaskExecPollRequest>) -> Answer<TaskExecPollResponse> {
        use task_exec_poll_response::ExitStatus;
        let (request, sandbox, ending) =
            self.admit("TaskExecPoll", request, |request| &request.task_id).await?;
        let exit_status = command(&sandbox, &request.exec_id)?.exit().map(|exit| match exit {
            Exit::Code(code) => ExitStatus::Code(code),
            Exit::Signal(signal) => ExitStatus::Signal(signal),
        });
        ending.reply(TaskExecPollResponse { exit_status })
    }

    async fn task_exec_start(&self, request: Request<TaskExecStartRequest>) -> Answer<TaskExecStartResponse> {
        let (request, sandbox, ending) =
            self.admit("TaskExecStart", request, |request| &request.task_id).await?;
        self.0.start_command(&sandbox, &request)?;
        ending.reply(TaskExecStartResponse {})
    }

    async fn task_exec_stdin_status(
        &self,
        request: Request<TaskExecStdinStatusRequest>,
    ) -> Answer<TaskExecStdinStatusResponse> {
        let (request, sandbox, ending) =
            self.admit("TaskExecStdinStatus", request, |request| &request.task_id).await?;
        ending.reply(command(&sandbox, &request.exec_id)?.input_status().await)
    }

    async fn task_exec_stdin_write(
        &self,
        request: Request<TaskExecStdinWriteRequest>,
    ) -> Answer<TaskExecStdinWriteResponse> {
        let (request, sandbox, ending) =
            self.admit("TaskExecStdinWrite", request, |request| &request.task_id).await?;
        command(&sandbox, &request.exec_id)?.write(request.offset, &request.data, request.eof).await?;
        ending.reply(TaskExecStdinWriteResponse {})
    }

    async fn task_exec_stdin_write_stream(
        &self,
        request: Request<Streaming<TaskExecStdinWriteStreamRequest>>,
    ) -> Answer<TaskExecStdinWriteStreamResponse> {
        let (metadata, _, mut messages) = request.into_parts();
        let first = messages.message().await?.unwrap_or_default();
        let ending = self
            .0
            .calls
            .admit_message("TaskExecStdinWriteStream", &metadata, first.encode_to_vec().into())
            .await?;
        let Some(Payload::Start(start)) = first.payload else {
            return Err(Status::invalid_argument("the stream must begin with start"));
        };
        let sandbox = self.open(&metadata, &start.task_id).await?;
        let command = command(&sandbox, &start.exec_id)?;
        match ending {
            Ending::CutAfter(count) => command.write_stream(start.offset, messages.take(count)).await?,
            Ending::Arrives | Ending::Lost => command.write_stream(start.offset, messages).await?,
        }
        ending.reply(TaskExecStdinWriteStreamResponse {})
    }

    async fn task_exec_stdio_read(
        &self,
        request: Request<TaskExecStdioReadRequest>,
    ) -> Answer<Self::TaskExecStdioReadStream> {
        let (request, sandbox, ending) =
            self.admit("TaskExecStdioRead", request, |request| &request.task_id).await?;
        let command = command(&sandbox, &request.exec_id)?;
        let (output, is_kept) = match request.file_descriptor() {
            TaskExecStdioFileDescriptor::Stdout => {
                (&command.process.stdout, command.stdout == TaskExecStdoutConfig::Pipe)
            }
            TaskExecStdioFileDescriptor::Stderr => {
                (&command.process.stderr, command.stderr == TaskExecStderrConfig::Pipe)
            }
        };
        if !is_kept {
            return Err(Status::failed_precondition("this output is thrown away"));
        }
        let pieces = pieces(Arc::clone(output), request.offset);
        ending.stream(pieces.map(|(_, data)| Ok(TaskExecStdioReadResponse { data })))
    }

    async fn task_exec_wait(&self, request: Request<TaskExecWaitRequest>) -> Answer<TaskExecWaitResponse> {
        use task_exec_wait_response::ExitStatus;
        let (request, sandbox, ending) =
            self.admit("TaskExecWait", request, |request| &request.task_id).await?;
        let exit_status = match command(&sandbox, &request.exec_id)?.process.ended().await {
            Exit::Code(code) => ExitStatus::Code(code),
            Exit::Signal(signal) => ExitStatus::Signal(signal),
        };
        ending.reply(TaskExecWaitResponse { exit_status: Some(exit_status) })
    }

    async fn task_set_network_access(
        &self,
        request: Request<TaskSetNetworkAccessRequest>,
    ) -> Answer<TaskSetNetworkAccessResponse> {
        let (request, sandbox, ending) =
            self.admit("TaskSetNetworkAccess", request, |request| &request.task_id).await?;
        let access = request.network_access.unwrap_or_default();
        if access.network_access_type() != NetworkAccessType::Allowlist {
            return Err(Status::invalid_argument("only an allow-list can replace what a sandbox may reach"));
        }
        sandbox.labels().network = access;
        ending.reply(TaskSetNetworkAccessResponse {})
    }

    async fn task_snapshot_filesystem(
        &self,
        request: Request<TaskSnapshotFilesystemRequest>,
    ) -> Answer<TaskSnapshotFilesystemResponse> {
        let (request, sandbox, ending) =
            self.admit("TaskSnapshotFilesystem", request, |request| &request.task_id).await?;
        let life = match request.ttl_seconds {
            Some(-1) => None,
            Some(seconds @ 1..) => Some(Duration::from_secs(seconds.unsigned_abs())),
            Some(_) | None => return Err(Status::invalid_argument("ttl_seconds must be above 0, or -1")),
        };
        if request.snapshot_id.is_empty() {
            return Err(Status::invalid_argument("snapshot_id is missing"));
        }
        let mut taken = sandbox.snapshots.lock().await;
        let image_id = match taken.get(&request.snapshot_id) {
            Some(image_id) => image_id.clone(),
            None => {
                let image = self.0.save_image(&sandbox.folder, sandbox.image.clone(), life).await?;
                taken.insert(request.snapshot_id, image.id.clone());
                image.id.clone()
            }
        };
        drop(taken);
        ending.reply(TaskSnapshotFilesystemResponse { image_id })
    }
}
