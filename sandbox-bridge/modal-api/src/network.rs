//! What a sandbox may reach, and which of its ports can be reached.

/// What a sandbox may reach. One allow-list holds addresses and names.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NetworkAccess {
    #[prost(enumeration = "NetworkAccessType", tag = "1")]
    pub network_access_type: i32,
    #[prost(string, repeated, tag = "2")]
    pub allowed_cidrs: Vec<String>,
    /// Exact, or `*.example.org`, or `*` for all.
    #[prost(string, repeated, tag = "3")]
    pub allowed_domains: Vec<String>,
}

/// How a [`NetworkAccess`] is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum NetworkAccessType {
    Unspecified = 0,
    Open = 1,
    Blocked = 2,
    Allowlist = 3,
}

/// The ports that get an address outside. The official clients send it also when there is none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PortSpecs {
    #[prost(message, repeated, tag = "1")]
    pub ports: Vec<PortSpec>,
}

/// One port.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct PortSpec {
    #[prost(uint32, tag = "1")]
    pub port: u32,
    #[prost(bool, tag = "2")]
    pub unencrypted: bool,
}
