//! One event on disk: a header that proves itself, then the event as JSON.
//!
//! Header, little-endian: payload length (4), payload CRC-32 (4), event number (8), CRC-32 of the sixteen bytes before (4). The
//! header's own checksum tells a record cut short by a crash (dropped silently: it was never sent) from one that was damaged
//! (reported). Pure; called by `segment`.

use protocol::timeline::Seq;
use std::ops::Range;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 20;
/// No payload is longer: a diff of the maximal size with its JSON around it.
pub(super) const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// More consecutive numbers than this are not lost to one damage: a larger step is not believed.
const LOST_RECORDS_MAX: u64 = 1_000_000;

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole record.
    Record { seq: Seq, payload: Range<usize> },
    /// A record whose header is whole and whose payload is not.
    Damaged { seq: Seq, end: usize },
    /// The beginning of a record that was not written to its end.
    Torn,
    /// Nothing that could be a header.
    Nonsense,
}

/// The record as written to disk.
pub(super) fn encode(seq: Seq, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + payload.len());
    record.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    record.extend_from_slice(&seq.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
    record.extend_from_slice(payload);
    record
}

/// Reads what stands at `offset`.
pub(super) fn find(bytes: &[u8], offset: usize) -> Found {
    let rest = bytes.get(offset..).unwrap_or_default();
    let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Found::Torn };
    let [l0, l1, l2, l3, c0, c1, c2, c3, s0, s1, s2, s3, s4, s5, s6, s7, h0, h1, h2, h3] = *header;
    let proven = [l0, l1, l2, l3, c0, c1, c2, c3, s0, s1, s2, s3, s4, s5, s6, s7];
    if crc32fast::hash(&proven) != u32::from_le_bytes([h0, h1, h2, h3]) {
        return Found::Nonsense;
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let seq = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    if length > PAYLOAD_BYTES_MAX {
        return Found::Nonsense;
    }
    let start = offset + HEADER_BYTES;
    match rest.get(..length) {
        None => Found::Torn,
        Some(payload) if crc32fast::hash(payload) == u32::from_le_bytes([c0, c1, c2, c3]) => {
            Found::Record { seq, payload: start..start + length }
        }
        Some(_) => Found::Damaged { seq, end: start + length },
    }
}

/// What a file holds: where each event stands, from `first` on without gap.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Offset of each event; `None` where it was lost.
    pub(super) offsets: Vec<Option<usize>>,
    /// How much of the file is of use; the rest is to be cut off.
    pub(super) length: usize,
}

/// Reads a whole file whose first event has the number `first`.
pub(super) fn scan(bytes: &[u8], first: Seq) -> Scan {
    let mut scan = Scan::default();
    while scan.length < bytes.len() {
        let next = first + scan.offsets.len() as u64;
        let offset = scan.length;
        let expected = |seq: Seq| seq >= next && seq - next <= LOST_RECORDS_MAX;
        match find(bytes, offset) {
            Found::Record { seq, payload } if expected(seq) => {
                scan.lose(seq - next);
                scan.offsets.push(Some(offset));
                scan.length = payload.end;
            }
            Found::Damaged { seq, end } if expected(seq) => {
                scan.lose(seq - next + 1);
                scan.length = end;
            }
            Found::Torn => break,
            Found::Record { .. } | Found::Damaged { .. } | Found::Nonsense => {
                let later = (offset + 1..bytes.len()).find(|offset| match find(bytes, *offset) {
                    Found::Record { seq, .. } | Found::Damaged { seq, .. } => expected(seq) && seq > next,
                    Found::Torn | Found::Nonsense => false,
                });
                let Some(later) = later else {
                    scan.lose(1);
                    break;
                };
                scan.length = later;
            }
        }
    }
    scan
}

impl Scan {
    fn lose(&mut self, count: u64) {
        self.offsets.extend((0..count).map(|_| None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(payloads: &[Vec<u8>], first: Seq) -> Vec<u8> {
        (first..).zip(payloads).flat_map(|(seq, payload)| encode(seq, payload)).collect()
    }

    fn payloads(bytes: &[u8], scan: &Scan) -> Vec<Option<Vec<u8>>> {
        let read = |offset: usize| {
            let Found::Record { payload, .. } = find(bytes, offset) else { panic!("no record at {offset}") };
            bytes[payload].to_vec()
        };
        scan.offsets.iter().map(|offset| offset.map(read)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_file_cut_anywhere_is_a_prefix_without_damage(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), first in 1..1000_u64,
        ) {
            let whole = file(&contents, first);
            for length in 0..=whole.len() {
                let bytes = &whole[..length];
                let scan = scan(bytes, first);
                let read = payloads(bytes, &scan);
                prop_assert!(read.iter().all(Option::is_some));
                prop_assert!(read.iter().flatten().eq(contents.iter().take(read.len())));
                prop_assert!(file(&contents[..read.len()], first).len() == scan.length);
            }
        }

        #[test]
        fn one_changed_byte_costs_one_event_and_is_noticed(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            first in 1..1000_u64, change in 1..=255_u8,
        ) {
            let whole = file(&contents, first);
            for position in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[position] ^= change;
                let scan = scan(&bytes, first);
                let read = payloads(&bytes, &scan);
                prop_assert_eq!(read.len(), contents.len());
                prop_assert_eq!(read.iter().filter(|payload| payload.is_none()).count(), 1);
                for (read, content) in read.iter().zip(&contents) {
                    prop_assert!(read.is_none() || read.as_ref() == Some(content));
                }
            }
        }
    }
}
