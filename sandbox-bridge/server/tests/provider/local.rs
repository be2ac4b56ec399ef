//! The suite against the local provider, where this machine can isolate sandboxes.

use crate::suite::{Subject, suite};
use crate::support::{WAIT, runner};
use axum::Router;
use sandbox_bridge::provider::SandboxProvider;
use sandbox_bridge::provider::local::{LocalConfig, LocalProvider};
use std::path::PathBuf;
use tokio::sync::Mutex;

async fn start() -> Option<Subject<LocalProvider>> {
    let runner = runner()?;
    let folder = tempfile::tempdir().unwrap();
    let mut config = LocalConfig::new(folder.path().join("state"), runner);
    config.launcher = PathBuf::from(env!("CARGO_BIN_EXE_sandbox-bridge"));
    let init = ["/opt/farhand/bin/runner", "init", "--", "/bin/sh", "-c", WAIT];
    config.command = init.map(str::to_owned).to_vec();
    let provider = LocalProvider::start(config, Router::new()).unwrap();
    if !provider.preflight().namespaces {
        println!("skipped: {}", provider.preflight().missing().join(" "));
        return None;
    }
    let exits = Mutex::new(provider.exits().unwrap());
    Some(Subject { provider, exits, name: "local", _ground: Box::new(folder) })
}

suite!(start);
