//! One command of the bridge from its start to its exit: output in frames, input by a window, signals, and its end with the caller.
//!
//! Holds at most the input window and one frame of output. Called by `control.rs`.

use super::children::Children;
use super::control::{Control, Refusal, answer};
use super::spawn::{self, Started};
use super::wire::{FrameReader, write, write_json};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use protocol::supervisor::{
    ExecCommand, ExecControl, ExecExit, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameKind, INPUT_WINDOW_BYTES,
    RefusalReason, SupervisorAnswer, frame_header,
};
use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// How long a command waits for a snapshot to be taken before it starts.
const STILLNESS_MAX: Duration = Duration::from_secs(60);
/// How long a terminal whose command has ended may take to give the rest of its output.
const LINGER: Duration = Duration::from_millis(200);
/// How long a reader of it pauses that was called for nothing.
const PAUSE: Duration = Duration::from_millis(1);
/// What a terminal understands as the end of input.
const END_OF_TRANSMISSION: u8 = 4;

nix::ioctl_read_bad!(bytes_waiting, nix::libc::FIONREAD, nix::libc::c_int);

/// Refuses, or runs the command to its end or to the caller's.
pub(super) async fn serve(
    control: &Control,
    order: ExecCommand,
    reader: FrameReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> Result<(), Option<Refusal>> {
    if tokio::time::timeout(STILLNESS_MAX, control.stillness.over()).await.is_err() {
        let text = "the sandbox is being saved".to_owned();
        return Err(Some(Refusal(RefusalReason::Busy, text)));
    }
    // No await between start and expectation: the command may end at once.
    let Started { pid, input, outputs, terminal } = spawn::start(&order).map_err(Some)?;
    let end = control.children.expect(pid);
    drop(order);
    let group = Group { children: &control.children, pid };
    answer(writer, &SupervisorAnswer::Started { process_id: pid.as_raw() }).await.map_err(|_| None)?;
    let taken = Taken::default();
    let hears = Input { reader, sender: input, terminal: terminal.as_ref(), group: &group, taken: &taken };
    let speaks =
        Output { writer, streams: Streams::new(outputs), taken: &taken, is_terminal: terminal.is_some() };
    tokio::select! {
        // The caller went away, or said what it must not; dropping the group kills it.
        () = hears.run() => Ok(()),
        outcome = speaks.run(end) => outcome.map_err(|_| None),
    }
}

/// The command with all that it started in its process group: killed when nobody listens any more.
struct Group<'a> {
    children: &'a Children,
    pid: Pid,
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        self.children.signal_group(self.pid, Signal::SIGKILL);
    }
}

/// How much input has left the window and is not yet reported.
#[derive(Default)]
struct Taken {
    bytes: AtomicUsize,
    /// What came in the window and has not left it; a byte of our own is none of it.
    owed: AtomicUsize,
    some: Notify,
}

impl Taken {
    fn owe(&self, bytes: usize) {
        self.owed.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) {
        let bytes = bytes.min(self.owed.load(Ordering::Relaxed));
        self.owed.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.some.notify_one();
    }

    /// Waits for some; all of it.
    async fn all(&self) -> u32 {
        loop {
            self.some.notified().await;
            let bytes = self.bytes.swap(0, Ordering::Relaxed);
            if bytes > 0 {
                return u32::try_from(bytes).unwrap_or(u32::MAX);
            }
        }
    }
}

/// The way from the bridge to the command.
struct Input<'a> {
    reader: FrameReader<OwnedReadHalf>,
    sender: Option<Sender>,
    terminal: Option<&'a OwnedFd>,
    group: &'a Group<'a>,
    taken: &'a Taken,
}

impl Input<'_> {
    /// Ends when the bridge has hung up.
    async fn run(mut self) {
        let mut waiting: Vec<u8> = Vec::new();
        let mut ended = false;
        loop {
            if self.sender.is_none() && !waiting.is_empty() {
                // The command does not read any more; that is no reason to make the caller wait.
                self.taken.add(waiting.len());
                waiting = Vec::new();
            }
            if ended && waiting.is_empty() {
                self.sender = None;
            }
            tokio::select! {
                frame = self.reader.next() => match frame {
                    Ok(Some((FrameKind::Input, bytes))) if ended || waiting.len() + bytes.len() > INPUT_WINDOW_BYTES => return,
                    Ok(Some((FrameKind::Input, bytes))) if bytes.is_empty() => {
                        ended = true;
                        if self.terminal.is_some() {
                            waiting.push(END_OF_TRANSMISSION);
                        }
                    }
                    Ok(Some((FrameKind::Input, bytes))) => {
                        self.taken.owe(bytes.len());
                        waiting.extend_from_slice(&bytes);
                    }
                    Ok(Some((FrameKind::Control, text))) => self.control(&text),
                    Ok(Some(_) | None) | Err(_) => return,
                },
                written = write_some(self.sender.as_ref(), &waiting), if !waiting.is_empty() => match written {
                    Ok(count) => {
                        waiting.drain(..count);
                        self.taken.add(count);
                    }
                    Err(_) => self.sender = None,
                },
            }
        }
    }

    fn control(&self, text: &[u8]) {
        match serde_json::from_slice(text) {
            Ok(ExecControl::Signal { signal }) => {
                self.group.children.signal_group(self.group.pid, spawn::signal(signal));
            }
            Ok(ExecControl::Resize { terminal: size }) => {
                if let Some(terminal) = self.terminal {
                    // Of a terminal that is gone; its end is on the way.
                    let _ = spawn::resize(terminal, size);
                }
            }
            Ok(ExecControl::Unknown) | Err(_) => {}
        }
    }
}

async fn write_some(sender: Option<&Sender>, bytes: &[u8]) -> io::Result<usize> {
    let Some(sender) = sender else { return pending().await };
    loop {
        sender.writable().await?;
        match sender.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

/// The command's outputs, each until its end.
struct Streams(Vec<(FrameKind, Receiver)>);

/// What can be read now.
enum Piece {
    Some(FrameKind, usize),
    /// That output is at its end.
    End,
}

impl Streams {
    fn new(streams: Vec<(FrameKind, Receiver)>) -> Self {
        Self(streams)
    }

    /// Waits until one of them can be read. Waits for ever when all have ended.
    async fn ready(&self) -> usize {
        tokio::select! {
            () = self.wait(0) => 0,
            () = self.wait(1) => 1,
        }
    }

    async fn wait(&self, index: usize) {
        match self.0.get(index) {
            // An error shows when it is read.
            Some((_, stream)) => drop(stream.readable().await),
            None => pending().await,
        }
    }

    /// Reads from one of them into the buffer; `None` when there is nothing yet.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> Option<Piece> {
        let (kind, stream) = self.0.get(index)?;
        match stream.try_read(buffer) {
            Ok(count) if count > 0 => Some(Piece::Some(*kind, count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // A terminal whose other end is closed says EIO.
            Ok(_) | Err(_) => {
                self.0.remove(index);
                Some(Piece::End)
            }
        }
    }
}

/// The way from the command to the bridge.
struct Output<'a> {
    writer: &'a mut OwnedWriteHalf,
    streams: Streams,
    taken: &'a Taken,
    is_terminal: bool,
}

impl Output<'_> {
    /// Ends with the exit frame, or with an error when the bridge has hung up.
    async fn run(mut self, mut end: oneshot::Receiver<ExecExit>) -> io::Result<()> {
        let mut buffer = vec![0; FRAME_HEADER_BYTES + FRAME_BYTES_MAX];
        let exit = loop {
            tokio::select! {
                exit = &mut end => break exit,
                bytes = self.taken.all() => {
                    write(self.writer, FrameKind::Taken, &bytes.to_be_bytes()).await?;
                }
                index = self.streams.ready() => {
                    self.pass(index, &mut buffer, usize::MAX).await?;
                }
            }
        };
        if self.is_terminal {
            self.rest_of_terminal(&mut buffer).await?;
        } else {
            self.rest_of_pipes(&mut buffer).await?;
        }
        let exit = exit.map_err(|_| io::Error::other("the end of the command was missed"))?;
        write_json(self.writer, FrameKind::Exit, &exit).await
    }

    /// Reads one piece and sends it; answers its length, or `None` when that output is at its end.
    async fn pass(&mut self, index: usize, buffer: &mut [u8], bytes_max: usize) -> io::Result<Option<usize>> {
        let content = buffer.get_mut(FRAME_HEADER_BYTES..).unwrap_or_default();
        let room = content.len().min(bytes_max);
        let content = content.get_mut(..room).unwrap_or_default();
        let (kind, count) = match self.streams.read(index, content) {
            Some(Piece::Some(kind, count)) => (kind, count),
            Some(Piece::End) => return Ok(None),
            None => return Ok(Some(0)),
        };
        let header = frame_header(kind, content.get(..count).unwrap_or_default());
        if let Some(place) = buffer.first_chunk_mut() {
            *place = header;
        }
        self.writer.write_all(buffer.get(..FRAME_HEADER_BYTES + count).unwrap_or_default()).await?;
        Ok(Some(count))
    }

    /// What was in the pipes when the command ended. What others still write is not waited for: a server that was left behind
    /// would keep the caller for ever.
    async fn rest_of_pipes(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let rests: Vec<usize> = self.streams.0.iter().map(|(_, stream)| waiting_in(stream)).collect();
        // From the back, because one that is at its end leaves the list.
        for (index, rest) in rests.into_iter().enumerate().rev() {
            let mut left = rest;
            while left > 0 {
                // The bytes are there, but the runtime may not have heard of them.
                self.streams.wait(index).await;
                let Some(count) = self.pass(index, buffer, left).await? else { break };
                left -= count.min(left);
            }
        }
        Ok(())
    }

    /// The kernel passes a terminal's output on with a delay, and then says that its other end is closed; unless somebody that the
    /// command left behind still holds that.
    async fn rest_of_terminal(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut deadline = Instant::now() + LINGER;
        while !self.streams.0.is_empty() {
            let Ok(index) = tokio::time::timeout_at(deadline, self.streams.ready()).await else { break };
            match self.pass(index, buffer, usize::MAX).await? {
                // A terminal that was hung up is always ready, with or without anything to read.
                Some(0) if Instant::now() >= deadline => break,
                Some(0) => tokio::time::sleep(PAUSE).await,
                Some(_) => deadline = Instant::now() + LINGER,
                None => {}
            }
        }
        Ok(())
    }
}

fn waiting_in(stream: &Receiver) -> usize {
    let mut count = 0;
    // SAFETY: a live descriptor and an integer that outlives the call.
    let outcome = unsafe { bytes_waiting(stream.as_raw_fd(), &raw mut count) };
    outcome.ok().and_then(|_| usize::try_from(count).ok()).unwrap_or(0)
}
