//! The wires of a stack with a fault proxy in each.

use crate::StackError;
use crate::proxy::Proxy;

/// One proxy for each wire. What is not listed goes directly: git and model calls of the bridge, and the sockets of runners, which
/// never leave their sandbox's own directory.
#[derive(Debug)]
pub struct Wires {
    /// Clients that sign in at its URL → Worker.
    pub clients: Proxy,
    /// Bridge → Worker: batches of events, and what the bridge says of sandboxes.
    pub events: Proxy,
    /// Worker → bridge: commands, sandboxes, snapshots.
    pub commands: Proxy,
    /// Worker → code host: the REST interface.
    pub code_host: Proxy,
}

impl Wires {
    pub(crate) async fn start(worker: u16, bridge: u16, code_host: u16) -> Result<Self, StackError> {
        Ok(Self {
            clients: Proxy::start(worker).await?,
            events: Proxy::start(worker).await?,
            commands: Proxy::start(bridge).await?,
            code_host: Proxy::start(code_host).await?,
        })
    }

    /// The same address of the code host by way of its proxy.
    pub(crate) fn through_code_host(&self, url: &str) -> String {
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        format!("{}/{path}", self.code_host.url())
    }
}
