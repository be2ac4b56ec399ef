//! What an answer of the sandbox bridge, or none, means for the work it answers.

use super::input::WorkOutcome;
use protocol::error::{ErrorBody, ErrorCode};

/// Judges an answer that is not 2xx.
///
/// What passes by itself is delayed; what another sandbox may get over has failed; everything else was understood and refused.
#[must_use]
pub fn evaluate_refusal(status: u16, body: &[u8]) -> WorkOutcome {
    let error = protocol::read_json::<ErrorBody>(body).ok();
    let reason = error.as_ref().map_or_else(
        || format!("the sandbox bridge answered with status {status}"),
        |error| error.message.clone(),
    );
    let code = error.map_or(ErrorCode::Unknown, |error| error.code);
    if matches!(code, ErrorCode::SandboxUnavailable | ErrorCode::GenerationStale | ErrorCode::Internal) {
        return WorkOutcome::Failed { reason };
    }
    if code == ErrorCode::SignatureInvalid {
        let remedy = "BRIDGE_KEY must be the same at the edge and at the bridge";
        // Says nothing about what was asked for: a snapshot must not be given up for it.
        return WorkOutcome::Failed { reason: format!("{reason}; {remedy}") };
    }
    if !(400..500).contains(&status) || matches!(status, 408 | 425 | 429) {
        return WorkOutcome::Delayed { reason };
    }
    if code == ErrorCode::Unknown {
        // Not the bridge's own words: something in front of it, or another server. Nothing may be given up for that.
        return WorkOutcome::Failed { reason };
    }
    WorkOutcome::Rejected { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: &WorkOutcome) {
        assert_eq!(&evaluate_refusal(status, body.as_bytes()), expected, "{status} {body}");
    }

    #[test]
    fn whose_move_is_next() {
        let reason = |text: &str| text.to_owned();
        check(
            502,
            "<html>",
            &WorkOutcome::Delayed { reason: reason("the sandbox bridge answered with status 502") },
        );
        check(
            503,
            r#"{"code":"unavailable","message":"no runner is attached here"}"#,
            &WorkOutcome::Delayed { reason: reason("no runner is attached here") },
        );
        check(
            503,
            r#"{"code":"sandbox_unavailable","message":"no namespaces"}"#,
            &WorkOutcome::Failed { reason: reason("no namespaces") },
        );
        check(
            409,
            r#"{"code":"generation_stale","message":"old"}"#,
            &WorkOutcome::Failed { reason: reason("old") },
        );
        check(
            400,
            r#"{"code":"bad_request","message":"no"}"#,
            &WorkOutcome::Rejected { reason: reason("no") },
        );
        check(
            404,
            "",
            &WorkOutcome::Failed { reason: reason("the sandbox bridge answered with status 404") },
        );
        check(
            404,
            r#"{"code":"not_found","message":"the snapshot is gone"}"#,
            &WorkOutcome::Rejected { reason: reason("the snapshot is gone") },
        );
        check(
            429,
            "",
            &WorkOutcome::Delayed { reason: reason("the sandbox bridge answered with status 429") },
        );
        check(
            401,
            r#"{"code":"signature_invalid","message":"wrong key"}"#,
            &WorkOutcome::Failed {
                reason: reason("wrong key; BRIDGE_KEY must be the same at the edge and at the bridge"),
            },
        );
    }
}
