//! Dictionaries: named maps of bytes that outlive whoever made them, with a write that only the first of several gets done.

use crate::ObjectCreationType;
use bytes::Bytes;

/// Finds a dictionary by name, or makes it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictGetOrCreateRequest {
    /// As an app's name.
    #[prost(string, tag = "1")]
    pub deployment_name: String,
    /// Empty for the workspace's default.
    #[prost(string, tag = "3")]
    pub environment_name: String,
    #[prost(enumeration = "ObjectCreationType", tag = "4")]
    pub object_creation_type: i32,
}

/// The dictionary's id, `di-…`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictGetOrCreateResponse {
    #[prost(string, tag = "1")]
    pub dict_id: String,
}

/// Asks for one value. An entry that is neither read nor written for seven days is gone.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictGetRequest {
    #[prost(string, tag = "1")]
    pub dict_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
}

/// A value, if there is one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictGetResponse {
    #[prost(bool, tag = "1")]
    pub found: bool,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// Removes one entry and answers what it was.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictPopRequest {
    #[prost(string, tag = "1")]
    pub dict_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
}

/// What was removed, if anything.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictPopResponse {
    #[prost(bool, tag = "1")]
    pub found: bool,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// Writes entries.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictUpdateRequest {
    #[prost(string, tag = "1")]
    pub dict_id: String,
    #[prost(message, repeated, tag = "2")]
    pub updates: Vec<DictEntry>,
    /// Leaves what is there as it is.
    #[prost(bool, tag = "3")]
    pub if_not_exists: bool,
}

/// Whether there was nothing before.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct DictUpdateResponse {
    #[prost(bool, tag = "1")]
    pub created: bool,
}

/// Asks for all entries.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictContentsRequest {
    #[prost(string, tag = "1")]
    pub dict_id: String,
    #[prost(bool, tag = "2")]
    pub keys: bool,
    #[prost(bool, tag = "3")]
    pub values: bool,
}

/// One entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DictEntry {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}
