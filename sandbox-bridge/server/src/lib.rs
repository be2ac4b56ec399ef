//! The sandbox bridge: makes sandboxes, joins their runners to the sessions at the edge, and holds the keys that they must not have.
//!
//! A library so that its parts can be tested from outside; `main.rs` is the only other caller.

pub mod api;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod edge;
pub mod gateway;
pub mod hub;
pub mod image;
pub mod launcher;
pub mod log;
pub mod provider;
pub mod serve;
pub mod trace;
