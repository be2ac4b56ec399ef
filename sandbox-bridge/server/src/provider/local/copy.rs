//! Copies trees that a sandbox made: the upper directory of an overlay into a layer, or layers onto each other.
//!
//! Nothing is ever reached by a path: every step opens the next entry of an open directory without following links, so a tree
//! that lies about itself can only spoil its own copy.

use super::remove::{entries, remove_entry};
use crate::launcher::Account;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, copy_file_range, openat, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, Whence, fchown, fchownat, linkat, lseek, symlinkat};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Deeper trees are refused; builds stay far below.
const DEPTH_MAX: u32 = 512;
const ENTRIES_MAX: u64 = 4_000_000;
/// The overlay's own marks on a file other than this one mean something only in the place where it made them.
const OPAQUE: &[u8] = b"user.overlay.opaque";
const OVERLAY: &[u8] = b"user.overlay.";
const OVERLAY_ESCAPED: &[u8] = b"user.overlay.overlay.";

/// What to do with the overlay's marks for removed entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Copy them: the copy is a layer over the same lower ones.
    Keep,
    /// Carry them out: the target holds what is below.
    Apply,
}

/// How the content of files gets across.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// By value; shared blocks where the file system can.
    Copy,
    /// By a second name. Only for trees that nobody will ever write to.
    Link,
}

/// One copy, and what it has cost so far.
pub(crate) struct Copier {
    /// Whom everything belongs to afterwards; `None` leaves it to this process.
    pub(crate) owner: Option<Account>,
    /// See [`Marks`].
    pub(crate) marks: Marks,
    /// See [`Content`].
    pub(crate) content: Content,
    /// Refuse more than this.
    pub(crate) bytes_max: u64,
    /// Content copied so far.
    pub(crate) bytes: u64,
    /// Entries so far.
    pub(crate) entries: u64,
}

impl Copier {
    pub(crate) fn new(owner: Option<Account>, marks: Marks, content: Content, bytes_max: u64) -> Self {
        Self { owner, marks, content, bytes_max, bytes: 0, entries: 0 }
    }

    /// Copies what is in `from` into the existing directory `to`.
    pub(crate) fn copy_tree(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let source = nix::fcntl::open(from, flags, Mode::empty())?;
        let target = nix::fcntl::open(to, flags, Mode::empty())?;
        self.directory_content(source.as_fd(), target.as_fd(), 0)
    }

    fn directory_content(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::Error::other(format!("directories are nested deeper than {DEPTH_MAX}")));
        }
        for (name, _) in entries(from)? {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(io::Error::other(format!("there are more than {ENTRIES_MAX} files")));
            }
            let data = fstatat(from, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            self.entry(from, to, &name, &data, depth).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", name.to_string_lossy()))
            })?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        data: &FileStat,
        depth: u32,
    ) -> io::Result<()> {
        let kind = SFlag::from_bits_truncate(data.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFDIR {
            return self.directory(from, to, name, data, depth);
        }
        if self.marks == Marks::Apply {
            remove_entry(to, name)?;
        }
        if kind == SFlag::S_IFREG {
            return self.file(from, to, name, data);
        }
        if kind == SFlag::S_IFLNK {
            symlinkat(readlinkat(from, name)?.as_os_str(), to, name)?;
        } else if kind == SFlag::S_IFIFO {
            mknodat(to, name, SFlag::S_IFIFO, Mode::from_bits_truncate(data.st_mode), 0)?;
        } else if kind == SFlag::S_IFCHR && data.st_rdev == 0 && self.marks == Marks::Keep {
            // The mark of a removed entry; making this one device needs no privilege.
            mknodat(to, name, SFlag::S_IFCHR, Mode::empty(), 0)?;
        } else {
            // Sockets are worth nothing without their process, and other devices cannot come out of a sandbox.
            return Ok(());
        }
        if let Some(account) = self.owner {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        let (accessed, modified) = times(data);
        Ok(utimensat(to, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?)
    }

    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        data: &FileStat,
        depth: u32,
    ) -> io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let source = open_whatever_the_mode(from, name, flags, data)?;
        if self.marks == Marks::Apply {
            let below = fstatat(to, name, AtFlags::AT_SYMLINK_NOFOLLOW);
            let is_directory = below.is_ok_and(|below| {
                SFlag::from_bits_truncate(below.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
            });
            if !is_directory || xattr(source.as_fd(), OPAQUE).is_some_and(|value| value == b"y") {
                remove_entry(to, name)?;
            }
        }
        match mkdirat(to, name, Mode::S_IRWXU) {
            Ok(()) => {}
            Err(Errno::EEXIST) if self.marks == Marks::Apply => {}
            Err(error) => return Err(error.into()),
        }
        let target = openat(to, name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        // It may be closed for its owner until it gets the mode of its source.
        fchmod(&target, Mode::S_IRWXU)?;
        self.directory_content(source.as_fd(), target.as_fd(), depth + 1)?;
        self.finish(source.as_fd(), target.as_fd(), data, 0o3777)
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        data: &FileStat,
    ) -> io::Result<()> {
        if self.content == Content::Link {
            return Ok(linkat(from, name, to, name, AtFlags::empty())?);
        }
        let source = open_whatever_the_mode(from, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, data)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = openat(to, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        self.content(source.as_fd(), target.as_fd(), data.st_size)?;
        // Without the bits that give somebody else's rights: nothing in a sandbox may use them.
        self.finish(source.as_fd(), target.as_fd(), data, 0o777)
    }

    /// Only what is written takes time and room; holes stay holes.
    fn content(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: i64) -> io::Result<()> {
        let mut begin = 0;
        while begin < size {
            begin = match lseek(from, begin, Whence::SeekData) {
                Ok(begin) => begin,
                Err(Errno::ENXIO) => break,
                Err(error) => return Err(error.into()),
            };
            let end = lseek(from, begin, Whence::SeekHole)?;
            self.bytes += end.saturating_sub(begin).unsigned_abs();
            if self.bytes > self.bytes_max {
                let mib = self.bytes_max >> 20;
                return Err(io::Error::other(format!("there are more than {mib} MiB of changed files")));
            }
            copy_range(from, to, begin, end)?;
            begin = end;
        }
        nix::unistd::ftruncate(to, size)?;
        Ok(())
    }

    fn finish(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, data: &FileStat, mode: u32) -> io::Result<()> {
        for name in xattr_names(from)? {
            let own = name.to_bytes();
            let of_overlay = own.starts_with(OVERLAY) && !own.starts_with(OVERLAY_ESCAPED);
            let wanted = if own == OPAQUE { self.marks == Marks::Keep } else { !of_overlay };
            if wanted
                && own.starts_with(b"user.")
                && let Some(value) = xattr(from, own)
            {
                set_xattr(to, &name, &value)?;
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

fn times(data: &FileStat) -> (TimeSpec, TimeSpec) {
    (TimeSpec::new(data.st_atime, data.st_atime_nsec), TimeSpec::new(data.st_mtime, data.st_mtime_nsec))
}

fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, begin: i64, end: i64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (begin, begin);
    while read_at < end {
        let length = usize::try_from(end - read_at).unwrap_or(usize::MAX).min(1 << 30);
        match copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length) {
            Ok(0) => break,
            Ok(_) => {}
            Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                return copy_by_hand(from, to, read_at, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(from: BorrowedFd<'_>, to: BorrowedFd<'_>, begin: i64, end: i64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let (from, to) =
        (std::fs::File::from(from.try_clone_to_owned()?), std::fs::File::from(to.try_clone_to_owned()?));
    let (mut at, end) = (begin.unsigned_abs(), end.unsigned_abs());
    let mut buffer = vec![0; 256 * 1024];
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = from.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
        if read == 0 {
            break;
        }
        to.write_all_at(buffer.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
    }
    Ok(())
}

/// Opens an entry that its owner may have closed to itself; its mode is put back at once.
fn open_whatever_the_mode(
    parent: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlag,
    data: &FileStat,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::EACCES) => {
            let handle =
                openat(parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
            let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
            let mode = |bits| std::os::unix::fs::PermissionsExt::from_mode(bits);
            std::fs::set_permissions(&path, mode(data.st_mode & 0o7777 | 0o500))?;
            let opened = openat(parent, name, flags, Mode::empty());
            std::fs::set_permissions(&path, mode(data.st_mode & 0o7777))?;
            opened?
        }
        other => other?,
    };
    // What was looked at is what was opened.
    let now = fstat(&opened)?;
    if (now.st_dev, now.st_ino) != (data.st_dev, data.st_ino) {
        return Err(io::Error::other("it was replaced while it was copied"));
    }
    Ok(opened)
}

fn xattr_names(file: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    // SAFETY: without a buffer the call only answers the length.
    let length = unsafe { libc::flistxattr(file.as_raw_fd(), std::ptr::null_mut(), 0) };
    if length == 0 || (length < 0 && Errno::last() == Errno::EOPNOTSUPP) {
        return Ok(Vec::new());
    }
    let mut names = vec![0u8; usize::try_from(length).map_err(|_| io::Error::last_os_error())?];
    // SAFETY: the buffer has the length that is passed.
    let length = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(usize::try_from(length).map_err(|_| io::Error::last_os_error())?);
    Ok(names
        .split(|byte| *byte == 0)
        .filter_map(|name| CString::new(name).ok())
        .filter(|name| !name.is_empty())
        .collect())
}

fn xattr(file: BorrowedFd<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = CString::new(name).ok()?;
    let mut value = vec![0u8; 64 * 1024];
    // SAFETY: the name ends with NUL and the buffer has the length that is passed.
    let length =
        unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

pub(crate) fn set_xattr(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name ends with NUL and the value has the length that is passed.
    let result =
        unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
