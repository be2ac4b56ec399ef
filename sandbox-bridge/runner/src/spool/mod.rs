//! Every event until the session has it: numbered, on disk, sent again after each interruption.
//!
//! Producers append and wait while the spool is full or the disk is; the link reads from any number and reports what is
//! acknowledged, which deletes whole files. A lost event keeps its number and is replaced by a notice, so that numbers stay
//! gapless and the loss is seen. Survives the death of the runner, not of the sandbox.

mod record;
mod segment;

use crate::log;
use crate::random;
use protocol::id::TurnId;
use protocol::runner::{RunnerEvent, RunnerEventRecord};
use protocol::timeline::{Item, ItemContent, NoticeLevel, Seq};
use segment::Segment;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// A file is followed by the next when it has this size.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Producers wait while this much is not acknowledged.
const SPOOL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How often a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the spool {folder} cannot be {action}")]
pub(crate) struct SpoolError {
    folder: PathBuf,
    action: &'static str,
    #[source]
    source: io::Error,
}

/// The events of one sandbox.
pub(crate) struct Spool {
    files: Mutex<Files>,
    newest: watch::Sender<Seq>,
    room: Notify,
    bytes_max: u64,
}

struct Files {
    folder: PathBuf,
    /// Oldest first; never empty after `open`.
    segments: VecDeque<Segment>,
    acked: Seq,
    last_append: Instant,
    /// The turn that a notice belongs to.
    last_turn: Option<TurnId>,
}

impl Spool {
    /// Opens what an earlier runner of this sandbox left, or begins with event 1.
    pub(crate) fn open(folder: &Path) -> Result<Self, SpoolError> {
        Self::open_limited(folder, SPOOL_BYTES_MAX)
    }

    fn open_limited(folder: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        let failed = |action| move |source| SpoolError { folder: folder.to_owned(), action, source };
        std::fs::create_dir_all(folder).map_err(failed("created"))?;
        let mut firsts = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed("listed"))? {
            let name = entry.map_err(failed("listed"))?.file_name();
            firsts.extend(name.to_str().and_then(Segment::first_of_name));
        }
        firsts.sort_unstable();
        let mut segments: VecDeque<Segment> = VecDeque::new();
        for first in firsts {
            if let Some(before) = segments.back_mut() {
                before.lose_until(first);
            }
            segments.push_back(Segment::open(folder, first).map_err(failed("read"))?);
        }
        if segments.is_empty() {
            segments.push_back(Segment::create(folder, 1).map_err(failed("written"))?);
        }
        let acked = segments.front().map_or(0, |segment| segment.first - 1);
        let files = Files {
            folder: folder.to_owned(),
            segments,
            acked,
            last_append: Instant::now(),
            last_turn: None,
        };
        let (newest, _) = watch::channel(files.next() - 1);
        Ok(Self { files: Mutex::new(files), newest, room: Notify::new(), bytes_max })
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number that the next new event will get.
    pub(crate) fn next_seq(&self) -> Seq {
        self.files().next()
    }

    /// Changes whenever there are new events.
    pub(crate) fn newest(&self) -> watch::Receiver<Seq> {
        self.newest.subscribe()
    }

    /// Time since the last event.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.files().last_append.elapsed()
    }

    /// Whether events of an earlier runner were lost.
    pub(crate) fn is_damaged(&self) -> bool {
        self.files().segments.iter().any(Segment::is_damaged)
    }

    /// Adds an event; waits while the spool or the disk is full. Readers are told of a full disk before the event.
    pub(crate) async fn append(&self, event: RunnerEvent) {
        let (mut is_full, mut is_told) = (false, event == RunnerEvent::Heartbeat);
        loop {
            let room = self.room.notified();
            if self.files().bytes() > self.bytes_max {
                room.await;
                continue;
            }
            if is_full && !is_told {
                let text = "The sandbox's disk has no space left; the agent waits until there is some.";
                let notice = self.files().notice(NoticeLevel::Warning, text.to_owned());
                is_told = self.append_now(&notice).is_ok();
            }
            let Err(error) = self.append_now(&event) else { return };
            if !is_full {
                log::warn(format!("an event cannot be written, trying again: {error}"));
                is_full = true;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(FULL_DISK_RETRY) => {}
                () = room => {}
            }
        }
    }

    /// Adds an event at once, even beyond the limit.
    pub(crate) fn append_now(&self, event: &RunnerEvent) -> io::Result<Seq> {
        let mut files = self.files();
        let seq = files.append(event)?;
        drop(files);
        self.newest.send_replace(seq);
        Ok(seq)
    }

    /// The session asks for everything from `resume_from` on. Returns the number to send first.
    pub(crate) fn resume(&self, resume_from: Seq) -> io::Result<Seq> {
        let mut files = self.files();
        if resume_from > files.next() {
            // The session has events that this spool lost: their numbers must not be used again.
            let fresh = Segment::create(&files.folder, resume_from)?;
            for segment in std::mem::take(&mut files.segments) {
                segment.remove()?;
            }
            files.segments.push_back(fresh);
            self.newest.send_replace(resume_from - 1);
        }
        files.ack(resume_from.saturating_sub(1))?;
        self.room.notify_waiters();
        Ok(resume_from.max(files.first()))
    }

    /// The session has every event up to `seq`.
    pub(crate) fn ack(&self, seq: Seq) -> io::Result<()> {
        self.files().ack(seq)?;
        self.room.notify_waiters();
        Ok(())
    }

    /// Whether the session has every event.
    pub(crate) fn is_drained(&self) -> bool {
        let files = self.files();
        files.acked + 1 >= files.next()
    }

    /// JSON of the events from `from` on: at most `count`, and no more than `bytes` together unless the first alone is longer.
    pub(crate) fn read(&self, from: Seq, count: usize, bytes: usize) -> Vec<String> {
        let files = self.files();
        let mut read = Vec::new();
        let mut total = 0;
        for seq in (from..files.next()).take(count) {
            let json = files.json(seq);
            total += json.len();
            if total > bytes && !read.is_empty() {
                break;
            }
            read.push(json);
        }
        read
    }

    /// Whether an event of the spool fulfils a condition.
    pub(crate) fn contains(&self, condition: impl Fn(&RunnerEvent) -> bool) -> bool {
        let files = self.files();
        (files.first()..files.next()).any(|seq| {
            serde_json::from_str::<RunnerEventRecord>(&files.json(seq))
                .is_ok_and(|record| condition(&record.event))
        })
    }
}

impl Files {
    fn first(&self) -> Seq {
        self.segments.front().map_or(1, |segment| segment.first)
    }

    fn next(&self) -> Seq {
        self.segments.back().map_or(1, Segment::next)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    fn append(&mut self, event: &RunnerEvent) -> io::Result<Seq> {
        let seq = self.next();
        let payload = to_json(seq, event)?;
        if self.segments.back().is_none_or(|segment| segment.length >= SEGMENT_BYTES) {
            self.segments.push_back(Segment::create(&self.folder, seq)?);
            self.delete_acked()?;
        }
        if let Some(segment) = self.segments.back_mut()
            && let Err(error) = segment.append(&payload)
        {
            // What fills the disk may be events that the session has already.
            let is_needed = segment.length == 0 || self.acked + 1 < seq;
            if is_needed {
                return Err(error);
            }
            let mut fresh = Segment::create(&self.folder, seq)?;
            while let Some(segment) = self.segments.pop_front() {
                segment.remove()?;
            }
            let written = fresh.append(&payload);
            self.segments.push_back(fresh);
            written?;
        }
        self.last_append = Instant::now();
        if let RunnerEvent::TurnReceived { turn_id, .. } = event {
            self.last_turn = Some(turn_id.clone());
        }
        Ok(seq)
    }

    fn ack(&mut self, seq: Seq) -> io::Result<()> {
        self.acked = self.acked.max(seq.min(self.next() - 1));
        self.delete_acked()
    }

    /// The newest file stays, because its name and length tell the next number.
    fn delete_acked(&mut self) -> io::Result<()> {
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|segment| segment.next() <= self.acked + 1)
        {
            if let Some(segment) = self.segments.pop_front() {
                segment.remove()?;
            }
        }
        Ok(())
    }

    fn json(&self, seq: Seq) -> String {
        let segment = self.segments.iter().rev().find(|segment| segment.first <= seq);
        let whole =
            segment.and_then(|segment| segment.read(seq)).and_then(|payload| String::from_utf8(payload).ok());
        whole.unwrap_or_else(|| {
            let text = "An event of the sandbox was damaged on its disk and is missing here.".to_owned();
            let stand_in = self.notice(NoticeLevel::Error, text);
            to_json(seq, &stand_in).ok().and_then(|json| String::from_utf8(json).ok()).unwrap_or_default()
        })
    }

    /// Something that readers should know about the spool.
    fn notice(&self, level: NoticeLevel, text: String) -> RunnerEvent {
        match &self.last_turn {
            Some(turn_id) => RunnerEvent::ItemChanged {
                item: Item {
                    id: random::item_id(),
                    turn_id: turn_id.clone(),
                    started_at: random::now(),
                    content: ItemContent::Notice { level, text },
                },
            },
            None => RunnerEvent::SetupStep { step: text },
        }
    }
}

impl Spool {
    /// The turn that notices belong to, known from the ledger after a restart.
    pub(crate) fn set_last_turn(&self, turn_id: TurnId) {
        self.files().last_turn = Some(turn_id);
    }
}

fn to_json(seq: Seq, event: &RunnerEvent) -> io::Result<Vec<u8>> {
    let record = RunnerEventRecord { seq, at: random::now(), event: event.clone() };
    serde_json::to_vec(&record).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
