//! One sandbox as the bridge knows it: what was ordered, and the connection of its runner, if it has one.
//!
//! A newer connection takes the place of an older one; commands go to the newest. The API sends commands through it.

use crate::gateway::egress::SandboxEgress;
use crate::gateway::usage::SandboxModels;
use crate::provider::SandboxRecord;
use axum::extract::ws::Message;
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::CommandId;
use protocol::runner::{BridgeMessage, RunnerCommand, RunnerConfiguration};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

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
}

/// A sandbox of this replica.
pub struct Sandbox {
    /// What was ordered, and for whom.
    pub record: SandboxRecord,
    /// Held while the provider creates, saves or ends the sandbox: one of these at a time.
    pub operations: tokio::sync::Mutex<()>,
    /// What it sent out and was refused.
    pub egress: SandboxEgress,
    /// What its model calls came to.
    pub models: SandboxModels,
    attachment: Mutex<Option<Attachment>>,
}

impl Sandbox {
    pub(super) fn new(record: SandboxRecord) -> Self {
        Self {
            record,
            operations: tokio::sync::Mutex::new(()),
            egress: SandboxEgress::default(),
            models: SandboxModels::default(),
            attachment: Mutex::new(None),
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

    pub(super) fn configuration(&self) -> RunnerConfiguration {
        let request = &self.record.request;
        RunnerConfiguration {
            session_id: self.record.session_id.clone(),
            repository: request.repository.id.clone(),
            default_branch: request.repository.default_branch.clone(),
            branch: request.branch.clone(),
            agent: request.agent,
            model: request.model.clone(),
            models: request.models.clone(),
        }
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
