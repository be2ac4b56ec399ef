//! What Farhand asks a code host that speaks GitHub's REST API, and what the answers mean.
//!
//! Pure: a request is a value ([`Request`]), an answer is a status and a body, and every parser is a function of those two. Nothing
//! here sends, waits, logs or keeps a token; `workers/edge` and SessionObject do the sending.

pub mod app;
mod error;
pub mod oauth;
pub mod person;
pub mod pull_request;
pub mod repository;
mod request;
mod template;
mod text;
mod time;
mod value;
pub mod webhook;

pub use error::Error;
pub use request::{Method, Request, headers, percent_encode};
