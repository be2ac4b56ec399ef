//! Edge ⇄ sandbox bridge: signed HTTPS (plain HTTP on loopback only), see [`crate::sign`]. What concerns a repository's images and
//! warm pool is in [`crate::repository`].
//!
//! Commands of the edge are `PUT`s with ids that the edge chose, so that a repeat gives the same answer:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /sandboxes/{sandbox_id}` | [`CreateSandboxRequest`] | [`SandboxCreated`], or 404 when its snapshot or image cannot be restored |
//! | `PUT /sandboxes/{sandbox_id}/commands/{command_id}` | [`CommandRequest`] | 202 `{}` when the runner's socket has it, 503 when no runner is attached here |
//! | `PUT /sandboxes/{sandbox_id}/snapshots/{snapshot_id}` | [`SnapshotRequest`] | [`SnapshotTaken`] |
//! | `PUT /sandboxes/{sandbox_id}/terminated` | [`TerminateRequest`] | 200 `{}`, also when it is gone; 409 `generation_stale`, or `id_conflict` when another session has it |
//! | `PUT /sandboxes/{sandbox_id}/allowance` | [`crate::budget::AllowanceRequest`] | 200 `{}` |
//! | `PUT /halted` | [`crate::budget::HaltRequest`] | [`crate::budget::Halted`], when every sandbox has ended or could not be ended |
//! | `PUT /snapshots/{snapshot_id}/deleted` | [`DeleteSnapshotRequest`] | 200 `{}`, also when it is gone |
//! | `GET /capabilities` | | [`Capabilities`] |
//! | `GET /status` | | [`crate::status::ReplicaStatus`] |
//! | `GET /health` (unsigned) | | [`Health`] |
//! | `GET /ready` (unsigned) | | [`crate::status::Readiness`], with 503 when it cannot work |
//!
//! The bridge's own words go to the edge, likewise signed:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /api/bridge/sessions/{session_id}/attached` | [`RunnerAttached`] | [`EventsAck`]: where the runner resumes |
//! | `POST /api/bridge/sessions/{session_id}/events` | [`EventBatch`] | [`EventsAck`], or `event_gap`, or `generation_stale` |
//! | `POST /api/bridge/sessions/{session_id}/ended` | [`SandboxEnded`] | 200 `{}` |
//! | `POST /api/bridge/sessions/{session_id}/egress` | [`EgressReport`] | 200 `{}` |

use crate::budget::Spending;
use crate::id::{ImageId, RepositoryId, SandboxId, SessionId, SnapshotId};
use crate::objects;
use crate::runner::{AgentKind, RunnerCommand, RunnerEventRecord};
use crate::tagged;
use crate::timeline::{EgressDenial, Isolation, Seq};
use serde::{Deserialize, Serialize};

tagged!("type": SandboxSource);
objects!(
    CreateSandboxRequest,
    RepositorySource,
    SandboxLimits,
    SandboxCreated,
    CommandRequest,
    SnapshotRequest,
    SnapshotTaken,
    DeleteSnapshotRequest,
    TerminateRequest,
    Capabilities,
    Health,
    RunnerAttached,
    EventBatch,
    EventsAck,
    SandboxEnded,
    EgressReport,
);

/// Makes a sandbox for a session, or finds the one already made under this id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct CreateSandboxRequest {
    /// Whose.
    pub session_id: SessionId,
    /// Rises with every sandbox of the session; calls with an older one are refused.
    pub generation: u64,
    /// What is worked on.
    pub repository: RepositorySource,
    /// The session's branch: the only one that may be pushed.
    pub branch: String,
    /// What to start from.
    pub source: SandboxSource,
    /// What it may use.
    pub limits: SandboxLimits,
    /// Which agent its runner starts.
    pub agent: AgentKind,
    /// Model of prompts that name none, `provider/name`.
    pub model: String,
    /// All models that prompts may name.
    pub models: Vec<String>,
}

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RepositorySource {
    /// `owner/name`.
    pub id: RepositoryId,
    /// `https://…/owner/name.git`; the git gateway goes there and nowhere else.
    pub clone_url: String,
    /// Where branches start and pull requests go.
    pub default_branch: String,
}

/// What a sandbox starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SandboxSource {
    /// The provider's base image; the runner clones the repository.
    Base,
    /// A snapshot of the same session.
    Snapshot {
        /// Which.
        snapshot_id: SnapshotId,
    },
    /// An image of the session's repository; the runner brings the workspace to the newest commit.
    Image {
        /// Which.
        image_id: ImageId,
    },
}

/// What a sandbox may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SandboxLimits {
    /// Processor time, in thousandths of a core.
    pub cpu_millicores: u32,
    /// Memory, in units of 2^20 bytes.
    pub memory_mib: u32,
    /// Disk, in units of 2^20 bytes.
    pub disk_mib: u32,
    /// Life.
    pub life_ms: u64,
}

impl Default for SandboxLimits {
    /// 2 cores, 4096 MiB of memory, 10 GiB of disk, 4 hours.
    fn default() -> Self {
        Self { cpu_millicores: 2000, memory_mib: 4096, disk_mib: 10 * 1024, life_ms: 4 * 3_600_000 }
    }
}

/// The sandbox exists; its runner attaches when it is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SandboxCreated {
    /// `local` or `modal`.
    pub provider: String,
    /// How strongly it is isolated.
    pub isolation: Isolation,
}

/// Hands a command to the sandbox's runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct CommandRequest {
    /// Of the sandbox.
    pub generation: u64,
    /// What to do.
    pub command: RunnerCommand,
}

/// Saves the sandbox's file system. Never asked for while a turn runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SnapshotRequest {
    /// Of the sandbox.
    pub generation: u64,
}

/// The snapshot can be restored from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SnapshotTaken {
    /// As asked for.
    pub snapshot_id: SnapshotId,
    /// What it adds on disk.
    pub size_bytes: u64,
}

/// Removes a snapshot for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct DeleteSnapshotRequest {
    /// Whose it is.
    pub session_id: SessionId,
}

/// Ends the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct TerminateRequest {
    /// Of the sandbox.
    pub generation: u64,
    /// Whose it is: what another session has does not end. A warm one that this session was promised, and that nobody has taken, ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<SessionId>,
}

/// What this bridge can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Capabilities {
    /// `local` or `modal`.
    pub provider: String,
    /// How strongly sandboxes are isolated.
    pub isolation: Isolation,
    /// Why not more strongly, for humans; empty when nothing is missing.
    pub missing: Vec<String>,
    /// Limits that really hold here: `cpu`, `memory`, `pids`, `disk`, `life`.
    pub limits: Vec<String>,
}

/// Whether the bridge works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Health {
    /// Of the wires.
    pub protocol_version: u32,
    /// Of the build.
    pub version: String,
    /// Sandboxes that this replica holds.
    pub sandboxes: u32,
}

/// A sandbox's runner has dialled in (again) at the replica that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RunnerAttached {
    /// Where.
    pub sandbox_id: SandboxId,
    /// Of the sandbox.
    pub generation: u64,
    /// Base URL of the replica: commands for this sandbox go there.
    pub bridge_url: String,
    /// Of the runner's build.
    pub runner_version: String,
}

/// Events of one sandbox, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EventBatch {
    /// Where they happened.
    pub sandbox_id: SandboxId,
    /// Of the sandbox.
    pub generation: u64,
    /// At least one, numbers gapless.
    pub events: Vec<RunnerEventRecord>,
    /// What the sandbox's model calls have come to; absent while they cost nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spending: Option<Spending>,
}

/// How far the session has a sandbox's events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EventsAck {
    /// Number of the newest event stored; 0 when there is none.
    pub acked: Seq,
}

/// A sandbox is gone without having been told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SandboxEnded {
    /// Which.
    pub sandbox_id: SandboxId,
    /// Of the sandbox.
    pub generation: u64,
    /// For humans.
    pub reason: String,
    /// Whether an operator has halted everything: what ran in it waits until that is lifted.
    #[serde(skip_serializing_if = "crate::is_default", default)]
    pub halted: bool,
}

/// Connections out of a sandbox that were refused. Counts only rise, so a report that comes twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EgressReport {
    /// Where they were tried.
    pub sandbox_id: SandboxId,
    /// Of the sandbox.
    pub generation: u64,
    /// At least one and at most [`crate::limit::EGRESS_DENIALS_MAX`]: what is new or has grown since the last report.
    pub denials: Vec<EgressDenial>,
}
