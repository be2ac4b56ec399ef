//! The stand-in for Modal, where the sandboxes of a stack may run, and what the bridge is told of it.

use crate::StackError;
use crate::ports::choose_port;
use fakes::modal::{ModalFake, ModalOptions};
use std::process::Command;

/// What fresh sandboxes start from: the stand-in knows its name, and shows this machine's programs in it.
const BASE_IMAGE: &str = "debian:bookworm-slim";

/// The running stand-in, and the port at which its sandboxes reach the bridge's gateway.
#[derive(Debug)]
pub(crate) struct Modal {
    pub(crate) fake: ModalFake,
    gateway: u16,
}

impl Modal {
    /// Each sandbox has a network of its own, because all look for the gateway at the same port inside.
    pub(crate) async fn start(ways: &ModalOptions) -> Result<Self, StackError> {
        let gateway = choose_port(None, 0)?;
        let ways = ModalOptions { ports: vec![gateway], ..ways.clone() };
        Ok(Self { fake: ModalFake::start_with(ways).await?, gateway })
    }

    /// Makes a bridge run its sandboxes here.
    pub(crate) fn configure(&self, bridge: &mut Command) {
        let address = format!("127.0.0.1:{}", self.gateway);
        bridge
            .args(["--provider=modal", "--modal-creations=100"])
            .arg(format!("--modal-image={BASE_IMAGE}"))
            .arg(format!("--gateway-url=http://{address}"))
            .arg(format!("--gateway-listen={address}"))
            .env("MODAL_SERVER_URL", self.fake.url())
            .env("MODAL_TOKEN_ID", self.fake.token_id())
            .env("MODAL_TOKEN_SECRET", self.fake.token_secret());
    }
}
