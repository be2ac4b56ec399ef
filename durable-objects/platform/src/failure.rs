//! What a call answers when it does not succeed: the caller's fault as it is, ours as an incident that the log explains.

use crate::host::random;
use crate::log::{self, About, Level};
use crate::sql::StoreError;
use protocol::error::{ErrorBody, ErrorCode};

/// Why a call has no result.
#[derive(Debug)]
pub enum Failure {
    /// The caller's, or a dependency's.
    Refused(ErrorBody),
    /// Ours.
    Bug(String),
}

impl Failure {
    /// A refusal, with its message.
    pub fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(ErrorBody::new(code, message))
    }

    /// What the caller may know. A defect of ours is logged here, once.
    pub fn into_body(self, about: &About) -> ErrorBody {
        match self {
            Self::Refused(body) => body,
            Self::Bug(what) => {
                let incident: String = random().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
                let about = about.clone().with("incident", &incident);
                log::write(Level::Error, &what, &about);
                ErrorBody::new(ErrorCode::Internal, format!("something went wrong here; incident {incident}"))
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Bug(error.to_string())
    }
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        Self::Bug(error.to_string())
    }
}
