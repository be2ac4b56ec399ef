//! Defects on order, where the variable `TEST_ROUTES` is `1`: they prove that a panic is an error at once and harms nobody else.

use crate::answer::{Answer, OrInternal as _};
use crate::context::Context;
use crate::session_object::stub;
use protocol::id::SessionId;

/// Panics.
#[expect(clippy::panic, reason = "panicking is what this route is for")]
pub(super) fn panic() -> Answer {
    panic!("a panic on order in the Worker")
}

/// Makes a session's object panic.
pub(super) async fn panic_in_object(context: &Context, id: &SessionId) -> Answer {
    stub(&context.env, id)?.fetch_with_str("https://session/test/panic").await.or_unavailable("the session")
}
