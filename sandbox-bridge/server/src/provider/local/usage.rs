//! How much disk a tree takes that a sandbox may change meanwhile, and that was made to be hard to read.
//!
//! Never follows a symbolic link and never leaves the tree, holds two descriptors at most however deep it is, and sees through
//! directories that are closed to their own account. Blocks. Called by `disk`.

use super::remove::entries;
use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs::{Permissions, set_permissions};
use std::io;
use std::ops::AddAssign;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Unit of `st_blocks`, whatever the file system's own; see inode(7).
const BLOCK_BYTES: u64 = 512;
const OPEN: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Room taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// On disk, not what files say about their length.
    pub(crate) bytes: u64,
    /// Files, directories and everything else that has an inode.
    pub(crate) files: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.files += other.files;
    }
}

impl Usage {
    pub(crate) fn of(data: &FileStat) -> Self {
        Self { bytes: u64::try_from(data.st_blocks).unwrap_or(0) * BLOCK_BYTES, files: 1 }
    }
}

/// A directory on the way down: which one it is, and what in it has not been looked at.
struct Level {
    identity: (u64, u64),
    left: Vec<CString>,
}

fn identity(data: &FileStat) -> (u64, u64) {
    (data.st_dev, data.st_ino)
}

/// Everything below `top`, each file once; no more than a few over `files_max` are looked for. Fails when the tree was rearranged
/// meanwhile.
pub(crate) fn measure(top: &Path, files_max: u64) -> io::Result<Usage> {
    let mut usage = Usage::default();
    let mut linked = HashSet::new();
    let mut current = open(top, OPEN, Mode::empty())?;
    let mut levels = vec![look(&current, files_max, &mut usage, &mut linked)?];
    while let Some(level) = levels.last_mut() {
        if usage.files > files_max {
            return Ok(usage);
        }
        let Some(name) = level.left.pop() else {
            levels.pop();
            if let Some(above) = levels.last() {
                current = back_to(&current, above)?;
            }
            continue;
        };
        match open_closed(current.as_fd(), &name) {
            Ok(directory) => {
                current = directory;
                levels.push(look(&current, files_max, &mut usage, &mut linked)?);
            }
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(usage)
}

/// Up again; a directory that was moved meanwhile leads somewhere else.
fn back_to(current: &OwnedFd, above: &Level) -> io::Result<OwnedFd> {
    let parent = openat(current, c"..", OPEN, Mode::empty())?;
    if identity(&fstat(&parent)?) == above.identity {
        return Ok(parent);
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "the files were rearranged while they were counted"))
}

/// Counts what is in a directory; what is below it is left for later.
fn look(
    directory: &OwnedFd,
    files_max: u64,
    usage: &mut Usage,
    linked: &mut HashSet<(u64, u64)>,
) -> io::Result<Level> {
    let own = fstat(directory)?;
    *usage += Usage::of(&own);
    let mut left = Vec::new();
    let names = match entries(directory.as_fd(), files_max) {
        // Not even its names are taken into memory.
        Err(Errno::E2BIG) => {
            usage.files = files_max.saturating_add(1);
            Vec::new()
        }
        other => other?,
    };
    for (name, kind) in names {
        if kind == Some(Type::Directory) {
            left.push(name);
            continue;
        }
        let Ok(data) = fstatat(directory, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
        if SFlag::from_bits_truncate(data.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
            left.push(name);
        } else if data.st_nlink < 2 || linked.insert(identity(&data)) {
            *usage += Usage::of(&data);
        }
    }
    Ok(Level { identity: identity(&own), left })
}

/// Opens a directory even when its mode keeps its own account out; the mode is put back at once.
fn open_closed(parent: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    match openat(parent, name, OPEN, Mode::empty()) {
        Err(Errno::EACCES) => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let place = openat(parent, name, flags, Mode::empty())?;
            let mode = fstat(&place)?.st_mode & 0o7777;
            // By the descriptor: the name may belong to something else by then.
            let path = format!("/proc/self/fd/{}", place.as_raw_fd());
            let set = |mode| {
                set_permissions(&path, Permissions::from_mode(mode))
                    .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            };
            set(mode | 0o700)?;
            let opened = openat(&place, c".", OPEN & !OFlag::O_NOFOLLOW, Mode::empty());
            set(mode)?;
            opened
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_file_counts_once_and_links_lead_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
        fs::create_dir_all(place.path().join("a/b")).unwrap();
        fs::write(place.path().join("a/file"), vec![1; 64 * 1024]).unwrap();
        fs::hard_link(place.path().join("a/file"), place.path().join("a/b/again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), place.path().join("out")).unwrap();
        let sparse = fs::File::create(place.path().join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        let usage = measure(place.path(), u64::MAX).unwrap();
        // The top, two directories, the file, the link, the sparse file.
        assert_eq!(usage.files, 6);
        assert!((64 * 1024..512 * 1024).contains(&usage.bytes), "{usage:?}");
    }

    #[test]
    fn what_is_closed_to_its_own_account_is_counted_and_stays_closed() {
        let place = tempfile::tempdir().unwrap();
        let closed = place.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), vec![1; 64 * 1024]).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        let usage = measure(place.path(), u64::MAX).unwrap();
        assert_eq!(usage.files, 3);
        assert!(usage.bytes >= 64 * 1024);
        assert_eq!(fs::metadata(&closed).unwrap().permissions().mode() & 0o7777, 0);
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn counting_ends_where_the_number_is_known_to_be_too_large() {
        let place = tempfile::tempdir().unwrap();
        for folder in 0..10 {
            fs::create_dir(place.path().join(folder.to_string())).unwrap();
            fs::write(place.path().join(format!("{folder}/file")), "x").unwrap();
        }
        assert_eq!(measure(place.path(), 21).unwrap().files, 21);
        assert!((13..=14).contains(&measure(place.path(), 12).unwrap().files));
        assert_eq!(measure(place.path(), 5).unwrap().files, 6);
    }

    #[test]
    fn depth_costs_no_descriptors() {
        let place = tempfile::tempdir().unwrap();
        let mut directory = open(place.path(), OPEN, Mode::empty()).unwrap();
        for _ in 0..3_000 {
            nix::sys::stat::mkdirat(&directory, c"d", Mode::S_IRWXU).unwrap();
            directory = openat(&directory, c"d", OPEN, Mode::empty()).unwrap();
        }
        assert_eq!(measure(place.path(), u64::MAX).unwrap().files, 3_001);
        drop(directory);
        super::super::remove::remove_contents(place.path()).unwrap();
    }
}
