//! Commands: start, output from an offset on, and the end. A command's id is chosen by the caller and makes starting safe to repeat.

use crate::SecretSource;

/// Starts a command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStartRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    /// A UUID, the same in all tries.
    #[prost(string, tag = "2")]
    pub exec_id: String,
    #[prost(string, repeated, tag = "3")]
    pub command_args: Vec<String>,
    #[prost(enumeration = "TaskExecStdoutConfig", tag = "4")]
    pub stdout_config: i32,
    #[prost(enumeration = "TaskExecStderrConfig", tag = "5")]
    pub stderr_config: i32,
    /// After so long the service kills it.
    #[prost(uint32, optional, tag = "6")]
    pub timeout_secs: Option<u32>,
    #[prost(string, optional, tag = "7")]
    pub workdir: Option<String>,
    #[prost(message, optional, tag = "9")]
    pub pty_info: Option<PtyInfo>,
    #[prost(message, repeated, tag = "13")]
    pub secret_sources: Vec<SecretSource>,
}

/// It was started, or had been.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecStartResponse {}

/// Where standard output goes. What is not said is thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum TaskExecStdoutConfig {
    Devnull = 0,
    Pipe = 1,
}

/// Where standard error goes. `Stdout` is refused by the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum TaskExecStderrConfig {
    Devnull = 0,
    Pipe = 1,
    Stdout = 2,
}

/// A terminal for a command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PtyInfo {
    #[prost(bool, tag = "1")]
    pub enabled: bool,
    #[prost(uint32, tag = "2")]
    pub winsz_rows: u32,
    #[prost(uint32, tag = "3")]
    pub winsz_cols: u32,
    #[prost(string, tag = "4")]
    pub env_term: String,
    #[prost(enumeration = "PtyType", tag = "7")]
    pub pty_type: i32,
    #[prost(bool, tag = "8")]
    pub no_terminate_on_idle_stdin: bool,
}

/// What a terminal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum PtyType {
    Unspecified = 0,
    Function = 1,
    Shell = 2,
}

/// Reads what a command wrote from an offset on. The stream's clean end is the end of the output.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStdioReadRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    #[prost(enumeration = "TaskExecStdioFileDescriptor", tag = "4")]
    pub file_descriptor: i32,
}

/// Which output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum TaskExecStdioFileDescriptor {
    Stdout = 0,
    Stderr = 1,
}

/// A piece of output.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecStdioReadResponse {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: bytes::Bytes,
}

/// Asks whether a command has ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecPollRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
}

/// How it ended, or nothing while it runs.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecPollResponse {
    #[prost(oneof = "task_exec_poll_response::ExitStatus", tags = "1, 2")]
    pub exit_status: Option<task_exec_poll_response::ExitStatus>,
}

/// Parts of [`TaskExecPollResponse`].
pub mod task_exec_poll_response {
    /// How a command ended.
    #[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
    pub enum ExitStatus {
        #[prost(int32, tag = "1")]
        Code(i32),
        #[prost(int32, tag = "2")]
        Signal(i32),
    }
}

/// Waits for a command's end, as long as the call's deadline allows.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskExecWaitRequest {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TaskExecWaitResponse {
    #[prost(oneof = "task_exec_wait_response::ExitStatus", tags = "1, 2")]
    pub exit_status: Option<task_exec_wait_response::ExitStatus>,
}

/// Parts of [`TaskExecWaitResponse`].
pub mod task_exec_wait_response {
    /// How a command ended.
    #[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
    pub enum ExitStatus {
        #[prost(int32, tag = "1")]
        Code(i32),
        #[prost(int32, tag = "2")]
        Signal(i32),
    }
}
