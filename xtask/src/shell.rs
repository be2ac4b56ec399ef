//! Runs programs: quietly with their output in a log, or for what they print.

use anyhow::{Context as _, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TAIL_LINES: usize = 30;
const POLL: Duration = Duration::from_millis(20);
/// After this a long step says that it still works.
const REMINDER: Duration = Duration::from_secs(30);

/// Runs a program to its end with its output in `log`; an error shows the end of it.
pub(crate) fn run(command: &mut Command, log: &Path) -> anyhow::Result<()> {
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = output.try_clone()?;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let started = Instant::now();
    let mut reminded = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() >= reminded + REMINDER {
            reminded = started.elapsed();
            eprintln!("  … {} s: {}", reminded.as_secs(), last_line(log));
        }
        std::thread::sleep(POLL);
    };
    if status.success() {
        return Ok(());
    }
    bail!("{} failed ({status}); the end of {}:\n{}", describe(command), log.display(), tail(log, TAIL_LINES))
}

fn describe(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments: Vec<String> =
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    format!("`{program} {}`", arguments.join(" "))
}

fn last_line(log: &Path) -> String {
    tail(log, 1).chars().take(100).collect()
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// Standard output of a program that succeeds; `None` when it is missing or fails.
pub(crate) fn ask(program: impl AsRef<Path>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program.as_ref())
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The cargo that started this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(stack::root());
    // What cargo tells this program about itself would be an input to build scripts, which then ran again at every start.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| own(name)) {
        command.env_remove(name);
    }
    command
}

/// A program of the npm packages, in the checkout, as nobody watches it.
pub(crate) fn node_command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(stack::root().join("node_modules/.bin").join(program));
    command
        .current_dir(stack::root())
        .args(arguments)
        .env("PATH", path_with_node())
        .env("NO_COLOR", "1")
        .env("CI", "1");
    command
}

/// PATH with Node 24 of the checkout first.
pub(crate) fn path_with_node() -> std::ffi::OsString {
    let mut paths: Vec<PathBuf> = vec![stack::root().join("node_modules/.bin")];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(paths).unwrap_or_default()
}
