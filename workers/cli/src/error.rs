//! Why a command did not do what was asked, and the exit code that says so to scripts.

use protocol::error::{ErrorBody, ErrorCode};

/// Why not. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No deployment, or no key for it, is known, or the key does not count.
    #[error("{0}; `farhand login` keeps an address and a key")]
    SignIn(String),
    /// The deployment said no.
    #[error("{0}")]
    Refused(ErrorBody),
    /// The deployment does not answer, or something else does.
    #[error("{0}; check the address of the deployment and the way there")]
    Unreachable(String),
    /// Something here is not as it must be.
    #[error("{0}")]
    Local(String),
    /// The turn that was followed failed.
    #[error("the turn failed: {0}")]
    TurnFailed(String),
    /// It was stopped, or its prompt was taken back.
    #[error("the turn was stopped")]
    TurnStopped,
}

impl Error {
    /// What the process ends with; 0 is success, and 2 is clap's for wrong usage.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Local(_) => 1,
            Self::SignIn(_) => 3,
            Self::Unreachable(_) => 4,
            Self::TurnFailed(_) => 5,
            Self::TurnStopped => 6,
        }
    }
}

impl From<ErrorBody> for Error {
    fn from(body: ErrorBody) -> Self {
        if body.code == ErrorCode::SignInRequired {
            return Self::SignIn(body.message);
        }
        Self::Refused(body)
    }
}
