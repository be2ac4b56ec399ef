//! A sandbox's life at the control plane: create, find, tag, name, wait, end, and the way to its command router.

use crate::{GenericResult, Sandbox, SandboxTag, SecretSource};
use std::fmt;

/// Starts a sandbox. `ALREADY_EXISTS` when another one has its name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxCreateV2Request {
    #[prost(string, tag = "1")]
    pub app_id: String,
    #[prost(message, optional, tag = "2")]
    pub definition: Option<Sandbox>,
    #[prost(message, repeated, tag = "4")]
    pub tags: Vec<SandboxTag>,
    #[prost(message, repeated, tag = "6")]
    pub secret_sources: Vec<SecretSource>,
}

/// All that is needed to run commands in it.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct SandboxCreateV2Response {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
    #[prost(string, tag = "3")]
    pub task_id: String,
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<SandboxHandleMetadata>,
    #[prost(message, optional, tag = "5")]
    pub command_router_access: Option<CommandRouterAccess>,
    /// Optional proof of the creating process on later calls.
    #[prost(string, tag = "6")]
    pub sandbox_token: String,
}

impl fmt::Debug for SandboxCreateV2Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxCreateV2Response")
            .field("sandbox_id", &self.sandbox_id)
            .field("task_id", &self.task_id)
            .field("command_router_access", &self.command_router_access)
            .finish_non_exhaustive()
    }
}

/// What goes with a sandbox's id.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxHandleMetadata {
    #[prost(message, optional, tag = "1")]
    pub result: Option<GenericResult>,
    #[prost(string, tag = "2")]
    pub app_id: String,
}

/// Address and token of a sandbox's worker. Its Debug form does not show the token.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CommandRouterAccess {
    #[prost(string, tag = "1")]
    pub jwt: String,
    #[prost(string, tag = "2")]
    pub url: String,
}

impl fmt::Debug for CommandRouterAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandRouterAccess").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Asks for fresh access. `FAILED_PRECONDITION` when the sandbox has ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetCommandRouterAccessRequest {
    #[prost(oneof = "sandbox_get_command_router_access_request::Target", tags = "1, 2")]
    pub target: Option<sandbox_get_command_router_access_request::Target>,
}

/// Parts of [`SandboxGetCommandRouterAccessRequest`].
pub mod sandbox_get_command_router_access_request {
    /// Whose worker.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Target {
        #[prost(string, tag = "1")]
        SandboxId(String),
        #[prost(string, tag = "2")]
        TaskId(String),
    }
}

/// Fresh access. Its Debug form does not show the token.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct SandboxGetCommandRouterAccessResponse {
    #[prost(string, tag = "1")]
    pub jwt: String,
    #[prost(string, tag = "2")]
    pub url: String,
}

impl fmt::Debug for SandboxGetCommandRouterAccessResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxGetCommandRouterAccessResponse")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Waits for a sandbox's end for at most `timeout` seconds; 0 only looks.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxWaitRequest {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
    #[prost(float, tag = "2")]
    pub timeout: f32,
}

/// How it ended; a result without status says that it runs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxWaitResponse {
    #[prost(message, optional, tag = "1")]
    pub result: Option<GenericResult>,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<SandboxHandleMetadata>,
}

/// Ends a sandbox. One that has ended is left as it is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxTerminateRequest {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
}

/// How it had ended before, if it had.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxTerminateResponse {
    #[prost(message, optional, tag = "1")]
    pub existing_result: Option<GenericResult>,
}

/// Lists sandboxes that have at least these tags, the newest first.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxListRequest {
    #[prost(string, tag = "1")]
    pub app_id: String,
    /// `created_at` of the last one of the page before; 0 for the first page.
    #[prost(double, tag = "2")]
    pub before_timestamp: f64,
    #[prost(string, tag = "3")]
    pub environment_name: String,
    #[prost(bool, tag = "4")]
    pub include_finished: bool,
    #[prost(message, repeated, tag = "5")]
    pub tags: Vec<SandboxTag>,
}

/// A page; an empty one is the end.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxListResponse {
    #[prost(message, repeated, tag = "1")]
    pub sandboxes: Vec<SandboxInfo>,
}

/// A sandbox in a list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxInfo {
    #[prost(string, tag = "1")]
    pub id: String,
    /// Unix seconds.
    #[prost(double, tag = "3")]
    pub created_at: f64,
    #[prost(message, optional, tag = "4")]
    pub task_info: Option<TaskInfo>,
    #[prost(string, tag = "5")]
    pub app_id: String,
    #[prost(message, repeated, tag = "6")]
    pub tags: Vec<SandboxTag>,
    #[prost(string, tag = "7")]
    pub name: String,
    #[prost(string, tag = "8")]
    pub image_id: String,
    #[prost(uint32, tag = "11")]
    pub timeout_secs: u32,
}

/// The task that a sandbox is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskInfo {
    #[prost(string, tag = "1")]
    pub id: String,
    /// Unix seconds; 0 while it has not.
    #[prost(double, tag = "2")]
    pub started_at: f64,
    #[prost(double, tag = "3")]
    pub finished_at: f64,
    #[prost(message, optional, tag = "4")]
    pub result: Option<GenericResult>,
    #[prost(string, tag = "7")]
    pub sandbox_id: String,
}

/// Finds a sandbox by name. `NOT_FOUND` when none has it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetFromNameRequest {
    #[prost(string, tag = "1")]
    pub sandbox_name: String,
    #[prost(string, tag = "2")]
    pub environment_name: String,
    #[prost(string, tag = "3")]
    pub app_name: String,
    #[prost(bool, tag = "4")]
    pub include_terminated: bool,
}

/// The sandbox of that name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetFromNameResponse {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<SandboxHandleMetadata>,
}

/// Names a sandbox, once. Repeating it is fine; `ALREADY_EXISTS` when another one has the name, `FAILED_PRECONDITION` when this one
/// has a different one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxSetNameRequest {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
    #[prost(string, tag = "2")]
    pub name: String,
}

/// It has the name.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct SandboxSetNameResponse {}

/// Asks for a sandbox's tags.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxTagsGetRequest {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
}

/// A sandbox's tags.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxTagsGetResponse {
    #[prost(message, repeated, tag = "1")]
    pub tags: Vec<SandboxTag>,
}

/// Replaces all tags of a sandbox.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxTagsSetRequest {
    #[prost(string, tag = "1")]
    pub environment_name: String,
    #[prost(string, tag = "2")]
    pub sandbox_id: String,
    #[prost(message, repeated, tag = "3")]
    pub tags: Vec<SandboxTag>,
}

/// Asks which task a sandbox is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetTaskIdRequest {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
    #[prost(float, optional, tag = "2")]
    pub timeout: Option<f32>,
    #[prost(bool, tag = "3")]
    pub wait_until_ready: bool,
}

/// The task, or how the sandbox ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetTaskIdResponse {
    #[prost(string, optional, tag = "1")]
    pub task_id: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub task_result: Option<GenericResult>,
}

/// Waits for the snapshot of a sandbox that ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetExitSnapshotRequest {
    #[prost(string, tag = "1")]
    pub sandbox_id: String,
    #[prost(float, tag = "2")]
    pub timeout: f32,
}

/// The snapshot, or why there is none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SandboxGetExitSnapshotResponse {
    #[prost(oneof = "sandbox_get_exit_snapshot_response::Outcome", tags = "1, 2, 3")]
    pub outcome: Option<sandbox_get_exit_snapshot_response::Outcome>,
}

/// Parts of [`SandboxGetExitSnapshotResponse`].
pub mod sandbox_get_exit_snapshot_response {
    /// What is known.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Outcome {
        #[prost(message, tag = "1")]
        Success(Success),
        #[prost(message, tag = "2")]
        Pending(Pending),
        #[prost(message, tag = "3")]
        Error(Error),
    }

    /// The files are saved.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Success {
        #[prost(string, tag = "1")]
        pub image_id: String,
    }

    /// Not yet.
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Pending {}

    /// None will come.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Error {
        #[prost(enumeration = "ErrorCode", tag = "1")]
        pub error_code: i32,
        #[prost(string, tag = "2")]
        pub message: String,
    }

    /// Why none will come.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum ErrorCode {
        Unspecified = 0,
        Timeout = 1,
        Internal = 2,
        FilesystemInconsistent = 3,
    }
}
