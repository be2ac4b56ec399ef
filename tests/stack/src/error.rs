//! What can go wrong while the stack starts or is spoken to. Every text says what to do.

use protocol::error::ErrorBody;
use std::path::PathBuf;

/// Why the stack does not run, or did not answer as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// Something must be built first.
    #[error("{what} is missing at {}: run `cargo xtask build`", path.display())]
    NotBuilt {
        /// For humans.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file of the run could not be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// As the system says.
        source: std::io::Error,
    },
    /// A port that was asked for is taken.
    #[error("port {port} is taken: stop the program that uses it, or choose another with --port")]
    PortTaken {
        /// Which.
        port: u16,
    },
    /// A part did not start, or ended by itself.
    #[error("{part} {happened}; the end of its log ({}):\n{tail}", log.display())]
    Part {
        /// Which.
        part: &'static str,
        /// What it did.
        happened: String,
        /// All it printed.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// A stand-in failed.
    #[error(transparent)]
    Fakes(#[from] fakes::FakesError),
    /// The Worker's configuration cannot be read.
    #[error("wrangler.toml: {0}")]
    Configuration(String),
    /// Nobody with this login.
    #[error("no local user is called {0}")]
    UserUnknown(String),
    /// The Worker cannot be reached.
    #[error("the Worker does not answer")]
    Http(#[from] reqwest::Error),
    /// The Worker refused.
    #[error("{0}")]
    Refused(ErrorBody),
    /// The Worker answered something else than agreed.
    #[error("unexpected answer to {request}: {answer}")]
    Unexpected {
        /// Which request.
        request: String,
        /// Its beginning.
        answer: String,
    },
    /// The session's WebSocket failed.
    #[error("the session's WebSocket: {0}")]
    Socket(String),
    /// Something did not happen in time.
    #[error("{what} did not happen within {seconds} s")]
    Timeout {
        /// For humans.
        what: String,
        /// How long was waited.
        seconds: u64,
    },
}

impl StackError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
