//! Errors as a caller sees them: `{code, message}`. The code is for programs, the message says what happened and what to do.

use crate::objects;
use serde::{Deserialize, Serialize};

objects!(ErrorBody);

/// Body of every HTTP answer that is not 2xx, and payload of [`crate::client::ServerMessage::Rejected`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self")]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For humans: what happened, and the remedy. Never contains a secret or another user's data.
    pub message: String,
}

impl ErrorBody {
    /// An error with its message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl std::fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code.as_str())
    }
}

impl std::error::Error for ErrorBody {}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// Why a request was refused or failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code of a newer peer.
            #[cfg_attr(feature = "schema", schemars(skip))]
            #[serde(other)]
            Unknown,
        }

        impl ErrorCode {
            /// All of them but [`ErrorCode::Unknown`].
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Unknown => "unknown" }
            }

            /// The HTTP status that carries it.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* Self::Unknown => 500 }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or not of the expected shape.
    BadRequest = "bad_request", 400;
    /// Nobody is signed in.
    SignInRequired = "sign_in_required", 401;
    /// A signature between edge and bridge is missing, wrong, too old or was used before.
    SignatureInvalid = "signature_invalid", 401;
    /// A sandbox or WebSocket token is missing, wrong or expired.
    TokenInvalid = "token_invalid", 401;
    /// Signed in, but not allowed to do this.
    Forbidden = "forbidden", 403;
    /// The request came from a page of another origin.
    OriginRefused = "origin_refused", 403;
    /// Nothing here.
    NotFound = "not_found", 404;
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The same id was used before with other content.
    IdConflict = "id_conflict", 409;
    /// The call carries a generation that is not the current one.
    GenerationStale = "generation_stale", 409;
    /// An event batch does not begin where the last one ended.
    EventGap = "event_gap", 409;
    /// The prompt is no longer waiting.
    PromptNotQueued = "prompt_not_queued", 409;
    /// No turn runs, or another one than named.
    TurnNotRunning = "turn_not_running", 409;
    /// The session is archived.
    SessionArchived = "session_archived", 409;
    /// The request is longer than the limit.
    TooLarge = "too_large", 413;
    /// The content type is not the expected one.
    MediaTypeUnsupported = "media_type_unsupported", 415;
    /// The prompt has no text.
    PromptEmpty = "prompt_empty", 422;
    /// The code host knows no such repository, or this user may not see it.
    RepositoryUnknown = "repository_unknown", 422;
    /// The repository exists but cannot be cloned now.
    RepositoryUnreachable = "repository_unreachable", 422;
    /// The model is not one of the configured ones.
    ModelUnknown = "model_unknown", 422;
    /// The peer speaks another version of the protocol.
    VersionUnsupported = "version_unsupported", 426;
    /// Too many requests or frames in a short time.
    RateLimited = "rate_limited", 429;
    /// The queue has its maximum length.
    QueueFull = "queue_full", 429;
    /// A defect of ours; the message carries an incident id.
    Internal = "internal", 500;
    /// The sandbox cannot be had: isolation missing, limits, provider error.
    SandboxUnavailable = "sandbox_unavailable", 503;
    /// Something we depend on does not answer; try again.
    Unavailable = "unavailable", 503;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_serde_agree_and_a_future_code_is_read() {
        for code in [ErrorCode::BadRequest, ErrorCode::GenerationStale, ErrorCode::Unavailable] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        assert_eq!(serde_json::from_str::<ErrorCode>("\"from_the_future\"").unwrap(), ErrorCode::Unknown);
    }
}
