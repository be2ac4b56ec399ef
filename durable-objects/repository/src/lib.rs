//! One repository: its images and its warm pool, owned by one Durable Object, so that a claim checks freshness and marks in one step.
//!
//! [`core`] decides what is built, filled, handed out and thrown away, and knows neither IO nor clock; [`store`] keeps it in SQLite and
//! alone knows SQL; `object` is the shell, built for Wasm only. [`call`] is how edge and sessions reach the object.

pub mod call;
pub mod core;
#[cfg(target_arch = "wasm32")]
pub mod object;
pub mod store;
