//! Randomness and the clock: the two things of the outside world that every part of the runner takes from one place.

use protocol::id::ItemId;
use protocol::time::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The present moment on this machine's clock.
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// 16 random bytes. Without the system's randomness the clock stands in: ids stay distinct within one process.
pub(crate) fn bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        bytes = nanos.to_be_bytes();
    }
    bytes
}

/// A new item's id.
pub(crate) fn item_id() -> ItemId {
    ItemId::from_random(bytes())
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn password() -> String {
    bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Full jitter: anything up to `first` doubled `failures` times, at most `longest`.
pub(crate) fn backoff(first: Duration, longest: Duration, failures: u32) -> Duration {
    let ceiling = first.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(longest);
    let random = u32::from_be_bytes(bytes().first_chunk().copied().unwrap_or_default());
    ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_stays_below_its_growing_ceiling() {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(5));
        for failures in 0..20 {
            let ceiling = first * 2_u32.pow(failures.min(10));
            assert!(backoff(first, longest, failures) <= ceiling.min(longest));
        }
    }
}
