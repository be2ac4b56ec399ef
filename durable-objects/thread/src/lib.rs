//! One Slack thread: what it took, what it is bound to, and what it owes to Slack and to its session.
//!
//! [`state`] decides, [`store`] knows SQL; both run natively. The class that workerd runs is the edge's, because a thread acts in the name of
//! people, by the very functions that answer their requests.

pub mod call;
pub mod state;
pub mod store;
