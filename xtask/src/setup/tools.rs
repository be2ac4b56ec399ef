//! Build tools that cargo installs below `target/tools`, in the versions that belong together.

use crate::shell;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// A tool and the package that brings it.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// worker-build insists on the worker crate's 0.8.x; the wasm-bindgen CLI on the very version of the library.
pub(crate) const TOOLS: &[Tool] =
    &[Tool { name: "worker-build", version: "0.8.7" }, Tool { name: "wasm-bindgen-cli", version: "0.2.130" }];

/// They work for a second or two at a time: what optimising them takes, minutes on two cores, never comes back.
const UNOPTIMISED: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

fn folder(root: &Path) -> PathBuf {
    root.join("target/tools")
}

/// The program of that name.
pub(crate) fn path(root: &Path, program: &str) -> PathBuf {
    folder(root).join("bin").join(program)
}

pub(crate) fn is_installed(root: &Path, tool: &Tool) -> bool {
    let list = std::fs::read_to_string(folder(root).join(".crates.toml")).unwrap_or_default();
    list.contains(&format!("\"{} {} (", tool.name, tool.version))
}

pub(crate) fn install(root: &Path, tool: &Tool, log: &Path) -> anyhow::Result<()> {
    let install = |locked: bool| {
        let mut command = shell::cargo();
        command
            .args(["install", tool.name, "--version", tool.version, "--force", "--root"])
            .arg(folder(root));
        if locked {
            command.arg("--locked");
        }
        command.env("CARGO_TARGET_DIR", folder(root).join("build")).envs(UNOPTIMISED);
        shell::run(&mut command, log)
    };
    // A lock file may name a version that the registry in use does not have.
    install(true).or_else(|_| install(false)).with_context(|| {
        format!("{} {} cannot be installed: cargo needs access to a crate registry", tool.name, tool.version)
    })
}
