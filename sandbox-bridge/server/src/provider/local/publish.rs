//! The commit protocol of layers: a draft is filled, sealed, and becomes a layer by one rename.
//!
//! `.tmp-<name>` is made and locked → files are copied → `meta.json` → `syncfs` → rename to `<name>` → `fsync` of `layers/`.
//! Whoever dies before the rename leaves a draft, which the next start throws away; after it, the layer is whole. An error takes
//! the draft along. Nothing here ever touches a layer that exists.

use super::copy::{Content, Copier};
use super::earlier::{Earlier, Index};
use super::layers::{DRAFT, FLAT};
use super::layout::{BASE_LAYER, Layout};
use super::meta::{FORMAT, LayerMeta, LayerOwner, META, Reason, SnapshotDriver, read_meta};
use super::state;
use super::structure;
use nix::fcntl::{Flock, FlockArg};
use protocol::id::SandboxId;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a new layer is.
pub(crate) struct NewLayer<'a> {
    pub(crate) name: &'a str,
    pub(crate) owner: LayerOwner,
    pub(crate) sandbox: Option<&'a SandboxId>,
    pub(crate) driver: SnapshotDriver,
    pub(crate) reason: Reason,
    /// Layers that it stands on, the newest first.
    pub(crate) lowers: Vec<String>,
    pub(crate) tools: Vec<String>,
    pub(crate) bytes_max: u64,
}

/// A layer that is not visible yet; gone when it is dropped.
pub(crate) struct Draft<'a> {
    layout: &'a Layout,
    path: PathBuf,
    meta: LayerMeta,
    bytes_max: u64,
    index: Option<Index>,
    is_published: bool,
    /// Tells other processes that this is being worked on.
    _lock: Flock<File>,
}

impl<'a> Draft<'a> {
    /// Makes the place for it.
    pub(crate) fn begin(layout: &'a Layout, new: NewLayer<'_>) -> io::Result<Self> {
        if layout.layer(new.name).exists() {
            let text = format!("there is a layer {} already", new.name);
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let path = layout.layers().join(format!("{DRAFT}{}", new.name));
        if path.exists() {
            drop(lock(&path)?);
            layout.discard(&path)?;
        }
        layout.make_passage(&path)?;
        let _lock = lock(&path)?;
        let parent = match new.lowers.first() {
            Some(first) if first != BASE_LAYER => Some(read_meta(layout, first)?.digest),
            Some(_) | None => None,
        };
        let meta = LayerMeta {
            format: FORMAT,
            name: new.name.to_owned(),
            owner: new.owner,
            sandbox_id: new.sandbox.cloned(),
            driver: new.driver,
            reason: new.reason,
            uid: layout.account().uid,
            lowers: new.lowers,
            tools: new.tools,
            parent,
            bytes: 0,
            entries: 0,
            created_at: state::now_ms(),
            structure: String::new(),
            digest: String::new(),
        };
        let draft =
            Self { layout, path, meta, bytes_max: new.bytes_max, index: None, is_published: false, _lock };
        layout.make_owned(&draft.files(), 0o755)?;
        Ok(draft)
    }

    /// Where its files go.
    pub(crate) fn files(&self) -> PathBuf {
        self.path.join("fs")
    }

    /// Fills it with what a sandbox has written, sharing what is untouched with an earlier snapshot of the same. The sandbox
    /// stands still for this and nothing more.
    pub(crate) fn copy_upper(
        &mut self,
        upper: &Path,
        earlier: Option<Earlier>,
        index: Index,
    ) -> io::Result<()> {
        let mut copier = Copier::new(self.layout.owner(), Content::Copy, self.bytes_max);
        copier.copy_again(upper, &self.files(), earlier, index)?;
        self.filled(copier.contents.bytes, copier.entries);
        self.index = copier.index;
        Ok(())
    }

    /// Fills it with what layers show together, the newest first. Files get a second name, because nobody writes to layers.
    pub(crate) fn join(&mut self, layers: &[PathBuf]) -> io::Result<()> {
        let mut copier = Copier::new(self.layout.owner(), Content::Link, self.bytes_max);
        copier.copy_merged(layers, &self.files())?;
        self.filled(copier.contents.bytes, copier.entries);
        Ok(())
    }

    /// Says what it was filled with.
    pub(crate) fn filled(&mut self, bytes: u64, entries: u64) {
        (self.meta.bytes, self.meta.entries) = (bytes, entries);
    }

    /// Describes it and brings all of it to the disk.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.meta.structure = structure::digest(&self.files())?;
        self.meta.digest = self.meta.compute_digest()?;
        let mut file = File::create_new(self.path.join(META))?;
        file.write_all(&serde_json::to_vec(&self.meta)?)?;
        if let Some(index) = &self.index {
            index.write(&self.path)?;
        }
        self.layout.sync()
    }

    /// Makes it a layer. Nobody may sweep meanwhile.
    pub(crate) fn publish(mut self) -> io::Result<LayerMeta> {
        let name = self.meta.name.clone();
        let id = name.strip_suffix(FLAT).unwrap_or(&name);
        if self.layout.is_used_up(id) {
            return Err(io::Error::other("it was deleted meanwhile"));
        }
        if self.meta.lowers.iter().any(|lower| !self.layout.layer(lower).join("fs").is_dir()) {
            return Err(io::Error::other("what it stands on was deleted meanwhile"));
        }
        let layers = File::open(self.layout.layers())?;
        let place = self.layout.layer(&name);
        fs::rename(&self.path, &place)?;
        self.is_published = true;
        if let Err(error) = layers.sync_all() {
            // Perhaps not there after a power failure: then it must not be used before either.
            let _ = self.layout.discard(&place);
            return Err(error);
        }
        Ok(self.meta.clone())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = self.layout.discard(&self.path)
        {
            tracing::warn!(layer = self.meta.name, %error, "could not remove a draft; the next start does");
        }
    }
}

fn lock(draft: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(draft)?, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        io::Error::new(io::Error::from(error).kind(), "another process is making the same snapshot")
    })
}

#[cfg(test)]
mod tests;
