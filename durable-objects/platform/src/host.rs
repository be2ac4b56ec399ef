//! Clock, randomness and unattended work of the Workers runtime, for the shell only.

use crate::log::{self, About, Level};
use protocol::time::Timestamp;
use protocol::trace::TraceParent;
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
        log::write(Level::Error, "no randomness", &About::default().with("error", &error.to_string()));
    }
    bytes
}

/// A span of this process: in the trace of what caused it, or in a new one.
#[must_use]
pub fn new_span(parent: Option<TraceParent>) -> TraceParent {
    let [a, b, c, d, e, f, g, h, ..] = random();
    let span_id = [a, b, c, d, e, f, g, h];
    parent.map_or_else(|| TraceParent::new(random(), span_id), |parent| parent.child(span_id))
}

/// Does something that no request waits for. Boxed, because each kind of work would have the runtime's glue once more.
pub fn go_on_with(state: &State, work: impl Future<Output = ()> + 'static) {
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    state.wait_until(work);
}
