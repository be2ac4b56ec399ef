//! A cheap digest of what a layer consists of, so that one that lost or got files is noticed before a sandbox stands on it.
//!
//! Covers the first [`ENTRIES`] entries, breadth first and by name: path, kind, size of files, target of links. That is all of a
//! usual snapshot, and the upper levels of a large one. It covers neither content nor modes: reading the content would cost what
//! layers are there to save, and a copy opens closed files for a moment.

use super::merge::{self, Entry, Kind, Marks};
use nix::errno::Errno;
use nix::fcntl::readlinkat;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is looked at; reading as many takes a millisecond.
const ENTRIES: usize = 512;
/// Directories that are held open for those still to come.
const WAITING_MAX: usize = 64;

/// The digest of the tree below this directory.
pub(crate) fn digest(top: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut left = ENTRIES;
    let mut waiting = VecDeque::from([(merge::open_top(top)?, 0)]);
    while let Some((directory, depth)) = waiting.pop_front() {
        let stack = [directory];
        for entry in merge::list(&stack, Marks::Keep, u64::MAX)? {
            let Some(rest) = left.checked_sub(1) else { return Ok(hex(&hash.finalize())) };
            left = rest;
            record(&mut hash, &stack, &entry)?;
            if entry.kind() == Kind::Directory && waiting.len() < WAITING_MAX {
                let opened = merge::open_directory(&stack, &entry, Marks::Keep, depth)?;
                waiting.extend(opened.into_iter().map(|directory| (directory, depth + 1)));
            }
        }
        // Says where a directory ends, so that no two trees are one text.
        hash.update([0]);
    }
    Ok(hex(&hash.finalize()))
}

fn record(hash: &mut Sha256, stack: &[OwnedFd], entry: &Entry) -> io::Result<()> {
    let kind = match entry.kind() {
        Kind::Directory => 1u8,
        Kind::File => 2,
        Kind::Link => 3,
        Kind::Fifo => 4,
        Kind::Removed => 5,
        Kind::Other => 6,
    };
    hash.update([kind]);
    hash.update(entry.name.as_bytes_with_nul());
    if entry.kind() == Kind::File {
        hash.update(entry.data.st_size.to_le_bytes());
    } else if entry.kind() == Kind::Link {
        let directory = stack.first().ok_or(Errno::ENOENT)?;
        let target = readlinkat(directory, entry.name.as_c_str())?;
        hash.update(target.as_bytes());
        hash.update([0]);
    }
    Ok(())
}

/// As text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_lost_added_renamed_or_cut_entry_changes_the_digest() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path();
        let changes: &[(&str, &dyn Fn())] = &[
            ("a file is added", &|| fs::write(top.join("a"), "abc").unwrap()),
            ("it is cut", &|| fs::write(top.join("a"), "ab").unwrap()),
            ("it is renamed", &|| fs::rename(top.join("a"), top.join("b")).unwrap()),
            ("a directory is added", &|| fs::create_dir_all(top.join("d/e")).unwrap()),
            ("something deep is added", &|| fs::write(top.join("d/e/f"), "").unwrap()),
            ("it moves up", &|| fs::rename(top.join("d/e/f"), top.join("d/f")).unwrap()),
            ("a link is added", &|| std::os::unix::fs::symlink("b", top.join("l")).unwrap()),
            ("it leads elsewhere", &|| {
                fs::remove_file(top.join("l")).unwrap();
                std::os::unix::fs::symlink("c", top.join("l")).unwrap();
            }),
            ("a file goes", &|| fs::remove_file(top.join("b")).unwrap()),
        ];
        let mut before = digest(top).unwrap();
        for (what, change) in changes {
            change();
            let after = digest(top).unwrap();
            assert_ne!(before, after, "{what}");
            assert_eq!(after, digest(top).unwrap(), "{what}");
            before = after;
        }
    }

    #[test]
    fn a_large_tree_costs_no_more_than_its_first_entries() {
        let place = tempfile::tempdir().unwrap();
        for directory in 0..30 {
            let path = place.path().join(format!("{directory:02}"));
            fs::create_dir(&path).unwrap();
            for file in 0..30 {
                fs::write(path.join(format!("{file:02}")), "").unwrap();
            }
        }
        let before = digest(place.path()).unwrap();
        fs::write(place.path().join("29/late"), "").unwrap();
        assert_eq!(digest(place.path()).unwrap(), before);
        fs::remove_file(place.path().join("00/29")).unwrap();
        assert_ne!(digest(place.path()).unwrap(), before);
    }
}
