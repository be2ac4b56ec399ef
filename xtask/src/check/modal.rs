//! Python environments below `target` with packages that others publish: Modal's and Slack's, for the tests that compare ours with them, and
//! the fuzzer of the HTTP API.

use super::sections::log;
use crate::setup::{Stamp, find};
use crate::shell;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modal's client.
pub(super) const MODAL: (&str, &str) = ("modal-python", "tests/modal/python/requirements.txt");
/// Slack's SDK.
pub(super) const SLACK: (&str, &str) = ("slack-python", "tests/slack/python/requirements.txt");
/// Schemathesis.
pub(super) const FUZZ: (&str, &str) = ("fuzz-python", "tests/edge/fuzz/requirements.txt");
const PACKAGES: &[&str] = &["python3", "python3-venv"];

/// The interpreter that has the packages of this environment; installs them when what is wanted changed.
pub(super) fn python((name, requirements): (&str, &str)) -> anyhow::Result<PathBuf> {
    let root = stack::root();
    if find("python3").is_none() {
        install_python("Python is missing")?;
    }
    let folder = root.join("target").join(name);
    let interpreter = folder.join("bin/python");
    let mut stamp = Stamp::new(&root, name);
    stamp.add_text(&shell::ask("python3", &["--version"]).unwrap_or_default());
    stamp.add_file(requirements)?;
    if stamp.is_current() && interpreter.is_file() {
        return Ok(interpreter);
    }
    eprintln!("  installing Python packages ({name}) …");
    if create(&folder).is_err() {
        install_python("Python cannot make virtual environments")?;
        create(&folder)?;
    }
    let mut install = Command::new(&interpreter);
    install
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--requirement"])
        .arg(root.join(requirements));
    shell::run(&mut install, &log("modal-python"))
        .context("Python packages cannot be installed: pip needs access to a package index")?;
    stamp.write()?;
    Ok(interpreter)
}

fn create(folder: &Path) -> anyhow::Result<()> {
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), &log("modal-python"))
}

fn install_python(why: &str) -> anyhow::Result<()> {
    let names = PACKAGES.join(" ");
    if !nix::unistd::Uid::effective().is_root() || find("apt-get").is_none() {
        bail!("{why}: install it for the tests against others' packages (`sudo apt-get install {names}`)");
    }
    for arguments in [["update"].as_slice(), &[["install", "--yes"].as_slice(), PACKAGES].concat()] {
        let mut command = Command::new("apt-get");
        shell::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), &log("modal-python"))?;
    }
    Ok(())
}
