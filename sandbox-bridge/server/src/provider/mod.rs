//! What a sandbox provider must offer. [`local`] runs sandboxes on this machine; Modal comes beside it.
//!
//! The bridge's API calls this trait and knows nothing of namespaces, layers or gRPC. Creating is idempotent by id: the same id
//! again finds the sandbox that is there. Nothing in here knows git or models.

pub mod exec;
pub mod local;

use exec::{ExecStream, SandboxStream};
use protocol::bridge::{Capabilities, CreateSandboxRequest, SnapshotTaken};
use protocol::id::{SandboxId, SessionId, SnapshotId};
use protocol::supervisor::{ExecCommand, SupervisorStats};
use std::collections::BTreeMap;
use std::future::Future;
use tokio::sync::mpsc;

/// Why a provider did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The caller's move: the message says what to change.
    #[error("{0}")]
    Rejected(String),
    /// The snapshot to start from cannot be restored, now or later; another source may do.
    #[error("{0}")]
    SnapshotUnusable(String),
    /// No such sandbox or snapshot.
    #[error("{0} is not known to this provider")]
    NotFound(String),
    /// Ours or the machine's: may work later.
    #[error("{what}")]
    Unavailable {
        /// What was tried, for humans.
        what: String,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
}

/// What a sandbox is booted with, beside the caller's request.
#[derive(Clone, Default)]
pub struct BootSecrets {
    /// Opens the runner socket and the gateway of this one sandbox; worthless elsewhere.
    pub sandbox_token: String,
    /// Environment variables with the stand-ins of the repository's secrets; set only where the sandbox has the bridge's proxy.
    pub stand_ins: BTreeMap<String, String>,
}

/// Request extension of everything that comes out of a sandbox through a socket of its own: the provider's listener adds it, and
/// the gateway refuses the token of any other sandbox there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSandbox(pub SandboxId);

/// Request extension beside [`SocketSandbox`] where nobody but the sandbox can reach the socket: what comes through it needs no
/// token. A loopback port, which all of this machine can reach, does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlyThisSandbox;

/// A sandbox that this provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxRecord {
    /// Which.
    pub sandbox_id: SandboxId,
    /// Whose.
    pub session_id: SessionId,
    /// Of the sandbox.
    pub generation: u64,
    /// As it was ordered; what the runner's configuration and the gateway's rules are made from.
    pub request: CreateSandboxRequest,
}

/// A sandbox ended without having been told to.
#[derive(Clone, Debug)]
pub struct SandboxExit {
    /// Which.
    pub record: SandboxRecord,
    /// For humans: exit code, signal, limit.
    pub reason: String,
}

/// Makes, saves and ends sandboxes.
pub trait SandboxProvider: Send + Sync + 'static {
    /// What this machine or account can do; tried, not assumed.
    fn capabilities(&self) -> Capabilities;

    /// Creates and boots the sandbox, or finds it when the id exists with the same generation. Returns when its processes run;
    /// the runner's dial-in comes later. Refuses a source that it does not have.
    fn create(
        &self,
        sandbox_id: &SandboxId,
        request: &CreateSandboxRequest,
        secrets: &BootSecrets,
    ) -> impl Future<Output = Result<SandboxRecord, ProviderError>> + Send;

    /// Saves the sandbox's file system. The same id again answers with what was saved then.
    fn snapshot(
        &self,
        sandbox_id: &SandboxId,
        snapshot_id: &SnapshotId,
    ) -> impl Future<Output = Result<SnapshotTaken, ProviderError>> + Send;

    /// Ends every process of the sandbox and frees what it held. Does nothing when it is gone.
    fn terminate(&self, sandbox_id: &SandboxId) -> impl Future<Output = Result<(), ProviderError>> + Send;

    /// Forgets a snapshot of this session: what others stand on stays until nothing does. Does nothing when it is gone. Its id is
    /// used up, so a snapshot that is still on its way comes to nothing.
    fn delete_snapshot(
        &self,
        snapshot_id: &SnapshotId,
        session_id: &SessionId,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;

    /// Runs a command inside, beside the agent. It ends with the stream at the latest.
    fn exec(
        &self,
        sandbox_id: &SandboxId,
        command: ExecCommand,
    ) -> impl Future<Output = Result<ExecStream, ProviderError>> + Send {
        let _ = (sandbox_id, command);
        async { Err(ProviderError::Rejected("this provider cannot run commands in sandboxes".to_owned())) }
    }

    /// Connects to a port that something inside listens on.
    fn dial(
        &self,
        sandbox_id: &SandboxId,
        port: u16,
    ) -> impl Future<Output = Result<SandboxStream, ProviderError>> + Send {
        let _ = (sandbox_id, port);
        async { Err(ProviderError::Rejected("this provider cannot connect into sandboxes".to_owned())) }
    }

    /// Asks what goes on inside.
    fn stats(
        &self,
        sandbox_id: &SandboxId,
    ) -> impl Future<Output = Result<SupervisorStats, ProviderError>> + Send {
        let _ = sandbox_id;
        async { Err(ProviderError::Rejected("this provider cannot look into sandboxes".to_owned())) }
    }

    /// The sandboxes that run now, those adopted from an earlier life of the bridge included.
    fn list(&self) -> Vec<SandboxRecord>;

    /// Where unasked-for ends are reported. Taken once, by the hub.
    fn exits(&self) -> Option<mpsc::Receiver<SandboxExit>>;
}
