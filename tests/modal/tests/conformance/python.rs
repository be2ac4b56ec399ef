//! Runs the Python scripts beside these tests with the interpreter that has Modal's package.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A script, ready to be run.
pub(crate) fn script(name: &str) -> Command {
    let Some(interpreter) = std::env::var_os("FARHAND_MODAL_PYTHON") else {
        panic!(
            "FARHAND_MODAL_PYTHON names no Python interpreter with Modal's package: run `cargo xtask test --only modal`, which \
             installs one"
        );
    };
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
    let mut command = Command::new(interpreter);
    // Nothing of a developer's own account at Modal reaches the scripts.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MODAL_") {
            command.env_remove(name);
        }
    }
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1").env("MODAL_CONFIG_PATH", "/nonexistent");
    command
}

/// Runs it with that input to its end.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}
