//! What a session owes its viewers besides the events: how often, how much at once, and who else is there.
//!
//! Pure state machines without sockets, clock or storage. The object owns the sockets and asks these.

mod pace;
mod presence;
mod window;

pub use pace::Pace;
pub use presence::{Presence, PresenceChange};
pub use window::Sent;
