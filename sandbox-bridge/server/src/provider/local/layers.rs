//! Snapshots as layers: what each stands on, whether it is whole, who uses it, and when its disk is given back.
//!
//! A layer exists exactly when its directory has its final name (see [`super::publish`]). Nothing in a layer ever changes; one
//! that is still stood on is only marked when it is deleted, and swept when its last user is gone. A snapshot that was joined
//! (see [`super::flatten`]) is the layer with [`FLAT`] behind its name.

use super::copy::{Content, Copier};
use super::inner::unavailable;
use super::layout::{BASE_LAYER, Layout};
use super::meta::{LayerMeta, LayerOwner, META, read_meta};
use super::state;
use super::structure;
use crate::launcher::Account;
use crate::provider::{ProviderError, SavedImage};
use nix::fcntl::{Flock, FlockArg};
use protocol::id::{ImageId, RepositoryId, SessionId, SnapshotId};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Ends the name of the layer that shows alone what a snapshot and all below it show together. No id contains it.
pub(crate) const FLAT: &str = "~flat";
/// How a layer is called until it is published.
pub(crate) const DRAFT: &str = ".tmp-";
const DELETED: &str = "deleted";

/// Why a chain of layers cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainError {
    #[error("the {0} is not on this machine; start the session's sandbox from the base instead")]
    Missing(String),
    #[error("the {0} belongs to another session or repository")]
    Foreign(String),
    #[error("the {snapshot} cannot be restored because {lower}, which it stands on, is missing")]
    Broken { snapshot: String, lower: String },
    #[error("the {0} cannot be restored because it is damaged: {1}")]
    Damaged(String, String),
    #[error("could not read or mark the {0}")]
    Unreadable(String, #[source] io::Error),
}

impl ChainError {
    /// What it means for whoever wants the snapshot.
    pub(crate) fn for_restore(self) -> ProviderError {
        match self {
            Self::Missing(_) | Self::Foreign(_) | Self::Broken { .. } | Self::Damaged(..) => {
                ProviderError::SnapshotUnusable(self.to_string())
            }
            Self::Unreadable(what, source) => unavailable(&format!("could not read the {what}"), source),
        }
    }
}

/// Layers that show a snapshot, the newest first. While this lives, nobody removes one of them.
pub(crate) struct Chain {
    pub(crate) names: Vec<String>,
    /// Of all but the base, in the same order.
    pub(crate) metas: Vec<LayerMeta>,
    _leases: Vec<Flock<File>>,
}

/// The layer that is a snapshot: the joined one, where there is one.
pub(crate) fn name_of(layout: &Layout, id: &str) -> String {
    let flat = format!("{id}{FLAT}");
    if layout.layer(&flat).join(META).exists() { flat } else { id.to_owned() }
}

/// The layers that a sandbox restored from this snapshot stands on, after checking that each of them is what was saved.
/// `session` is whose it must be; `None` lets anybody have it.
pub(crate) fn chain(
    layout: &Layout,
    id: &SnapshotId,
    session: Option<&SessionId>,
) -> Result<Chain, ChainError> {
    chain_of(layout, id.as_str(), &format!("snapshot {id}"), |owner| {
        session.is_none_or(|session| owner.is_session(session))
    })
}

/// The same for an image of a repository.
pub(crate) fn image_chain(
    layout: &Layout,
    id: &ImageId,
    repository: &RepositoryId,
) -> Result<Chain, ChainError> {
    chain_of(layout, id.as_str(), &format!("image {id}"), |owner| owner.is_repository(repository))
}

fn chain_of(
    layout: &Layout,
    id: &str,
    what: &str,
    is_allowed: impl FnOnce(&LayerOwner) -> bool,
) -> Result<Chain, ChainError> {
    let name = name_of(layout, id);
    let missing = || ChainError::Missing(what.to_owned());
    let (meta, lease) = take(layout, what, &name)?.ok_or_else(missing)?;
    if layout.layer(&name).join(DELETED).exists() {
        return Err(missing());
    }
    if !is_allowed(&meta.owner) {
        return Err(ChainError::Foreign(what.to_owned()));
    }
    let (mut metas, mut leases) = (vec![meta.clone()], vec![lease]);
    let mut above = &meta;
    let mut taken;
    for (index, lower) in meta.lowers.iter().enumerate() {
        let broken = || ChainError::Broken { snapshot: what.to_owned(), lower: lower.clone() };
        if lower == BASE_LAYER {
            layout.layer(lower).join("fs").is_dir().then_some(()).ok_or_else(broken)?;
            continue;
        }
        let (below, lease) = take(layout, what, lower)?.ok_or_else(broken)?;
        if above.parent.as_ref() != Some(&below.digest) || meta.lowers.get(index + 1..) != Some(&below.lowers)
        {
            let text = format!("it was saved on another {lower} than the one that is here");
            return Err(ChainError::Damaged(what.to_owned(), text));
        }
        leases.push(lease);
        metas.push(below.clone());
        taken = below;
        above = &taken;
    }
    let names = std::iter::once(name).chain(meta.lowers).collect();
    Ok(Chain { names, metas, _leases: leases })
}

/// Leases one layer and makes sure that it is whole; `None` when it is not there.
fn take(layout: &Layout, what: &str, name: &str) -> Result<Option<(LayerMeta, Flock<File>)>, ChainError> {
    let damaged = |text: String| ChainError::Damaged(what.to_owned(), text);
    let checked = || -> io::Result<Result<(LayerMeta, Flock<File>), String>> {
        let lease = lease(layout, name, FlockArg::LockShared)?;
        let meta = read_meta(layout, name)?;
        if meta.uid != layout.account().uid {
            let (saved, here) = (meta.uid, layout.account().uid);
            return Ok(Err(format!("{name} was saved by the account {saved}, and this bridge uses {here}")));
        }
        match structure::digest(&layout.layer(name).join("fs")) {
            Ok(found) if found == meta.structure => Ok(Ok((meta, lease))),
            Ok(_) => Ok(Err(format!("the files of {name} are not those that were saved"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Err(format!("the files of {name} are missing")))
            }
            Err(error) => Err(error),
        }
    };
    match checked() {
        Ok(outcome) => outcome.map(Some).map_err(damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // What is written there stays as it is: reading it again does not help.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            Err(damaged(error.to_string()))
        }
        Err(error) => Err(ChainError::Unreadable(what.to_owned(), error)),
    }
}

/// Keeps a layer where it is for as long as the answer lives.
pub(crate) fn lease_shared(layout: &Layout, name: &str) -> io::Result<Flock<File>> {
    lease(layout, name, FlockArg::LockShared)
}

/// Locks the description of a layer; the files stay at least as long.
fn lease(layout: &Layout, name: &str, how: FlockArg) -> io::Result<Flock<File>> {
    let path = layout.layer(name).join(META);
    let lock = Flock::lock(File::open(&path)?, how).map_err(|(_, error)| io::Error::from(error))?;
    // It may have gone to the trash between opening and locking.
    fs::symlink_metadata(path)?;
    Ok(lock)
}

/// Writes what the layers show together into `target`, for a sandbox that has no overlay.
pub(crate) fn materialise(
    layout: &Layout,
    lowers: &[String],
    target: &Path,
    account: Account,
) -> io::Result<()> {
    let layers: Vec<_> = lowers.iter().map(|name| layout.layer(name).join("fs")).collect();
    Copier::new(layout.owner().map(|_| account), Content::Copy, u64::MAX).copy_merged(&layers, target)
}

/// Forgets a snapshot and uses its id up: at once when nothing stands on it, otherwise as soon as nothing does.
pub(crate) fn delete(layout: &Layout, id: &SnapshotId, session: &SessionId) -> Result<(), ChainError> {
    delete_of(layout, id.as_str(), &format!("snapshot {id}"), |owner| owner.is_session(session))
}

/// The same for an image of a repository.
pub(crate) fn delete_image(
    layout: &Layout,
    id: &ImageId,
    repository: &RepositoryId,
) -> Result<(), ChainError> {
    delete_of(layout, id.as_str(), &format!("image {id}"), |owner| owner.is_repository(repository))
}

/// The images of a repository that were not deleted, with what they take.
pub(crate) fn images(layout: &Layout, repository: &RepositoryId) -> io::Result<Vec<SavedImage>> {
    let mut images = Vec::new();
    for name in names(layout)?.iter().filter(|name| name.starts_with(ImageId::PREFIX)) {
        // One that cannot be read cannot be restored.
        let Ok(meta) = read_meta(layout, name) else { continue };
        if let LayerOwner::Repository { image } = meta.owner
            && image.repository == *repository
            && !layout.layer(name).join(DELETED).exists()
        {
            images.push(SavedImage { record: *image, size_bytes: meta.bytes });
        }
    }
    images.sort_by(|a, b| a.record.image_id.cmp(&b.record.image_id));
    Ok(images)
}

fn delete_of(
    layout: &Layout,
    id: &str,
    what: &str,
    is_allowed: impl Fn(&LayerOwner) -> bool,
) -> Result<(), ChainError> {
    let names = [id.to_owned(), format!("{id}{FLAT}")];
    // One whose description cannot be read can never be restored, whoever's it is.
    let is_foreign = |name: &String| read_meta(layout, name).is_ok_and(|meta| !is_allowed(&meta.owner));
    if names.iter().any(is_foreign) {
        return Err(ChainError::Foreign(what.to_owned()));
    }
    let mark = || {
        layout.use_up(id)?;
        let mut is_there = false;
        for path in names.iter().map(|name| layout.layer(name)).filter(|path| path.is_dir()) {
            File::create(path.join(DELETED))?;
            is_there = true;
        }
        if is_there { sweep(layout) } else { Ok(()) }
    };
    mark().map_err(|error| ChainError::Unreadable(what.to_owned(), error))
}

/// Removes layers that no snapshot needs any more and no sandbox or other process stands on.
pub(crate) fn sweep(layout: &Layout) -> io::Result<()> {
    let names = names(layout)?;
    let is_root = |name: &&String| {
        let is_deleted = layout.layer(name).join(DELETED).exists();
        !is_deleted && (name.ends_with(FLAT) || !layout.layer(&format!("{name}{FLAT}")).join(META).exists())
    };
    let roots: HashSet<&String> = names.iter().filter(is_root).collect();
    let mut used: HashSet<String> = HashSet::new();
    for name in &roots {
        if let Ok(meta) = read_meta(layout, name) {
            used.extend(meta.lowers);
        }
    }
    for state in state::read_all(layout) {
        used.extend(state.lowers);
    }
    for name in names.iter().filter(|name| !roots.contains(name) && !used.contains(*name)) {
        match lease(layout, name, FlockArg::LockExclusiveNonblock) {
            Err(error) if error.raw_os_error() == Some(libc::EWOULDBLOCK) => {}
            // Without a description nobody can have a lease.
            Ok(_) | Err(_) => layout.discard(&layout.layer(name))?,
        }
    }
    Ok(())
}

/// Removes what a cut snapshot left. What another process is about to publish stays.
pub(crate) fn discard_drafts(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.layers())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            let lock = Flock::lock(File::open(entry.path())?, FlockArg::LockExclusiveNonblock);
            if lock.is_ok() {
                layout.discard(&entry.path())?;
            }
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
