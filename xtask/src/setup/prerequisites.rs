//! What must be on the machine, each with the remedy when it is not.

use super::{DISK_FREE_GIB_MIN, NODE_MAJOR_MIN};
use crate::shell;
use anyhow::{bail, ensure};
use std::path::{Path, PathBuf};

/// Where a program is on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Free disk where the checkout is.
pub(crate) fn disk_free_gib(root: &Path) -> Option<u64> {
    let file_system = nix::sys::statvfs::statvfs(root).ok()?;
    Some((file_system.blocks_available() * file_system.fragment_size()) >> 30)
}

pub(super) fn check(root: &Path) -> anyhow::Result<()> {
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        bail!("local sandboxes need Linux on x86-64; use a virtual machine or a remote one");
    }
    let Some(folder) = shell::ask("git", &["--exec-path"]) else {
        bail!("git is missing: install it (`apt-get install git`)");
    };
    ensure!(
        Path::new(&folder).join("git-http-backend").is_file(),
        "git has no http-backend here: install the full git package (`apt-get install git`, or git-daemon on Alpine)"
    );
    let version = shell::ask("node", &["--version"]);
    let major = version
        .as_deref()
        .and_then(|version| version.trim_start_matches('v').split('.').next()?.parse::<u32>().ok());
    match major {
        None => bail!(
            "Node is missing: install Node {NODE_MAJOR_MIN} or later (https://nodejs.org or your package manager)"
        ),
        Some(major) if major < NODE_MAJOR_MIN => {
            bail!(
                "Node {major} is too old: install Node {NODE_MAJOR_MIN} or later (https://nodejs.org or your package manager)"
            )
        }
        Some(_) => {}
    }
    ensure!(
        find("npm").is_some(),
        "npm is missing: install it (it comes with Node from https://nodejs.org, or `apt-get install npm`)"
    );
    ensure!(
        find("cc").is_some() || find("gcc").is_some(),
        "a C compiler is missing: install one (`apt-get install build-essential`)"
    );
    if let Some(free) = disk_free_gib(root) {
        ensure!(
            free >= DISK_FREE_GIB_MIN,
            "only {free} GiB of disk are free at {}: make room, {DISK_FREE_GIB_MIN} GiB are needed at least",
            root.display()
        );
    }
    Ok(())
}
