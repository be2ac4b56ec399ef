//! Modal's wire messages and services, as far as Farhand uses them.
//!
//! Numbers and types of fields are facts of Modal's published Python package (`modal` 1.6.4, Apache-2.0); the conformance test in
//! `tests/modal` compares every one of them with it. Nothing here connects, retries or decides: the bridge's Modal provider does,
//! and `fakes::modal` answers.
//!
//! Fields have Modal's names. What Farhand never reads or sends is left out: unknown fields are skipped when a message is read.
#![expect(missing_docs, reason = "messages are documented, fields only where their name does not say it")]

mod app;
mod definition;
mod dict;
mod image;
mod lifecycle;
pub mod metadata;
mod network;
mod result;
mod router;
mod secret;
pub mod services;
pub mod status;

pub use app::*;
pub use definition::*;
pub use dict::*;
pub use image::*;
pub use lifecycle::*;
pub use network::*;
pub use result::*;
pub use router::*;
pub use secret::*;
pub use status::{RpcRetryPolicy, RpcStatus};

/// `google.protobuf.Empty`.
pub type Empty = ();

/// `modal.client.ModalClient`: the control plane.
pub mod control {
    include!(concat!(env!("OUT_DIR"), "/modal.client.ModalClient.rs"));
    pub use modal_client_client::ModalClientClient as Client;
    #[cfg(feature = "server")]
    pub use modal_client_server::{ModalClient as Service, ModalClientServer as Server};
}

/// `modal.task_command_router.TaskCommandRouter`: the worker of a sandbox.
pub mod command_router {
    include!(concat!(env!("OUT_DIR"), "/modal.task_command_router.TaskCommandRouter.rs"));
    pub use task_command_router_client::TaskCommandRouterClient as Client;
    #[cfg(feature = "server")]
    pub use task_command_router_server::{TaskCommandRouter as Service, TaskCommandRouterServer as Server};
}

/// The Python package whose messages these are; also what we say that we behave like.
pub const PACKAGE_VERSION: &str = "1.6.4";
