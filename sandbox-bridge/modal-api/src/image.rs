//! Images: layers that are built, their logs, and what becomes of them. A snapshot of a filesystem is an image, too.

use crate::GenericResult;

/// The definition of one layer. The service finds a layer that it has already built by it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Image {
    /// What `FROM base` names, for a layer on an earlier one.
    #[prost(message, repeated, tag = "5")]
    pub base_images: Vec<BaseImage>,
    #[prost(string, repeated, tag = "6")]
    pub dockerfile_commands: Vec<String>,
    /// What `COPY` finds.
    #[prost(message, repeated, tag = "7")]
    pub context_files: Vec<ImageContextFile>,
    /// Their values are variables of the build.
    #[prost(string, repeated, tag = "12")]
    pub secret_ids: Vec<String>,
    #[prost(message, optional, tag = "17")]
    pub image_registry_config: Option<ImageRegistryConfig>,
}

/// An image under the name that `FROM` uses for it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BaseImage {
    #[prost(string, tag = "1")]
    pub image_id: String,
    #[prost(string, tag = "2")]
    pub docker_tag: String,
}

/// A file for the build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageContextFile {
    #[prost(string, tag = "1")]
    pub filename: String,
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

/// How to sign in at a private registry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageRegistryConfig {
    #[prost(enumeration = "RegistryAuthType", tag = "1")]
    pub registry_auth_type: i32,
    /// With `STATIC_CREDS`: has the keys `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
    #[prost(string, tag = "2")]
    pub secret_id: String,
}

/// Ways to sign in at a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum RegistryAuthType {
    Unspecified = 0,
    Aws = 1,
    Gcp = 2,
    Public = 3,
    StaticCreds = 4,
}

/// Where an image is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DeploymentNamespace {
    Unspecified = 0,
    Workspace = 1,
    Global = 3,
}

/// Builds a layer, or finds it built.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageGetOrCreateRequest {
    #[prost(message, optional, tag = "2")]
    pub image: Option<Image>,
    #[prost(string, tag = "4")]
    pub app_id: String,
    /// Builds again also what is built.
    #[prost(bool, tag = "7")]
    pub force_build: bool,
    #[prost(enumeration = "DeploymentNamespace", tag = "8")]
    pub namespace: i32,
    /// `2025.06` or newer leaves the image as it is.
    #[prost(string, tag = "9")]
    pub builder_version: String,
    /// Builds again and does not remember the result.
    #[prost(bool, tag = "11")]
    pub ignore_cache: bool,
}

/// A layer; its result has a status already where it was built before.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageGetOrCreateResponse {
    #[prost(string, tag = "1")]
    pub image_id: String,
    #[prost(message, optional, tag = "2")]
    pub result: Option<GenericResult>,
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<ImageMetadata>,
}

/// What is known about a built image.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageMetadata {
    #[prost(string, optional, tag = "3")]
    pub workdir: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub image_builder_version: Option<String>,
}

/// Reads a build's logs from an entry on, for at most `timeout` seconds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageJoinStreamingRequest {
    #[prost(string, tag = "1")]
    pub image_id: String,
    #[prost(float, tag = "2")]
    pub timeout: f32,
    /// The `entry_id` of the last message that was read; empty from the beginning.
    #[prost(string, tag = "3")]
    pub last_entry_id: String,
    #[prost(bool, tag = "4")]
    pub include_logs_for_finished: bool,
}

/// A piece of a build's logs, or its result. Logs may follow the result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageJoinStreamingResponse {
    #[prost(message, optional, tag = "1")]
    pub result: Option<GenericResult>,
    #[prost(message, repeated, tag = "2")]
    pub task_logs: Vec<TaskLogs>,
    #[prost(string, tag = "3")]
    pub entry_id: String,
    #[prost(bool, tag = "4")]
    pub eof: bool,
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<ImageMetadata>,
}

/// A piece of a log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskLogs {
    #[prost(string, tag = "1")]
    pub data: String,
    #[prost(double, tag = "7")]
    pub timestamp: f64,
    #[prost(enumeration = "FileDescriptor", tag = "8")]
    pub file_descriptor: i32,
}

/// Which output a log is of. Unlike those of the command router these begin with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum FileDescriptor {
    Unspecified = 0,
    Stdout = 1,
    Stderr = 2,
    Info = 3,
}

/// Asks whether an image is there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageFromIdRequest {
    #[prost(string, tag = "1")]
    pub image_id: String,
}

/// It is there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageFromIdResponse {
    #[prost(string, tag = "1")]
    pub image_id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<ImageMetadata>,
}

/// Removes an image.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImageDeleteRequest {
    #[prost(string, tag = "1")]
    pub image_id: String,
}
