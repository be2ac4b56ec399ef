//! What an earlier bridge left: sandboxes that still run are adopted, the others are cleaned up and reported.

use super::ENDED_KEPT;
use super::inner::Inner;
use super::layers;
use super::process::{Handles, Membership};
use super::sandbox::{Ending, Running, describe};
use super::state::{self, SandboxState};
use crate::provider::SandboxExit;
use nix::sys::signal::Signal;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the kernel may take to end what was killed.
const END_TIME: Duration = Duration::from_secs(10);

/// Called once, before anything is created.
pub(crate) fn adopt_all(inner: &Arc<Inner>) -> io::Result<()> {
    layers::discard_drafts(&inner.layout)?;
    inner.layout.forget_ended(ENDED_KEPT);
    for entry in fs::read_dir(inner.layout.sandboxes())?.flatten() {
        let directory = entry.path();
        match state::read_json::<SandboxState>(&directory.join("state.json")) {
            Ok(state) => adopt(inner, &directory, state)?,
            // The bridge died before it began to start it; whoever ordered it has no answer and will ask again.
            Err(_) => inner.layout.discard(&directory)?,
        }
    }
    let _layers = inner.layers_lock();
    layers::sweep(&inner.layout)?;
    inner.cgroups.sweep(|name| inner.layout.sandboxes().join(name).exists());
    discard_preflights(inner)
}

fn adopt(inner: &Arc<Inner>, directory: &Path, state: SandboxState) -> io::Result<()> {
    let id = state.sandbox_id.clone();
    let Ok(process) = state::read_process(directory) else {
        return discard_half_made(inner, directory, &state);
    };
    let group = inner.cgroups.group_of(id.as_str(), process.pid);
    // The bridge may have been killed in the middle of a snapshot.
    group.thaw();
    let (given, is_unclear) = match state::read_given(directory) {
        Ok(given) => (given, false),
        Err(error) => {
            tracing::error!(sandbox_id = %id, %error, "ending a sandbox, because whose it is cannot be read");
            (None, true)
        }
    };
    let adopted = inner.open_door(&id, state.weak_port).and_then(|(door, _)| {
        Running::new(state.clone(), given.clone(), process.clone(), group.clone(), door, inner.sandbox_uid())
    });
    match adopted {
        Ok(running) => {
            running.resume();
            tracing::info!(sandbox_id = %id, "adopted a running sandbox");
            inner.add(Arc::clone(&running));
            if is_unclear {
                running.kill(Ending::None);
            }
        }
        Err(error) => {
            tracing::info!(sandbox_id = %id, %error, "a sandbox did not outlive the bridge");
            let reason =
                wait_for_exit(directory).map_or_else(|| error.to_string(), |exit| describe(Some(exit)));
            inner.forget(&id);
            inner.cgroups.remove_group(&group);
            let exit = SandboxExit { record: state.record(given), reason, told_here: true };
            if inner.exits.try_send(exit).is_err() {
                tracing::error!(sandbox_id = %id, "too many sandboxes ended during the bridge's absence");
            }
        }
    }
    Ok(())
}

/// Cut between the order and the process: as if it had never been ordered. A launcher may still be at work. It writes down whom
/// it started before it lets that process begin, and by a path that the move ends: either it has written, or it will give up.
fn discard_half_made(inner: &Arc<Inner>, directory: &Path, state: &SandboxState) -> io::Result<()> {
    let moved = fs::File::open(directory)?;
    inner.layout.discard(directory)?;
    let place = format!("/proc/self/fd/{}", moved.as_raw_fd());
    let Ok(process) = state::read_process(Path::new(&place)) else { return Ok(()) };
    if let Ok(Handles { first: Some(first), .. }) = Handles::open(&process, inner.sandbox_uid()) {
        tracing::info!(sandbox_id = %state.sandbox_id, "ending a sandbox that nobody has heard of");
        if process.pid_namespace == 0 {
            Membership::of(&process, &state.sandbox_id).kill()?;
        }
        first.signal(Signal::SIGKILL)?;
        first.ended_within(END_TIME)?;
    }
    Ok(())
}

/// The witness writes a moment after PID 1 is gone.
fn wait_for_exit(directory: &Path) -> Option<crate::launcher::ExitRecord> {
    let process = state::read_process(directory).ok()?;
    let alive =
        crate::launcher::start_time(process.witness_pid).is_ok_and(|time| time == process.witness_start_time);
    if alive && let Ok(witness) = crate::launcher::Pidfd::open(process.witness_pid) {
        let _ = witness.ended_within(Duration::from_secs(1));
    }
    state::read_exit(directory).ok()
}

fn discard_preflights(inner: &Arc<Inner>) -> io::Result<()> {
    for entry in fs::read_dir(inner.layout.root())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("preflight-") {
            inner.layout.discard(&entry.path())?;
        }
    }
    Ok(())
}
