//! The runner of a sandbox that nobody has claimed yet: it prepares, says how far it is, and waits for a session.
//!
//! What it says is told to the repository until the edge has it; only the newest of each kind counts. A claim asks here whether the
//! runner answers, and is what ends this: the connection then goes on as the session's. Run by the connection's task.

use super::connection::{ConnectionEnd, write};
use super::sandbox::{Attachment, Probe, Sandbox, encode};
use super::{Hub, PING_INTERVAL, SILENCE_MAX};
use crate::backoff::Backoff;
use crate::edge::EdgeError;
use axum::extract::ws::{Message, WebSocket};
use protocol::repository::{WarmReport, WarmState};
use protocol::runner::{BridgeMessage, RunnerMessage};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// An agent's name, a commit or a reason is cut to this many characters: a runner cannot make them long.
const TEXT_CHARACTERS_MAX: usize = 500;
/// Pause after a report, so that a runner that says ever new things does not keep the edge busy.
const REPORT_PAUSE: Duration = Duration::from_millis(200);

/// What the runner said and the edge does not have yet.
#[derive(Default)]
struct News {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    ready: Option<WarmState>,
    synced: Option<WarmState>,
}

impl News {
    fn put(&self, state: WarmState) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &state {
            WarmState::Ready { .. } => waiting.ready = Some(state),
            WarmState::Synced { .. } => waiting.synced = Some(state),
            WarmState::Ended { .. } | WarmState::Unknown => return,
        }
        self.changed.notify_one();
    }

    async fn next(&self) -> WarmState {
        loop {
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(state) = waiting.ready.take().or_else(|| waiting.synced.take()) {
                    return state;
                }
            }
            self.changed.notified().await;
        }
    }
}

/// Holds the connection until a session has claimed the sandbox.
pub(super) async fn wait(
    hub: &Arc<Hub>,
    sandbox: &Sandbox,
    socket: &mut WebSocket,
    attachment: &Attachment,
    probes: &mut mpsc::Receiver<Probe>,
) -> Result<(), ConnectionEnd> {
    let Some(configuration) = sandbox.record.order.warm_configuration() else {
        return Err(ConnectionEnd::Protocol("nobody waits for a runner in this sandbox".to_owned()));
    };
    let prepare = encode(&BridgeMessage::Prepare { configuration }).map_err(|_| ConnectionEnd::Socket)?;
    if !write(socket, prepare).await {
        return Err(ConnectionEnd::Socket);
    }
    let news = News::default();
    let ended = tokio::select! {
        error = report(hub, sandbox, &news) => {
            hub.retire_after(sandbox, &error);
            Err(ConnectionEnd::Retired)
        }
        end = listen(hub, sandbox, socket, &news, probes) => Err(end),
        () = sandbox.claimed() => Ok(()),
    };
    if let Err(ConnectionEnd::Retired) = &ended {
        let reason = "the repository has no use for it".to_owned();
        if let Ok(frame) = encode(&BridgeMessage::Retired { reason }) {
            write(socket, frame).await;
        }
    }
    if ended.is_err() {
        attachment.closed.cancel();
    }
    ended
}

/// Reads what the runner says, answers claims that ask whether it is alive, and pings it.
async fn listen(
    hub: &Arc<Hub>,
    sandbox: &Sandbox,
    socket: &mut WebSocket,
    news: &News,
    probes: &mut mpsc::Receiver<Probe>,
) -> ConnectionEnd {
    let mut asked: Vec<Probe> = Vec::new();
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval_at(heard + PING_INTERVAL, PING_INTERVAL);
    loop {
        tokio::select! {
            frame = socket.recv() => {
                heard = Instant::now();
                // Whatever it says, it is there.
                for probe in asked.drain(..) {
                    let _ = probe.send(());
                }
                match frame {
                    Some(Ok(Message::Text(text))) => match take_in(hub, sandbox, news, &text) {
                        Ok(()) => {}
                        Err(end) => return end,
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => return ConnectionEnd::Protocol("a binary frame".to_owned()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return ConnectionEnd::Socket,
                }
            }
            Some(probe) = probes.recv() => {
                asked.push(probe);
                if !write(socket, Message::Ping(bytes::Bytes::new())).await {
                    return ConnectionEnd::Socket;
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE_MAX || !write(socket, Message::Ping(bytes::Bytes::new())).await {
                    return ConnectionEnd::Socket;
                }
            }
            () = hub.draining.cancelled() => return ConnectionEnd::Socket,
        }
    }
}

fn take_in(hub: &Arc<Hub>, sandbox: &Sandbox, news: &News, text: &str) -> Result<(), ConnectionEnd> {
    let message = serde_json::from_str(text).map_err(|error| {
        ConnectionEnd::Protocol(format!("not a message: {:?} at column {}", error.classify(), error.column()))
    })?;
    match message {
        RunnerMessage::Warm { state } => {
            let state = shortened(state);
            if let WarmState::Ended { reason } = &state {
                // It cannot be used: its end is what the repository is told.
                hub.report_unusable(sandbox, reason);
                return Err(ConnectionEnd::Retired);
            }
            news.put(state);
            Ok(())
        }
        message @ (RunnerMessage::Log { .. } | RunnerMessage::Step { .. }) => {
            sandbox.hear(message);
            Ok(())
        }
        RunnerMessage::Events { .. } => Err(ConnectionEnd::Protocol("events before the welcome".to_owned())),
        RunnerMessage::Hello { .. } => Err(ConnectionEnd::Protocol("a second hello".to_owned())),
        RunnerMessage::CommandDone { .. } | RunnerMessage::Unknown => Ok(()),
    }
}

fn shortened(state: WarmState) -> WarmState {
    let short =
        |text: String| text.chars().filter(|c| !c.is_control()).take(TEXT_CHARACTERS_MAX).collect::<String>();
    match state {
        WarmState::Ready { agent } => WarmState::Ready { agent: short(agent) },
        WarmState::Synced { commit } => WarmState::Synced { commit: short(commit) },
        WarmState::Ended { reason } => WarmState::Ended { reason: short(reason) },
        WarmState::Unknown => WarmState::Unknown,
    }
}

/// Tells the repository what is new for as long as it wants to know; the error says that it does not.
async fn report(hub: &Hub, sandbox: &Sandbox, news: &News) -> EdgeError {
    let record = &sandbox.record;
    loop {
        let state = news.next().await;
        let body = WarmReport { bridge_url: hub.bridge_url.clone(), state };
        let mut backoff = Backoff::new();
        loop {
            match hub.edge.warm(&record.order.repository.id, &record.sandbox_id, &body).await {
                Ok(()) => break,
                Err(error) if error.is_final_for_warm() => return error,
                Err(error) => {
                    tracing::warn!(sandbox = %record.sandbox_id, %error, "reporting a warm sandbox again")
                }
            }
            backoff.wait().await;
        }
        tokio::time::sleep(REPORT_PAUSE).await;
    }
}
