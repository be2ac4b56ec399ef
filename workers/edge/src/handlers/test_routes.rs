//! Defects on order, where the variable `TEST_ROUTES` is `1`: they prove that a panic is an error at once and harms nobody else.

use crate::answer::{Answer, forward};
use crate::context::Context;
use crate::session_object;
use protocol::id::SessionId;
use session::call::Call;

/// Panics.
#[expect(clippy::panic, reason = "panicking is what this route is for")]
pub(super) fn panic() -> Answer {
    panic!("a panic on order in the Worker")
}

/// Makes a session's object panic.
pub(super) async fn panic_in_object(context: &Context, id: &SessionId) -> Answer {
    forward(session_object::get(&context.env, id, Call::TestPanic).await?)
}
