//! How much of what all viewers are sent is still on its way to one of them.
//!
//! All viewers get the same frames, so one running total serves them all: a viewer's window is the total less the total at the event
//! that it acknowledged last.

use protocol::limit::VIEWER_WINDOW_BYTES;
use protocol::timeline::Seq;
use std::collections::VecDeque;

/// Events between two marks are acknowledged with the earlier one, so that many small frames do not make many marks.
const MARK_BYTES: u64 = 16 * 1024;

/// What was sent to everyone who watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    total: u64,
    /// Newest event and total after it, oldest first.
    marks: VecDeque<(Seq, u64)>,
}

impl Sent {
    /// Bytes so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A frame of this size was sent; `seq` is its newest event.
    pub fn add(&mut self, seq: Seq, bytes: usize) {
        self.total += bytes as u64;
        if self.marks.back().is_none_or(|(_, total)| self.total - total >= MARK_BYTES) {
            self.marks.push_back((seq, self.total));
        }
        // Who has not acknowledged what is older lags anyway.
        let oldest = self.total.saturating_sub(VIEWER_WINDOW_BYTES as u64 + MARK_BYTES);
        while self.marks.front().is_some_and(|(_, total)| *total < oldest) {
            self.marks.pop_front();
        }
    }

    /// The total that a viewer has read who acknowledges `seq`; `None` when that says nothing new.
    #[must_use]
    pub fn total_at(&self, seq: Seq) -> Option<u64> {
        let read = self.marks.partition_point(|(marked, _)| *marked <= seq);
        self.marks.get(read.checked_sub(1)?).map(|(_, total)| *total)
    }

    /// Whether a viewer that has read up to `acked` can be sent `bytes` more. One large frame passes when nothing else is on its way.
    #[must_use]
    pub fn has_room(&self, acked: u64, bytes: usize) -> bool {
        let under_way = self.total.saturating_sub(acked);
        under_way == 0 || under_way + bytes as u64 <= VIEWER_WINDOW_BYTES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_that_acknowledges_always_has_room() {
        let mut sent = Sent::default();
        let mut acked = 0;
        for seq in 1..100_000 {
            assert!(sent.has_room(acked, 200), "{seq}");
            sent.add(seq, 200);
            if seq % 640 == 0 {
                acked = sent.total_at(seq).unwrap();
            }
        }
        assert!(sent.marks.len() < 80, "{}", sent.marks.len());
    }

    #[test]
    fn a_viewer_that_does_not_has_room_for_one_window() {
        let mut sent = Sent::default();
        let mut seq = 0;
        while sent.has_room(0, 1000) {
            seq += 1;
            sent.add(seq, 1000);
        }
        assert_eq!(sent.total(), 1_048_000);
        assert!(sent.has_room(sent.total(), 5_000_000), "a large frame passes alone");
        assert_eq!(sent.total_at(0), None);
        assert!(sent.total_at(seq).unwrap() >= sent.total() - MARK_BYTES);
    }
}
