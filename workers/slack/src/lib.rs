//! Slack as values: what it sends is read, what it is asked is written, and the repository of a message is decided.
//!
//! Pure: no requests, no clock, no randomness, and no secrets but those that pass through [`signature`]. The edge checks and hands over by
//! it, the object of a thread works by it.

pub mod api;
pub mod block;
pub mod card;
pub mod event;
pub mod file;
pub mod interaction;
pub mod manifest;
pub mod prompt;
pub mod route;
pub mod signature;
pub mod text;
pub mod token;
