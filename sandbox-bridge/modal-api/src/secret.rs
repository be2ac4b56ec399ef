//! Secrets: stored ones by name or id, and values that go with one sandbox or command. Debug forms show no value.

use crate::ObjectCreationType;
use std::collections::BTreeMap;
use std::fmt;

/// Finds a stored secret by name, or makes one from values.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct SecretGetOrCreateRequest {
    #[prost(string, tag = "1")]
    pub deployment_name: String,
    #[prost(string, tag = "3")]
    pub environment_name: String,
    #[prost(enumeration = "ObjectCreationType", tag = "4")]
    pub object_creation_type: i32,
    /// Keys match `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[prost(btree_map = "string, string", tag = "5")]
    pub env_dict: BTreeMap<String, String>,
    /// Of a nameless secret.
    #[prost(string, tag = "6")]
    pub app_id: String,
    /// A stored secret without them is refused.
    #[prost(string, repeated, tag = "7")]
    pub required_keys: Vec<String>,
}

impl fmt::Debug for SecretGetOrCreateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretGetOrCreateRequest")
            .field("deployment_name", &self.deployment_name)
            .field("object_creation_type", &self.object_creation_type())
            .field("keys", &self.env_dict.keys())
            .finish_non_exhaustive()
    }
}

/// A secret's id, `st-…`, and what may be known about it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SecretGetOrCreateResponse {
    #[prost(string, tag = "1")]
    pub secret_id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<SecretMetadata>,
}

/// A secret's name and keys.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SecretMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub keys: Vec<String>,
}

/// Removes a stored secret.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SecretDeleteRequest {
    #[prost(string, tag = "1")]
    pub secret_id: String,
}

/// Variables of a sandbox or a command: a stored secret's, or as given.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SecretSource {
    #[prost(oneof = "secret_source::Source", tags = "1, 2")]
    pub source: Option<secret_source::Source>,
}

/// Parts of [`SecretSource`].
pub mod secret_source {
    /// Where the variables come from.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Source {
        #[prost(string, tag = "1")]
        SecretId(String),
        #[prost(message, tag = "2")]
        Env(super::StringMap),
    }
}

/// Names and values of variables.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StringMap {
    #[prost(btree_map = "string, string", tag = "1")]
    pub contents: BTreeMap<String, String>,
}

impl fmt::Debug for StringMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StringMap").field("keys", &self.contents.keys()).finish_non_exhaustive()
    }
}
