//! Commands in a sandbox: started once per id, input in order by its offset, output kept for readers that come back.

use super::process::{Exit, Order, Process, ProcessInput};
use super::sandboxes::Sandbox;
use super::service::{Service, variables};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use modal_api::task_exec_stdin_write_stream_request::Payload;
use modal_api::{
    PtyInfo, TaskExecStartRequest, TaskExecStderrConfig, TaskExecStdinStatusResponse,
    TaskExecStdinWriteStreamRequest, TaskExecStdoutConfig,
};
use nix::pty::Winsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tonic::Status;

/// Output of a command is kept whole, as far as tests go.
const KEPT_BYTES: usize = 1 << 30;

/// A command that was started.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) process: Process,
    pub(super) stdout: TaskExecStdoutConfig,
    pub(super) stderr: TaskExecStderrConfig,
    input: Mutex<Input>,
    /// Counts up when a streaming writer is to give way.
    evictions: watch::Sender<u64>,
}

#[derive(Debug)]
struct Input {
    accepted: u64,
    /// `None` once it is closed.
    end: Option<ProcessInput>,
}

impl Service {
    /// Starts a command, or finds it started.
    pub(super) fn start_command(
        self: &Arc<Self>,
        sandbox: &Arc<Sandbox>,
        request: &TaskExecStartRequest,
    ) -> Result<(), Status> {
        if request.exec_id.is_empty() || request.command_args.is_empty() {
            return Err(Status::invalid_argument("a command needs an exec_id and arguments"));
        }
        if request.stderr_config() == TaskExecStderrConfig::Stdout {
            return Err(Status::invalid_argument("stderr_config STDOUT is not supported"));
        }
        let mut commands = sandbox.commands();
        if commands.contains_key(&request.exec_id) {
            return Ok(());
        }
        let mut environment = sandbox.environment.clone();
        environment.extend(variables(self, &request.secret_sources)?);
        let terminal = request.pty_info.as_ref().filter(|terminal| terminal.enabled);
        if let Some(terminal) = terminal {
            environment.insert("TERM".to_owned(), terminal.env_term.clone());
        }
        let workdir = request.workdir.as_deref().unwrap_or(&sandbox.workdir);
        let order = Order {
            sandbox_id: &sandbox.id,
            root: &sandbox.folder,
            machine_folders: &self.options.machine_folders,
            arguments: &request.command_args,
            environment: &environment,
            workdir,
            terminal: terminal.map(size),
            ports: &[],
        };
        let (process, end) = self.start_process(&order, KEPT_BYTES).map_err(|error| {
            Status::failed_precondition(format!(
                "cannot run {:?} in {workdir}: {error}",
                request.command_args
            ))
        })?;
        let command = Arc::new(Command {
            process,
            stdout: request.stdout_config(),
            stderr: request.stderr_config(),
            input: Mutex::new(Input { accepted: 0, end: Some(end) }),
            evictions: watch::channel(0).0,
        });
        commands.insert(request.exec_id.clone(), Arc::clone(&command));
        drop(commands);
        let limit = request.timeout_secs.filter(|seconds| *seconds > 0);
        let end = limit.map(|seconds| self.clock.now() + Duration::from_secs(seconds.into()));
        let (service, sandbox) = (Arc::clone(self), Arc::clone(sandbox));
        tokio::spawn(async move {
            let _active = sandbox.active();
            let late = async {
                match end {
                    Some(end) => service.clock.sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = command.process.ended() => {}
                () = late => command.process.kill(),
            }
        });
        Ok(())
    }
}

fn size(terminal: &PtyInfo) -> Winsize {
    let cells = |count: u32, usual: u16| match u16::try_from(count) {
        Ok(count @ 1..) => count,
        Ok(0) | Err(_) => usual,
    };
    Winsize {
        ws_row: cells(terminal.winsz_rows, 24),
        ws_col: cells(terminal.winsz_cols, 80),
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Command {
    pub(super) fn exit(&self) -> Option<Exit> {
        *self.process.exit.borrow()
    }

    /// Takes a piece of input. What lies before the bytes that arrived is skipped, what lies beyond them is refused.
    pub(super) async fn write(&self, offset: u64, data: &Bytes, is_last: bool) -> Result<(), Status> {
        let mut evicted = self.evictions.subscribe();
        evicted.mark_unchanged();
        self.write_unless(&mut evicted, offset, data, is_last).await
    }

    async fn write_unless(
        &self,
        evicted: &mut watch::Receiver<u64>,
        offset: u64,
        data: &Bytes,
        is_last: bool,
    ) -> Result<(), Status> {
        let mut input = self.input.lock().await;
        if offset > input.accepted {
            let (expected, got) = (input.accepted, offset);
            return Err(Status::failed_precondition(format!("expected offset {expected}, got {got}")));
        }
        let end = offset + data.len() as u64;
        while input.accepted < end {
            let skipped = usize::try_from(input.accepted - offset).unwrap_or(usize::MAX);
            let rest = data.get(skipped..).unwrap_or_default();
            let open = input.end.as_ref().filter(|_| self.exit().is_none());
            let open = open.ok_or_else(|| Status::failed_precondition("the command does not take input"))?;
            tokio::select! {
                written = open.write(rest) => match written {
                    Ok(count) => input.accepted += count as u64,
                    Err(_) => return Err(Status::failed_precondition("the command closed its input")),
                },
                _ = evicted.changed() => return Err(Status::aborted("another writer took over")),
                _ = self.process.ended() => {}
            }
        }
        if is_last && let Some(open) = input.end.take() {
            open.finish().await;
        }
        Ok(())
    }

    /// Takes a stream of input; only its end message closes the input.
    pub(super) async fn write_stream<S>(&self, mut offset: u64, mut messages: S) -> Result<(), Status>
    where
        S: Stream<Item = Result<TaskExecStdinWriteStreamRequest, Status>> + Unpin + Send,
    {
        let mut evicted = self.evictions.subscribe();
        evicted.mark_unchanged();
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = evicted.changed() => return Err(Status::aborted("another writer took over")),
            };
            let Some(message) = message else { return Ok(()) };
            match message?.payload {
                Some(Payload::Data(data)) => {
                    self.write_unless(&mut evicted, offset, &data, false).await?;
                    offset += data.len() as u64;
                }
                Some(Payload::End(_)) => {
                    return self.write_unless(&mut evicted, offset, &Bytes::new(), true).await;
                }
                Some(Payload::Start(_)) | None => {
                    return Err(Status::invalid_argument("data or end was expected"));
                }
            }
        }
    }

    /// How much arrived; a streaming writer gives way.
    pub(super) async fn input_status(&self) -> TaskExecStdinStatusResponse {
        self.evictions.send_modify(|count| *count += 1);
        let input = self.input.lock().await;
        TaskExecStdinStatusResponse { num_bytes_written: input.accepted, closed: input.end.is_none() }
    }
}
