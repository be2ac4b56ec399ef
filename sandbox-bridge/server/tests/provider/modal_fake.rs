//! The suite against the stand-in of Modal.

use crate::suite::{Subject, suite};
use crate::support::Bench;
use sandbox_bridge::provider::modal::ModalProvider;
use tokio::sync::Mutex;

async fn start() -> Option<Subject<ModalProvider>> {
    let Bench { provider, exits, modal, folder, .. } = Bench::start().await?;
    Some(Subject { provider, exits: Mutex::new(exits), name: "modal", _ground: Box::new((modal, folder)) })
}

suite!(start);
