//! How edge and sessions call a repository's object: its binding, its name, one variant per call, and the bodies.
//!
//! Caller and object match on the same [`Call`]. Who the caller is was verified before; the object trusts it.

use protocol::bridge::RepositorySource;
use protocol::id::{BuildId, ImageId, RepositoryId, ReservationId, SandboxId, SessionId, UserId};
use protocol::objects;
use protocol::repository::{BuildEnded, BuildLogPiece, Recipe, WarmReport};
use protocol::tagged;
use serde::{Deserialize, Serialize};

tagged!("type": ClaimAnswer);
objects!(ConfigureCall, BuildCall, ClaimCall, ReleaseCall, ReserveCall, LogCall, EndedCall, WarmCall);

/// Name of the Durable Object binding in `wrangler.toml`.
pub const BINDING: &str = "REPOSITORY";

/// Header of an answer to [`Call::BuildLog`]: where to go on, in bytes of the log.
pub const LOG_END_HEADER: &str = "x-farhand-log-end";

/// Name of the object that owns a repository. The code host does not tell letters apart by case.
#[must_use]
pub fn object_name(repository: &RepositoryId) -> String {
    repository.as_str().to_ascii_lowercase()
}

/// Everything that is asked of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`ConfigureCall`] → 200 `{}`. What is not configured is not built, and has no pool.
    Configure,
    /// → 200 [`protocol::repository::RepositoryStatus`], 404 before it was configured.
    Status,
    /// [`BuildCall`] → 202 `{}`: a build is ordered, or runs already.
    Build,
    /// `?id=<build id>&from=<bytes>` → 200 with the log from there, as text, and its end in [`LOG_END_HEADER`].
    BuildLog,
    /// [`ClaimCall`] → 200 [`ClaimAnswer`]. The same session and generation again get the same sandbox.
    Claim,
    /// [`ReleaseCall`] → 200 `{}`. The session does not want what it claimed under this generation, or has not got it: it is ended.
    Release,
    /// [`ReserveCall`] → 200 `{}`. Says nothing of whether there was one.
    Reserve,
    /// [`LogCall`] → 200 [`protocol::repository::BuildLogAck`].
    LogReported,
    /// [`EndedCall`] → 200 `{}`.
    BuildEnded,
    /// [`WarmCall`] → 200 `{}`, 404 when the ledger does not have it.
    WarmReported,
    /// The cron trigger's safety net → 200 `{imageBuiltAt}`, null where there is none: does what the alarm should have done.
    Poke,
}

/// Body of [`Call::Configure`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ConfigureCall {
    /// Where it is.
    pub repository: RepositorySource,
    /// What wins over the recipe in the repository; absent: as it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settings: Option<Recipe>,
}

/// Body of [`Call::Build`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct BuildCall {
    /// Who wants it.
    pub by: UserId,
}

/// Body of [`Call::Claim`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ClaimCall {
    /// Whose it is to be.
    pub session_id: SessionId,
    /// The session's, for which it is; an older one than was seen before is refused with `generation_stale`.
    pub generation: u64,
    /// What the prompt was composed under.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reservation: Option<ReservationId>,
}

/// Answer to [`Call::Claim`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ClaimAnswer {
    /// It is this session's and nobody else's, for ever; the bridge is to be told by `PUT /sandboxes/{sandbox_id}/claimed`.
    Claimed {
        /// Which.
        sandbox_id: SandboxId,
        /// The replica that its runner is connected to.
        bridge_url: String,
        /// What it was made from.
        image_id: ImageId,
    },
    /// No warm sandbox is ready. The session makes its own.
    None {
        /// What to start from; absent when there is no image.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        image_id: Option<ImageId>,
        /// Why there is none, for humans: "no warm sandbox is ready", or why there is no image.
        reason: String,
        /// Whether somebody has to do something before there can be an image; then the session tells the reason.
        #[serde(default)]
        has_failed: bool,
    },
}

/// Body of [`Call::Release`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ReleaseCall {
    /// Whose.
    pub session_id: SessionId,
    /// Claims of this and older generations are over.
    pub generation: u64,
}

/// Body of [`Call::Reserve`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ReserveCall {
    /// Chosen by the client, one for each prompt that is composed; named again when the session is created.
    pub reservation: ReservationId,
    /// Who composes. Each has at most one reservation in a repository: a new one takes the place of the old one.
    pub by: UserId,
}

/// Body of [`Call::LogReported`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct LogCall {
    /// Of which.
    pub build_id: BuildId,
    /// What it said.
    pub piece: BuildLogPiece,
}

/// Body of [`Call::BuildEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct EndedCall {
    /// Which.
    pub build_id: BuildId,
    /// How.
    pub ended: BuildEnded,
}

/// Body of [`Call::WarmReported`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WarmCall {
    /// Which.
    pub sandbox_id: SandboxId,
    /// How it is.
    pub report: WarmReport,
}

impl Call {
    const ALL: [Self; 11] = [
        Self::Configure,
        Self::Status,
        Self::Build,
        Self::BuildLog,
        Self::Claim,
        Self::Release,
        Self::Reserve,
        Self::LogReported,
        Self::BuildEnded,
        Self::WarmReported,
        Self::Poke,
    ];

    /// HTTP method, in capitals.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Status | Self::BuildLog => "GET",
            Self::Configure
            | Self::Build
            | Self::Claim
            | Self::Release
            | Self::Reserve
            | Self::LogReported
            | Self::BuildEnded
            | Self::WarmReported
            | Self::Poke => "POST",
        }
    }

    /// Path at the object.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Configure => "/configure",
            Self::Status => "/status",
            Self::Build => "/build",
            Self::BuildLog => "/build-log",
            Self::Claim => "/claim",
            Self::Release => "/release",
            Self::Reserve => "/reserve",
            Self::LogReported => "/log-reported",
            Self::BuildEnded => "/build-ended",
            Self::WarmReported => "/warm-reported",
            Self::Poke => "/poke",
        }
    }

    /// URL for a request to the object's stub; the host means nothing.
    #[must_use]
    pub fn url(self) -> String {
        format!("https://repository{}", self.path())
    }

    /// The call of a request that arrived at the object.
    #[must_use]
    pub fn find(method: &str, path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.method() == method && call.path() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_own_request() {
        for call in Call::ALL {
            assert_eq!(Call::find(call.method(), call.path()), Some(call));
        }
        assert_eq!(Call::find("GET", "/claim"), None);
    }

    #[test]
    fn a_repository_has_one_object_however_it_is_spelled() {
        let names = ["Acme/Shop", "acme/shop"].map(|id| object_name(&RepositoryId::parse(id).unwrap()));
        assert_eq!(names[0], names[1]);
    }
}
