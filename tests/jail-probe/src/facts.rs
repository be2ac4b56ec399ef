//! What the test outside knows and the probe must not be able to reach.

use serde::Deserialize;

/// Comes as hexadecimal JSON on the command line: whoever searches for a canary must not find it in the probe's own arguments.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Facts {
    /// Texts that stand for secrets of the host.
    pub(crate) canaries: Vec<String>,
    /// Files and folders of the host that must not be there.
    pub(crate) host_paths: Vec<String>,
    /// A process of the host that has the very same account.
    pub(crate) host_pid: i32,
    /// Where somebody listens on the host's loopback addresses.
    pub(crate) host_port: u16,
    /// An abstract socket of the host.
    pub(crate) host_abstract_socket: String,
    /// A path of a Unix socket of the host.
    pub(crate) host_socket: String,
    /// The sandbox that the probe is in.
    pub(crate) sandbox_id: String,
}

impl Facts {
    /// Reads what [`Facts`] describes.
    pub(crate) fn decode(text: &str) -> Result<Self, String> {
        let digits = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            u8::from_str_radix(pair, 16).map_err(|error| format!("the facts are not hexadecimal: {error}"))
        });
        let json: Vec<u8> = digits.collect::<Result<_, _>>()?;
        serde_json::from_slice(&json).map_err(|error| format!("the facts are not understood: {error}"))
    }

    /// For listing the table.
    pub(crate) fn none() -> Result<Self, String> {
        Ok(Self::default())
    }
}
