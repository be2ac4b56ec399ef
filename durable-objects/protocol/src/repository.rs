//! Images and the warm pool of one repository: edge ⇄ bridge, and what clients see of them.
//!
//! An image is what a sandbox has after clone, set-up, build and warm-up of the repository; a warm sandbox is made from it and is handed
//! to exactly one session. Commands of the edge, signed like those of [`crate::bridge`]; each may be repeated:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /builds/{build_id}` | [`BuildImageRequest`] | 202 `{}`: it runs, or is over and is reported again |
//! | `PUT /builds/{build_id}/cancelled` | [`RepositoryRequest`] | 200 `{}`, also when it is over |
//! | `PUT /images/{image_id}/deleted` | [`RepositoryRequest`] | 200 `{}`, also when it is gone |
//! | `PUT /sandboxes/{sandbox_id}/warm` | [`WarmSandboxRequest`] | [`crate::bridge::SandboxCreated`], or 404 when the image cannot be restored |
//! | `PUT /sandboxes/{sandbox_id}/claimed` | [`ClaimSandboxRequest`] | [`SandboxClaimed`]; 404 gone; 409 `id_conflict` claimed by another; 503 its runner is not connected here |
//! | `PUT /sandboxes/{sandbox_id}/discarded` | [`RepositoryRequest`] | 200 `{}`, also when it is gone; 409 `id_conflict` when a session has it |
//! | `PUT /inventory` | [`RepositoryRequest`] | [`Inventory`] |
//!
//! Words of the bridge, with `{repository}` as `owner/name`:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /api/bridge/repositories/{repository}/builds/{build_id}/log` | [`BuildLogPiece`] | [`BuildLogAck`] |
//! | `POST /api/bridge/repositories/{repository}/builds/{build_id}/ended` | [`BuildEnded`] | 200 `{}` |
//! | `POST /api/bridge/repositories/{repository}/sandboxes/{sandbox_id}` | [`WarmReport`] | 200 `{}`; 404 or 409: nobody wants it, it is to end |

use crate::bridge::{RepositorySource, SandboxLimits};
use crate::id::{BuildId, ImageId, RepositoryId, SandboxId, SessionId};
use crate::objects;
use crate::runner::AgentKind;
use crate::status::Backlog;
use crate::tagged;
use crate::time::Timestamp;
use crate::timeline::Isolation;
use serde::{Deserialize, Serialize};

tagged!("type": BuildOutcome, WarmState);
objects!(
    Recipe,
    ImageOrigin,
    BuildImageRequest,
    RepositoryRequest,
    WarmSandboxRequest,
    ClaimSandboxRequest,
    SandboxClaimed,
    Inventory,
    BuildLogPiece,
    BuildLogAck,
    BuildEnded,
    WarmReport,
    RepositoryStatus,
    ImageDescription,
    BuildDescription,
    PoolDescription,
    PauseDescription,
);

/// How an image is made and what its sandboxes may do: `.farhand/recipe.toml` in the repository, or the repository's settings, which win
/// field by field. What neither says is found out from the files that are there (`package-lock.json`, `Cargo.toml`, …).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Recipe {
    /// Name of an image of the provider to start from, such as `debian:bookworm-slim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_image: Option<String>,
    /// Shell commands that install what the repository needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<Vec<String>>,
    /// Shell commands that build it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Vec<String>>,
    /// Shell commands that warm its caches; one that fails is noted and costs nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<Vec<String>>,
    /// Shell command of its development server; run once for the caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Folders of the bridge's machine with tools, by the names that its operator gave them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Secrets by name; the operator must have listed them for this repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// Hosts that must be reachable; the operator must have allowed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_hosts: Option<Vec<String>>,
    /// What its sandboxes may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<SandboxLimits>,
    /// Warm sandboxes to keep ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_target: Option<u32>,
}

/// What an image was made of: the same again needs no build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ImageOrigin {
    /// Commit of the default branch, 40 or 64 hexadecimal digits.
    pub commit: String,
    /// SHA-256 of the whole recipe as it was carried out, in hexadecimal digits.
    pub recipe_fingerprint: String,
}

/// Makes an image, unless the newest commit and the recipe are those of `previous`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BuildImageRequest {
    /// Of what.
    pub repository: RepositorySource,
    /// Its name when it succeeds.
    pub image_id: ImageId,
    /// What wins over the recipe in the repository.
    pub settings: Recipe,
    /// What the current image was made of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<ImageOrigin>,
    /// How long it may take.
    pub timeout_ms: u64,
}

/// A command about something of a repository whose id is in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RepositoryRequest {
    /// Whose it is.
    pub repository: RepositoryId,
}

/// Makes a sandbox for nobody yet, or finds the one already made under this id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WarmSandboxRequest {
    /// What will be worked on.
    pub repository: RepositorySource,
    /// What to start from.
    pub image_id: ImageId,
    /// What it may use.
    pub limits: SandboxLimits,
    /// Which agent its runner starts.
    pub agent: AgentKind,
    /// Model of prompts that name none, `provider/name`.
    pub model: String,
    /// All models that prompts may name.
    pub models: Vec<String>,
}

/// Gives a warm sandbox to a session, for ever. From here on it is as if the session had created it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ClaimSandboxRequest {
    /// Whose it becomes.
    pub session_id: SessionId,
    /// The session's; calls with another one are refused from here on.
    pub generation: u64,
    /// Which it was made for.
    pub repository: RepositoryId,
    /// The session's branch: the only one that may be pushed.
    pub branch: String,
    /// Model of prompts that name none, `provider/name`.
    pub model: String,
    /// All models that prompts may name.
    pub models: Vec<String>,
}

/// The sandbox is the session's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SandboxClaimed {
    /// `local` or `modal`.
    pub provider: String,
    /// How strongly it is isolated.
    pub isolation: Isolation,
}

/// What the provider has of a repository, to be compared with what the repository knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Inventory {
    /// Sandboxes that nobody has claimed.
    pub warm: Vec<SandboxId>,
    /// Builds that run.
    pub builds: Vec<BuildId>,
    /// Images that can be restored.
    pub images: Vec<ImageId>,
}

/// What a build said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BuildLogPiece {
    /// Bytes of the log before `text`; a piece that comes twice is recognised by it.
    pub offset: u64,
    /// At most [`crate::limit::BUILD_LOG_PIECE_BYTES_MAX`], without secrets.
    pub text: String,
    /// What it is at, such as "npm ci".
    pub step: String,
}

/// How far the repository has a build's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BuildLogAck {
    /// Bytes.
    pub offset: u64,
}

/// A build is over, and its log has been told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BuildEnded {
    /// How.
    pub outcome: BuildOutcome,
}

/// How a build ended.
// With 32 bits to an address it is not large.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "there is one at a time, and it is written at once")
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum BuildOutcome {
    /// The image can be restored under the id that was ordered.
    Built {
        /// Its name.
        image_id: ImageId,
        /// What it was made of.
        origin: ImageOrigin,
        /// The recipe as it was carried out.
        recipe: Recipe,
        /// What it takes on disk.
        size_bytes: u64,
    },
    /// Commit and recipe are those of the current image.
    Unchanged,
    /// There is no image; the one before stays.
    Failed {
        /// What it was at.
        step: String,
        /// For humans, with the remedy.
        reason: String,
    },
    /// Something of a newer bridge; taken as a failure.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// How a warm sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WarmReport {
    /// Base URL of the replica that its runner is connected to.
    pub bridge_url: String,
    /// How it is.
    pub state: WarmState,
}

/// How far a warm sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(tag = "type"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type"))]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum WarmState {
    /// Its runner is connected and its agent answers. It may be claimed; that its workspace is at the newest commit comes later.
    Ready {
        /// Name and version of the agent.
        agent: String,
    },
    /// Its workspace is at this commit.
    Synced {
        /// Of the default branch.
        commit: String,
    },
    /// It ended, or cannot be used.
    Ended {
        /// For humans.
        reason: String,
    },
    /// Something of a newer bridge; changes nothing.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// What people see of a repository's images and warm pool: `GET /api/repositories/{repository}/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// `owner/name`.
    pub repository: RepositoryId,
    /// What sandboxes start from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image: Option<ImageDescription>,
    /// Newest first; at most 20.
    pub builds: Vec<BuildDescription>,
    /// When the next one begins, unless somebody asks for one before.
    pub next_build_at: Timestamp,
    /// The warm sandboxes.
    pub pool: PoolDescription,
    /// Why nothing is ordered of the provider for a while.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pause: Option<PauseDescription>,
    /// What people have set here; it wins over the recipe in the repository.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settings: Option<Recipe>,
    /// The recipe as the current image was made by it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recipe: Option<Recipe>,
    /// What it has ordered and was not done yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backlog: Option<Backlog>,
}

/// A restorable image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ImageDescription {
    /// Which.
    pub image_id: ImageId,
    /// When its build ended.
    pub built_at: Timestamp,
    /// What it was made of.
    pub origin: ImageOrigin,
    /// What it takes on disk.
    pub size_bytes: u64,
}

/// One build. Its log: `GET /api/repositories/{repository}/builds/{build_id}/log?from=<bytes>`, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BuildDescription {
    /// Which.
    pub build_id: BuildId,
    /// When it was ordered.
    pub started_at: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Timestamp>,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<BuildOutcome>,
    /// What it is at, or was at last.
    pub step: String,
    /// Length of its log.
    pub log_bytes: u64,
}

/// The warm sandboxes of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PoolDescription {
    /// How many are to be ready.
    pub target: u32,
    /// Those that can be claimed.
    pub ready: u32,
    /// Those that are being made.
    pub filling: u32,
    /// Those held for somebody who is composing a prompt.
    pub reserved: u32,
}

/// The provider failed too often: nothing is asked of it until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PauseDescription {
    /// What the provider said last.
    pub reason: String,
    /// When it is tried again.
    pub until: Timestamp,
}
