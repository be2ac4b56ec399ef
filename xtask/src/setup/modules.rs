//! npm packages: exactly those of the lock file.

use crate::shell;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Packages whose install script must have run.
const WITH_SCRIPT: &[&str] = &["node", "esbuild", "workerd", "opencode-ai"];

/// Whether what is installed is what is locked.
pub(crate) fn are_installed(root: &Path) -> bool {
    let read =
        |path: &str| -> Option<Value> { serde_json::from_slice(&std::fs::read(root.join(path)).ok()?).ok() };
    let (Some(locked), Some(installed)) =
        (read("package-lock.json"), read("node_modules/.package-lock.json"))
    else {
        return false;
    };
    agrees(&locked, &installed) && programs_work(root)
}

/// Every locked package is there in its version; optional ones may be missing, they are for other machines.
fn agrees(locked: &Value, installed: &Value) -> bool {
    let (Some(locked), Some(installed)) = (packages(locked), packages(installed)) else { return false };
    locked.iter().filter(|(path, _)| path.starts_with("node_modules/")).all(|(path, package)| {
        let is = |field: &str| package.get(field).and_then(Value::as_bool) == Some(true);
        match installed.get(path) {
            Some(found) => is("link") || found.get("version") == package.get("version"),
            None => is("optional") || is("devOptional") || is("link"),
        }
    })
}

fn packages(lock: &Value) -> Option<&serde_json::Map<String, Value>> {
    lock.get("packages")?.as_object()
}

fn programs_work(root: &Path) -> bool {
    let bin = root.join("node_modules/.bin");
    let opencode = root.join("node_modules/opencode-ai/bin/opencode.exe");
    // The packages bring small place-holders; their install scripts put the programs there.
    let is_program = std::fs::metadata(&opencode).is_ok_and(|file| file.len() > 1_000_000);
    let node = shell::ask(bin.join("node"), &["--version"]);
    is_program && node.is_some_and(|version| version.starts_with("v24.")) && bin.join("wrangler").exists()
}

/// Installs them.
pub(crate) fn install(root: &Path, log: &Path) -> anyhow::Result<()> {
    let npm = |arguments: &[&str]| {
        let mut command = Command::new("npm");
        command.current_dir(root).args(arguments).args(["--no-audit", "--no-fund"]);
        shell::run(&mut command, log)
    };
    // Not `npm ci`: it refuses a lock without the packages of other systems, and a registry that does not carry those leaves them
    // out of the lock. Versions are the locked ones all the same, and the lock is not written.
    npm(&["install", "--no-save"])
        .context("npm packages cannot be installed: npm needs access to a package registry")?;
    if !programs_work(root) {
        // Some configurations of npm skip install scripts.
        npm(&[&["rebuild", "--ignore-scripts=false"], WITH_SCRIPT].concat())?;
    }
    ensure!(
        programs_work(root),
        "npm has installed the packages, but Node 24 or OpenCode does not start: see whether npm is set to ignore scripts"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::agrees;
    use serde_json::json;

    #[test]
    fn a_package_in_another_version_is_not_installed() {
        let locked = json!({"packages": {
            "": {}, "workers/web": {}, "node_modules/a": {"version": "1"}, "node_modules/w": {"link": true},
            "node_modules/mac": {"version": "1", "optional": true},
        }});
        let installed = |version: &str| json!({"packages": {"node_modules/a": {"version": version}}});
        assert!(agrees(&locked, &installed("1")));
        assert!(!agrees(&locked, &installed("2")));
        assert!(!agrees(&locked, &json!({"packages": {}})));
        assert!(!agrees(&locked, &json!({})));
    }
}
