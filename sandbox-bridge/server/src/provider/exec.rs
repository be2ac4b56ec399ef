//! Commands and connections inside a sandbox, over a stream to its supervisor; see [`protocol::supervisor`].
//!
//! Providers open the stream, this speaks on it. Nothing a supervisor says is believed: frames and lengths are checked, and what
//! is not read is not fetched. Holds at most two frames of a command's output.

use super::ProviderError;
use bytes::{Buf, Bytes, BytesMut};
use protocol::supervisor::{
    ExecCommand, ExecControl, ExecExit, ExecSignal, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameKind,
    HEAD_BYTES_MAX, INPUT_WINDOW_BYTES, RefusalReason, SupervisorAnswer, SupervisorOrder, SupervisorStats,
    TerminalSize, frame, parse_frame_header,
};
use serde::Serialize;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, Semaphore};

/// How long a supervisor may take to answer an order; a machine that starts many sandboxes at once is slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// While a sandbox is being saved its commands wait, and so does the answer to a new one.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// A stream of bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection to something inside a sandbox, or to its supervisor.
pub type SandboxStream = Box<dyn Duplex>;

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// It wrote to its output, or to its terminal.
    Output(Bytes),
    /// It wrote to its error output.
    ErrorOutput(Bytes),
    /// It ended. Nothing follows.
    Exit(ExecExit),
}

/// Why a command's fate is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The sandbox ended, or its supervisor did.
    #[error("the sandbox hung up before the command ended")]
    HungUp(#[source] Option<io::Error>),
    /// Somebody in the sandbox got hold of the supervisor.
    #[error("the sandbox said what it must not: {0}")]
    Protocol(String),
}

/// A command that runs. Dropping it kills the command's process group.
pub struct ExecStream {
    /// What comes from it.
    pub output: ExecOutput,
    /// What goes to it.
    pub input: ExecInput,
}

/// The command's output and end; it waits while nobody reads. Dropping it kills the command's process group.
pub struct ExecOutput {
    reader: ReadHalf<SandboxStream>,
    buffer: BytesMut,
    is_over: bool,
    window: Arc<Semaphore>,
    /// Keeps the connection open; the input alone does not.
    _writer: Arc<Mutex<WriteHalf<SandboxStream>>>,
}

/// The command's input and controls. Harmless after its end.
#[derive(Clone)]
pub struct ExecInput {
    writer: Weak<Mutex<WriteHalf<SandboxStream>>>,
    window: Arc<Semaphore>,
}

/// Runs a command.
pub async fn exec(stream: SandboxStream, command: ExecCommand) -> Result<ExecStream, ProviderError> {
    let (stream, answer) = order(stream, &SupervisorOrder::Exec { command }, START_TIMEOUT).await?;
    let SupervisorAnswer::Started { .. } = answer else { return Err(unexpected(&answer)) };
    let (reader, writer) = tokio::io::split(stream);
    let window = Arc::new(Semaphore::new(INPUT_WINDOW_BYTES));
    let writer = Arc::new(Mutex::new(writer));
    let input = ExecInput { writer: Arc::downgrade(&writer), window: Arc::clone(&window) };
    let output = ExecOutput { reader, buffer: BytesMut::new(), is_over: false, window, _writer: writer };
    Ok(ExecStream { output, input })
}

/// Connects to a port inside.
pub async fn dial(stream: SandboxStream, port: u16) -> Result<SandboxStream, ProviderError> {
    match order(stream, &SupervisorOrder::Dial { port }, ANSWER_TIMEOUT).await? {
        (stream, SupervisorAnswer::Connected) => Ok(stream),
        (_, answer) => Err(unexpected(&answer)),
    }
}

/// Asks what goes on inside.
pub async fn stats(stream: SandboxStream) -> Result<SupervisorStats, ProviderError> {
    match order(stream, &SupervisorOrder::Stats, ANSWER_TIMEOUT).await? {
        (_, SupervisorAnswer::Stats { stats }) => Ok(stats),
        (_, answer) => Err(unexpected(&answer)),
    }
}

async fn order(
    mut stream: SandboxStream,
    order: &SupervisorOrder,
    timeout: Duration,
) -> Result<(SandboxStream, SupervisorAnswer), ProviderError> {
    let text = serde_json::to_vec(order).map_err(|error| lost(io::Error::other(error)))?;
    if text.len() > HEAD_BYTES_MAX {
        let text = format!("a command and its variables are at most {HEAD_BYTES_MAX} bytes of JSON");
        return Err(ProviderError::Rejected(text));
    }
    let conversation = async {
        // One that is busy answers and hangs up without reading: the answer says more than the broken pipe.
        let written = stream.write_all(&frame(FrameKind::Head, &text)).await;
        let mut header = [0; FRAME_HEADER_BYTES];
        let read = stream.read_exact(&mut header).await;
        written.or_else(|error| if read.is_ok() { Ok(()) } else { Err(error) })?;
        read?;
        let (kind, length) = parse_frame_header(header).map_err(io::Error::other)?;
        if kind != FrameKind::Head || length > FRAME_BYTES_MAX {
            return Err(io::Error::other("the supervisor did not begin with an answer"));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await?;
        Ok(serde_json::from_slice(&answer)?)
    };
    let answer = match tokio::time::timeout(timeout, conversation).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(lost(error)),
        Err(_) => {
            return Err(lost(io::Error::new(io::ErrorKind::TimedOut, "its supervisor does not answer")));
        }
    };
    match answer {
        SupervisorAnswer::Refused { reason, message } => Err(refused(reason, message)),
        answer @ (SupervisorAnswer::Started { .. }
        | SupervisorAnswer::Connected
        | SupervisorAnswer::Frozen { .. }
        | SupervisorAnswer::Stats { .. }
        | SupervisorAnswer::Unknown) => Ok((stream, answer)),
    }
}

/// The words are the sandbox's; people see them, so they are kept short and printable.
fn refused(reason: RefusalReason, message: String) -> ProviderError {
    let message: String = message.chars().filter(|c| !c.is_control()).take(500).collect();
    match reason {
        RefusalReason::Rejected | RefusalReason::PortClosed | RefusalReason::Unsupported => {
            ProviderError::Rejected(message)
        }
        RefusalReason::Busy | RefusalReason::Unknown => {
            ProviderError::Unavailable { what: message.clone(), source: anyhow::Error::msg(message) }
        }
    }
}

fn unexpected(answer: &SupervisorAnswer) -> ProviderError {
    lost(io::Error::other(format!("its supervisor answered {answer:?}")))
}

fn lost(error: io::Error) -> ProviderError {
    let what = format!("could not reach into the sandbox: {error}");
    ProviderError::Unavailable { what, source: error.into() }
}

impl ExecStream {
    /// Reads to the end; answers output, error output and the exit. For commands that say little: what is beyond `bytes_max` of
    /// either is dropped.
    pub async fn collect(mut self, bytes_max: usize) -> Result<(Vec<u8>, Vec<u8>, ExecExit), ExecError> {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let keep = |kept: &mut Vec<u8>, bytes: &Bytes| {
            let room = bytes_max.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        };
        loop {
            match self.output.next().await? {
                ExecEvent::Output(bytes) => keep(&mut output, &bytes),
                ExecEvent::ErrorOutput(bytes) => keep(&mut errors, &bytes),
                ExecEvent::Exit(exit) => return Ok((output, errors, exit)),
            }
        }
    }
}

impl ExecOutput {
    /// What the command does next; an error after its exit. Nothing is lost when a wait is given up.
    pub async fn next(&mut self) -> Result<ExecEvent, ExecError> {
        if self.is_over {
            return Err(ExecError::HungUp(None));
        }
        loop {
            let Some((kind, content)) = self.take_frame()? else {
                match self.reader.read_buf(&mut self.buffer).await {
                    Ok(0) => return Err(ExecError::HungUp(None)),
                    Ok(_) => continue,
                    Err(error) => return Err(ExecError::HungUp(Some(error))),
                }
            };
            match kind {
                FrameKind::Output => return Ok(ExecEvent::Output(content)),
                FrameKind::ErrorOutput => return Ok(ExecEvent::ErrorOutput(content)),
                FrameKind::Taken => self.widen(&content)?,
                FrameKind::Exit => {
                    let exit = serde_json::from_slice(&content)
                        .map_err(|error| ExecError::Protocol(error.to_string()))?;
                    self.is_over = true;
                    return Ok(ExecEvent::Exit(exit));
                }
                FrameKind::Head | FrameKind::Input | FrameKind::Control => {
                    return Err(ExecError::Protocol(format!("a frame of kind {kind:?}")));
                }
            }
        }
    }

    /// The next whole frame of what was read; otherwise makes room for it.
    fn take_frame(&mut self) -> Result<Option<(FrameKind, Bytes)>, ExecError> {
        let Some(header) = self.buffer.first_chunk() else {
            self.buffer.reserve(FRAME_HEADER_BYTES + FRAME_BYTES_MAX);
            return Ok(None);
        };
        let (kind, length) =
            parse_frame_header(*header).map_err(|error| ExecError::Protocol(error.to_string()))?;
        if length > FRAME_BYTES_MAX {
            return Err(ExecError::Protocol(format!("a frame of {length} bytes")));
        }
        let whole = FRAME_HEADER_BYTES + length;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        let mut content = self.buffer.split_to(whole);
        content.advance(FRAME_HEADER_BYTES);
        Ok(Some((kind, content.freeze())))
    }

    fn widen(&self, content: &[u8]) -> Result<(), ExecError> {
        let bytes = content.try_into().map_or(0, u32::from_be_bytes) as usize;
        // Only what was sent can have been taken; more would let a sandbox open the window as wide as it likes.
        if bytes + self.window.available_permits() > INPUT_WINDOW_BYTES {
            return Err(ExecError::Protocol("it took more input than there was".to_owned()));
        }
        self.window.add_permits(bytes);
        Ok(())
    }
}

impl ExecInput {
    /// Sends input. Waits while the command does not read, which only those notice who read its output meanwhile.
    pub async fn write(&self, bytes: &[u8]) -> Result<(), ExecError> {
        for piece in bytes.chunks(FRAME_BYTES_MAX) {
            let permits = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            match self.window.acquire_many(permits).await {
                Ok(permit) => permit.forget(),
                Err(_) => return Err(ExecError::HungUp(None)),
            }
            self.send(FrameKind::Input, piece).await?;
        }
        Ok(())
    }

    /// Ends the input.
    pub async fn close(&self) -> Result<(), ExecError> {
        self.send(FrameKind::Input, &[]).await
    }

    /// Sends a signal to the command's process group.
    pub async fn signal(&self, signal: ExecSignal) -> Result<(), ExecError> {
        self.control(&ExecControl::Signal { signal }).await
    }

    /// Gives its terminal another size.
    pub async fn resize(&self, terminal: TerminalSize) -> Result<(), ExecError> {
        self.control(&ExecControl::Resize { terminal }).await
    }

    async fn control(&self, control: &(impl Serialize + Sync)) -> Result<(), ExecError> {
        let text = serde_json::to_vec(control).map_err(|error| ExecError::Protocol(error.to_string()))?;
        self.send(FrameKind::Control, &text).await
    }

    async fn send(&self, kind: FrameKind, content: &[u8]) -> Result<(), ExecError> {
        let Some(writer) = self.writer.upgrade() else { return Err(ExecError::HungUp(None)) };
        let mut writer = writer.lock().await;
        writer.write_all(&frame(kind, content)).await.map_err(|error| ExecError::HungUp(Some(error)))
    }
}

impl Drop for ExecOutput {
    fn drop(&mut self) {
        // Whoever waits for the window hears of it.
        self.window.close();
    }
}
