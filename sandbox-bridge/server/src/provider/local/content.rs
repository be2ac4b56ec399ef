//! Gets the content of files across: shared blocks where the file system can, ranges without holes otherwise, never more than allowed.

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::stat::FileStat;
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What one tree's files have taken so far.
pub(crate) struct Contents {
    bytes_max: u64,
    can_share_blocks: bool,
    /// Content that takes room of its own.
    pub(crate) bytes: u64,
    /// Content that is there by another name.
    shared: u64,
}

impl Contents {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, can_share_blocks: true, bytes: 0, shared: 0 }
    }

    /// Only what is written takes time and room; holes stay holes.
    pub(crate) fn copy(&mut self, from: &File, to: &File, data: &FileStat) -> io::Result<()> {
        let size = data.st_size;
        if size > 0 && self.can_share_blocks {
            match reflink_copy::reflink_file(from, to) {
                Ok(()) => return self.count(allocated(data)),
                Err(error) => self.can_share_blocks = !is_for_all(&error),
            }
        }
        if allocated(data) >= size.unsigned_abs() {
            self.range(from, to, 0, size)?;
        } else {
            let mut begin = 0;
            while begin < size {
                begin = match lseek(from, begin, Whence::SeekData) {
                    Ok(begin) => begin,
                    Err(Errno::ENXIO) => break,
                    Err(error) => return Err(error.into()),
                };
                let end = lseek(from, begin, Whence::SeekHole)?.min(size);
                self.range(from, to, begin, end)?;
                begin = end;
            }
        }
        Ok(nix::unistd::ftruncate(to, size)?)
    }

    fn range(&mut self, from: &File, to: &File, begin: i64, end: i64) -> io::Result<()> {
        self.count((end - begin).unsigned_abs())?;
        copy_range(from, to, begin, end)
    }

    pub(crate) fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes += bytes;
        if self.bytes + self.shared > self.bytes_max {
            let mib = self.bytes_max >> 20;
            return Err(io::Error::other(format!("there are more than {mib} MiB of changed files")));
        }
        Ok(())
    }

    /// A file got a second name instead of a copy.
    pub(crate) fn count_shared(&mut self, bytes: u64) -> io::Result<()> {
        self.shared += bytes;
        self.count(0)
    }
}

/// Bytes of content on disk; a hole is none.
pub(crate) fn allocated(data: &FileStat) -> u64 {
    (data.st_blocks.unsigned_abs() * 512).min(data.st_size.unsigned_abs())
}

/// Whether the file system refused to share blocks of any file, and not just of this one.
fn is_for_all(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOTTY | libc::ENOSYS | libc::EXDEV))
}

fn copy_range(from: &File, to: &File, begin: i64, end: i64) -> io::Result<()> {
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

fn copy_by_hand(from: &File, to: &File, begin: i64, end: i64) -> io::Result<()> {
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
