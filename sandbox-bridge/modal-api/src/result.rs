//! How a sandbox or a build ended.

/// The end of a sandbox or of an image build, or [`GenericStatus::Unspecified`] while it goes on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GenericResult {
    #[prost(enumeration = "GenericStatus", tag = "1")]
    pub status: i32,
    /// Modal's words about a failure.
    #[prost(string, tag = "2")]
    pub exception: String,
    #[prost(int32, tag = "3")]
    pub exitcode: i32,
    #[prost(string, tag = "4")]
    pub traceback: String,
    #[prost(string, tag = "13")]
    pub propagation_reason: String,
}

/// Why something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum GenericStatus {
    /// It goes on.
    Unspecified = 0,
    Success = 1,
    Failure = 2,
    /// By a call, or because its machine was taken away.
    Terminated = 3,
    /// The end of its lifetime.
    Timeout = 4,
    InitFailure = 5,
    InternalFailure = 6,
    IdleTimeout = 7,
    MemoryManagerEviction = 8,
    MemoryThrashingEviction = 9,
    KernelOomKill = 10,
}
