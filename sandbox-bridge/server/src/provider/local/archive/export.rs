//! Writes merged layers as tar in zstd, one entry after the other: nothing is held but the names of files that have several.

use super::Archived;
use crate::provider::local::copy::is_kept;
use crate::provider::local::merge::{self, Entry, Kind, Marks};
use nix::fcntl::{OFlag, readlinkat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Of zstd; more takes several times as long for a few per cent.
const LEVEL: i32 = 3;
/// How extended attributes are called in archives of GNU tar, bsdtar and others.
pub(super) const ATTRIBUTE: &str = "SCHILY.xattr.";

/// Writes what the layers show together, the newest first.
pub(super) fn write<P: AsRef<Path>>(layers: &[P], out: impl Write) -> io::Result<Archived> {
    let stack = merge::open_tops(layers)?;
    let mut builder = Builder::new(zstd::Encoder::new(out, LEVEL)?);
    builder.sparse(true);
    let mut export = Export { builder, archived: Archived::default(), linked: HashMap::new() };
    export.directory(&stack, Path::new(""), 0)?;
    export.builder.into_inner()?.finish()?.flush()?;
    Ok(export.archived)
}

struct Export<W: Write> {
    builder: Builder<W>,
    archived: Archived,
    /// The first name of each file that has several.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Export<W> {
    fn directory(&mut self, stack: &[OwnedFd], path: &Path, depth: usize) -> io::Result<()> {
        for entry in merge::list(stack, Marks::Apply, u64::MAX)? {
            let path = path.join(OsStr::from_bytes(entry.name.to_bytes()));
            self.entry(stack, &entry, &path, depth)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
        Ok(())
    }

    fn entry(&mut self, stack: &[OwnedFd], entry: &Entry, path: &Path, depth: usize) -> io::Result<()> {
        let from = stack.get(entry.place).ok_or(io::ErrorKind::NotFound)?;
        match entry.kind() {
            Kind::Directory => {
                let below = merge::open_directory(stack, entry, Marks::Apply, depth)?;
                let topmost = below.first().ok_or(io::ErrorKind::NotFound)?;
                self.attributes(topmost)?;
                let mut header = header(entry, EntryType::Directory);
                self.builder.append_data(&mut header, path, io::empty())?;
                self.directory(&below, path, depth + 1)?;
            }
            Kind::File => self.file(from, entry, path)?,
            Kind::Link => {
                let target = readlinkat(from, entry.name.as_c_str())?;
                self.builder.append_link(&mut header(entry, EntryType::Symlink), path, target)?;
            }
            Kind::Fifo | Kind::Removed | Kind::Other => {
                self.archived.skipped += 1;
                return Ok(());
            }
        }
        self.archived.entries += 1;
        Ok(())
    }

    fn file(&mut self, from: &OwnedFd, entry: &Entry, path: &Path) -> io::Result<()> {
        let data = &entry.data;
        if data.st_nlink > 1 {
            let key = (data.st_dev, data.st_ino);
            if let Some(first) = self.linked.get(&key) {
                return self.builder.append_link(&mut header(entry, EntryType::Link), path, first);
            }
            self.linked.insert(key, path.to_owned());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let source = merge::open_whatever_the_mode(from.as_fd(), &entry.name, flags, data)?;
        self.attributes(&source)?;
        self.archived.bytes += data.st_size.unsigned_abs();
        self.builder.append_file(path, &mut File::from(source))
    }

    /// Attributes of the entry that comes next.
    fn attributes(&mut self, file: &OwnedFd) -> io::Result<()> {
        let mut found = Vec::new();
        for name in merge::xattr_names(file.as_fd())? {
            if let (true, Ok(text)) = (is_kept(name.to_bytes()), name.to_str())
                && let Some(value) = merge::xattr(file.as_fd(), &name)?
            {
                found.push((format!("{ATTRIBUTE}{text}"), value));
            }
        }
        self.builder
            .append_pax_extensions(found.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }
}

fn header(entry: &Entry, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(entry.data.st_mode & 0o7777);
    header.set_mtime(entry.data.st_mtime.max(0).unsigned_abs());
    header.set_uid(entry.data.st_uid.into());
    header.set_gid(entry.data.st_gid.into());
    header.set_size(0);
    header
}
