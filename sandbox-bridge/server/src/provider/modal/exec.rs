//! A command in a sandbox, through its command router: start, input, output from where it was cut, and the end.
//!
//! The command's id makes starting repeatable, offsets make input and output so: a cut costs nothing but time. There is no call
//! that ends a command; what runs for long is run under the sandbox's supervisor, see `reach.rs`.

use super::ModalError;
use super::calls::variables_of;
use super::client::Tries;
use super::names::new_uuid;
use super::retry::{Cursor, ROUTER};
use super::router::{CALL_TIMEOUT, CommandRouter, Commands};
use bytes::Bytes;
use modal_api::status;
use modal_api::task_exec_stdin_write_stream_request::Payload;
use modal_api::task_exec_wait_response::ExitStatus;
use modal_api::{
    TaskExecStartRequest, TaskExecStderrConfig, TaskExecStdinStatusRequest, TaskExecStdinWriteRequest,
    TaskExecStdinWriteStreamEnd, TaskExecStdinWriteStreamRequest, TaskExecStdinWriteStreamStart,
    TaskExecStdioReadRequest, TaskExecStdioReadResponse, TaskExecStdoutConfig, TaskExecWaitRequest,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status, Streaming};

/// How long one look for the end lasts, and the pause before the next, as in Modal's own clients.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
const WAIT_PAUSE: Duration = Duration::from_secs(1);
/// Piece of bulk input, as in Modal's own clients.
const BULK_BYTES: usize = 256 << 10;
/// Longest wait for bulk input to be taken.
const BULK_TIMEOUT: Duration = Duration::from_secs(120);

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct ExecOrder {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// Variables beside the sandbox's own.
    pub variables: BTreeMap<String, String>,
    /// Where it begins; an absolute path.
    pub folder: Option<String>,
    /// After so long Modal kills it.
    pub timeout: Option<Duration>,
}

/// Which output of a command.
pub use modal_api::TaskExecStdioFileDescriptor as ExecFile;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecEnd {
    /// By itself.
    Code(i32),
    /// By a signal of this number.
    Signal(i32),
}

/// A command that was started.
pub struct Exec {
    router: Arc<CommandRouter>,
    exec_id: String,
}

impl Exec {
    /// Starts a command.
    pub async fn start(router: Arc<CommandRouter>, order: ExecOrder) -> Result<Self, ModalError> {
        let exec_id = new_uuid();
        let request = TaskExecStartRequest {
            task_id: router.task_id().to_owned(),
            exec_id: exec_id.clone(),
            command_args: order.arguments,
            stdout_config: TaskExecStdoutConfig::Pipe.into(),
            stderr_config: TaskExecStderrConfig::Pipe.into(),
            timeout_secs: order.timeout.map(|time| u32::try_from(time.as_secs().max(1)).unwrap_or(u32::MAX)),
            workdir: order.folder,
            pty_info: None,
            secret_sources: variables_of(order.variables),
        };
        let call = async |mut commands: Commands, request| commands.task_exec_start(request).await;
        router.unary("run a command", request, CALL_TIMEOUT, call).await?;
        Ok(Self { router, exec_id })
    }

    /// What it writes, from the beginning.
    #[must_use]
    pub fn output(&self, file: ExecFile) -> ExecReader {
        ExecReader {
            router: self.router.clone(),
            exec_id: self.exec_id.clone(),
            file,
            stream: None,
            cursor: Cursor::default(),
            renewed: false,
        }
    }

    /// What it reads, from the beginning.
    #[must_use]
    pub fn input(&self) -> ExecWriter {
        ExecWriter { router: self.router.clone(), exec_id: self.exec_id.clone(), offset: 0 }
    }

    /// Gives it all of its input at once, and the end of it.
    pub async fn send_all(&self, content: &Bytes) -> Result<(), ModalError> {
        const WHAT: &str = "send a file into the sandbox";
        let (mut tries, mut offset, mut renewed) = (Tries::new(), 0, false);
        loop {
            let messages = bulk(self.router.task_id(), &self.exec_id, content, offset);
            let call =
                async |mut commands: Commands, request| commands.task_exec_stdin_write_stream(request).await;
            let stream = futures::stream::iter(messages);
            match self.router.once(stream, Some(BULK_TIMEOUT), &tries, call).await? {
                Ok(_) => return Ok(()),
                Err((status, jwt)) if status.code() == Code::Unauthenticated && !renewed => {
                    renewed = true;
                    self.router.renew(&jwt).await;
                }
                Err((status, _)) => tries.after_with(&ROUTER, WHAT, &status).await?,
            }
            let request = TaskExecStdinStatusRequest {
                task_id: self.router.task_id().to_owned(),
                exec_id: self.exec_id.clone(),
            };
            let call = async |mut commands: Commands, request| commands.task_exec_stdin_status(request).await;
            let arrived = self.router.unary(WHAT, request, CALL_TIMEOUT, call).await?;
            if arrived.closed {
                return Ok(());
            }
            offset = usize::try_from(arrived.num_bytes_written).unwrap_or(usize::MAX).min(content.len());
        }
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Result<ExecEnd, ModalError> {
        const WHAT: &str = "wait for a command";
        let mut renewed = false;
        loop {
            let request = TaskExecWaitRequest {
                task_id: self.router.task_id().to_owned(),
                exec_id: self.exec_id.clone(),
            };
            let call = async |mut commands: Commands, request| commands.task_exec_wait(request).await;
            match self.router.once(request, Some(WAIT_TIMEOUT), &Tries::new(), call).await? {
                Ok(answer) => match answer.into_inner().exit_status {
                    Some(ExitStatus::Code(code)) => return Ok(ExecEnd::Code(code)),
                    Some(ExitStatus::Signal(signal)) => return Ok(ExecEnd::Signal(signal)),
                    None => {}
                },
                Err((status, jwt)) if status.code() == Code::Unauthenticated && !renewed => {
                    renewed = true;
                    self.router.renew(&jwt).await;
                    continue;
                }
                Err((status, _)) => {
                    let retry_after = status::retry_after(&status);
                    if !super::error::is_transient(status.code()) && retry_after.is_none() {
                        return Err(ModalError::new(WHAT, &status, None));
                    }
                }
            }
            tokio::time::sleep(WAIT_PAUSE).await;
        }
    }
}

fn bulk(
    task_id: &str,
    exec_id: &str,
    content: &Bytes,
    offset: usize,
) -> Vec<TaskExecStdinWriteStreamRequest> {
    let start = TaskExecStdinWriteStreamStart {
        task_id: task_id.to_owned(),
        exec_id: exec_id.to_owned(),
        offset: offset as u64,
    };
    let mut payloads = vec![Payload::Start(start)];
    let mut rest = content.slice(offset.min(content.len())..);
    while !rest.is_empty() {
        payloads.push(Payload::Data(rest.split_to(rest.len().min(BULK_BYTES))));
    }
    payloads.push(Payload::End(TaskExecStdinWriteStreamEnd {}));
    payloads.into_iter().map(|payload| TaskExecStdinWriteStreamRequest { payload: Some(payload) }).collect()
}

/// A command's output; cuts are mended.
pub struct ExecReader {
    router: Arc<CommandRouter>,
    exec_id: String,
    file: ExecFile,
    stream: Option<Streaming<TaskExecStdioReadResponse>>,
    cursor: Cursor,
    renewed: bool,
}

impl ExecReader {
    /// The next piece, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ModalError> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => match self.open().await? {
                    Ok(stream) => self.stream.insert(stream),
                    Err(status) => {
                        self.mend(&status).await?;
                        continue;
                    }
                },
            };
            match stream.message().await {
                Ok(Some(message)) if message.data.is_empty() => {}
                Ok(Some(message)) => {
                    self.cursor.advance(message.data.len());
                    self.renewed = false;
                    return Ok(Some(message.data));
                }
                Ok(None) => return Ok(None),
                Err(status) => {
                    self.stream = None;
                    self.mend(&status).await?;
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Result<Streaming<TaskExecStdioReadResponse>, Status>, ModalError> {
        let request = TaskExecStdioReadRequest {
            task_id: self.router.task_id().to_owned(),
            exec_id: self.exec_id.clone(),
            offset: self.cursor.offset,
            file_descriptor: self.file.into(),
        };
        let call = async |mut commands: Commands, request| commands.task_exec_stdio_read(request).await;
        match self.router.once(request, None, &Tries::new(), call).await? {
            Ok(answer) => Ok(Ok(answer.into_inner())),
            Err((status, jwt)) => {
                if status.code() == Code::Unauthenticated {
                    self.router.renew(&jwt).await;
                }
                Ok(Err(status))
            }
        }
    }

    async fn mend(&mut self, status: &Status) -> Result<(), ModalError> {
        if status.code() == Code::Unauthenticated && !self.renewed {
            self.renewed = true;
            return Ok(());
        }
        let retry_after = status::retry_after(status);
        let Some(wait) = self.cursor.reopen_after(&ROUTER, status.code(), retry_after) else {
            return Err(ModalError::new("read a command's output", status, retry_after));
        };
        tracing::debug!(offset = self.cursor.offset, code = ?status.code(), "a command's output was cut");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// A command's input.
pub struct ExecWriter {
    router: Arc<CommandRouter>,
    exec_id: String,
    offset: u64,
}

impl ExecWriter {
    /// Sends a piece; it has arrived when this returns.
    pub async fn write(&mut self, data: Bytes) -> Result<(), ModalError> {
        self.send(data, false).await
    }

    /// Sends the last piece, which may be empty, and ends the input.
    pub async fn close(mut self, last: Bytes) -> Result<(), ModalError> {
        self.send(last, true).await
    }

    async fn send(&mut self, data: Bytes, eof: bool) -> Result<(), ModalError> {
        let length = data.len() as u64;
        let request = TaskExecStdinWriteRequest {
            task_id: self.router.task_id().to_owned(),
            exec_id: self.exec_id.clone(),
            offset: self.offset,
            data,
            eof,
        };
        let call = async |mut commands: Commands, request| commands.task_exec_stdin_write(request).await;
        self.router.unary("write to a command", request, CALL_TIMEOUT, call).await?;
        self.offset += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_input_goes_on_at_its_offset_and_ends() {
        let content = Bytes::from(vec![7; BULK_BYTES * 2 + 5]);
        let lengths = |offset| -> Vec<usize> {
            let messages = bulk("ta", "ex", &content, offset);
            assert!(matches!(
                &messages[0].payload,
                Some(Payload::Start(start)) if start.offset == offset as u64
            ));
            assert!(matches!(messages.last().unwrap().payload, Some(Payload::End(_))));
            let data = messages.iter().filter_map(|message| match &message.payload {
                Some(Payload::Data(data)) => Some(data.len()),
                _ => None,
            });
            data.collect()
        };
        assert_eq!(lengths(0), [BULK_BYTES, BULK_BYTES, 5]);
        assert_eq!(lengths(BULK_BYTES + 1), [BULK_BYTES, 4]);
        assert_eq!(lengths(content.len()), [0usize; 0]);
    }
}
