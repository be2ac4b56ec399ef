//! One conversation about one repository, owned by one Durable Object.
//!
//! [`core`] decides what happens next and knows neither IO nor clock; [`store`] keeps it in SQLite and alone knows SQL; `object` is
//! the shell, built for Wasm only, that loads, asks the core, commits and sends; [`audience`] is what it owes its viewers. [`call`] is how the edge reaches the object.

pub mod audience;
pub mod call;
pub mod core;
#[cfg(target_arch = "wasm32")]
pub mod object;
pub mod store;
