//! What the agent leaves for people: files in a folder of the workspace that is never committed. A turn brings those that it made or
//! changed.
//!
//! The folder is the agent's own, so nothing in it is followed: no links, no folders, no devices. Called by `turn`; the agents tell of it.

use crate::log;
use crate::output::MadeFile;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use protocol::limit::FILE_BYTES_MAX;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

/// The folder, in the workspace.
pub(crate) const FOLDER: &str = ".farhand/artifacts";
/// What an agent is told of it.
pub(crate) const GUIDE: &str = "# Files for people

What you put into the folder `.farhand/artifacts/` of the repository is shown to people beside the conversation when your turn ends, and \
is never committed: screenshots, reports, logs, whatever they should see and what belongs into no commit. Give each file a telling name; \
one of the same name replaces the older. At most 20 files in a turn, at most 1 MiB each; folders inside it are not looked at.
";
/// Files that are looked at.
const ENTRIES_MAX: usize = 1000;

/// The files of the folder by name, with what changes when they do.
pub(crate) type Listing = BTreeMap<String, (SystemTime, u64)>;

/// What is there.
pub(crate) fn list(workspace: &Path) -> Listing {
    let mut folder = workspace.to_owned();
    for part in FOLDER.split('/') {
        folder.push(part);
        if !folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Listing::new();
        }
    }
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let file = |entry: std::fs::DirEntry| {
        let (name, metadata) = (entry.file_name().into_string().ok()?, entry.metadata().ok()?);
        (metadata.is_file() && !name.starts_with('.'))
            .then(|| Some((name, (metadata.modified().ok()?, metadata.len()))))?
    };
    entries.filter_map(file).collect()
}

/// What is there and was not, or not like this.
pub(crate) fn collect(workspace: &Path, before: &Listing) -> Vec<MadeFile> {
    let folder = workspace.join(FOLDER);
    let changed = list(workspace).into_iter().filter(|(name, facts)| before.get(name) != Some(facts));
    let read = |(name, _): (String, _)| match read(&folder.join(&name)) {
        Ok(content) => Some(MadeFile { name, data: BASE64_STANDARD.encode(content) }),
        Err(error) => {
            log::warn(format!("a file for people cannot be read: {error}"));
            None
        }
    };
    changed.filter_map(read).collect()
}

/// Up to one byte more than is taken, so that too much is seen as too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file: File = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(files: &[MadeFile]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn what_is_new_or_changed_is_collected() {
        let workspace = tempfile::tempdir().unwrap();
        let folder = workspace.path().join(FOLDER);
        assert_eq!(collect(workspace.path(), &Listing::new()), []);
        std::fs::create_dir_all(folder.join("inside")).unwrap();
        for (name, content) in
            [("kept.md", "one"), ("changed.md", "one"), (".hidden", "x"), ("inside/a", "x")]
        {
            std::fs::write(folder.join(name), content).unwrap();
        }
        let before = list(workspace.path());
        assert_eq!(before.keys().collect::<Vec<_>>(), ["changed.md", "kept.md"]);
        std::fs::write(folder.join("changed.md"), "other").unwrap();
        std::fs::write(folder.join("new.md"), "new").unwrap();
        let files = collect(workspace.path(), &before);
        assert_eq!(names(&files), ["changed.md", "new.md"]);
        assert_eq!(files[1].data, "bmV3");
    }

    #[test]
    fn links_are_not_followed() {
        let workspace = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("secret"), "secret").unwrap();
        let folder = workspace.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        symlink(elsewhere.path().join("secret"), folder.join("link")).unwrap();
        assert_eq!(collect(workspace.path(), &Listing::new()), []);
        assert!(read(&folder.join("link")).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
        symlink(elsewhere.path(), &folder).unwrap();
        assert_eq!(collect(workspace.path(), &Listing::new()), []);
    }

    #[test]
    fn too_much_is_not_read_to_its_end() {
        let workspace = tempfile::tempdir().unwrap();
        let folder = workspace.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        File::create(folder.join("huge")).unwrap().set_len(1 << 40).unwrap();
        let [huge] = collect(workspace.path(), &Listing::new()).try_into().unwrap();
        assert_eq!(huge.bytes(), FILE_BYTES_MAX + 1);
    }
}
