//! What a sandbox provider must offer. [`local`] runs sandboxes on this machine, [`modal`] at Modal.
//!
//! The bridge's API calls this trait and knows nothing of namespaces, layers or gRPC. Creating is idempotent by id: the same id
//! again finds the sandbox that is there. Nothing in here knows git or models.

mod environment;
pub mod exec;
pub mod local;
pub mod modal;
mod order;
mod slots;

pub use order::{ImageRecord, Owner, SandboxOrder, SandboxRecord, SavedImage, SessionOwner};

use exec::{ExecStream, SandboxStream};
use protocol::bridge::{Capabilities, SnapshotTaken};
use protocol::id::{BuildId, ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use protocol::runner::SandboxMemory;
use protocol::status::Reason;
use protocol::supervisor::{ExecCommand, SupervisorStats};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Why a provider did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The caller's move: the message says what to change.
    #[error("{0}")]
    Rejected(String),
    /// The snapshot or image to start from cannot be restored, now or later; another source may do.
    #[error("{0}")]
    SnapshotUnusable(String),
    /// The sandbox was given to another session, or is none that can be given.
    #[error("{0}")]
    Taken(String),
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
    /// Hosts that it may reach without the bridge's proxy, where the provider has a network of its own that can be held to them.
    pub direct_hosts: Vec<String>,
}

/// Request extension of everything that comes out of a sandbox through a socket of its own: the provider's listener adds it, and
/// the gateway refuses the token of any other sandbox there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSandbox(pub SandboxId);

/// Request extension beside [`SocketSandbox`] where nobody but the sandbox can reach the socket: what comes through it needs no
/// token. A loopback port, which all of this machine can reach, does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlyThisSandbox;

/// Request extension of providers that see a sandbox's memory from outside, which the sandbox itself cannot: answers for one that
/// runs and is limited as a whole.
#[derive(Clone)]
pub struct MemorySource(pub Arc<ReadMemory>);

/// See [`MemorySource`].
pub type ReadMemory = dyn Fn(&SandboxId) -> Option<SandboxMemory> + Send + Sync;

/// A sandbox ended without having been told to.
#[derive(Clone, Debug)]
pub struct SandboxExit {
    /// Which.
    pub record: SandboxRecord,
    /// For humans: exit code, signal, limit.
    pub reason: String,
    /// Whether this replica is the one that tells whoever it belongs to; otherwise another one does, or it was ended there.
    pub told_here: bool,
}

/// Makes, saves and ends sandboxes.
pub trait SandboxProvider: Send + Sync + 'static {
    /// What this machine or account can do; tried, not assumed.
    fn capabilities(&self) -> Capabilities;

    /// What keeps it from making sandboxes at this moment, with details; nothing where it can.
    fn check(&self) -> impl Future<Output = Vec<Reason>> + Send {
        async { Vec::new() }
    }

    /// Creates and boots the sandbox, or finds it when the id exists with the same owner. Returns when its processes run; the
    /// runner's dial-in comes later, and never in a sandbox of a build. Refuses a source that it does not have.
    fn create(
        &self,
        sandbox_id: &SandboxId,
        order: &SandboxOrder,
        secrets: &BootSecrets,
    ) -> impl Future<Output = Result<SandboxRecord, ProviderError>> + Send;

    /// Gives a warm sandbox to a session, for ever; the same again does nothing. When this returns, whoever looks at the provider
    /// finds the session's sandbox, also after a crash. Any other session's claim is [`ProviderError::Taken`].
    fn give(
        &self,
        sandbox_id: &SandboxId,
        session: &SessionOwner,
    ) -> impl Future<Output = Result<SandboxRecord, ProviderError>> + Send;

    /// From here on no session gets this warm sandbox, which is about to be thrown away. [`ProviderError::Taken`] when one has it.
    /// Only matters where other replicas of the bridge give sandboxes away at the same time.
    fn withhold(&self, sandbox_id: &SandboxId) -> impl Future<Output = Result<(), ProviderError>> + Send {
        let _ = sandbox_id;
        async { Ok(()) }
    }

    /// A sandbox that runs, as everybody knows it: another replica may have made it, or given it away.
    fn look_up(
        &self,
        sandbox_id: &SandboxId,
    ) -> impl Future<Output = Result<Option<SandboxRecord>, ProviderError>> + Send {
        let known = self.list().into_iter().find(|record| record.sandbox_id == *sandbox_id);
        async { Ok(known) }
    }

    /// The sandboxes of a repository that run now, whichever replica made them.
    fn survey(
        &self,
        repository: &RepositoryId,
    ) -> impl Future<Output = Result<Vec<SandboxRecord>, ProviderError>> + Send {
        let mut records = self.list();
        records.retain(|record| record.order.repository.id == *repository);
        async { Ok(records) }
    }

    /// All sandboxes that run now, whichever replica made them.
    fn survey_all(&self) -> impl Future<Output = Result<Vec<SandboxRecord>, ProviderError>> + Send {
        let records = self.list();
        async { Ok(records) }
    }

    /// The sandbox's runner is connected to this replica from here on, which makes it the one that tells of the sandbox's end.
    fn attached(&self, sandbox_id: &SandboxId) {
        let _ = sandbox_id;
    }

    /// Makes a build this replica's, for ever; `false` when it is another one's.
    fn hold_build(&self, build_id: &BuildId) -> impl Future<Output = Result<bool, ProviderError>> + Send {
        let _ = build_id;
        async { Ok(true) }
    }

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

    /// Saves the sandbox's file system as an image of its repository. The same id again answers with what was saved then.
    fn save_image(
        &self,
        sandbox_id: &SandboxId,
        image: &ImageRecord,
    ) -> impl Future<Output = Result<SavedImage, ProviderError>> + Send;

    /// The images of a repository that can be restored.
    fn images(
        &self,
        repository: &RepositoryId,
    ) -> impl Future<Output = Result<Vec<SavedImage>, ProviderError>> + Send;

    /// Forgets an image of this repository: what stands on it stays until nothing does. Does nothing when it is gone. Its id is
    /// used up.
    fn delete_image(
        &self,
        image_id: &ImageId,
        repository: &RepositoryId,
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

    /// A folder of the bridge's own that is there as long as the sandbox: what is kept in it outlives the bridge. `None` where
    /// there is none.
    fn folder(&self, sandbox_id: &SandboxId) -> Option<PathBuf> {
        let _ = sandbox_id;
        None
    }

    /// The sandboxes that run now and that this replica looks after, those adopted from an earlier life of the bridge included.
    fn list(&self) -> Vec<SandboxRecord>;

    /// Where unasked-for ends are reported. Taken once, by the hub.
    fn exits(&self) -> Option<mpsc::Receiver<SandboxExit>>;
}

/// A sandbox that is there, for whoever orders it again.
fn same_owner(record: SandboxRecord, asked: &Owner) -> Result<SandboxRecord, ProviderError> {
    let id = &record.sandbox_id;
    let is_same = match (&record.order.owner, asked) {
        (Owner::Session(known), Owner::Session(asked)) if known.generation != asked.generation => {
            return Err(ProviderError::Rejected(format!(
                "the sandbox {id} has generation {}, not {}",
                known.generation, asked.generation
            )));
        }
        (Owner::Session(known), Owner::Session(asked)) => known.session_id == asked.session_id,
        (Owner::Warm { .. }, Owner::Warm { .. }) => true,
        (Owner::Build { build_id }, Owner::Build { build_id: asked }) => build_id == asked,
        (Owner::Session(_) | Owner::Warm { .. } | Owner::Build { .. }, _) => false,
    };
    if is_same {
        return Ok(record);
    }
    Err(ProviderError::Rejected(format!("the sandbox {id} was made for somebody else")))
}
