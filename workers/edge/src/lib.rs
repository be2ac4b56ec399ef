//! The Worker: takes every HTTP request of clients and bridges, checks who asks and what, and hands it to where it is decided.
//!
//! It keeps no state: sessions live in their objects, lists in D1. [`route`] is the one table of what can be asked; `handlers` has
//! one function per route. The module that workerd runs is `entry.mjs`, which wraps this one so that a panic is an error at once.

pub mod route;

#[cfg(target_arch = "wasm32")]
mod answer;
#[cfg(target_arch = "wasm32")]
mod body;
#[cfg(target_arch = "wasm32")]
mod code_host;
#[cfg(target_arch = "wasm32")]
mod context;
#[cfg(target_arch = "wasm32")]
mod handlers;
#[cfg(target_arch = "wasm32")]
mod index;
pub mod nonce;
#[cfg(target_arch = "wasm32")]
mod session_object;
pub mod settings;

/// Naming the class is what exports it from the Wasm module; `tests/tidy` compares this list with `wrangler.toml`.
#[cfg(target_arch = "wasm32")]
pub use session::object::SessionObject;
#[cfg(target_arch = "wasm32")]
#[worker::event(fetch)]
async fn fetch(
    request: worker::Request,
    env: worker::Env,
    _: worker::Context,
) -> worker::Result<worker::Response> {
    match handlers::handle(request, env).await {
        Ok(response) => Ok(response),
        Err(error) => answer::error(&error),
    }
}
