//! Apps, environments and the token of a client: what is asked for once and kept.

use std::fmt;

/// How a named object is to be found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ObjectCreationType {
    /// Only found.
    Unspecified = 0,
    CreateIfMissing = 1,
    CreateFailIfExists = 2,
    CreateOverwriteIfExists = 3,
    /// Nameless, gone with its app.
    AnonymousOwnedByApp = 4,
}

/// Asks for the app that all our sandboxes and images belong to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AppGetOrCreateRequest {
    /// `[a-zA-Z0-9-_.]`, at most 64.
    #[prost(string, tag = "1")]
    pub app_name: String,
    /// Empty for the workspace's default.
    #[prost(string, tag = "2")]
    pub environment_name: String,
    #[prost(enumeration = "ObjectCreationType", tag = "3")]
    pub object_creation_type: i32,
}

/// The app's id, `ap-…`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AppGetOrCreateResponse {
    #[prost(string, tag = "1")]
    pub app_id: String,
}

/// Asks for a token for the calls of V2 sandboxes.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct AuthTokenGetRequest {}

/// A JWT; its `exp` says until when. Its Debug form does not show it.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct AuthTokenGetResponse {
    #[prost(string, tag = "1")]
    pub token: String,
}

impl fmt::Debug for AuthTokenGetResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthTokenGetResponse").finish_non_exhaustive()
    }
}

/// Asks for an environment's settings.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnvironmentGetOrCreateRequest {
    /// Empty for the workspace's default.
    #[prost(string, tag = "1")]
    pub deployment_name: String,
    #[prost(enumeration = "ObjectCreationType", tag = "2")]
    pub object_creation_type: i32,
}

/// An environment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnvironmentGetOrCreateResponse {
    #[prost(string, tag = "1")]
    pub environment_id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<EnvironmentMetadata>,
}

/// Name and settings of an environment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnvironmentMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub settings: Option<EnvironmentSettings>,
}

/// Settings of an environment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EnvironmentSettings {
    /// Decides what builds add to images; from `2025.06` on, nothing.
    #[prost(string, tag = "1")]
    pub image_builder_version: String,
}
