//! One connection from hello to its loss: reading and writing go on independently of each other.
//!
//! The writer sends events from the number that the session asked for, as many as there are in each frame; the reader hands
//! commands to the desk and acknowledgements to the spool. Silence of the bridge ends it. Called by the link.

use super::{Ending, Link, Socket};
use crate::log;
use crate::warm::WarmStates;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::PROTOCOL_VERSION;
use protocol::limit::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use protocol::runner::{BridgeMessage, RunnerMessage};
use protocol::timeline::Seq;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout_at};
use tokio_tungstenite::tungstenite::Message;

/// A bridge that says nothing for this long, not even an answer to a ping, is gone, or stands still while another one works. The session
/// gives a turn up when it has heard nothing of it for 35 s, the last word may be 10 s old by then, and dialling takes its time, too.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const PING_EVERY: Duration = Duration::from_secs(5);

/// One connection's share of the link.
pub(super) struct Conversation<'a> {
    pub(super) link: &'a Link,
    pub(super) answers: &'a UnboundedSender<RunnerMessage>,
    /// Answers to commands; what a lost connection did not send is sent by the next.
    pub(super) pending: &'a mut UnboundedReceiver<RunnerMessage>,
}

impl Conversation<'_> {
    /// Talks until the connection is lost or the sandbox retired. A welcome sets `failures` back.
    pub(super) async fn hold(self, socket: Socket, failures: &mut u32) -> Ending {
        let Self { link, answers, pending } = self;
        let (mut sink, mut stream) = socket.split();
        let hello = RunnerMessage::Hello {
            protocol_version: PROTOCOL_VERSION,
            runner_version: env!("CARGO_PKG_VERSION").to_owned(),
            sandbox_id: link.environment.sandbox_id.clone(),
            generation: link.environment.generation,
            next_seq: link.spool.next_seq(),
        };
        if let Err(reason) = send(&mut sink, &hello).await {
            return Ending::Lost { reason };
        }
        let from = match welcomed(link, &mut stream, &mut sink, failures).await {
            Ok(from) => from,
            Err(ending) => return ending,
        };
        *failures = 0;
        tokio::select! {
            ending = read(link, answers, &mut stream) => ending,
            reason = write(link, pending, &mut sink, from) => Ending::Lost { reason },
        }
    }
}

/// Waits for the welcome and prepares the spool; gives the number of the first event to send. Until a session claims the sandbox,
/// that is long, and the bridge is told how the sandbox is.
async fn welcomed(
    link: &Link,
    stream: &mut SplitStream<Socket>,
    sink: &mut SplitSink<Socket, Message>,
    failures: &mut u32,
) -> Result<Seq, Ending> {
    let mut states = link.warm.clone();
    let mut told = WarmStates::default();
    let mut is_warm = false;
    let (mut ping, mut heard) = (pings(), Instant::now());
    loop {
        if is_warm {
            let now = states.borrow_and_update().clone();
            for state in now.news(&told) {
                let sent = send(sink, &RunnerMessage::Warm { state }).await;
                sent.map_err(|reason| Ending::Lost { reason })?;
            }
            told = now;
        }
        let message = tokio::select! {
            message = next(stream, heard) => message?,
            Ok(()) = states.changed(), if is_warm => continue,
            _ = ping.tick() => {
                let sent = transmit(sink, Message::Ping(Vec::new().into())).await;
                sent.map_err(|reason| Ending::Lost { reason })?;
                continue;
            }
        };
        heard = Instant::now();
        match message {
            Some(BridgeMessage::Prepare { configuration }) => {
                *failures = 0;
                is_warm = true;
                link.preparation.send_if_modified(|known| {
                    let first = known.is_none();
                    if first {
                        *known = Some(configuration);
                    }
                    first
                });
            }
            Some(BridgeMessage::Welcome { resume_from, configuration }) => {
                let lost = |error| Ending::Lost { reason: format!("the spool cannot be prepared: {error}") };
                let from = link.spool.resume(resume_from).map_err(lost)?;
                link.configuration.send_if_modified(|known| {
                    let first = known.is_none();
                    if first {
                        *known = Some(configuration);
                    }
                    first
                });
                return Ok(from);
            }
            Some(BridgeMessage::Retired { reason }) => return Err(Ending::Retired { reason }),
            Some(BridgeMessage::Ack { .. } | BridgeMessage::Command { .. } | BridgeMessage::Unknown)
            | None => {}
        }
    }
}

async fn read(
    link: &Link,
    answers: &UnboundedSender<RunnerMessage>,
    stream: &mut SplitStream<Socket>,
) -> Ending {
    loop {
        match next(stream, Instant::now()).await {
            Err(ending) => return ending,
            Ok(
                None
                | Some(BridgeMessage::Welcome { .. } | BridgeMessage::Prepare { .. } | BridgeMessage::Unknown),
            ) => {}
            Ok(Some(BridgeMessage::Retired { reason })) => return Ending::Retired { reason },
            Ok(Some(BridgeMessage::Ack { seq })) => {
                if let Err(error) = link.spool.ack(seq) {
                    log::warn(format!("acknowledged events cannot be deleted: {error}"));
                }
            }
            Ok(Some(BridgeMessage::Command { command_id, command })) => {
                let error = link.desk.handle(command_id.clone(), command).err();
                // The receiver lives as long as the link.
                let _ = answers.send(RunnerMessage::CommandDone { command_id, error });
            }
        }
    }
}

/// The next message, of a bridge that was heard then; `None` for a frame that is none of ours.
async fn next(stream: &mut SplitStream<Socket>, heard: Instant) -> Result<Option<BridgeMessage>, Ending> {
    let lost = |reason: String| Ending::Lost { reason };
    let frame = timeout_at(heard + SILENCE_MAX, stream.next())
        .await
        .map_err(|_| lost(format!("the bridge said nothing for {} s", SILENCE_MAX.as_secs())))?
        .ok_or_else(|| lost("the bridge closed the connection".into()))?
        .map_err(|error| lost(format!("the connection to the bridge broke: {error}")))?;
    match frame {
        Message::Text(text) => Ok(serde_json::from_str(&text)
            .map_err(|error| log::warn(format!("a frame of the bridge was not understood: {error}")))
            .ok()),
        Message::Close(_) => Err(lost("the bridge closed the connection".into())),
        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

/// Sends answers, events and pings until sending fails; gives the reason.
async fn write(
    link: &Link,
    pending: &mut UnboundedReceiver<RunnerMessage>,
    sink: &mut SplitSink<Socket, Message>,
    from: Seq,
) -> String {
    let mut newest = link.spool.newest();
    // Not before the welcome: bridges that do not know such messages would not bear them there.
    let mut lines = link.lines.lock().await;
    let mut ping = pings();
    let mut next = from;
    loop {
        newest.mark_unchanged();
        let batch = link.spool.read(next, BATCH_EVENTS_MAX, BATCH_BYTES_MAX);
        let sent = if batch.is_empty() {
            tokio::select! {
                changed = newest.changed() => changed.map_err(|_| "the runner ends".to_owned()),
                Some(answer) = pending.recv() => send(sink, &answer).await,
                Some(line) = lines.recv() => send(sink, &line).await,
                _ = ping.tick() => transmit(sink, Message::Ping(Vec::new().into())).await,
            }
        } else {
            next += batch.len() as Seq;
            let frame = format!("{{\"type\":\"events\",\"events\":[{}]}}", batch.join(","));
            let mut sent = transmit(sink, Message::text(frame)).await;
            while let (Ok(()), Ok(answer)) = (&sent, pending.try_recv()) {
                sent = send(sink, &answer).await;
            }
            sent
        };
        if let Err(reason) = sent {
            return reason;
        }
    }
}

fn pings() -> Interval {
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping
}

async fn send(sink: &mut SplitSink<Socket, Message>, message: &RunnerMessage) -> Result<(), String> {
    let json = serde_json::to_string(message).map_err(|error| error.to_string())?;
    transmit(sink, Message::text(json)).await
}

async fn transmit(sink: &mut SplitSink<Socket, Message>, message: Message) -> Result<(), String> {
    sink.send(message).await.map_err(|error| format!("the connection to the bridge broke: {error}"))
}
