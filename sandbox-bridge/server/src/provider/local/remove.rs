//! Deletes trees that a sandbox made: whatever their modes and depth, and never through a symbolic link.

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Directories below this depth are first moved up, so that neither stack nor descriptors run out.
const DEPTH_MAX: u32 = 64;

/// Deletes everything in a directory, but not the directory.
pub(crate) fn remove_contents(directory: &Path) -> io::Result<()> {
    let top = open_top(directory)?;
    let mut sweep = Sweep { top: top.as_fd(), moved: 0 };
    // What is moved up while sweeping is met in the next round.
    loop {
        let before = sweep.moved;
        sweep.empty(top.as_fd(), 0)?;
        if sweep.moved == before {
            return Ok(());
        }
    }
}

fn open_top(directory: &Path) -> nix::Result<OwnedFd> {
    nix::fcntl::open(
        directory,
        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}

/// The entries of a directory, without `.` and `..`; more than `max` are refused.
pub(crate) fn entries(directory: BorrowedFd<'_>, max: u64) -> nix::Result<Vec<(CString, Option<Type>)>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = Dir::from_fd(openat(directory, c".", flags, Mode::empty())?)?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            if names.len() as u64 >= max {
                return Err(Errno::E2BIG);
            }
            names.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

struct Sweep<'a> {
    top: BorrowedFd<'a>,
    moved: u64,
}

impl Sweep<'_> {
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: u32) -> io::Result<()> {
        for (name, kind) in entries(directory, u64::MAX)? {
            match kind {
                Some(Type::Directory) => self.remove_directory(directory, &name, depth)?,
                Some(_) => unless_gone(unlinkat(directory, name.as_c_str(), UnlinkatFlags::NoRemoveDir))?,
                None => match unlinkat(directory, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                    Err(Errno::EISDIR | Errno::EPERM) => self.remove_directory(directory, &name, depth)?,
                    other => other?,
                },
            }
        }
        Ok(())
    }

    fn remove_directory(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: u32) -> io::Result<()> {
        // The overlay's work directory has mode 000, and a sandbox may leave the like.
        let _ = fchmodat(parent, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)
            .or_else(|_| fchmodat(parent, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink));
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // Another process may be emptying the same trash.
        let directory = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        if depth >= DEPTH_MAX {
            self.move_directories_up(directory.as_fd())?;
        }
        self.empty(directory.as_fd(), depth + 1)?;
        drop(directory);
        Ok(unless_gone(unlinkat(parent, name, UnlinkatFlags::RemoveDir))?)
    }

    fn move_directories_up(&mut self, directory: BorrowedFd<'_>) -> io::Result<()> {
        for (name, kind) in entries(directory, u64::MAX)? {
            if kind == Some(Type::Directory) {
                self.moved += 1;
                let place = CString::new(format!(".deep-{}-{}", std::process::id(), self.moved))?;
                let _ = fchmodat(directory, name.as_c_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink);
                renameat(directory, name.as_c_str(), self.top, place.as_c_str())?;
            }
        }
        Ok(())
    }
}

fn unless_gone(removed: nix::Result<()>) -> nix::Result<()> {
    if removed == Err(Errno::ENOENT) { Ok(()) } else { removed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn closed_and_linked_directories_go_and_the_link_target_stays() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("keep"), "x").unwrap();
        let trash = place.path().join("trash");
        fs::create_dir_all(trash.join("work/work")).unwrap();
        fs::write(trash.join("work/file"), "x").unwrap();
        fs::set_permissions(trash.join("work/work"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(trash.join("work"), fs::Permissions::from_mode(0o000)).unwrap();
        std::os::unix::fs::symlink(&outside, trash.join("link")).unwrap();
        remove_contents(&trash).unwrap();
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
        assert!(outside.join("keep").exists());
    }

    #[test]
    fn a_tree_deeper_than_descriptors_and_stack_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let trash = place.path().join("trash");
        fs::create_dir(&trash).unwrap();
        let mut directory = open_top(&trash).unwrap();
        for _ in 0..5_000 {
            nix::sys::stat::mkdirat(&directory, c"d", Mode::S_IRWXU).unwrap();
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            directory = openat(&directory, c"d", flags, Mode::empty()).unwrap();
        }
        drop(directory);
        remove_contents(&trash).unwrap();
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
    }
}
