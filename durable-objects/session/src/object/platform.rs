//! Clock and randomness of the Workers runtime, for the shell only.

use protocol::time::Timestamp;

/// The present moment. In a Worker it stands still between two waits, which suits one input.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    Timestamp(js_sys::Date::now() as u64)
}

/// Random bytes. The runtime always has some; without them ids would repeat, and the commit refuses that.
pub(super) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        worker::console_error!("no randomness: {error}");
    }
    bytes
}
