//! The suite against Modal itself, which costs money: ignored, but by `cargo xtask test`'s section `live`, which runs where
//! `MODAL_TOKEN_ID` and `MODAL_TOKEN_SECRET` are set.
//!
//! What the sandboxes are made from is the usual base image, which the first test builds.

use crate::suite::{Subject, suite};
use crate::support;
use sandbox_bridge::config::Secret;
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::modal::{BaseImage, Credentials, ModalProvider, SERVER_URL};
use tokio::sync::Mutex;

fn credentials() -> Credentials {
    let required =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("set {name} to try Modal itself"));
    Credentials {
        server_url: SERVER_URL.parse().unwrap(),
        token_id: Secret::new(required("MODAL_TOKEN_ID")),
        token_secret: Secret::new(required("MODAL_TOKEN_SECRET")),
        environment: std::env::var("MODAL_ENVIRONMENT").unwrap_or_default(),
    }
}

async fn start() -> Option<Subject<ModalProvider>> {
    let (credentials, runner) = (credentials(), support::runner()?);
    let folder = tempfile::tempdir().unwrap();
    let mut config = support::config(folder.path(), runner);
    config.app = "farhand-live-tests".to_owned();
    config.base_image = BaseImage::default();
    config.creations_per_second = 4;
    let provider = ModalProvider::start(config, credentials).await.unwrap();
    let exits = Mutex::new(provider.exits().unwrap());
    Some(Subject { provider, exits, name: "modal", _ground: Box::new(folder) })
}

suite!(
    #[ignore = "needs an account at Modal, and costs money"]
    start
);
