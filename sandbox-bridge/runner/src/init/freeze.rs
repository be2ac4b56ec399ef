//! Stops every process of the sandbox but this one, so that its files can be copied, and lets them go on afterwards.
//!
//! Works in a process namespace only: elsewhere "every process" would be the account's. Called by `control.rs`.

use super::control::Refusal;
use super::processes::{self, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::supervisor::RefusalReason;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long processes may take to stop; one in the middle of a disk operation takes a moment.
const STOP_TIME: Duration = Duration::from_secs(2);
const EVERYBODY: Pid = Pid::from_raw(-1);

/// Whether the sandbox stands still, and for how many.
#[derive(Clone)]
pub(super) struct Stillness {
    holders: Arc<watch::Sender<u32>>,
    /// Stopped already when the first holder came: they stay so.
    stopped_before: Arc<Mutex<HashSet<i32>>>,
}

/// While this lives, nothing but the supervisor runs.
pub(super) struct Still(Stillness);

impl Stillness {
    pub(super) fn new() -> Self {
        Self { holders: Arc::new(watch::Sender::new(0)), stopped_before: Arc::default() }
    }

    /// Waits until processes may be started.
    pub(super) async fn over(&self) {
        // An error would mean that the sender, which is in self, is gone.
        let _ = self.holders.subscribe().wait_for(|holders| *holders == 0).await;
    }

    /// Stops everything; answers how many processes that is.
    pub(super) async fn begin(&self) -> Result<(Still, u32), Refusal> {
        if std::process::id() != 1 {
            let text = "the processes of this sandbox are not in a namespace of their own";
            return Err(Refusal(RefusalReason::Unsupported, text.to_owned()));
        }
        if *self.holders.borrow() == 0 {
            let stopped = processes::all().into_iter().filter(Process::is_stopped);
            *self.before() = stopped.map(|process| process.pid).collect();
        }
        // From here on no command is started, and the drop lets everything go on whatever happens.
        self.holders.send_modify(|holders| *holders += 1);
        let still = Still(self.clone());
        let deadline = Instant::now() + STOP_TIME;
        loop {
            // Again each time, for what was just being started. Nobody there is no error.
            let _ = kill(EVERYBODY, Signal::SIGSTOP);
            let all = processes::all();
            let Some(running) = all.iter().find(|process| !process.is_still(&all)) else {
                return Ok((still, u32::try_from(all.len()).unwrap_or(u32::MAX)));
            };
            if Instant::now() > deadline {
                let text = format!("process {} does not stop", running.pid);
                return Err(Refusal(RefusalReason::Busy, text));
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    fn before(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.stopped_before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        let mut left = 0;
        self.0.holders.send_modify(|holders| {
            *holders = holders.saturating_sub(1);
            left = *holders;
        });
        if left > 0 {
            return;
        }
        let before = std::mem::take(&mut *self.0.before());
        if before.is_empty() {
            let _ = kill(EVERYBODY, Signal::SIGCONT);
            return;
        }
        for process in processes::all().into_iter().filter(|process| !before.contains(&process.pid)) {
            // Numbers cannot have passed on: everything stood still.
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGCONT);
        }
    }
}
