//! Stands between an archive and its reader: counts what goes in and out of the decompression, and stops both when it is too much.

use super::{ArchiveError, ArchiveLimits};
use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Instant;

/// Below this, an archive may be as compressible as it likes.
const RATIO_FREE: u64 = 64 << 20;
/// What all headers together may take beside the content.
const STREAM_FREE: u64 = 1 << 30;
/// What headers, long names and attributes of one entry may take; the reader keeps them in memory.
const HEADERS_MAX: u64 = 1 << 20;
/// 2 to the power of this: what the decompression may keep in memory. The default of zstd's own tool.
const WINDOW_LOG_MAX: u32 = 27;

/// What both ends of the decompression and the reader know.
pub(super) struct Budget {
    limits: ArchiveLimits,
    began: Instant,
    compressed: Cell<u64>,
    plain: Cell<u64>,
    /// What may still be read before the reader has said what it reads next.
    allowed: Cell<u64>,
    refusal: RefCell<Option<String>>,
}

impl Budget {
    /// The reader looks for the next entry.
    pub(super) fn allow_headers(&self) {
        self.allowed.set(HEADERS_MAX);
    }

    /// The reader reads the content of an entry.
    pub(super) fn allow_content(&self, bytes: u64) {
        self.allowed.set(bytes);
    }

    /// Notes why nothing more is read.
    pub(super) fn refuse(&self, why: impl Into<String>) -> io::Error {
        let why = why.into();
        self.refusal.borrow_mut().get_or_insert_with(|| why.clone());
        io::Error::new(io::ErrorKind::InvalidData, why)
    }

    /// A failure of reading, as what it is: the archive's fault unless the machine says otherwise.
    pub(super) fn error(&self, error: io::Error) -> ArchiveError {
        match (self.refusal.borrow_mut().take(), error.raw_os_error()) {
            (Some(why), _) => ArchiveError::Refused(why),
            (None, Some(_)) => super::failed("unpack the archive")(error),
            (None, None) => ArchiveError::Refused(error.to_string().escape_debug().take(300).collect()),
        }
    }

    fn check(&self, read: u64) -> io::Result<()> {
        let plain = self.plain.get() + read;
        self.plain.set(plain);
        let Some(allowed) = self.allowed.get().checked_sub(read) else {
            return Err(self.refuse("names or attributes of an entry take more than a mebibyte"));
        };
        self.allowed.set(allowed);
        let limits = &self.limits;
        if plain > RATIO_FREE && plain / limits.ratio > self.compressed.get() {
            return Err(self.refuse(format!("it is compressed more than {} times", limits.ratio)));
        }
        if plain > limits.bytes.saturating_add(STREAM_FREE) {
            return Err(self.refuse("it consists of headers for the most part"));
        }
        self.check_time()
    }

    /// Fails when it takes too long.
    pub(super) fn check_time(&self) -> io::Result<()> {
        if self.began.elapsed() > self.limits.time {
            return Err(self.refuse(format!("it takes longer than {} s", self.limits.time.as_secs())));
        }
        Ok(())
    }
}

/// Decompresses within the limits.
pub(super) fn open<R: Read>(archive: R, limits: ArchiveLimits) -> io::Result<(impl Read, Rc<Budget>)> {
    let budget = Rc::new(Budget {
        limits,
        began: Instant::now(),
        compressed: Cell::new(0),
        plain: Cell::new(0),
        allowed: Cell::new(HEADERS_MAX),
        refusal: RefCell::new(None),
    });
    let counted = Counted { inner: archive, budget: Rc::clone(&budget) };
    let mut decoder = zstd::Decoder::new(counted)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok((Guarded { inner: decoder, budget: Rc::clone(&budget) }, budget))
}

struct Counted<R> {
    inner: R,
    budget: Rc<Budget>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.budget.compressed.set(self.budget.compressed.get() + read as u64);
        Ok(read)
    }
}

struct Guarded<R> {
    inner: R,
    budget: Rc<Budget>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.budget.check(read as u64)?;
        Ok(read)
    }
}
