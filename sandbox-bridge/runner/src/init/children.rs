//! Collects every ended process of the sandbox, adopted ones included, and tells whoever waits for one of them.
//!
//! One place calls `waitpid`, so a process that was started here cannot be collected before it is waited for: both happen on the
//! supervisor's one thread. Used by `mod.rs` and `exec.rs`.

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use protocol::supervisor::ExecExit;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Processes that somebody waits for.
#[derive(Clone, Default)]
pub(super) struct Children(Arc<Mutex<HashMap<Pid, oneshot::Sender<ExecExit>>>>);

impl Children {
    /// Waits for a process that was started just now, on this thread.
    pub(super) fn expect(&self, pid: Pid) -> oneshot::Receiver<ExecExit> {
        let (ended, end) = oneshot::channel();
        self.lock().insert(pid, ended);
        end
    }

    /// How many commands run.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Sends a signal to the process group of a command that has not been collected, so its number is still its own.
    pub(super) fn signal_group(&self, leader: Pid, signal: Signal) {
        if self.lock().contains_key(&leader) {
            // The group may have ended already.
            let _ = killpg(leader, signal);
        }
    }

    /// Collects all that have ended; answers the runner's code once it is among them.
    pub(super) fn collect(&self, runner: Pid) -> Option<u8> {
        let mut code = None;
        loop {
            let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, ExecExit { code: Some(status), signal: None }),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    if pid == runner {
                        code = Some(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX));
                    }
                    (pid, ExecExit { code: None, signal: Some(signal.as_str().to_owned()) })
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return code,
                Ok(_) => continue,
            };
            if let (true, Some(status)) = (pid == runner, exit.code) {
                code = Some(u8::try_from(status).unwrap_or(1));
            }
            if let Some(ended) = self.lock().remove(&pid) {
                // Whoever waited may have gone away.
                let _ = ended.send(exit);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pid, oneshot::Sender<ExecExit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
