//! Unpacks an archive below one directory, and nowhere else: each parent is opened beneath the top without following links, every
//! entry is made new, and only files that came out of this archive get a second name.

use super::export::ATTRIBUTE;
use super::guard::{self, Budget};
use super::{ArchiveError, ArchiveLimits, Archived, failed};
use crate::launcher::Account;
use crate::provider::local::copy::{is_kept, open_beneath};
use crate::provider::local::layout::{HOME, WORKSPACE};
use crate::provider::local::merge::{self, Kind};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, linkat, symlinkat};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tar::{Entry, EntryType};

/// `limits.h`: of one name, and of a whole path.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// Unpacks into a directory that has `workspace` and `home` and nothing else.
pub(super) fn unpack(
    archive: impl Read,
    into: &Path,
    owner: Option<Account>,
    limits: ArchiveLimits,
) -> Result<Archived, ArchiveError> {
    let top = merge::open_top(into).map_err(failed("open the new snapshot"))?;
    let (reader, budget) = guard::open(archive, limits).map_err(failed("read the archive"))?;
    let mut unpacking = Unpacking {
        top,
        owner,
        limits,
        budget: Rc::clone(&budget),
        archived: Archived::default(),
        directories: BTreeMap::new(),
    };
    let mut archive = tar::Archive::new(reader);
    let unpacked = archive.entries().and_then(|entries| {
        for entry in entries {
            unpacking.entry(&mut entry?)?;
            budget.allow_headers();
        }
        unpacking.finish()
    });
    unpacked.map_err(|error| budget.error(error))?;
    Ok(unpacking.archived)
}

struct Unpacking {
    top: OwnedFd,
    owner: Option<Account>,
    limits: ArchiveLimits,
    budget: Rc<Budget>,
    archived: Archived,
    /// Modes and times that directories get at the end, when nothing more is put into them.
    directories: BTreeMap<PathBuf, (u32, TimeSpec)>,
}

impl Unpacking {
    #[expect(clippy::wildcard_enum_match_arm, reason = "kinds of entries are foreign and any byte")]
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        self.budget.check_time()?;
        self.count()?;
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = self.parse_path(&entry.path_bytes())?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let has_content = matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        if !has_content && entry.size() > 0 {
            return Err(self.refuse(&path, "has content, which only files have"));
        }
        match kind {
            EntryType::Directory => self.directory(entry, &path),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.file(entry, &path),
            EntryType::Symlink => self.symbolic_link(entry, &path),
            EntryType::Link => self.hard_link(entry, &path),
            _ => Err(self.refuse(&path, "is a device, a pipe or something unknown")),
        }
    }

    fn count(&mut self) -> io::Result<()> {
        self.archived.entries += 1;
        if self.archived.entries > self.limits.entries {
            let why = format!("it has more than {} entries", self.limits.entries);
            return Err(self.budget.refuse(why));
        }
        Ok(())
    }

    fn refuse(&self, path: &Path, what: &str) -> io::Error {
        let name: String = path.to_string_lossy().escape_debug().take(200).collect();
        self.budget.refuse(format!("{name} {what}"))
    }

    /// A path below the top; empty for the top itself.
    fn parse_path(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let shown = Path::new(OsStr::from_bytes(bytes));
        if bytes.len() > PATH_MAX || bytes.contains(&0) {
            return Err(self.refuse(shown, "is no name: too long or with a NUL byte"));
        }
        if bytes.first() == Some(&b'/') {
            return Err(self.refuse(shown, "is an absolute path"));
        }
        let mut path = PathBuf::new();
        for (index, part) in
            bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").enumerate()
        {
            if part == b".." {
                return Err(self.refuse(shown, "leads out with .."));
            }
            if part.len() > NAME_MAX {
                return Err(self.refuse(shown, "has a name that is too long"));
            }
            if index == 0 && part != WORKSPACE.as_bytes() && part != HOME.as_bytes() {
                return Err(self.refuse(shown, "is neither in workspace nor in home"));
            }
            if index >= self.limits.depth {
                return Err(self.refuse(shown, "is nested too deep"));
            }
            path.push(OsStr::from_bytes(part));
        }
        Ok(path)
    }

    /// Opens the directory that the entry is to be in, made where the archive has left it out, and answers its own name.
    fn parent(&mut self, path: &Path) -> io::Result<(OwnedFd, CString)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(self.refuse(path, "is no name"));
        };
        if parent.as_os_str().is_empty() {
            return Err(self.refuse(path, "must be a directory"));
        }
        let opened = match open_beneath(self.top.as_fd(), parent) {
            Err(Errno::ENOENT) => {
                self.make_parents(parent)?;
                open_beneath(self.top.as_fd(), parent)
            }
            opened => opened,
        };
        let parent = opened.map_err(|error| self.not_a_directory(path, error))?;
        Ok((parent, CString::new(name.as_bytes())?))
    }

    fn make_parents(&mut self, path: &Path) -> io::Result<()> {
        let mut made = PathBuf::new();
        for part in path {
            let parent =
                open_beneath(self.top.as_fd(), &made).map_err(|error| self.not_a_directory(path, error))?;
            if mkdirat(&parent, Path::new(part), Mode::S_IRWXU).is_ok() {
                self.count()?;
                let now = TimeSpec::UTIME_NOW;
                self.directories.insert(made.join(part), (0o755, now));
            }
            made.push(part);
        }
        Ok(())
    }

    fn not_a_directory(&self, path: &Path, error: Errno) -> io::Error {
        if [Errno::ELOOP, Errno::ENOTDIR, Errno::EXDEV].contains(&error) {
            return self.refuse(path, "is or goes through something that is not a directory");
        }
        error.into()
    }

    fn directory<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> io::Result<()> {
        let finish = (entry.header().mode()? & 0o3777, modified(entry));
        if path.components().count() > 1 {
            let (parent, name) = self.parent(path)?;
            match mkdirat(&parent, name.as_c_str(), Mode::S_IRWXU) {
                // The same directory again only says more of it; anything else is in its way.
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let opened =
            open_beneath(self.top.as_fd(), path).map_err(|error| self.not_a_directory(path, error))?;
        for (name, value) in attributes(entry)? {
            merge::set_xattr(opened.as_fd(), &name, &value)?;
        }
        self.directories.insert(path.to_owned(), finish);
        Ok(())
    }

    fn file<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> io::Result<()> {
        let (mode, modified, size) = (entry.header().mode()? & 0o777, modified(entry), entry.size());
        self.archived.bytes = self.archived.bytes.saturating_add(size);
        if self.archived.bytes > self.limits.bytes {
            let why = format!("its files are larger than {} MiB", self.limits.bytes >> 20);
            return Err(self.budget.refuse(why));
        }
        let (parent, name) = self.parent(path)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&parent, name.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| self.twice(path, error))?;
        let file = File::from(file);
        for (name, value) in attributes(entry)? {
            merge::set_xattr(file.as_fd(), &name, &value)?;
        }
        self.budget.allow_content(size);
        if write_sparse(entry, &file)? != size {
            return Err(self.refuse(path, "is cut off"));
        }
        file.set_len(size)?;
        self.finish_file(file.as_fd(), mode, modified)
    }

    fn twice(&self, path: &Path, error: Errno) -> io::Error {
        if error == Errno::EEXIST { self.refuse(path, "comes twice") } else { error.into() }
    }

    fn symbolic_link<R: Read>(&mut self, entry: &Entry<'_, R>, path: &Path) -> io::Result<()> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        if target.is_empty() || target.len() >= PATH_MAX || target.contains(&0) {
            return Err(self.refuse(path, "is a link to nothing that could be"));
        }
        let (parent, name) = self.parent(path)?;
        // It may lead anywhere, because nothing on this side follows it.
        symlinkat(OsStr::from_bytes(&target), &parent, name.as_c_str())
            .map_err(|error| self.twice(path, error))?;
        if let Some(account) = self.owner {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            fchownat(&parent, name.as_c_str(), Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        let time = modified(entry);
        Ok(utimensat(&parent, name.as_c_str(), &time, &time, UtimensatFlags::NoFollowSymlink)?)
    }

    fn hard_link<R: Read>(&mut self, entry: &Entry<'_, R>, path: &Path) -> io::Result<()> {
        let first = self.parse_path(&entry.link_name_bytes().unwrap_or_default())?;
        if first.components().count() < 2 {
            return Err(self.refuse(path, "is another name of a directory"));
        }
        let (source, source_name) = self.parent(&first)?;
        let is_file = fstatat(&source, source_name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|data| merge::kind_of(&data) == Kind::File);
        if !is_file {
            return Err(self.refuse(path, "is another name of a file that the archive has not had yet"));
        }
        let (parent, name) = self.parent(path)?;
        linkat(&source, source_name.as_c_str(), &parent, name.as_c_str(), AtFlags::empty())
            .map_err(|error| self.twice(path, error))
    }

    fn finish_file(&self, file: BorrowedFd<'_>, mode: u32, modified: TimeSpec) -> io::Result<()> {
        if let Some(account) = self.owner {
            fchown(file, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
        }
        fchmod(file, Mode::from_bits_truncate(mode))?;
        Ok(futimens(file, &modified, &modified)?)
    }

    /// The deepest first: a closed directory lets nobody through to those in it.
    fn finish(&mut self) -> io::Result<()> {
        for (path, (mode, modified)) in std::mem::take(&mut self.directories).into_iter().rev() {
            let directory = open_beneath(self.top.as_fd(), &path)?;
            self.finish_file(directory.as_fd(), mode, modified)?;
        }
        Ok(())
    }
}

fn modified<R: Read>(entry: &Entry<'_, R>) -> TimeSpec {
    // Later than any file system can keep is as good as the last moment that all can.
    let seconds = entry.header().mtime().unwrap_or(0).min(u32::MAX.into());
    TimeSpec::new(i64::try_from(seconds).unwrap_or(0), 0)
}

fn attributes<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<(CString, Vec<u8>)>> {
    let mut found = Vec::new();
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        let name = extension.key_bytes().strip_prefix(ATTRIBUTE.as_bytes()).unwrap_or_default();
        if is_kept(name) {
            found.push((CString::new(name)?, extension.value_bytes().to_owned()));
        }
    }
    Ok(found)
}

/// Writes all but zeros; answers how much was read.
fn write_sparse(from: &mut impl Read, to: &File) -> io::Result<u64> {
    let mut buffer = vec![0u8; 64 * 1024];
    let mut at = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(at),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        for block in buffer.get(..read).unwrap_or_default().chunks(4096) {
            if block.iter().any(|byte| *byte != 0) {
                to.write_all_at(block, at)?;
            }
            at += block.len() as u64;
        }
    }
}
