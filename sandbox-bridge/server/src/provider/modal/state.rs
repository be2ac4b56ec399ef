//! What the provider keeps on this machine: the name of this replica, and the sandboxes that it looks after, so that the next start
//! can say of those that ended meanwhile.
//!
//! Every file is whole or not there. Losing all of it loses no sandbox: what replicas have to agree on is in `facts`.

use crate::provider::{SandboxOrder, SandboxRecord};
use protocol::id::SandboxId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const SANDBOXES: &str = "sandboxes";
const FOLDERS: &str = "folders";

/// A sandbox that this replica looks after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredSandbox {
    pub(super) sandbox_id: SandboxId,
    pub(super) order: SandboxOrder,
    /// At Modal.
    pub(super) modal_id: String,
}

impl StoredSandbox {
    /// Without whom it was given to.
    pub(super) fn record(&self) -> SandboxRecord {
        SandboxRecord::new(self.sandbox_id.clone(), self.order.clone())
    }
}

/// The folder with all of it.
pub(super) struct State {
    root: PathBuf,
    /// Tells this replica from the others of the app.
    pub(super) replica: String,
}

impl State {
    /// Opens the folder, made where it is missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        for name in [SANDBOXES, FOLDERS] {
            fs::create_dir_all(root.join(name))?;
        }
        let path = root.join("replica");
        let replica = match fs::read_to_string(&path) {
            Ok(text) if super::names::is_name(&text) => text,
            Ok(_) | Err(_) => {
                let fresh = super::names::new_uuid();
                write(&path, fresh.as_bytes())?;
                fresh
            }
        };
        Ok(Self { root: root.to_owned(), replica })
    }

    pub(super) fn sandboxes(&self) -> io::Result<Vec<StoredSandbox>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.root.join(SANDBOXES))? {
            if let Some(sandbox) = read(&entry?.path())? {
                all.push(sandbox);
            }
        }
        Ok(all)
    }

    pub(super) fn keep_sandbox(&self, sandbox: &StoredSandbox) -> io::Result<()> {
        write(&self.path(SANDBOXES, sandbox.sandbox_id.as_str()), &serde_json::to_vec(sandbox)?)?;
        fs::create_dir_all(self.folder(&sandbox.sandbox_id))
    }

    pub(super) fn forget_sandbox(&self, id: &SandboxId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        remove(&self.path(SANDBOXES, id.as_str()))
    }

    /// A folder that is there as long as this replica looks after the sandbox.
    pub(super) fn folder(&self, id: &SandboxId) -> PathBuf {
        self.path(FOLDERS, id.as_str())
    }

    /// Ids are safe as file names.
    fn path(&self, folder: &str, id: &str) -> PathBuf {
        self.root.join(folder).join(id)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') {
        // A file that was never finished.
        return Ok(None);
    }
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display()))
    })
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_keeps_its_name_and_two_folders_are_two_replicas() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = State::open(one.path()).unwrap();
        assert_eq!(State::open(one.path()).unwrap().replica, state.replica);
        assert_ne!(State::open(other.path()).unwrap().replica, state.replica);
    }

    #[test]
    fn what_is_half_written_is_not_seen_and_what_is_damaged_is_said() {
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path()).unwrap();
        fs::write(folder.path().join("sandboxes/.new-x"), "{").unwrap();
        let next = State::open(folder.path()).unwrap();
        assert!(next.sandboxes().unwrap().is_empty());
        fs::write(folder.path().join("sandboxes/sbx_1"), "{").unwrap();
        assert!(next.sandboxes().unwrap_err().to_string().contains("sbx_1 is damaged"));
    }
}
