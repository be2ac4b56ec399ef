//! What `farhand` says and does: a client of the public HTTP API with an API key, for terminals and scripts.
//!
//! [`transcript`] prints a session as it happens, also for `cargo xtask demo`. `settings` knows the deployment, `api` asks it, `live` is a
//! session's WebSocket that comes back by itself, `commands` has one function per command.

mod api;
mod commands;
mod diff;
mod error;
mod live;
mod remote;
mod settings;
pub mod transcript;

pub use commands::{Command, PromptArguments, SessionsArguments, run};
pub use error::Error;
