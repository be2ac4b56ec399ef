//! What Modal says when it does not do what it was asked to, sorted by whose move is next.
//!
//! Modal's own words are kept; a remedy is added where there is one. The client makes these errors, the provider passes them on.

use crate::provider::ProviderError;
use std::time::Duration;
use tonic::{Code, Status};

/// Longest text of Modal's that is passed on.
const REASON_CHARS_MAX: usize = 1000;

/// Whose move is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller's or the operator's: the same call again will fail again.
    Rejected,
    /// Modal's: it may work later.
    Unavailable,
    /// Ours: Modal's interface is not what this program was built for.
    Bug,
}

/// A call to Modal that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("could not {what} at Modal: {reason}{}", remedy(*.code))]
pub struct ModalError {
    /// What was tried, as a verb and its object.
    pub what: &'static str,
    /// Modal's own code.
    pub code: Code,
    /// Modal's own words.
    pub reason: String,
    /// When Modal wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl ModalError {
    /// From what a call answered.
    pub(super) fn new(what: &'static str, status: &Status, retry_after: Option<Duration>) -> Self {
        let error = Self { what, code: status.code(), reason: printable(status.message()), retry_after };
        if error.kind() == ErrorKind::Bug {
            tracing::error!(what, code = ?error.code, reason = error.reason, "Modal's interface is not as expected");
        }
        error
    }

    /// A failure that Modal reported in an answer and not as a status.
    pub(super) fn reported(what: &'static str, code: Code, reason: impl Into<String>) -> Self {
        Self::new(what, &Status::new(code, reason), None)
    }

    /// Whose move is next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        kind_of(self.code)
    }

    /// Whether the call may have been carried out although it failed.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        is_transient(self.code)
    }

    /// Whether what the call was about does not exist, or not any more.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

/// What each code means at Modal; RESOURCE_EXHAUSTED is a rate, a quota or a bill, which pass or are raised.
fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Aborted => ErrorKind::Rejected,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Internal
        | Code::Unavailable => ErrorKind::Unavailable,
        Code::Unimplemented | Code::DataLoss => ErrorKind::Bug,
    }
}

/// Codes after which Modal's own clients ask again.
#[must_use]
pub(super) fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::DeadlineExceeded | Code::Unavailable | Code::Cancelled | Code::Internal | Code::Unknown
    )
}

fn remedy(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated => "; check MODAL_TOKEN_ID and MODAL_TOKEN_SECRET",
        Code::PermissionDenied => "; check what the token may do in this workspace, and MODAL_ENVIRONMENT",
        Code::ResourceExhausted => {
            "; look at the limits and the billing of the Modal workspace, or try again later"
        }
        Code::Unimplemented | Code::DataLoss => "; this bridge is too old or too new for Modal, update it",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable => "",
    }
}

/// Words of another system: people see them, so they are kept short and printable.
pub(super) fn printable(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    if text.is_empty() { "it gives no reason".to_owned() } else { text }
}

impl From<ModalError> for ProviderError {
    fn from(error: ModalError) -> Self {
        match error.kind() {
            ErrorKind::Rejected if error.is_not_found() => Self::NotFound(error.reason),
            ErrorKind::Rejected => Self::Rejected(error.to_string()),
            ErrorKind::Unavailable | ErrorKind::Bug => {
                let what = format!("could not {} at Modal", error.what);
                Self::Unavailable { what, source: anyhow::Error::new(error) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_kind_and_keeps_modals_words() {
        for (code, kind) in [
            (Code::NotFound, ErrorKind::Rejected),
            (Code::Unauthenticated, ErrorKind::Rejected),
            (Code::FailedPrecondition, ErrorKind::Rejected),
            (Code::ResourceExhausted, ErrorKind::Unavailable),
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::Internal, ErrorKind::Unavailable),
            (Code::Unimplemented, ErrorKind::Bug),
        ] {
            let error = ModalError::reported("end the sandbox", code, "Modal's words");
            assert_eq!(error.kind(), kind, "{code:?}");
            assert!(
                error.to_string().contains("could not end the sandbox at Modal: Modal's words"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_the_operator_can_do_is_said() {
        let said = ModalError::reported("find the app", Code::Unauthenticated, "Token missing").to_string();
        assert!(said.contains("MODAL_TOKEN_ID"), "{said}");
        let refused = ProviderError::from(ModalError::reported("x", Code::InvalidArgument, "bad cpu"));
        assert!(matches!(refused, ProviderError::Rejected(text) if text.contains("bad cpu")));
        let gone = ProviderError::from(ModalError::reported("x", Code::NotFound, "Sandbox sb-1"));
        assert!(matches!(gone, ProviderError::NotFound(_)));
        let later = ProviderError::from(ModalError::reported("x", Code::Unavailable, "later"));
        assert!(matches!(later, ProviderError::Unavailable { .. }));
    }

    #[test]
    fn control_characters_and_floods_are_not_passed_on() {
        let error = ModalError::reported("x", Code::Internal, format!("a\u{1b}[31m{}", "b".repeat(5000)));
        assert!(error.reason.starts_with("a[31mb") && error.reason.chars().count() == REASON_CHARS_MAX);
    }
}
