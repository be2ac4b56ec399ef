//! What every Durable Object of ours needs of its platform: SQLite, migrations, clock, randomness, cryptography, requests, the signed
//! way to the bridge.
//!
//! [`bound`], [`log`], [`map`], [`crypto`] in part, [`sql`] and [`migrate`] also run natively. It decides nothing and knows no object; the shells of `session` and `repository` use it,
//! and the edge its requests.

pub mod bound;
pub mod crypto;
pub mod log;
pub mod map;
pub mod migrate;
pub mod sql;
pub mod vault;

#[cfg(target_arch = "wasm32")]
pub mod alarm;
#[cfg(target_arch = "wasm32")]
pub mod answer;
#[cfg(target_arch = "wasm32")]
pub mod bridge;
#[cfg(target_arch = "wasm32")]
pub mod code_host;
#[cfg(target_arch = "wasm32")]
pub mod d1;
#[cfg(target_arch = "wasm32")]
pub mod failure;
#[cfg(target_arch = "wasm32")]
pub mod host;
#[cfg(feature = "sqlite")]
pub mod memory;
#[cfg(target_arch = "wasm32")]
pub mod object_sql;
#[cfg(target_arch = "wasm32")]
pub mod operator;
#[cfg(target_arch = "wasm32")]
pub mod web;
