//! Which files a sandbox has not touched since it was saved the last time, so that the next snapshot shares them with that one.
//!
//! Layers never change, so a file of one may have a second name in the next. A file counts as untouched when its inode, size and
//! time of change (`st_ctime`, which nobody in a sandbox can set) are those that were recorded when it was copied. Stores through
//! a mapping change that time only when they are the first to a page that has been written back (mmap(2)); so the disk is synced
//! before the sandbox is stopped, and what changed after that sync began is not recorded.

use super::layers;
use super::layout::Layout;
use super::merge;
use nix::fcntl::{AtFlags, Flock};
use nix::sys::stat::{FileStat, fstatat};
use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// In the directory of a layer, beside its files.
const INDEX: &str = "index";
/// Copying as few is quicker than remembering them.
const RECORDS_MIN: usize = if cfg!(test) { 1 } else { 256 };
const RECORD_BYTES: usize = 40;
/// File systems take times from a clock that ticks, at least a hundred times a second.
const TICK: Duration = Duration::from_millis(50);

/// The state of a file when it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    seconds: i64,
    nanoseconds: i64,
    size: i64,
    /// Inode of the copy: a file whose directory was renamed is not mistaken for the one in its old place.
    copy: u64,
}

/// The snapshot before, held where it is for as long as this lives.
pub(crate) struct Earlier {
    top: OwnedFd,
    states: HashMap<u64, State>,
    _lease: Flock<File>,
}

impl Earlier {
    /// `None` when that layer is gone or has nothing to share.
    pub(crate) fn open(layout: &Layout, name: &str) -> Option<Self> {
        let _lease = layers::lease_shared(layout, name).ok()?;
        let layer = layout.layer(name);
        let index = fs::read(layer.join(INDEX)).ok()?;
        let mut states = HashMap::with_capacity(index.len() / RECORD_BYTES);
        for record in index.chunks_exact(RECORD_BYTES) {
            let mut fields = record.chunks_exact(8).map(|field| field.try_into().map(u64::from_le_bytes));
            let mut next = || fields.next()?.ok();
            let (inode, seconds, nanoseconds, size, copy) = (next()?, next()?, next()?, next()?, next()?);
            let state = State {
                seconds: seconds.cast_signed(),
                nanoseconds: nanoseconds.cast_signed(),
                size: size.cast_signed(),
                copy,
            };
            states.insert(inode, state);
        }
        Some(Self { top: merge::open_top(&layer.join("fs")).ok()?, states, _lease })
    }

    pub(crate) fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// Whether the copy that has this name in the earlier `directory` is of the very file that `data` is of, as it is.
    pub(crate) fn has(&self, directory: BorrowedFd<'_>, name: &CStr, data: &FileStat) -> bool {
        let Some(state) = self.states.get(&data.st_ino) else { return false };
        let is_same = |copy: FileStat| *state == State::of(data, copy.st_ino);
        fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(is_same)
    }
}

impl State {
    fn of(data: &FileStat, copy: u64) -> Self {
        Self { seconds: data.st_ctime, nanoseconds: data.st_ctime_nsec, size: data.st_size, copy }
    }
}

/// What is written down for the next snapshot.
pub(crate) struct Index {
    /// What changed later may change again without being noticed.
    settled: Duration,
    records: Vec<u8>,
}

impl Index {
    /// Brings everything to the disk, and will record what has not changed since.
    pub(crate) fn after_sync(layout: &Layout) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        layout.sync()?;
        Ok(Self { settled: now.saturating_sub(TICK), records: Vec::new() })
    }

    /// Records that `copy` is the inode of a copy of the file that `data` is of.
    pub(crate) fn record(&mut self, data: &FileStat, copy: u64) {
        let (seconds, nanoseconds) = (data.st_ctime.try_into(), data.st_ctime_nsec.try_into());
        if let (Ok(seconds), Ok(nanoseconds)) = (seconds, nanoseconds)
            && Duration::new(seconds, nanoseconds) < self.settled
        {
            let size = data.st_size.unsigned_abs();
            for field in [data.st_ino, seconds, nanoseconds.into(), size, copy] {
                self.records.extend(field.to_le_bytes());
            }
        }
    }

    /// Puts it beside the files of a layer.
    pub(crate) fn write(&self, layer: &Path) -> io::Result<()> {
        if self.records.len() < RECORDS_MIN * RECORD_BYTES {
            return Ok(());
        }
        fs::write(layer.join(INDEX), &self.records)
    }
}

#[cfg(test)]
mod tests;
