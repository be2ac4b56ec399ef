//! Tokens of users at the code host, and of a bot whose tokens rotate, kept sealed in D1 and opened at use only.
//!
//! [`ring`] and [`pair`] are pure: which key, what is bound to a value, what a pair of tokens looks like inside. [`table`] knows the rows,
//! and sees to it that of all isolates one refreshes a token; [`store`] is it for users. Sign-in stores, the edge and the objects open, an
//! operator wraps anew.

pub mod pair;
pub mod ring;
#[cfg(target_arch = "wasm32")]
pub mod store;
#[cfg(target_arch = "wasm32")]
pub mod table;
