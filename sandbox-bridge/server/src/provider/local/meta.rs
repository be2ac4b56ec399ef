//! What is written beside the files of a layer, and the digest by which it is known to be what was written.

use super::layout::Layout;
use super::structure;
use crate::provider::ImageRecord;
use protocol::id::{RepositoryId, SandboxId, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;

/// In the directory of each layer.
pub(crate) const META: &str = "meta.json";
/// Format of `meta.json`; another number is refused.
pub(crate) const FORMAT: u32 = 2;
/// How sandboxes and snapshots share files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotDriver {
    /// By layers of the kernel's overlay: a snapshot costs what was changed, restoring costs nothing.
    #[default]
    Overlay,
    /// By copies of everything; blocks are shared where the file system can (btrfs, xfs).
    Copy,
}

/// How a layer came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// A sandbox was saved.
    Saved,
    /// A snapshot was joined with all that it stands on.
    Flattened,
    /// From an archive.
    Imported,
}

/// Whose a layer is; nobody else starts from it or deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum LayerOwner {
    /// A snapshot of this session.
    Session { session_id: SessionId },
    /// An image of a repository.
    Repository { image: Box<ImageRecord> },
}

impl LayerOwner {
    pub(crate) fn is_session(&self, id: &SessionId) -> bool {
        matches!(self, Self::Session { session_id } if session_id == id)
    }

    pub(crate) fn is_repository(&self, id: &RepositoryId) -> bool {
        matches!(self, Self::Repository { image } if image.repository == *id)
    }
}

/// `meta.json` of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerMeta {
    pub(crate) format: u32,
    /// Of its directory.
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) owner: LayerOwner,
    pub(crate) sandbox_id: Option<SandboxId>,
    pub(crate) driver: SnapshotDriver,
    pub(crate) reason: Reason,
    /// Whom its files belong to.
    pub(crate) uid: u32,
    /// Names of the layers below, the newest first, down to the base.
    pub(crate) lowers: Vec<String>,
    /// Tools of the machine, by name, that whoever stands on it needs.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) tools: Vec<String>,
    /// Digest of the first of them, which covers those below it; `None` for the base.
    pub(crate) parent: Option<String>,
    /// What it adds on disk.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) created_at: u64,
    /// See [`structure::digest`].
    pub(crate) structure: String,
    /// SHA-256 of this description with an empty digest: through `structure` it covers the files, through `parent` the chain.
    pub(crate) digest: String,
}

impl LayerMeta {
    /// What the digest must be.
    pub(crate) fn compute_digest(&self) -> io::Result<String> {
        let text = serde_json::to_vec(&Self { digest: String::new(), ..self.clone() })?;
        Ok(structure::hex(&Sha256::digest(text)))
    }
}

/// Reads the description of a layer that is there.
pub(crate) fn read_meta(layout: &Layout, name: &str) -> io::Result<LayerMeta> {
    let text = fs::read(layout.layer(name).join(META))?;
    let damaged = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let meta: LayerMeta = match serde_json::from_slice(&text) {
        Ok(meta) => meta,
        Err(error) => {
            #[derive(Deserialize)]
            struct Formatted {
                format: u32,
            }
            let other = serde_json::from_slice::<Formatted>(&text).ok().filter(|it| it.format != FORMAT);
            return Err(other.map_or_else(
                || damaged(format!("its description does not parse: {error}")),
                |it| damaged(format!("it has format {}, and this bridge reads {FORMAT}", it.format)),
            ));
        }
    };
    if meta.format != FORMAT {
        return Err(damaged(format!("it has format {}, and this bridge reads {FORMAT}", meta.format)));
    }
    if meta.name != name || meta.digest != meta.compute_digest()? {
        return Err(damaged("its description does not have the digest that it was saved with".to_owned()));
    }
    Ok(meta)
}
