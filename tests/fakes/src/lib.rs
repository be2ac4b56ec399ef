//! Stand-ins for what Farhand reaches outside: a code host with real git repositories, a model provider, Modal, and Slack.
//!
//! They listen on loopback only and speak the real protocols, so the product cannot tell the difference. `stack` starts them;
//! nothing here knows the edge or the bridge.

// GitHub's objects have some sixty members each, and `json!` takes a step for each of their tokens.
#![recursion_limit = "512"]

pub mod github;
pub mod modal;
pub mod model;
mod repository;
pub mod seed;
mod server;
pub mod slack;
pub mod token;

/// Why a stand-in could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FakesError {
    /// The port is taken, or loopback cannot be used.
    #[error("cannot listen on 127.0.0.1:{port}: another program may use the port")]
    Listen {
        /// The one asked for; 0 means any.
        port: u16,
        /// As the system says.
        source: std::io::Error,
    },
    /// A file or folder of the stand-in could not be used.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// As the system says.
        source: std::io::Error,
    },
    /// A process could not be given a root folder of its own.
    #[error(
        "this machine lets no process have a root folder of its own: allow user namespaces (sysctl kernel.unprivileged_userns_clone, \
         kernel.apparmor_restrict_unprivileged_userns), or run as root"
    )]
    View(#[source] std::io::Error),
    /// git could not be started.
    #[error("cannot run git: install it and make sure that it is on PATH")]
    GitMissing(#[source] std::io::Error),
    /// git ran and failed.
    #[error("git {command} failed: {message}")]
    Git {
        /// The subcommand.
        command: String,
        /// What git said.
        message: String,
    },
    /// The repository to be imported has no commit.
    #[error("{origin} has no commit: make a first one, a session needs a branch to start from")]
    RepositoryEmpty {
        /// As given.
        origin: String,
    },
    /// The repository to be imported could not be cloned.
    #[error("cannot clone {origin}: {message}")]
    RepositoryUnreachable {
        /// As given.
        origin: String,
        /// What git said.
        message: String,
    },
}
