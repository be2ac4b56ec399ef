//! What a session knows of its pull request after it was opened: state, checks, reviews. As people see it, and as it is reported by the
//! code host's webhooks and by looking there.
//!
//! Reports say how things are, with the code host's own times, so that it does not matter how often they come and in which order.

use crate::objects;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

objects!(PullRequestProgress, Check, Review, PullSeen, PullReport);

/// How a pull request is since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase", default)]
pub struct PullRequestProgress {
    /// Whether it is still to be decided about.
    pub state: PullState,
    /// Its newest commit, as far as the code host has said so.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<String>", optional))]
    pub head: String,
    /// When that was so.
    pub updated_at: Timestamp,
    /// The newest of each name, for its newest commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<Check>>", optional))]
    pub checks: Vec<Check>,
    /// Files in it that may run with secrets later, or decide who reviews: workflows, code owners, hooks, install scripts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<String>>", optional))]
    pub flagged: Vec<String>,
    /// Whether the GitHub App has opened it, because its author has no token here.
    #[serde(skip_serializing_if = "crate::is_default")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<bool>", optional))]
    pub by_app: bool,
}

/// Whether a pull request is still to be decided about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// It is.
    #[default]
    Open,
    /// Closed without being merged.
    Closed,
    /// Merged, for ever.
    Merged,
    /// A state of a newer version.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// One check of a commit: of continuous integration, or of anything else that reports to the code host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Check {
    /// As the code host shows it.
    pub name: String,
    /// How it went.
    pub state: CheckState,
    /// To read more in a browser; may be empty.
    pub url: String,
    /// Of which commit.
    pub commit: String,
    /// When it was so.
    pub updated_at: Timestamp,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Waiting or running.
    Pending,
    /// Well.
    Passed,
    /// Not well.
    Failed,
    /// It had nothing to say, or was called off.
    Skipped,
    /// A state of a newer version.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// What somebody at the code host said about a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Review {
    /// At the code host, with its kind: unique there.
    pub id: String,
    /// Login of who said it.
    pub author: String,
    /// What it decides.
    pub verdict: Verdict,
    /// Markdown, cut at a limit; may be empty.
    pub text: String,
    /// The file that it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub path: Option<String>,
    /// The line in that file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub line: Option<u32>,
    /// To open it in a browser.
    pub url: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a review decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
    /// Nothing.
    Comment,
    /// An earlier verdict was taken back.
    Dismissed,
    /// A verdict of a newer version.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// A pull request as it was seen at the code host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PullSeen {
    /// Whether it is still to be decided about.
    pub state: PullState,
    /// As it is there.
    pub title: String,
    /// Its newest commit.
    pub head: String,
    /// When it was so.
    pub updated_at: Timestamp,
}

/// What the code host has told, or answered, about one pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct PullReport {
    /// Which, in the session's repository.
    pub number: u64,
    /// The pull request itself, where it was told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seen: Option<PullSeen>,
    /// Checks that were told.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub checks: Vec<Check>,
    /// What was said.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reviews: Vec<Review>,
}
