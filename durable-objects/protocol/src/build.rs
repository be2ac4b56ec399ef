//! Runner → bridge while an image is built: the one line of JSON that `runner build clone` and `runner build tidy` print.
//!
//! The bridge believes nothing of it: what a repository's own build did inside could print the same.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a repository's recipe is found out from; printed by `runner build clone`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildSources {
    /// Names in the workspace's top folder.
    pub entries: Vec<String>,
    /// Those of [`BuildSources::READ`] that are there, with their text.
    pub files: BTreeMap<String, String>,
}

impl BuildSources {
    /// The recipe, where a repository has one.
    pub const RECIPE: &str = ".farhand/recipe.toml";
    /// Files that are read, each of at most [`crate::limit::BUILD_SOURCE_BYTES_MAX`] bytes.
    pub const READ: &[&str] = &[Self::RECIPE, "package.json"];
}

/// What a build left in the workspace and git does not ignore; printed by `runner build tidy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftBehind {
    /// Paths, folders with a slash behind them.
    pub files: Vec<String>,
}
