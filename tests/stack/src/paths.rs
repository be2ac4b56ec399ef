//! Where the checkout keeps what the stack runs.

use crate::StackError;
use std::path::{Path, PathBuf};

/// The checkout's root.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Programs and modules that the stack runs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `sandbox-bridge`; static where it is built as for a deployment.
    pub bridge: PathBuf,
    /// The static `runner`.
    pub runner: PathBuf,
    /// OpenCode.
    pub opencode: PathBuf,
    /// Node for wrangler.
    pub node: PathBuf,
    /// wrangler's module; its own start script would leave a process behind.
    pub wrangler: PathBuf,
    /// The one that belongs to wrangler.
    pub workerd: PathBuf,
}

impl Binaries {
    /// As `cargo xtask build` leaves them, for a cargo profile's folder (`debug`, `native`).
    #[must_use]
    pub fn of_profile(folder: &str) -> Self {
        let root = root();
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
        let modules = root.join("node_modules");
        let fixed = target.join("x86_64-unknown-linux-musl").join(folder);
        let bridge = if folder == "native" { fixed.clone() } else { target.join(folder) };
        Self {
            bridge: bridge.join("sandbox-bridge"),
            runner: fixed.join("runner"),
            opencode: modules.join("opencode-ai/bin/opencode.exe"),
            node: modules.join(".bin/node"),
            wrangler: modules.join("wrangler/wrangler-dist/cli.js"),
            workerd: modules.join("workerd/bin/workerd"),
        }
    }

    /// Names the first one that is missing.
    pub fn check(&self) -> Result<(), StackError> {
        let root = root();
        let (wasm, web) = (root.join("build/index_bg.wasm"), root.join("workers/web/dist/index.html"));
        let all = [
            ("the sandbox bridge", &self.bridge),
            ("the runner", &self.runner),
            ("OpenCode", &self.opencode),
            ("Node", &self.node),
            ("wrangler", &self.wrangler),
            ("workerd", &self.workerd),
            ("the Worker", &wasm),
            ("the web client", &web),
        ];
        match all.into_iter().find(|(_, path)| !path.exists()) {
            Some((what, path)) => Err(StackError::NotBuilt { what, path: path.clone() }),
            None => Ok(()),
        }
    }
}
