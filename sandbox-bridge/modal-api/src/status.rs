//! What stands in the details of a failed call: whether to come again, and when. Read by the client, written by the stand-in.

use prost::Message as _;
use prost_types::Any;
use std::time::Duration;

const RETRY_POLICY: &str = "modal.client.RPCRetryPolicy";

/// Modal's form of `google.rpc.Status`, in the trailer `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// Asks the caller to come again later; without it, exhausted resources are a limit that waiting does not help.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct RpcRetryPolicy {
    #[prost(float, tag = "1")]
    pub retry_after_secs: f32,
}

/// How long the service asks to wait before the same call, if it does.
#[must_use]
pub fn retry_after(status: &tonic::Status) -> Option<Duration> {
    let details = RpcStatus::decode(status.details()).ok()?.details;
    let policy = details
        .iter()
        .find(|detail| detail.type_url.rsplit('/').next() == Some(RETRY_POLICY))
        .and_then(|detail| RpcRetryPolicy::decode(detail.value.as_slice()).ok())?;
    Duration::try_from_secs_f32(policy.retry_after_secs).ok()
}

/// A failure that asks the caller to come again after that time.
#[must_use]
pub fn throttled(code: tonic::Code, message: &str, retry_after: Duration) -> tonic::Status {
    let policy = RpcRetryPolicy { retry_after_secs: retry_after.as_secs_f32() };
    let details = RpcStatus {
        code: code.into(),
        message: message.to_owned(),
        details: vec![Any {
            type_url: format!("type.modal.com/{RETRY_POLICY}"),
            value: policy.encode_to_vec(),
        }],
    };
    tonic::Status::with_details(code, message, details.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn the_time_to_wait_is_read_as_it_was_written() {
        let status = throttled(Code::ResourceExhausted, "too many", Duration::from_millis(1500));
        assert_eq!(retry_after(&status), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn without_a_policy_there_is_no_time_to_wait() {
        assert_eq!(retry_after(&tonic::Status::resource_exhausted("billing limit")), None);
        let foreign = tonic::Status::with_details(Code::Unavailable, "", bytes::Bytes::from_static(&[0xff]));
        assert_eq!(retry_after(&foreign), None);
    }

    #[test]
    fn a_time_that_is_no_time_is_none() {
        let negative = RpcStatus {
            details: vec![Any {
                type_url: format!("type.modal.com/{RETRY_POLICY}"),
                value: RpcRetryPolicy { retry_after_secs: -1.0 }.encode_to_vec(),
            }],
            ..RpcStatus::default()
        };
        let status =
            tonic::Status::with_details(Code::ResourceExhausted, "", negative.encode_to_vec().into());
        assert_eq!(retry_after(&status), None);
    }
}
