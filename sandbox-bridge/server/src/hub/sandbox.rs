//! One sandbox as the bridge knows it: what was ordered, and the connection of its runner, if it has one.
//!
//! A newer connection takes the place of an older one; commands go to the newest. The API sends commands through it.

use super::lines::{Lines, Speaker};
use super::turn::TurnSpan;
use crate::gateway::egress::SandboxEgress;
use crate::gateway::spending::SandboxModels;
use crate::provider::{Owner, SandboxRecord, SessionOwner};
use axum::extract::ws::Message;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::CommandId;
use protocol::runner::{BridgeMessage, RunnerCommand, RunnerMessage};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Connections that a sandbox elsewhere may have to the bridge at a time.
const TUNNELS_MAX: usize = 256;
/// Longest wait for a runner's socket to take a command.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A frame for the runner, and whom to tell that the socket has it.
pub(super) struct Outgoing {
    pub(super) frame: Message,
    pub(super) written: oneshot::Sender<()>,
}

/// The bridge's end of one runner connection.
#[derive(Clone)]
pub(super) struct Attachment {
    pub(super) outgoing: mpsc::Sender<Outgoing>,
    /// Ends the connection's task at once.
    pub(super) cut: CancellationToken,
    /// The socket takes nothing any more.
    pub(super) closed: CancellationToken,
    /// The connection's task is over, its last events included.
    pub(super) over: CancellationToken,
    /// Asks whether the runner of a warm sandbox is there.
    pub(super) probes: mpsc::Sender<Probe>,
}

/// Told when the runner has said anything.
pub(super) type Probe = oneshot::Sender<()>;

/// A sandbox of this replica.
pub struct Sandbox {
    /// What was ordered, and whose it was when it came here; [`Sandbox::session`] says whose it is.
    pub record: SandboxRecord,
    /// Held while the provider creates, saves or ends the sandbox: one of these at a time.
    pub operations: tokio::sync::Mutex<()>,
    /// What it sent out and was refused.
    pub egress: SandboxEgress,
    /// What its model calls came to.
    pub models: SandboxModels,
    /// The turn that it works on.
    pub turn: TurnSpan,
    /// What its runner says for the log.
    pub(super) lines: Lines,
    /// Free places for connections through the gateway's own address.
    pub tunnels: Arc<Semaphore>,
    attachment: Mutex<Option<Attachment>>,
    claimed: OnceLock<SessionOwner>,
    claim: CancellationToken,
    exit: OnceLock<String>,
    exited: CancellationToken,
}

impl Sandbox {
    pub(super) fn new(record: SandboxRecord) -> Self {
        Self {
            record,
            operations: tokio::sync::Mutex::new(()),
            egress: SandboxEgress::default(),
            models: SandboxModels::default(),
            turn: TurnSpan::default(),
            lines: Lines::default(),
            tunnels: Arc::new(Semaphore::new(TUNNELS_MAX)),
            attachment: Mutex::new(None),
            claimed: OnceLock::new(),
            claim: CancellationToken::new(),
            exit: OnceLock::new(),
            exited: CancellationToken::new(),
        }
    }

    /// The session that it works for; once there is one, it stays.
    #[must_use]
    pub fn session(&self) -> Option<&SessionOwner> {
        self.record.session().or_else(|| self.claimed.get())
    }

    /// Whether it is a warm one that nobody has claimed, as far as this replica knows.
    pub(super) fn is_unclaimed(&self) -> bool {
        matches!(self.record.order.owner, Owner::Warm { .. }) && self.session().is_none()
    }

    /// Whether its runner is connected here.
    pub(super) fn is_attached(&self) -> bool {
        self.lock().as_ref().is_some_and(|attachment| !attachment.closed.is_cancelled())
    }

    /// Takes in what the runner says of its own work: a line for the log, or a step of a turn.
    pub(super) fn hear(&self, message: RunnerMessage) {
        if let RunnerMessage::Log { level, turn_id, text } = message {
            let trace = turn_id.as_ref().and_then(|turn_id| self.turn.parent(turn_id, None));
            let speaker = Speaker {
                sandbox: &self.record.sandbox_id,
                session: self.session(),
                turn: turn_id.as_ref(),
                trace,
            };
            self.lines.write(&speaker, level, &text);
        } else if let RunnerMessage::Step { turn_id, step, started_at, duration_ms, traceparent } = message {
            self.turn.note_step(&turn_id, step, (started_at, duration_ms), traceparent);
        }
    }

    /// Hands a command to the runner; returns when its socket has it. A runner that is about to be welcomed gets it right after.
    pub async fn command(&self, command_id: CommandId, command: RunnerCommand) -> Result<(), ErrorBody> {
        let frame = encode(&BridgeMessage::Command { command_id, command })?;
        let attachment = self.lock().clone().filter(|attachment| !attachment.closed.is_cancelled());
        let Some(attachment) = attachment else {
            return Err(unavailable("no runner is attached to this sandbox at the moment; try again"));
        };
        let (written, confirmation) = oneshot::channel();
        if attachment.outgoing.try_send(Outgoing { frame, written }).is_err() {
            return Err(unavailable("the runner takes no more commands at the moment; try again"));
        }
        let written = tokio::select! {
            written = confirmation => written.is_ok(),
            () = attachment.closed.cancelled() => false,
            () = tokio::time::sleep(WRITE_TIMEOUT) => false,
        };
        if written { Ok(()) } else { Err(unavailable("the runner's connection broke; try again")) }
    }

    /// Waits until the edge has the last events of a connection whose socket has ended.
    pub(super) async fn drained(&self) {
        let attachment = self.lock().clone();
        if let Some(attachment) = attachment {
            attachment.over.cancelled().await;
        }
    }

    /// Ends the runner's connection.
    pub(super) fn cut(&self) {
        if let Some(attachment) = self.lock().take() {
            attachment.cut.cancel();
        }
    }

    /// Puts a new connection in the place of the old one, whose task is over when this returns.
    pub(super) async fn replace(&self, attachment: Attachment) {
        let old = self.lock().replace(attachment);
        if let Some(old) = old {
            old.cut.cancel();
            old.over.cancelled().await;
        }
    }

    /// Makes it the session's, for ever; `false` when another one was quicker. The provider has written it down before.
    pub(super) fn bind(&self, session: SessionOwner) -> bool {
        let is_bound = self.claimed.get_or_init(|| session.clone()) == &session;
        self.claim.cancel();
        is_bound
    }

    /// Waits for a session to claim it.
    pub(super) async fn claimed(&self) {
        self.claim.cancelled().await;
    }

    /// Whether the runner answers within this time.
    pub async fn is_alive(&self, within: Duration) -> bool {
        let attachment = self.lock().clone().filter(|attachment| !attachment.closed.is_cancelled());
        let Some(attachment) = attachment else { return false };
        let (probe, answer) = oneshot::channel();
        attachment.probes.try_send(probe).is_ok()
            && tokio::time::timeout(within, answer).await.is_ok_and(|answer| answer.is_ok())
    }

    /// It ended without having been told to, for this reason.
    pub(super) fn note_exit(&self, reason: &str) {
        let _ = self.exit.set(reason.to_owned());
        self.exited.cancel();
    }

    /// Why it ended without having been told to, if that is known within this time.
    pub(crate) async fn exit_reason(&self, within: Duration) -> Option<String> {
        let _ = tokio::time::timeout(within, self.exited.cancelled()).await;
        self.exit.get().cloned()
    }

    /// The record as it is after a claim.
    pub(crate) fn current_record(&self) -> SandboxRecord {
        let given = self.record.given.clone().or_else(|| self.claimed.get().cloned());
        SandboxRecord { given, ..self.record.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Attachment>> {
        self.attachment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame for the runner.
pub(super) fn encode(message: &BridgeMessage) -> Result<Message, ErrorBody> {
    serde_json::to_string(message).map(|text| Message::Text(text.into())).map_err(|_| {
        ErrorBody::new(ErrorCode::Internal, "a message to the runner could not be written as JSON")
    })
}

fn unavailable(message: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Unavailable, message)
}
