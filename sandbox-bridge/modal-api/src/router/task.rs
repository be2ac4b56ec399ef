//! A sandbox as a whole: what its first process wrote, its network, its snapshot.

use crate::NetworkAccess;
use bytes::Bytes;

/// Reads what the first process wrote, from an offset on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxStdioReadV2Request {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    #[prost(enumeration = "SandboxStdioFileDescriptor", tag = "3")]
    pub file_descriptor: i32,
}

/// Which output of the first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum SandboxStdioFileDescriptor {
    Stdout = 0,
    Stderr = 1,
}

/// A piece of output. Only the newest is kept: a `starting_offset` beyond the expected one means that some is lost.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxStdioReadV2Response {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
    #[prost(uint64, tag = "2")]
    pub starting_offset: u64,
}

/// Replaces what a running sandbox may reach; connections that it does not allow are closed. Takes allow-lists only.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskSetNetworkAccessRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(message, optional, tag = "2")]
    pub network_access: Option<NetworkAccess>,
}

/// It holds.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskSetNetworkAccessResponse {}

/// Saves a sandbox's files as an image, while it runs on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskSnapshotFilesystemRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    /// A UUID, the same in all tries.
    #[prost(string, tag = "2")]
    pub snapshot_id: String,
    /// Must be given: seconds from now until it is removed, or -1 for never. Use does not make it longer.
    #[prost(int64, optional, tag = "3")]
    pub ttl_seconds: Option<i64>,
}

/// The image.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskSnapshotFilesystemResponse {
    #[prost(string, tag = "1")]
    pub image_id: String,
}
