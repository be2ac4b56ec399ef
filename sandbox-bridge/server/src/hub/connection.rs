//! One runner connection from upgrade to end: hello, announcement at the edge, welcome, then events up and commands down.
//!
//! What the runner says is untrusted: it can only speak for the sandbox of its token. The connection is one task; when it ends,
//! whatever the edge has not confirmed comes again from the runner's spool.

use super::queue::EventQueue;
use super::sandbox::{Attachment, Outgoing, Probe, Sandbox, encode};
use super::uplink::{self, UplinkEnd};
use super::{Hub, PING_INTERVAL, SILENCE_MAX, warm};
use crate::backoff::Backoff;
use crate::provider::SessionOwner;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::bridge::RunnerAttached;
use protocol::limit::RUNNER_FRAME_BYTES_MAX;
use protocol::runner::{BridgeMessage, RunnerEvent, RunnerMessage};
use protocol::timeline::Seq;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Longest wait for the first frame.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the socket to take one frame.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Frames for the runner that may wait for its socket.
const OUTGOING_FRAMES_MAX: usize = 64;
/// Claims of one warm sandbox that ask at the same time whether its runner is there.
const PROBES_MAX: usize = 8;
/// A WebSocket's own buffers; the default would be the largest thing in an idle session.
const SOCKET_BUFFER_BYTES: usize = 8 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    #[error("the socket ended")]
    Socket,
    #[error("the runner said what it must not: {0}")]
    Protocol(String),
    #[error("the edge wants to resume from another event")]
    Gap,
    #[error("the sandbox has nobody to work for")]
    Retired,
}

/// Takes over the connection of a sandbox's runner.
pub fn attach(hub: Arc<Hub>, sandbox: Arc<Sandbox>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade
        .max_message_size(RUNNER_FRAME_BYTES_MAX)
        .max_frame_size(RUNNER_FRAME_BYTES_MAX)
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(0);
    upgrade.on_upgrade(move |socket| {
        let tasks = hub.tasks.clone();
        tasks.track_future(run(hub, sandbox, socket))
    })
}

async fn run(hub: Arc<Hub>, sandbox: Arc<Sandbox>, mut socket: WebSocket) {
    let runner_version = match hello(&mut socket, &sandbox).await {
        Ok(runner_version) => runner_version,
        Err(end) => return tracing::warn!(sandbox = %sandbox.record.sandbox_id, %end, "runner not attached"),
    };
    let (outgoing, commands) = mpsc::channel(OUTGOING_FRAMES_MAX);
    let (probes, asked) = mpsc::channel(PROBES_MAX);
    let attachment = Attachment {
        outgoing,
        cut: CancellationToken::new(),
        closed: CancellationToken::new(),
        over: CancellationToken::new(),
        probes,
    };
    let cut = attachment.cut.clone();
    let _over = attachment.over.clone().drop_guard();
    let _closed = attachment.closed.clone().drop_guard();
    sandbox.replace(attachment.clone()).await;
    hub.note_attached(&sandbox.record.sandbox_id);
    let conversation = converse(&hub, &sandbox, socket, runner_version, &attachment, (commands, asked));
    tokio::select! {
        end = conversation => tracing::info!(sandbox = %sandbox.record.sandbox_id, %end, "runner connection ended"),
        () = cut.cancelled() => tracing::info!(sandbox = %sandbox.record.sandbox_id, "runner connection cut"),
    }
}

/// Reads the first frame and checks that it speaks for this sandbox; answers the runner's version.
async fn hello(socket: &mut WebSocket, sandbox: &Sandbox) -> Result<String, ConnectionEnd> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, socket.recv()).await;
    let text = match first {
        Ok(Some(Ok(Message::Text(text)))) => text,
        Ok(Some(Ok(_))) => return Err(ConnectionEnd::Protocol("the first frame is not text".to_owned())),
        Ok(Some(Err(_)) | None) | Err(_) => return Err(ConnectionEnd::Socket),
    };
    let message =
        serde_json::from_str(&text).map_err(|_| ConnectionEnd::Protocol("no message".to_owned()))?;
    let RunnerMessage::Hello { protocol_version, runner_version, sandbox_id, generation, .. } = message
    else {
        return Err(ConnectionEnd::Protocol("the first frame is not hello".to_owned()));
    };
    if protocol_version != protocol::PROTOCOL_VERSION {
        return Err(ConnectionEnd::Protocol(format!(
            "it speaks version {protocol_version}, this bridge {}",
            protocol::PROTOCOL_VERSION
        )));
    }
    if sandbox_id != sandbox.record.sandbox_id || generation != sandbox.record.order.generation_inside() {
        return Err(ConnectionEnd::Protocol("it speaks for another sandbox".to_owned()));
    }
    // A version is shown to people and stored; a runner cannot make it long.
    Ok(runner_version.chars().filter(|c| !c.is_control()).take(64).collect())
}

async fn converse(
    hub: &Arc<Hub>,
    sandbox: &Sandbox,
    mut socket: WebSocket,
    runner_version: String,
    attachment: &Attachment,
    (commands, mut probes): (mpsc::Receiver<Outgoing>, mpsc::Receiver<Probe>),
) -> ConnectionEnd {
    if sandbox.session().is_none()
        && let Err(end) = warm::wait(hub, sandbox, &mut socket, attachment, &mut probes).await
    {
        return end;
    }
    let record = sandbox.current_record();
    let (Some(session), Some(configuration)) = (record.session(), record.configuration()) else {
        return ConnectionEnd::Protocol("nobody waits for a runner in this sandbox".to_owned());
    };
    let acked = match announce(hub, sandbox, session, &mut socket, runner_version).await {
        Ok(acked) => acked,
        Err(end) => return end,
    };
    let resume_from = acked.saturating_add(1);
    let welcome = encode(&BridgeMessage::Welcome { resume_from, configuration });
    let Ok(welcome) = welcome else { return ConnectionEnd::Socket };
    if !write(&mut socket, welcome).await {
        return ConnectionEnd::Socket;
    }
    tracing::info!(sandbox = %sandbox.record.sandbox_id, session = %session.session_id, resume_from, "runner attached");
    let (sink, stream) = socket.split();
    let queue = EventQueue::new(resume_from);
    let (acks, acks_seen) = watch::channel(acked);
    let uplink = async {
        let end = uplink::run(&hub.edge, (sandbox, session), &queue, &acks).await;
        if let UplinkEnd::Retired(error) = &end {
            hub.retire_after(sandbox, error);
            say_retired(attachment, error.to_string()).await;
        }
        end
    };
    // Reader and writer never return because the socket ended: the uplink first delivers what was read.
    tokio::select! {
        end = uplink => match end {
            UplinkEnd::Drained => ConnectionEnd::Socket,
            UplinkEnd::Gap => ConnectionEnd::Gap,
            UplinkEnd::Retired(_) => ConnectionEnd::Retired,
        },
        end = read(hub, sandbox, stream, &queue, &attachment.closed) => end,
        () = write_all(sink, commands, acks_seen, &attachment.closed) => ConnectionEnd::Socket,
    }
}

/// Tells the edge where the runner is, until it answers or the runner goes away; answers how far the session has its events.
async fn announce(
    hub: &Hub,
    sandbox: &Sandbox,
    session: &SessionOwner,
    socket: &mut WebSocket,
    runner_version: String,
) -> Result<Seq, ConnectionEnd> {
    let record = &sandbox.record;
    let body = RunnerAttached {
        sandbox_id: record.sandbox_id.clone(),
        generation: session.generation,
        bridge_url: hub.bridge_url.clone(),
        runner_version,
    };
    let announced = async {
        let mut backoff = Backoff::new();
        loop {
            match hub.edge.attached(&session.session_id, &body).await {
                Ok(ack) => return Ok(ack.acked),
                Err(error) if error.is_final_for_sandbox() => return Err(error),
                Err(error) => {
                    tracing::warn!(sandbox = %record.sandbox_id, %error, "announcing the runner again")
                }
            }
            backoff.wait().await;
        }
    };
    let answer = tokio::select! {
        answer = announced => answer,
        () = hub.draining.cancelled() => return Err(ConnectionEnd::Socket),
        end = until_ended(sandbox, socket) => return Err(end),
    };
    match answer {
        Ok(acked) => Ok(acked),
        Err(error) => {
            hub.retire_after(sandbox, &error);
            if let Ok(frame) = encode(&BridgeMessage::Retired { reason: error.to_string() }) {
                write(socket, frame).await;
            }
            Err(ConnectionEnd::Retired)
        }
    }
}

/// A runner has nothing to say before it is welcomed.
async fn until_ended(sandbox: &Sandbox, socket: &mut WebSocket) -> ConnectionEnd {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            // What it said as a warm one may still have been on its way when it was claimed.
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(RunnerMessage::Warm { .. }) => {}
                Ok(message @ (RunnerMessage::Log { .. } | RunnerMessage::Step { .. })) => {
                    sandbox.hear(message)
                }
                Ok(_) | Err(_) => return ConnectionEnd::Protocol("a frame before the welcome".to_owned()),
            },
            Some(Ok(Message::Binary(_))) => {
                return ConnectionEnd::Protocol("a frame before the welcome".to_owned());
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return ConnectionEnd::Socket,
        }
    }
}

/// Puts events into the queue until the socket ends, the runner breaks the protocol, or the bridge shuts down.
async fn read(
    hub: &Hub,
    sandbox: &Sandbox,
    mut stream: SplitStream<WebSocket>,
    queue: &EventQueue,
    closed: &CancellationToken,
) -> ConnectionEnd {
    loop {
        queue.room().await;
        let frame = tokio::select! {
            frame = tokio::time::timeout(SILENCE_MAX, stream.next()) => frame,
            () = hub.draining.cancelled() => break,
        };
        match frame {
            Ok(Some(Ok(Message::Text(text)))) => {
                if let Err(what) = take_in(sandbox, queue, &text) {
                    return ConnectionEnd::Protocol(what);
                }
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Binary(_)))) => return ConnectionEnd::Protocol("a binary frame".to_owned()),
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => break,
        }
    }
    closed.cancel();
    queue.close();
    pending().await
}

fn take_in(sandbox: &Sandbox, queue: &EventQueue, text: &str) -> Result<(), String> {
    let message = serde_json::from_str(text).map_err(|error| {
        // Where, not what: the text is an agent's.
        format!("not a message: {:?} at column {}", error.classify(), error.column())
    })?;
    match message {
        RunnerMessage::Events { events } => {
            let pushed = queue.push(&events).map_err(|error| error.to_string());
            for record in events {
                if let RunnerEvent::TurnEnded { turn_id, outcome, .. } = record.event {
                    sandbox.turn.end(&turn_id, &outcome);
                }
            }
            pushed
        }
        message @ (RunnerMessage::Log { .. } | RunnerMessage::Step { .. }) => {
            sandbox.hear(message);
            Ok(())
        }
        RunnerMessage::CommandDone { command_id, error } => {
            let refused = error.is_some();
            tracing::debug!(sandbox = %sandbox.record.sandbox_id, command = %command_id, refused, "command done");
            Ok(())
        }
        RunnerMessage::Hello { .. } => Err("a second hello".to_owned()),
        RunnerMessage::Warm { .. } | RunnerMessage::Unknown => Ok(()),
    }
}

/// Writes commands, the newest acknowledgement, and pings.
async fn write_all(
    mut sink: SplitSink<WebSocket, Message>,
    mut commands: mpsc::Receiver<Outgoing>,
    mut acks: watch::Receiver<Seq>,
    closed: &CancellationToken,
) {
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
    loop {
        let (frame, written) = tokio::select! {
            biased;
            Some(outgoing) = commands.recv() => (outgoing.frame, Some(outgoing.written)),
            Ok(()) = acks.changed() => {
                let seq = *acks.borrow_and_update();
                let Ok(frame) = encode(&BridgeMessage::Ack { seq }) else { continue };
                (frame, None)
            }
            _ = ping.tick() => (Message::Ping(bytes::Bytes::new()), None),
        };
        if !matches!(tokio::time::timeout(WRITE_TIMEOUT, sink.send(frame)).await, Ok(Ok(()))) {
            break;
        }
        if let Some(written) = written {
            // The caller may have stopped waiting; the command is idempotent.
            let _ = written.send(());
        }
    }
    closed.cancel();
    pending().await
}

async fn say_retired(attachment: &Attachment, reason: String) {
    let Ok(frame) = encode(&BridgeMessage::Retired { reason }) else { return };
    let (written, confirmation) = oneshot::channel();
    if attachment.outgoing.try_send(Outgoing { frame, written }).is_ok() {
        // A runner that does not read is ended by its sandbox's end.
        let _ = tokio::time::timeout(Duration::from_secs(1), confirmation).await;
    }
}

pub(super) async fn write(socket: &mut WebSocket, frame: Message) -> bool {
    matches!(tokio::time::timeout(WRITE_TIMEOUT, socket.send(frame)).await, Ok(Ok(())))
}
