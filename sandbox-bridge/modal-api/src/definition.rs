//! The definition of a sandbox: what it starts from, how much it may use, and what it may reach.

use crate::{NetworkAccess, PortSpecs};
use std::collections::BTreeMap;

/// A sandbox as its creator wants it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sandbox {
    /// Its first process; when that ends, the sandbox ends. Empty for the image's own command. At most 64 KiB.
    #[prost(string, repeated, tag = "1")]
    pub entrypoint_args: Vec<String>,
    /// An image or the snapshot of a whole filesystem.
    #[prost(string, tag = "3")]
    pub image_id: String,
    /// Stored secrets.
    #[prost(string, repeated, tag = "4")]
    pub secret_ids: Vec<String>,
    #[prost(message, optional, tag = "5")]
    pub resources: Option<Resources>,
    /// Its life, at most a day; nothing makes it longer later.
    #[prost(uint32, tag = "7")]
    pub timeout_secs: u32,
    #[prost(string, optional, tag = "8")]
    pub workdir: Option<String>,
    #[prost(message, optional, tag = "17")]
    pub scheduler_placement: Option<SchedulerPlacement>,
    #[prost(message, optional, tag = "22")]
    pub network_access: Option<NetworkAccess>,
    /// Unique among the running sandboxes of an app: the claim that makes creating safe to repeat.
    #[prost(string, optional, tag = "30")]
    pub name: Option<String>,
    /// Ends it when no command runs; its first process does not count.
    #[prost(uint32, optional, tag = "33")]
    pub idle_timeout_secs: Option<u32>,
    /// `enable_exit_snapshot` = `True` saves the files of a sandbox that ends.
    #[prost(btree_map = "string, string", tag = "41")]
    pub experimental_options_v2: BTreeMap<String, String>,
    #[prost(oneof = "sandbox::OpenPortsOneof", tags = "20")]
    pub open_ports_oneof: Option<sandbox::OpenPortsOneof>,
}

/// Parts of [`Sandbox`].
pub mod sandbox {
    /// The ports to open.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum OpenPortsOneof {
        #[prost(message, tag = "20")]
        OpenPorts(super::PortSpecs),
    }
}

/// How much a sandbox may use. Cores are physical ones, in thousandths; memory is in MiB.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Resources {
    #[prost(uint32, tag = "2")]
    pub memory_mb: u32,
    #[prost(uint32, tag = "3")]
    pub milli_cpu: u32,
    /// What goes beyond it is killed; 0 for no limit.
    #[prost(uint32, tag = "5")]
    pub memory_mb_max: u32,
    #[prost(uint32, tag = "6")]
    pub ephemeral_disk_mb: u32,
    /// 0 for the request and four cores more.
    #[prost(uint32, tag = "7")]
    pub milli_cpu_max: u32,
}

/// Where a sandbox may run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SchedulerPlacement {
    #[prost(string, repeated, tag = "4")]
    pub regions: Vec<String>,
    /// Its machine is not taken away, at a higher price.
    #[prost(bool, tag = "6")]
    pub nonpreemptible: bool,
}

/// A word about a sandbox, for finding it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct SandboxTag {
    #[prost(string, tag = "1")]
    pub tag_name: String,
    #[prost(string, tag = "2")]
    pub tag_value: String,
}
