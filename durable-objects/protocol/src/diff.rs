//! What a session's branch changes, file by file. Part of [`crate::timeline`], which names these types.

use crate::objects;
use serde::{Deserialize, Serialize};

objects!(FileDiff, Hunk, DiffLine);

/// One changed file of the session's branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct FileDiff {
    /// From the repository's root, `/` between parts.
    pub path: String,
    /// Where a moved file was before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub previous_path: Option<String>,
    /// What happened to it.
    pub status: FileStatus,
    /// Added lines.
    pub additions: u32,
    /// Removed lines.
    pub deletions: u32,
    /// Empty for a binary file and beyond [`crate::limit::DIFF_BYTES_MAX`].
    pub hunks: Vec<Hunk>,
    /// Whether hunks were left out because the diff is too large or the file is binary.
    pub omitted: bool,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// New.
    Added,
    /// Changed in place.
    Modified,
    /// Gone.
    Deleted,
    /// Moved, possibly changed.
    Renamed,
    /// A status of a newer runner.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// A run of changed lines with the context around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Hunk {
    /// First line before, counted from 1.
    pub old_start: u32,
    /// First line after, counted from 1.
    pub new_start: u32,
    /// What git shows behind `@@`: the enclosing function.
    pub heading: String,
    /// In order.
    pub lines: Vec<DiffLine>,
}

/// One line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct DiffLine {
    /// Which side it is on.
    pub kind: DiffLineKind,
    /// Without the mark and the line's end.
    pub text: String,
}

/// Which side a line is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiffLineKind {
    /// On both.
    Context,
    /// Only after.
    Added,
    /// Only before.
    Removed,
}
