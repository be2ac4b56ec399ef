//! Snapshots as layers: what each stands on, how it is published, and when its disk is given back.
//!
//! A layer exists exactly when its directory has its final name. Nothing in a layer ever changes; one that is still stood on is
//! only marked when it is deleted, and swept when its last user is gone.

use super::copy::{Content, Copier, Marks};
use super::layout::{BASE_LAYER, Layout};
use super::state;
use crate::launcher::Account;
use protocol::id::{SandboxId, SessionId, SnapshotId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Format of `meta.json`; another number is refused.
const FORMAT: u32 = 1;
/// A longer chain is joined into one layer, because the kernel takes one page of mount options.
const CHAIN_MAX: usize = 32;
const DELETED: &str = "deleted";

/// `meta.json` of a layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LayerMeta {
    format: u32,
    pub(crate) session_id: SessionId,
    sandbox_id: SandboxId,
    /// Names of the layers below, the newest first, down to the base.
    pub(crate) lowers: Vec<String>,
    /// What it adds on disk.
    pub(crate) bytes: u64,
    entries: u64,
    created_at: u64,
}

/// Why a chain of layers cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainError {
    #[error("the snapshot {0} is not on this machine; start the session's sandbox from the base instead")]
    Missing(String),
    #[error("the snapshot {0} belongs to another session")]
    ForeignSession(String),
    #[error("the snapshot {snapshot} cannot be restored because {lower}, which it stands on, is missing")]
    Broken { snapshot: String, lower: String },
    #[error("the snapshot {0} cannot be restored because its description is damaged: {1}")]
    Damaged(String, io::Error),
    #[error("could not read or mark the snapshot {0}")]
    Unreadable(String, #[source] io::Error),
}

/// Reads the description of a layer that is there.
pub(crate) fn read_meta(layout: &Layout, name: &str) -> io::Result<LayerMeta> {
    let text = fs::read(layout.layer(name).join("meta.json"))?;
    let meta: LayerMeta = serde_json::from_slice(&text)?;
    if meta.format != FORMAT {
        let text = format!("it has format {}, and this bridge reads {FORMAT}", meta.format);
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(meta)
}

/// The names of the layers that a sandbox restored from this snapshot stands on, the newest first.
pub(crate) fn chain(
    layout: &Layout,
    id: &SnapshotId,
    session: &SessionId,
) -> Result<Vec<String>, ChainError> {
    let name = id.as_str();
    let meta = match read_meta(layout, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ChainError::Missing(name.to_owned()));
        }
        // What is written there stays as it is: reading it again does not help.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            return Err(ChainError::Damaged(name.to_owned(), error));
        }
        Err(error) => return Err(ChainError::Unreadable(name.to_owned(), error)),
        Ok(_) if layout.layer(name).join(DELETED).exists() => {
            return Err(ChainError::Missing(name.to_owned()));
        }
        Ok(meta) => meta,
    };
    if &meta.session_id != session {
        return Err(ChainError::ForeignSession(name.to_owned()));
    }
    for lower in &meta.lowers {
        if !layout.layer(lower).join("fs").is_dir() {
            return Err(ChainError::Broken { snapshot: name.to_owned(), lower: lower.clone() });
        }
    }
    Ok(std::iter::once(name.to_owned()).chain(meta.lowers).collect())
}

/// What a new layer is made of.
pub(crate) struct NewLayer<'a> {
    pub(crate) id: &'a SnapshotId,
    pub(crate) session: &'a SessionId,
    pub(crate) sandbox: &'a SandboxId,
    /// Layers that `upper` stands on.
    pub(crate) lowers: &'a [String],
    /// What the sandbox has written; must not change meanwhile.
    pub(crate) upper: &'a Path,
    pub(crate) bytes_max: u64,
}

/// A layer that is copied but not yet visible.
pub(crate) struct Draft {
    name: String,
    path: PathBuf,
    meta: LayerMeta,
}

/// Copies the upper directory. The sandbox stands still for this and nothing more.
pub(crate) fn draft(layout: &Layout, new: &NewLayer<'_>) -> io::Result<Draft> {
    let name = new.id.as_str().to_owned();
    let path = layout.layers().join(format!(".tmp-{name}"));
    if path.exists() {
        layout.discard(&path)?;
    }
    layout.make_passage(&path)?;
    let target = path.join("fs");
    layout.make_owned(&target, 0o755)?;
    let mut copier = Copier::new(layout.owner(), Marks::Keep, Content::Copy, new.bytes_max);
    if let Err(error) = copier.copy_tree(new.upper, &target) {
        let _ = layout.discard(&path);
        return Err(error);
    }
    let meta = LayerMeta {
        format: FORMAT,
        session_id: new.session.clone(),
        sandbox_id: new.sandbox.clone(),
        lowers: new.lowers.to_vec(),
        bytes: copier.bytes,
        entries: copier.entries,
        created_at: state::now_ms(),
    };
    Ok(Draft { name, path, meta })
}

/// Makes the layer visible once it is safely on disk.
pub(crate) fn publish(layout: &Layout, mut draft: Draft) -> io::Result<LayerMeta> {
    if layout.is_used_up(&draft.name) {
        layout.discard(&draft.path)?;
        return Err(io::Error::other("it was deleted meanwhile"));
    }
    if draft.meta.lowers.len() >= CHAIN_MAX {
        join_chain(layout, &mut draft)?;
    }
    fs::write(draft.path.join("meta.json"), serde_json::to_vec(&draft.meta)?)?;
    let layers = File::open(layout.layers())?;
    nix::unistd::syncfs(&layers)?;
    fs::rename(&draft.path, layout.layer(&draft.name))?;
    layers.sync_all()?;
    Ok(draft.meta)
}

/// Joins the draft with everything it stands on. Files of older layers get a second name, because nobody writes to them.
fn join_chain(layout: &Layout, draft: &mut Draft) -> io::Result<()> {
    let joined = draft.path.join("joined");
    layout.make_owned(&joined, 0o755)?;
    let older = draft.meta.lowers.iter().rev().filter(|name| *name != BASE_LAYER);
    let paths = older.map(|name| layout.layer(name).join("fs")).chain([draft.path.join("fs")]);
    let mut copier = Copier::new(layout.owner(), Marks::Apply, Content::Link, u64::MAX);
    for path in paths {
        copier.copy_tree(&path, &joined)?;
    }
    layout.discard(&draft.path.join("fs"))?;
    fs::rename(joined, draft.path.join("fs"))?;
    draft.meta.lowers = vec![BASE_LAYER.to_owned()];
    draft.meta.entries = copier.entries;
    Ok(())
}

/// Writes what the layers show together into `target`, for a sandbox that has no overlay.
pub(crate) fn materialise(
    layout: &Layout,
    lowers: &[String],
    target: &Path,
    account: Account,
) -> io::Result<()> {
    let owner = layout.owner().map(|_| account);
    let mut copier = Copier::new(owner, Marks::Apply, Content::Copy, u64::MAX);
    for name in lowers.iter().rev() {
        copier.copy_tree(&layout.layer(name).join("fs"), target)?;
    }
    Ok(())
}

/// Forgets a snapshot and uses its id up: at once when nothing stands on it, otherwise as soon as nothing does.
pub(crate) fn delete(layout: &Layout, id: &SnapshotId, session: &SessionId) -> Result<(), ChainError> {
    // One whose description cannot be read can never be restored, whoever's it is.
    if read_meta(layout, id.as_str()).is_ok_and(|meta| &meta.session_id != session) {
        return Err(ChainError::ForeignSession(id.to_string()));
    }
    let mark = || {
        layout.use_up(id.as_str())?;
        let path = layout.snapshot(id);
        if path.is_dir() {
            File::create(path.join(DELETED))?;
            sweep(layout)?;
        }
        Ok(())
    };
    mark().map_err(|error| ChainError::Unreadable(id.to_string(), error))
}

/// Removes deleted layers that neither a sandbox nor another snapshot stands on.
pub(crate) fn sweep(layout: &Layout) -> io::Result<()> {
    let names = names(layout)?;
    let (deleted, kept): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| layout.layer(name).join(DELETED).exists());
    let mut used: HashSet<String> = HashSet::new();
    for name in &kept {
        if let Ok(meta) = read_meta(layout, name) {
            used.extend(meta.lowers);
        }
    }
    for state in state::read_all(layout) {
        used.extend(state.lowers);
    }
    for name in deleted.iter().filter(|name| !used.contains(*name)) {
        layout.discard(&layout.layer(name))?;
    }
    Ok(())
}

/// Removes what a cut snapshot left.
pub(crate) fn discard_drafts(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.layers())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".tmp-") {
            layout.discard(&entry.path())?;
        }
    }
    Ok(())
}

fn names(layout: &Layout) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(layout.layers())?;
    Ok(entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != BASE_LAYER && !name.starts_with('.'))
        .collect())
}
