//! What bridges report: runners that dialled in, events, sandboxes that ended, connections that were refused.
//!
//! The guard has checked the signature over the very bytes; they go to the object as they came, which reads and checks them once.

use super::guard::Admitted;
use crate::answer::{Answer, forward};
use crate::context::Context;
use crate::session_object::post_bytes;
use protocol::id::SessionId;
use session::call::Call;

/// Hands a bridge's report to the session.
pub(super) async fn report(context: &Context, admitted: &Admitted, id: &SessionId, call: Call) -> Answer {
    forward(post_bytes(&context.env, id, call, &admitted.body).await?)
}
