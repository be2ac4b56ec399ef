//! Remembers the nonces of signed requests for as long as their signature could be accepted, so that each counts once.

use protocol::limit::SIGNATURE_SKEW_MS_MAX;
use protocol::time::Timestamp;
use std::collections::{HashSet, VecDeque};

/// A request is valid from one skew before it was signed, as the receiver sees it, until one skew after.
const KEPT_MS: u64 = 2 * SIGNATURE_SKEW_MS_MAX;
/// Nonces that are remembered at most. Forgetting one early would let a replay in, so beyond this requests are refused.
const NONCES_MAX: usize = 1 << 18;

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nonce {
    /// Seen for the first time.
    Fresh,
    /// Seen before, or not a nonce at all.
    Refused,
    /// There is no room to remember it.
    Full,
}

/// The nonces of the last two minutes.
pub(super) struct Replay {
    seen: HashSet<u128>,
    order: VecDeque<(Timestamp, u128)>,
}

impl Replay {
    pub(super) fn new() -> Self {
        Self { seen: HashSet::new(), order: VecDeque::new() }
    }

    /// Notes a nonce, given as 32 hexadecimal digits.
    pub(super) fn note(&mut self, nonce: &str, now: Timestamp) -> Nonce {
        let number = match u128::from_str_radix(nonce, 16) {
            Ok(number) if nonce.len() == 32 && nonce.bytes().all(|b| b.is_ascii_hexdigit()) => number,
            Ok(_) | Err(_) => return Nonce::Refused,
        };
        while let Some((at, old)) = self.order.front().copied() {
            if now.ms_since(at) <= KEPT_MS {
                break;
            }
            self.order.pop_front();
            self.seen.remove(&old);
        }
        if self.seen.contains(&number) {
            return Nonce::Refused;
        }
        if self.seen.len() >= NONCES_MAX {
            return Nonce::Full;
        }
        self.seen.insert(number);
        self.order.push_back((now, number));
        Nonce::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: u128) -> String {
        format!("{number:032x}")
    }

    #[test]
    fn a_nonce_counts_once_while_its_signature_could_live() {
        let mut replay = Replay::new();
        let begin = Timestamp(1_000_000);
        assert_eq!(replay.note(&nonce(1), begin), Nonce::Fresh);
        assert_eq!(replay.note(&nonce(2), begin), Nonce::Fresh);
        assert_eq!(replay.note(&nonce(1), begin), Nonce::Refused);
        assert_eq!(replay.note(&nonce(1), begin.plus_ms(KEPT_MS)), Nonce::Refused);
        assert_eq!(replay.note(&nonce(1), begin.plus_ms(KEPT_MS + 1)), Nonce::Fresh);
        assert_eq!(replay.seen.len(), 1);
    }

    #[test]
    fn what_is_no_nonce_is_refused() {
        let mut replay = Replay::new();
        for text in ["", "1", "+0000000000000000000000000000001", &"g".repeat(32), &"1".repeat(33)] {
            assert_eq!(replay.note(text, Timestamp(0)), Nonce::Refused, "{text:?}");
        }
    }

    #[test]
    fn a_full_memory_refuses_and_recovers() {
        let mut replay = Replay::new();
        for number in 0..NONCES_MAX as u128 {
            assert_eq!(replay.note(&nonce(number), Timestamp(0)), Nonce::Fresh);
        }
        assert_eq!(replay.note(&nonce(u128::MAX), Timestamp(0)), Nonce::Full);
        assert_eq!(replay.note(&nonce(u128::MAX), Timestamp(KEPT_MS + 1)), Nonce::Fresh);
    }
}
