//! One file of the spool: a run of events, named after the number of its first.
//!
//! Written with one `write` per event and not synced: a written event survives the death of the runner, and nothing here outlives
//! the sandbox. Called by the spool.

use super::record::{self, Found};
use protocol::timeline::Seq;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// An open file of the spool.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    pub(super) first: Seq,
    /// Offset of each event; `None` where it was lost.
    offsets: Vec<Option<u64>>,
    pub(super) length: u64,
}

impl Segment {
    /// An empty file for the event `first` and those after it.
    pub(super) fn create(folder: &Path, first: Seq) -> io::Result<Self> {
        let path = folder.join(format!("events-{first:020}.log"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(Self { path, file, first, offsets: Vec::new(), length: 0 })
    }

    /// The number of the first event by the file's name.
    pub(super) fn first_of_name(name: &str) -> Option<Seq> {
        name.strip_prefix("events-")?.strip_suffix(".log")?.parse().ok()
    }

    /// Reads a file that an earlier runner left, and cuts off what is not whole.
    pub(super) fn open(folder: &Path, first: Seq) -> io::Result<Self> {
        let path = folder.join(format!("events-{first:020}.log"));
        let bytes = std::fs::read(&path)?;
        let scan = record::scan(&bytes, first);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = scan.length as u64;
        file.set_len(length)?;
        let offsets = scan.offsets.into_iter().map(|offset| offset.map(|offset| offset as u64)).collect();
        Ok(Self { path, file, first, offsets, length })
    }

    /// The number after the last event.
    pub(super) fn next(&self) -> Seq {
        self.first + self.offsets.len() as u64
    }

    /// Marks the events up to (not including) `next` as lost: their place was in a file that is damaged at its end.
    pub(super) fn lose_until(&mut self, next: Seq) {
        while self.next() < next {
            self.offsets.push(None);
        }
    }

    /// Whether any event was lost.
    pub(super) fn is_damaged(&self) -> bool {
        self.offsets.iter().any(Option::is_none)
    }

    /// Writes one event behind the last; after an error the file is as before.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let record = record::encode(self.next(), payload);
        if let Err(error) = self.file.write_all_at(&record, self.length) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.offsets.push(Some(self.length));
        self.length += record.len() as u64;
        Ok(())
    }

    /// The event's JSON, or `None` when it was lost or is damaged by now.
    pub(super) fn read(&self, seq: Seq) -> Option<Vec<u8>> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let offset = (*self.offsets.get(index)?)?;
        let later = self.offsets.iter().skip(index + 1).find_map(|offset| *offset);
        let length = usize::try_from(later.unwrap_or(self.length) - offset).ok()?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        match record::find(&bytes, 0) {
            Found::Record { seq: found, payload } if found == seq => bytes.get(payload).map(<[u8]>::to_vec),
            Found::Record { .. } | Found::Damaged { .. } | Found::Torn | Found::Nonsense => None,
        }
    }

    /// Deletes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}
