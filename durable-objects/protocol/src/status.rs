//! How a deployment is: whether edge and bridge can work, what replicas of the bridge say of themselves, and the operators' page.

use crate::id::{RepositoryId, SessionId};
use crate::objects;
use crate::repository::RepositoryStatus;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

objects!(Readiness, Reason, ReplicaStatus, Backlog, SessionLoad);

/// Answer to `GET /ready` of a bridge and `GET /api/ready` of the edge, with 200 or 503. Anybody may read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Readiness {
    /// Whether it can work.
    pub ready: bool,
    /// Why not, without anything that is only for operators.
    pub reasons: Vec<Reason>,
}

/// What keeps something from working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Reason {
    /// What it is.
    pub code: ReasonCode,
    /// For humans; details are in what operators see.
    pub message: String,
}

/// What can keep something from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The bridge does not answer, or not in its own words.
    Bridge,
    /// The database does not answer.
    Database,
    /// It ends, and takes nothing new.
    Ending,
    /// The database lacks migrations.
    Migrations,
    /// The provider of sandboxes does not answer.
    Provider,
    /// There is no room for another sandbox: disk, memory or open files.
    Room,
    /// One of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

impl ReasonCode {
    const ALL: [Self; 6] =
        [Self::Bridge, Self::Database, Self::Ending, Self::Migrations, Self::Provider, Self::Room];

    /// The word that stands for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Database => "database",
            Self::Ending => "ending",
            Self::Migrations => "migrations",
            Self::Provider => "provider",
            Self::Room => "room",
            Self::Unknown => "unknown",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|code| code.as_str() == word).unwrap_or(Self::Unknown)
    }

    /// What anybody may know of it.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Bridge => "the sandbox bridge does not answer",
            Self::Database => "the database does not answer",
            Self::Ending => "it is ending; another one answers",
            Self::Migrations => "the database lacks migrations",
            Self::Provider => "the provider of sandboxes does not answer",
            Self::Room => "there is no room for another sandbox",
            Self::Unknown => "something is missing",
        }
    }
}

impl Readiness {
    /// What anybody may know of these reasons.
    #[must_use]
    pub fn of(codes: impl IntoIterator<Item = ReasonCode>) -> Self {
        let reasons: Vec<Reason> =
            codes.into_iter().map(|code| Reason { code, message: code.message().to_owned() }).collect();
        Self { ready: reasons.is_empty(), reasons }
    }
}

/// What one replica of the bridge says of itself: `GET /status` there, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ReplicaStatus {
    /// Of the build.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// `local` or `modal`.
    pub provider: String,
    /// Sandboxes that it holds …
    pub sandboxes: u32,
    /// … those of them whose runner is connected …
    pub attached: u32,
    /// … and those that nobody has claimed.
    pub warm: u32,
    /// What keeps it from working, with details.
    pub reasons: Vec<Reason>,
}

/// Work that must happen outside of an object and has not happened yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Backlog {
    /// Rows of the outbox.
    pub waiting: u32,
    /// Those of them that have failed before.
    pub failing: u32,
    /// Most failed tries of one.
    pub tries: u32,
}

/// What a session is about to do, as its object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct SessionLoad {
    /// Which.
    pub session_id: SessionId,
    /// Prompts that wait for their turn.
    pub queued: u32,
    /// Its outbox.
    pub backlog: Backlog,
    /// The replica that its runner is connected to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bridge_url: Option<String>,
}

/// `GET /api/operator/status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// When it was looked at.
    pub at: Timestamp,
    /// Of the edge's build.
    pub version: String,
    /// What keeps the edge from working, with details.
    pub reasons: Vec<Reason>,
    /// The bridge's common address first, then the replicas that sessions name.
    pub replicas: Vec<Replica>,
    /// All sessions.
    pub sessions: SessionsLoad,
    /// Repositories with sessions, those with the newest first.
    pub repositories: Vec<RepositoryLoad>,
}

/// A replica of the bridge, as the edge reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// Where.
    pub url: String,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ReplicaStatus>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What sessions are about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct SessionsLoad {
    /// Whose turn runs, by the index.
    pub running: u32,
    /// Whose last turn failed, by the index.
    pub failed: u32,
    /// All others that are not archived.
    pub idle: u32,
    /// What those that were asked say: the running ones and those that changed last, at most 40.
    pub asked: Vec<SessionLoad>,
    /// Those that were asked and did not answer.
    pub silent: u32,
}

/// A repository's images and pool, as its object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[serde(rename_all = "camelCase")]
pub struct RepositoryLoad {
    /// `owner/name`.
    pub repository: RepositoryId,
    /// Absent where its object does not answer, or nobody configured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RepositoryStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_is_missing_and_nothing_more() {
        let ready = serde_json::to_value(Readiness::of([])).unwrap();
        assert_eq!(ready, serde_json::json!({"ready": true, "reasons": []}));
        let not = serde_json::to_value(Readiness::of([ReasonCode::Room])).unwrap();
        let message = "there is no room for another sandbox";
        assert_eq!(
            not,
            serde_json::json!({"ready": false, "reasons": [{"code": "room", "message": message}]})
        );
    }

    #[test]
    fn a_code_is_the_same_word_everywhere() {
        for code in ReasonCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(ReasonCode::parse(code.as_str()), code);
        }
        assert_eq!(ReasonCode::parse("moon"), ReasonCode::Unknown);
    }

    #[test]
    fn a_reason_of_a_newer_version_is_still_one() {
        let text = r#"{"ready":false,"reasons":[{"code":"moon","message":"full"}]}"#;
        let read: Readiness = serde_json::from_str(text).unwrap();
        assert_eq!(read.reasons.first().map(|reason| reason.code), Some(ReasonCode::Unknown));
    }
}
