//! Copies trees that a sandbox made: the upper directory of an overlay into a layer, or what layers show together into one.
//!
//! Nothing is ever reached by a path that a link could bend: every step opens the next entry of an open directory without
//! following links, and hard links are made below the target's top (`openat2`, `RESOLVE_BENEATH`). A tree that lies about itself
//! can only spoil its own copy.

use super::content::{Contents, allocated};
use super::earlier::{Earlier, Index};
use super::merge::{self, Entry, Kind, Marks};
use crate::launcher::Account;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, linkat, symlinkat};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const ENTRIES_MAX: u64 = 2_000_000;
/// Names of files with several that are remembered at a time; beyond, a further name becomes a file of its own.
const LINKS_MAX: usize = 500_000;
/// The overlay's own marks mean something only in the place where it made them.
const OVERLAY: &[u8] = b"user.overlay.";
const OVERLAY_ESCAPED: &[u8] = b"user.overlay.overlay.";

/// How the content of files gets across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// By value; shared blocks where the file system can.
    Copy,
    /// By a second name. Only for trees that nobody will ever write to.
    Link,
}

/// One copy, and what it has cost so far.
pub(crate) struct Copier {
    /// Whom everything belongs to afterwards; `None` leaves it to this process.
    owner: Option<Account>,
    content: Content,
    marks: Marks,
    /// The same tree as it was saved before.
    earlier: Option<Earlier>,
    /// For the next time.
    pub(crate) index: Option<Index>,
    pub(crate) contents: Contents,
    /// Entries so far.
    pub(crate) entries: u64,
    /// Where files with several names have got their first one, and how many are to come.
    linked: HashMap<(u64, u64), (PathBuf, u64)>,
    /// Of the directory at hand, from the top.
    path: PathBuf,
}

impl Copier {
    pub(crate) fn new(owner: Option<Account>, content: Content, bytes_max: u64) -> Self {
        Self {
            owner,
            content,
            marks: Marks::Keep,
            earlier: None,
            index: None,
            contents: Contents::new(bytes_max),
            entries: 0,
            linked: HashMap::new(),
            path: PathBuf::new(),
        }
    }

    /// Copies one layer, its marks for removed entries included, into the existing directory `to`.
    pub(crate) fn copy_layer(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.copy(&[from], to, Marks::Keep)
    }

    /// The same, sharing untouched files with an earlier copy, and noting what the next one can share with this.
    pub(crate) fn copy_again(
        &mut self,
        from: &Path,
        to: &Path,
        earlier: Option<Earlier>,
        index: Index,
    ) -> io::Result<()> {
        (self.earlier, self.index) = (earlier, Some(index));
        self.copy_layer(from, to)
    }

    /// Copies what the layers show together, the newest first, into the existing and empty directory `to`.
    pub(crate) fn copy_merged<P: AsRef<Path>>(&mut self, layers: &[P], to: &Path) -> io::Result<()> {
        self.copy(layers, to, Marks::Apply)
    }

    fn copy<P: AsRef<Path>>(&mut self, from: &[P], to: &Path, marks: Marks) -> io::Result<()> {
        self.marks = marks;
        let (stack, top) = (merge::open_tops(from)?, merge::open_top(to)?);
        let earlier = self.earlier.as_ref().map(|earlier| earlier.top().try_clone_to_owned()).transpose()?;
        let earlier = earlier.as_ref().map(OwnedFd::as_fd);
        self.directory_content(&stack, Target { top: top.as_fd(), directory: top.as_fd(), earlier }, 0)
    }

    fn directory_content(&mut self, stack: &[OwnedFd], to: Target<'_>, depth: usize) -> io::Result<()> {
        for entry in merge::list(stack, self.marks, ENTRIES_MAX - self.entries)? {
            self.entries += 1;
            if self.entries >= ENTRIES_MAX {
                return Err(io::Error::other(format!("there are more than {ENTRIES_MAX} files")));
            }
            self.entry(stack, to, &entry, depth).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", entry.name.to_string_lossy()))
            })?;
        }
        Ok(())
    }

    fn entry(&mut self, stack: &[OwnedFd], to: Target<'_>, entry: &Entry, depth: usize) -> io::Result<()> {
        let (name, data) = (entry.name.as_c_str(), &entry.data);
        let from = stack.get(entry.place).map(OwnedFd::as_fd).ok_or(Errno::ENOENT)?;
        match entry.kind() {
            Kind::Directory => return self.directory(stack, to, entry, depth),
            Kind::File => return self.file(from, to, entry),
            Kind::Link => symlinkat(readlinkat(from, name)?.as_os_str(), to.directory, name)?,
            Kind::Fifo => {
                mknodat(
                    to.directory,
                    name,
                    SFlag::S_IFIFO,
                    Mode::from_bits_truncate(data.st_mode & 0o777),
                    0,
                )?;
            }
            // Sockets are worth nothing without their process, and other devices cannot come out of a sandbox; but they hide
            // what is below. Making this one device needs no privilege.
            Kind::Removed | Kind::Other if self.marks == Marks::Keep => {
                mknodat(to.directory, name, SFlag::S_IFCHR, Mode::empty(), 0)?;
            }
            Kind::Removed | Kind::Other => return Ok(()),
        }
        if let Some(account) = self.owner {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            fchownat(to.directory, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        let (accessed, modified) = times(data);
        Ok(utimensat(to.directory, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?)
    }

    fn directory(
        &mut self,
        stack: &[OwnedFd],
        to: Target<'_>,
        entry: &Entry,
        depth: usize,
    ) -> io::Result<()> {
        let name = entry.name.as_c_str();
        let source = merge::open_directory(stack, entry, self.marks, depth)?;
        mkdirat(to.directory, name, Mode::S_IRWXU)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(to.directory, name, flags, Mode::empty())?;
        self.path.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let earlier = to.earlier.and_then(|earlier| openat(earlier, name, flags, Mode::empty()).ok());
        let below =
            Target { top: to.top, directory: target.as_fd(), earlier: earlier.as_ref().map(OwnedFd::as_fd) };
        self.directory_content(&source, below, depth + 1)?;
        self.path.pop();
        let topmost = source.first().map(OwnedFd::as_fd).ok_or(Errno::ENOENT)?;
        self.finish(topmost, target.as_fd(), &entry.data, 0o3777)
    }

    fn file(&mut self, from: BorrowedFd<'_>, to: Target<'_>, entry: &Entry) -> io::Result<()> {
        let (name, data) = (entry.name.as_c_str(), &entry.data);
        if self.content == Content::Link {
            match linkat(from, name, to.directory, name, AtFlags::empty()) {
                Ok(()) => {
                    return self.contents.count(allocated(data));
                }
                // Too many names already, or not allowed to give it another.
                Err(Errno::EMLINK | Errno::EPERM | Errno::EXDEV) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.share(to, entry)? || (data.st_nlink > 1 && self.link_to_first(to, entry)) {
            return Ok(());
        }
        let source = merge::open_whatever_the_mode(from, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, data)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(to.directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let (source, target) = (File::from(source), File::from(target));
        self.contents.copy(&source, &target, data)?;
        // Without the bits that give somebody else's rights: nothing in a sandbox may use them.
        self.finish(source.as_fd(), target.as_fd(), data, 0o777)?;
        if let Some(index) = &mut self.index {
            index.record(data, fstat(&target)?.st_ino);
        }
        Ok(())
    }

    /// Gives the copy that the snapshot before has of an untouched file another name.
    fn share(&mut self, to: Target<'_>, entry: &Entry) -> io::Result<bool> {
        let (Some(earlier), Some(directory)) = (&self.earlier, to.earlier) else { return Ok(false) };
        let (name, data) = (entry.name.as_c_str(), &entry.data);
        let is_shared = earlier.has(directory, name, data)
            && linkat(directory, name, to.directory, name, AtFlags::empty()).is_ok();
        if is_shared {
            self.contents.count_shared(allocated(data))?;
            if let Some(index) = &mut self.index {
                index.record(data, fstatat(to.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_ino);
            }
        }
        Ok(is_shared)
    }

    /// Gives the copy of a file that has come before another name. Remembers the file when this is its first.
    fn link_to_first(&mut self, to: Target<'_>, entry: &Entry) -> bool {
        let key = (entry.data.st_dev, entry.data.st_ino);
        let Some((first, left)) = self.linked.get_mut(&key) else {
            if self.linked.len() < LINKS_MAX {
                let name = std::ffi::OsStr::from_bytes(entry.name.to_bytes());
                self.linked.insert(key, (self.path.join(name), entry.data.st_nlink - 1));
            }
            return false;
        };
        let linked = link_beneath(to, first, entry.name.as_c_str()).is_ok();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.linked.remove(&key);
        }
        linked
    }

    fn finish(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, data: &FileStat, mode: u32) -> io::Result<()> {
        for name in merge::xattr_names(from)? {
            let is_wanted = match name.to_bytes() {
                _ if name.as_c_str() == merge::OPAQUE => self.marks == Marks::Keep,
                own => is_kept(own),
            };
            if is_wanted && let Some(value) = merge::xattr(from, &name)? {
                merge::set_xattr(to, &name, &value)?;
            }
        }
        if let Some(account) = self.owner {
            fchown(to, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
        }
        fchmod(to, Mode::from_bits_truncate(data.st_mode & mode))?;
        let (accessed, modified) = times(data);
        Ok(futimens(to, &accessed, &modified)?)
    }
}

/// Where a copy goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    top: BorrowedFd<'a>,
    directory: BorrowedFd<'a>,
    /// The same directory of an earlier copy.
    earlier: Option<BorrowedFd<'a>>,
}

/// Whether an attribute is the files' own: set by a program, not by the overlay.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") && (!name.starts_with(OVERLAY) || name.starts_with(OVERLAY_ESCAPED))
}

fn times(data: &FileStat) -> (TimeSpec, TimeSpec) {
    (TimeSpec::new(data.st_atime, data.st_atime_nsec), TimeSpec::new(data.st_mtime, data.st_mtime_nsec))
}

/// Opens a directory by its path below `top`: no link on the way, no other file system, no way up.
pub(crate) fn open_beneath(top: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    openat2(top, path, how)
}

fn link_beneath(to: Target<'_>, first: &Path, name: &CStr) -> io::Result<()> {
    let parent = open_beneath(to.top, first.parent().unwrap_or(Path::new("")))?;
    let first = CString::new(first.file_name().unwrap_or_default().as_bytes())?;
    Ok(linkat(&parent, first.as_c_str(), to.directory, name, AtFlags::empty())?)
}

#[cfg(test)]
mod tests;
