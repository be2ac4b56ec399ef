//! Tokens of users at the code host, kept sealed in D1 and opened at use only.
//!
//! [`ring`] and [`pair`] are pure: which key, what is bound to a value, what a pair of tokens looks like inside. [`store`] knows the table,
//! and sees to it that of all isolates one refreshes a token. Sign-in stores, the edge and SessionObject open, an operator wraps anew.

pub mod pair;
pub mod ring;
#[cfg(target_arch = "wasm32")]
pub mod store;
