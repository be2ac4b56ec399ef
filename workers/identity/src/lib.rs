//! Who is asking, and whether the request may count as theirs.
//!
//! Pure: headers, keys and the time come in as arguments. `workers/edge` calls this for every request; SessionObject takes the
//! [`Principal`] that came of it and records each ticket's use. Nothing here knows a route or answers HTTP.

pub mod admission;
pub mod api_key;
pub mod attempt;
pub mod cookie;
pub mod local;
pub mod origin;
pub mod policy;
mod principal;
pub mod refresh;
pub mod signed_in;
pub mod ticket;

pub use principal::Principal;
