//! The two things that come from the machine: the time and random bytes. Everything else in the crate asks here.

use protocol::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The present moment on this machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// 16 bytes that nobody can guess.
pub fn random() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
