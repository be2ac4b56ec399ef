//! Clock, randomness and unattended work of the Workers runtime, for the shell only.

use protocol::time::Timestamp;
use std::pin::Pin;
use worker::State;

/// The present moment. In a Worker it stands still between two waits, which suits one input.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    Timestamp(js_sys::Date::now() as u64)
}

/// Random bytes. The runtime always has some; without them ids would repeat, and the commit refuses that.
#[must_use]
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        worker::console_error!("no randomness: {error}");
    }
    bytes
}

/// Does something that no request waits for. Boxed, because each kind of work would have the runtime's glue once more.
pub fn go_on_with(state: &State, work: impl Future<Output = ()> + 'static) {
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    state.wait_until(work);
}
