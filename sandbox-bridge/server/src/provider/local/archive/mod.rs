//! Snapshots as archives: what a sandbox would see of one, as tar in zstd, out of the state directory and back into one.
//!
//! Works beside a running bridge. An archive that comes in is believed nothing: whatever is in it stays below the new layer, and
//! what exceeds [`ArchiveLimits`] or tries to get out is refused as a whole. Called by `sandbox-bridge snapshot`.

mod export;
mod guard;
mod import;

use super::layers;
use super::layout::{BASE_LAYER, HOME, Layout, WORKSPACE};
use super::meta::{LayerOwner, Reason, SnapshotDriver};
use super::publish::{Draft, NewLayer};
use crate::launcher::Account;
use protocol::id::{SessionId, SnapshotId};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

/// What an archive may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Files, directories and links.
    pub entries: u64,
    /// Content of all files, holes included.
    pub bytes: u64,
    /// How many times larger the archive may be without its compression, once it is more than a few megabytes.
    pub ratio: u64,
    /// Directories within each other.
    pub depth: usize,
    /// For all of it.
    pub time: Duration,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries: 200_000, bytes: 4 << 30, ratio: 100, depth: 64, time: Duration::from_secs(600) }
    }
}

/// What went out or came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Archived {
    /// Files, directories and links.
    pub entries: u64,
    /// Content of all files.
    pub bytes: u64,
    /// Pipes, which have no place in an archive.
    pub skipped: u64,
}

/// Why there is no archive, or no snapshot from one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The snapshot is not here, or damaged.
    #[error("{0}")]
    Snapshot(String),
    /// The archive contains what it may not; nothing of it was kept.
    #[error("the archive was refused: {0}")]
    Refused(String),
    /// The machine's failure.
    #[error("could not {what}")]
    Failed {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> ArchiveError {
    move |source| ArchiveError::Failed { what: what.to_owned(), source }
}

/// Writes what a sandbox restored from this snapshot would see: `workspace` and `home`.
pub fn export(
    state: &Path,
    account: Account,
    id: &SnapshotId,
    out: impl Write,
) -> Result<Archived, ArchiveError> {
    let layout = Layout::beside(state, account).map_err(failed("open the state directory"))?;
    let chain =
        layers::chain(&layout, id, None).map_err(|error| ArchiveError::Snapshot(error.to_string()))?;
    let layers: Vec<_> = chain.names.iter().map(|name| layout.layer(name).join("fs")).collect();
    export::write(&layers, out).map_err(failed("write the archive"))
}

/// Makes a snapshot of this session from an archive.
pub fn import(
    state: &Path,
    account: Account,
    id: &SnapshotId,
    session: &SessionId,
    archive: impl Read,
    limits: ArchiveLimits,
) -> Result<Archived, ArchiveError> {
    let layout = Layout::beside(state, account).map_err(failed("open the state directory"))?;
    let imported = import_into(&layout, id, session, archive, limits);
    if imported.is_err() {
        // A bridge that runs here may be at it as well; what is left is its next start's.
        let _ = layout.empty_trash();
    }
    imported
}

fn import_into(
    layout: &Layout,
    id: &SnapshotId,
    session: &SessionId,
    archive: impl Read,
    limits: ArchiveLimits,
) -> Result<Archived, ArchiveError> {
    if layout.is_used_up(id.as_str()) {
        return Err(ArchiveError::Snapshot(format!("the snapshot {id} was deleted; choose another id")));
    }
    let new = NewLayer {
        name: id.as_str(),
        owner: LayerOwner::Session { session_id: session.clone() },
        sandbox: None,
        driver: SnapshotDriver::Overlay,
        reason: Reason::Imported,
        lowers: vec![BASE_LAYER.to_owned()],
        tools: Vec::new(),
        bytes_max: limits.bytes,
    };
    let mut draft = Draft::begin(layout, new).map_err(failed("make a snapshot"))?;
    for tree in [WORKSPACE, HOME] {
        layout.make_owned(&draft.files().join(tree), 0o755).map_err(failed("make a snapshot"))?;
    }
    let archived = import::unpack(archive, &draft.files(), layout.owner(), limits)?;
    draft.filled(archived.bytes, archived.entries);
    draft.seal().and_then(|()| draft.publish()).map_err(failed("make a snapshot"))?;
    Ok(archived)
}

#[cfg(test)]
mod tests;
