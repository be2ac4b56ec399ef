//! A command's standard input: pieces with offsets, so that what is sent twice arrives once.

use bytes::Bytes;

/// A piece of input. Below the offset that has arrived it is ignored.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStdinWriteRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    #[prost(bool, tag = "5")]
    pub eof: bool,
}

/// It arrived.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecStdinWriteResponse {}

/// Asks how much arrived. Asking ends a running [`TaskExecStdinWriteStreamRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStdinStatusRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
}

/// How much arrived.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecStdinStatusResponse {
    #[prost(uint64, tag = "1")]
    pub num_bytes_written: u64,
    #[prost(bool, tag = "2")]
    pub closed: bool,
}

/// Input in bulk: a start, data, an end. Only the end closes the input.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStdinWriteStreamRequest {
    #[prost(oneof = "task_exec_stdin_write_stream_request::Payload", tags = "1, 2, 3")]
    pub payload: Option<task_exec_stdin_write_stream_request::Payload>,
}

/// Parts of [`TaskExecStdinWriteStreamRequest`].
pub mod task_exec_stdin_write_stream_request {
    /// One message of the stream.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Payload {
        #[prost(message, tag = "1")]
        Start(super::TaskExecStdinWriteStreamStart),
        #[prost(bytes = "bytes", tag = "2")]
        Data(bytes::Bytes),
        #[prost(message, tag = "3")]
        End(super::TaskExecStdinWriteStreamEnd),
    }
}

/// Whose input follows, from which offset on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStdinWriteStreamStart {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
    #[prost(uint64, tag = "3")]
    pub offset: u64,
}

/// The input is complete.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecStdinWriteStreamEnd {}

/// All of it arrived.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecStdinWriteStreamResponse {}
