//! A workerd that comes back by itself when it alone is killed, at the same address and with the same storage.
//!
//! A start of wrangler takes seconds, so a process that is to die a hundred times must come back without it. Miniflare runs the script
//! below in workerd's place. Of wrangler's two processes only the Worker's own is treated so: it runs the Worker and has its storage.
//! The other is wrangler's front door, which has its orders from wrangler's memory.

use crate::StackError;
use crate::options::Options;
use crate::ports::choose_port;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// The front door has a port of its own; the Worker's process is told to take any, and takes the same each time. What is on its
/// standard input, the configuration with secrets, is kept for the next start. Only the first start reports to Miniflare (3).
const SCRIPT: &str = r#"#!/bin/sh
case "$*" in
*--socket-addr=entry=127.0.0.1:0*) ;;
*) exec '@workerd@' "$@" ;;
esac
(umask 077 && cat > '@folder@/configuration')
for argument do
    shift
    case $argument in
    --socket-addr=entry=127.0.0.1:0) argument=--socket-addr=entry=127.0.0.1:@port@ ;;
    esac
    set -- "$@" "$argument"
done
run() {
    '@workerd@' "$@" < '@folder@/configuration' &
    echo $! > '@folder@/pid.new' && mv '@folder@/pid.new' '@folder@/pid'
    wait $!
}
run "$@"
# 137: ended by SIGKILL.
while [ $? -eq 137 ]; do
    run "$@" 3> /dev/null
done
"#;

fn folder(options: &Options) -> PathBuf {
    options.directory.join("revive")
}

/// Has wrangler start the script where it would start workerd.
pub(crate) fn prepare(options: &Options, command: &mut Command) -> Result<(), StackError> {
    let folder = folder(options);
    std::fs::create_dir_all(&folder).map_err(StackError::file(&folder))?;
    let port = choose_port(None, 0)?;
    let script = SCRIPT
        .replace("@workerd@", &options.binaries.workerd.to_string_lossy())
        .replace("@folder@", &folder.to_string_lossy())
        .replace("@port@", &port.to_string());
    let file = folder.join("workerd");
    std::fs::write(&file, script).map_err(StackError::file(&file))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
        .map_err(StackError::file(&file))?;
    command.env("MINIFLARE_WORKERD_PATH", &file);
    Ok(())
}

/// SIGKILL to the Worker's process; waits until there is another one.
pub(crate) async fn crash(options: &Options) -> Result<(), StackError> {
    let file = folder(options).join("pid");
    let victim = read_pid(&file)?;
    let own = std::fs::read_to_string(format!("/proc/{victim}/comm")).unwrap_or_default();
    if own.trim() != "workerd" {
        return Err(StackError::Unexpected {
            request: "the process of workerd".to_owned(),
            answer: format!("{victim} is {:?}", own.trim()),
        });
    }
    kill(Pid::from_raw(victim), Signal::SIGKILL).map_err(|error| StackError::file(&file)(error.into()))?;
    let deadline = Instant::now() + PATIENCE;
    while read_pid(&file)? == victim {
        if Instant::now() > deadline {
            let what = "another start of workerd".to_owned();
            return Err(StackError::Timeout { what, seconds: PATIENCE.as_secs() });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The Worker's process, where it is known.
pub(crate) fn pid(options: &Options) -> Option<u32> {
    read_pid(&folder(options).join("pid")).ok()?.try_into().ok()
}

fn read_pid(file: &Path) -> Result<i32, StackError> {
    let text = std::fs::read_to_string(file).map_err(StackError::file(file))?;
    text.trim()
        .parse()
        .map_err(|_| StackError::Unexpected { request: file.display().to_string(), answer: text })
}
