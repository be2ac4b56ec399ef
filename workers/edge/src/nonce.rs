//! Remembers the nonces of signed requests for as long as their signatures count, so that one captured request is refused when it
//! comes again.
//!
//! The memory is this instance's own and bounded. What it cannot see (a replay at another instance, or after this one is gone) does
//! nothing, because every request of a bridge is repeatable: events are kept once per number, announcements and ends once per
//! generation.

use platform::map::Map;
use protocol::time::Timestamp;

/// Nonces remembered at most; the oldest is forgotten first.
const NONCES_MAX: usize = 50_000;

/// Nonces seen, by the moment at which they may be forgotten.
#[derive(Debug, Default)]
pub struct Nonces {
    seen: Map<String, ()>,
    by_expiry: Map<(Timestamp, u64), String>,
    count: u64,
}

impl Nonces {
    /// Remembers `nonce` until `expires_at`; `false` when it is known already.
    pub fn is_new(&mut self, nonce: &str, now: Timestamp, expires_at: Timestamp) -> bool {
        while let Some((&first, _)) = self.by_expiry.first() {
            let expired = first.0 <= now;
            if !expired && self.seen.len() < NONCES_MAX {
                break;
            }
            if let Some(forgotten) = self.by_expiry.remove(&first) {
                self.seen.remove(&forgotten);
            }
        }
        if self.seen.insert(nonce.to_owned(), ()).is_some() {
            return false;
        }
        self.count += 1;
        self.by_expiry.insert((expires_at, self.count), nonce.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_counts_once_until_it_expires() {
        let mut nonces = Nonces::default();
        let at = Timestamp;
        assert!(nonces.is_new("a", at(0), at(10)));
        assert!(nonces.is_new("b", at(1), at(10)));
        assert!(!nonces.is_new("a", at(9), at(19)));
        assert!(nonces.is_new("a", at(10), at(20)));
        assert_eq!((nonces.seen.len(), nonces.by_expiry.len()), (1, 1));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut nonces = Nonces::default();
        for number in 0..NONCES_MAX + 10 {
            assert!(nonces.is_new(&number.to_string(), Timestamp(0), Timestamp(1)));
        }
        assert_eq!((nonces.seen.len(), nonces.by_expiry.len()), (NONCES_MAX, NONCES_MAX));
        assert!(!nonces.is_new("20", Timestamp(0), Timestamp(1)));
    }
}
