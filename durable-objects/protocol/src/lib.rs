//! Every message that crosses a process in Farhand, and nothing else: no IO, no clock, no decisions.
//!
//! One module per conversation: [`account`] (a person's keys and sign-ins), [`metrics`], [`status`] (what operators see of a deployment), [`client`] (browser, extension, Slack ⇄ session), [`bridge`] and
//! [`repository`] (edge ⇄ sandbox bridge: sessions, images and warm sandboxes; the latter also for clients),
//! [`runner`] (process in the sandbox ⇄ bridge), [`build`] (the same while an image is built), [`supervisor`] (PID 1 of the sandbox ⇄ bridge). [`timeline`] has what all three speak about; [`trace`] which trace something belongs to; [`sign`] how edge and
//! bridge prove themselves to each other. `typescript/` is generated from here, `vectors/` holds an example of each message.

pub mod account;
pub mod attachment;
pub mod bridge;
pub mod budget;
pub mod build;
pub mod client;
mod diff;
pub mod effort;
pub mod error;
pub mod id;
mod item;
pub mod limit;
pub mod metrics;
pub mod object;
pub mod pull;
pub mod repository;
pub mod runner;
#[cfg(feature = "schema")]
mod schema;
pub mod sign;
pub mod status;
pub mod supervisor;
pub mod tagged;
pub mod time;
pub mod timeline;
pub mod trace;
pub mod tree;

/// Version of all wires. A peer that speaks another one is told so by [`error::ErrorCode::VersionUnsupported`].
pub const PROTOCOL_VERSION: u32 = 1;

/// Reads JSON that came as bytes. Checking them as one text is several times faster than string by string, as
/// `serde_json::from_slice` does.
pub fn read_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}

/// Whether a field has the value that its absence stands for.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
