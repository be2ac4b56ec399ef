//! Counts requests of a minute per caller, so that one of them cannot keep an instance busy.
//!
//! The memory is this instance's own and of a fixed size; callers whose names fall together are counted together. A coarse limit that costs
//! nothing: what must be counted exactly (signing in, keys) is counted in D1.

use protocol::time::Timestamp;

/// Requests that one caller may make in a minute at one instance. A page that opens a session makes ten.
pub const REQUESTS_MAX: u16 = 6_000;
const SLOTS: usize = 4_096;
const MINUTE_MS: u64 = 60_000;

/// Counts of the present minute.
#[derive(Debug, Default)]
pub struct Rates {
    minute: u64,
    counts: Vec<u16>,
}

impl Rates {
    /// Counts one more request of `caller`; whether it may go on.
    pub fn admit(&mut self, caller: &str, now: Timestamp) -> bool {
        let minute = now.0 / MINUTE_MS;
        if minute != self.minute || self.counts.is_empty() {
            self.minute = minute;
            self.counts = vec![0; SLOTS];
        }
        let Some(count) = self.counts.get_mut(slot(caller)) else { return true };
        *count = count.saturating_add(1);
        *count <= REQUESTS_MAX
    }
}

/// FNV-1a, folded.
fn slot(caller: &str) -> usize {
    let hash =
        caller.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_so_many_in_a_minute() {
        let mut rates = Rates::default();
        for _ in 0..REQUESTS_MAX {
            assert!(rates.admit("a", Timestamp(MINUTE_MS)));
        }
        assert!(!rates.admit("a", Timestamp(2 * MINUTE_MS - 1)));
        assert!(rates.admit("b", Timestamp(2 * MINUTE_MS - 1)));
        assert!(rates.admit("a", Timestamp(2 * MINUTE_MS)));
    }

    #[test]
    fn callers_are_spread_over_the_table() {
        let mut seen: Vec<usize> = (0..1000).map(|number| slot(&format!("usr_github_{number}"))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 700, "{}", seen.len());
    }
}
