//! The Worker: takes every HTTP request of clients and bridges, checks who asks and what, and hands it to where it is decided.
//!
//! It keeps no state: sessions live in their objects, lists in D1, whose SQL stands in `accounts`, `index`, `overview`, `roster`,
//! `slack_links` and `sockets` only; what metrics and budgets ask, in their crates. [`api::route`] is the one table of what can be asked;
//! `handlers` has one function per route. The module that workerd runs is `entry.mjs`, which wraps this one so that a panic is an error
//! at once.

#[cfg(target_arch = "wasm32")]
mod accounts;
#[cfg(target_arch = "wasm32")]
mod answer;
#[cfg(target_arch = "wasm32")]
mod body;
#[cfg(target_arch = "wasm32")]
mod code_host;
#[cfg(target_arch = "wasm32")]
mod context;
#[cfg(target_arch = "wasm32")]
mod erasures;
#[cfg(target_arch = "wasm32")]
mod handlers;
#[cfg(target_arch = "wasm32")]
mod index;
#[cfg(target_arch = "wasm32")]
mod metrics_store;
pub mod nonce;
#[cfg(target_arch = "wasm32")]
mod object;
#[cfg(target_arch = "wasm32")]
mod overview;
pub mod rate;
#[cfg(target_arch = "wasm32")]
mod repository_object;
#[cfg(target_arch = "wasm32")]
mod roster;
#[cfg(target_arch = "wasm32")]
mod session_cookies;
#[cfg(target_arch = "wasm32")]
mod session_object;
pub mod settings;
#[cfg(target_arch = "wasm32")]
mod slack_links;
pub mod slack_settings;
#[cfg(target_arch = "wasm32")]
mod slack_token;
#[cfg(target_arch = "wasm32")]
mod sockets;
#[cfg(target_arch = "wasm32")]
mod standing;
#[cfg(target_arch = "wasm32")]
mod thread_object;

/// Naming a class is what exports it from the Wasm module; `tests/tidy` compares this list with `wrangler.toml`.
#[cfg(target_arch = "wasm32")]
pub use repository::object::RepositoryObject;
#[cfg(target_arch = "wasm32")]
pub use session::object::SessionObject;
#[cfg(target_arch = "wasm32")]
pub use thread_object::ThreadObject;

#[cfg(target_arch = "wasm32")]
#[worker::event(fetch)]
async fn fetch(
    request: worker::Request,
    env: worker::Env,
    _: worker::Context,
) -> worker::Result<worker::Response> {
    handlers::handle(request, env).await
}

#[cfg(target_arch = "wasm32")]
#[worker::event(scheduled)]
async fn scheduled(event: worker::ScheduledEvent, env: worker::Env, _: worker::ScheduleContext) {
    handlers::watch_sockets(&env).await;
    erasures::go_on_erasing(&env).await;
    if event.cron() == handlers::EVERY_MINUTE {
        return;
    }
    handlers::poke_repositories(&env).await;
    handlers::prune(&env).await;
    handlers::prune_deliveries(&env).await;
}
