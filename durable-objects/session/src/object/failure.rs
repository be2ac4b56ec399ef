//! What a call answers when it does not succeed: the caller's fault as it is, ours as an incident that the log explains.

use super::platform::random;
use crate::store::StoreError;
use protocol::error::{ErrorBody, ErrorCode};

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Failure {
    /// The caller's, or a dependency's.
    Refused(ErrorBody),
    /// Ours.
    Bug(String),
}

impl Failure {
    pub(super) fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(ErrorBody::new(code, message))
    }

    pub(super) fn not_found() -> Self {
        Self::refused(ErrorCode::NotFound, "there is no such session")
    }

    /// What the caller may know. A defect of ours is logged here, once.
    pub(super) fn into_body(self) -> ErrorBody {
        match self {
            Self::Refused(body) => body,
            Self::Bug(what) => {
                let incident: String = random().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
                worker::console_error!("incident {incident}: {what}");
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
