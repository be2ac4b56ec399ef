//! What layers show together: the directory of each, newest first, as one list without what newer ones removed.
//!
//! Follows the overlay's rules (kernel documentation, "Overlay Filesystem": whiteouts and opaque directories, "merge
//! directories"). Nothing is reached by a path: every step opens the next entry of an open directory without following links.

use super::remove::entries;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Deeper trees are refused; builds stay far below.
pub(crate) const DEPTH_MAX: usize = 200;
/// More directories are not held open for one tree; the bridge needs its descriptors for more than this.
const OPEN_MAX: usize = 600;
/// The overlay's mark on a directory that hides what is below.
pub(crate) const OPAQUE: &CStr = c"user.overlay.opaque";
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY);

/// What becomes of the overlay's marks for removed entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// They are entries like others: one layer as it is.
    Keep,
    /// They are carried out: what a sandbox would see.
    Apply,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link,
    Fifo,
    /// The overlay's mark of a removed entry.
    Removed,
    /// Sockets and devices.
    Other,
}

/// One entry of a merged directory.
pub(crate) struct Entry {
    pub(crate) name: CString,
    /// Of the topmost one.
    pub(crate) data: FileStat,
    /// Which directory of the stack shows it.
    pub(crate) place: usize,
    /// Which lower ones have a directory of this name that shows through.
    below: Vec<usize>,
    is_open_below: bool,
}

impl Entry {
    pub(crate) fn kind(&self) -> Kind {
        kind_of(&self.data)
    }
}

pub(crate) fn kind_of(data: &FileStat) -> Kind {
    let kind = SFlag::from_bits_truncate(data.st_mode) & SFlag::S_IFMT;
    match kind {
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFLNK => Kind::Link,
        SFlag::S_IFIFO => Kind::Fifo,
        SFlag::S_IFCHR if data.st_rdev == 0 => Kind::Removed,
        _ => Kind::Other,
    }
}

/// Opens the top directories of layers, the newest first.
pub(crate) fn open_tops<P: AsRef<Path>>(layers: &[P]) -> io::Result<Vec<OwnedFd>> {
    layers.iter().map(|path| open_top(path.as_ref())).collect()
}

/// Opens a directory of the bridge's own by its path.
pub(crate) fn open_top(path: &Path) -> io::Result<OwnedFd> {
    Ok(nix::fcntl::open(path, DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// What the directories show together, by name.
pub(crate) fn list(stack: &[OwnedFd], marks: Marks, entries_max: u64) -> io::Result<Vec<Entry>> {
    let mut found: BTreeMap<CString, Entry> = BTreeMap::new();
    for (place, directory) in stack.iter().enumerate() {
        for (name, kind) in entries(directory.as_fd(), entries_max)? {
            let stat = |name: &CStr| fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
            match found.entry(name) {
                Place::Vacant(vacant) => {
                    let name = vacant.key().clone();
                    let data = stat(&name)?;
                    let is_open_below = kind_of(&data) == Kind::Directory;
                    vacant.insert(Entry { name, data, place, below: Vec::new(), is_open_below });
                }
                Place::Occupied(mut occupied) if occupied.get().is_open_below => {
                    let is_directory = match kind {
                        Some(kind) => kind == nix::dir::Type::Directory,
                        None => kind_of(&stat(occupied.key())?) == Kind::Directory,
                    };
                    let entry = occupied.get_mut();
                    entry.is_open_below = is_directory;
                    if is_directory {
                        entry.below.push(place);
                    }
                }
                Place::Occupied(_) => {}
            }
        }
    }
    let shown = |entry: &Entry| marks == Marks::Keep || entry.kind() != Kind::Removed;
    Ok(found.into_values().filter(shown).collect())
}

/// Opens a directory of the list, again as a stack. `depth` is the one of the directory that was listed.
pub(crate) fn open_directory(
    stack: &[OwnedFd],
    entry: &Entry,
    marks: Marks,
    depth: usize,
) -> io::Result<Vec<OwnedFd>> {
    if depth >= DEPTH_MAX || (stack.len() > 1 && (depth + 1) * stack.len() > OPEN_MAX) {
        return Err(io::Error::other(format!("directories are nested deeper than {depth}")));
    }
    let name = entry.name.as_c_str();
    let mut opened = Vec::with_capacity(1 + entry.below.len());
    for place in std::iter::once(&entry.place).chain(&entry.below) {
        let Some(parent) = stack.get(*place) else { break };
        let data = if *place == entry.place {
            entry.data
        } else {
            fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?
        };
        let directory = open_whatever_the_mode(parent.as_fd(), name, DIRECTORY, &data)?;
        let is_opaque = marks == Marks::Apply && xattr(directory.as_fd(), OPAQUE)?.is_some_and(|v| v == b"y");
        opened.push(directory);
        if is_opaque {
            break;
        }
    }
    Ok(opened)
}

/// One at a time changes the mode of what it opens, so that none takes another's for the file's own.
static OPENING: Mutex<()> = Mutex::new(());

/// Opens an entry that its owner may have closed to itself; its mode is put back at once.
pub(crate) fn open_whatever_the_mode(
    parent: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlag,
    data: &FileStat,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::EACCES) => {
            let _one = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
            let handle =
                openat(parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
            let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
            let closed = fstat(&handle)?.st_mode & 0o7777;
            let mode = |bits| std::os::unix::fs::PermissionsExt::from_mode(bits);
            std::fs::set_permissions(&path, mode(closed | 0o500))?;
            let opened = openat(parent, name, flags, Mode::empty());
            std::fs::set_permissions(&path, mode(closed))?;
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

/// Names of all attributes of an open file.
pub(crate) fn xattr_names(file: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
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

/// The value of one attribute; `None` when the file does not have it.
pub(crate) fn xattr(file: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    // SAFETY: the name ends with NUL; without a buffer the call only answers the length.
    let length = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), std::ptr::null_mut(), 0) };
    if length < 0 {
        let error = Errno::last();
        let has_none = [Errno::ENODATA, Errno::EOPNOTSUPP].contains(&error);
        return if has_none { Ok(None) } else { Err(error.into()) };
    }
    let mut value = vec![0u8; usize::try_from(length).map_err(io::Error::other)?];
    // SAFETY: the name ends with NUL and the buffer has the length that is passed.
    let length =
        unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).map_err(|_| io::Error::last_os_error())?);
    Ok(Some(value))
}

/// Sets one attribute.
pub(crate) fn set_xattr(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name ends with NUL and the value has the length that is passed.
    let result =
        unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
