//! One row of the table: what is tried, how it must end, and trying it in a child of its own.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, pipe};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

/// No attempt takes longer where it is refused.
const TIME_MS: u16 = 20_000;

/// What came of an attempt: what was reached, or the number of the error that stopped it.
pub(crate) type Tried = Result<String, i32>;

/// Turns an error into the end of an attempt.
pub(crate) fn errno(error: impl Into<std::io::Error>) -> i32 {
    error.into().raw_os_error().unwrap_or(0)
}

/// How an attempt must end.
#[derive(Clone, Debug)]
pub(crate) enum Must {
    /// With an error, whichever.
    Fail,
    /// With one of these errors: another would mean that the kernel looked at the arguments.
    FailWith(&'static [i32]),
    /// With the death of whoever tries.
    Die,
}

/// One attempt.
pub(crate) struct Attempt {
    /// Of the list of attacks.
    pub(crate) row: &'static str,
    /// What is tried.
    pub(crate) what: String,
    must: Must,
    run: Box<dyn Fn() -> Tried>,
}

impl Attempt {
    pub(crate) fn new(
        row: &'static str,
        what: impl Into<String>,
        must: Must,
        run: impl Fn() -> Tried + 'static,
    ) -> Self {
        Self { row, what: what.into(), must, run: Box::new(run) }
    }

    /// Makes the attempt; `None` when it ended as it must.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let ended = self.make();
        let as_it_must = match (&self.must, &ended) {
            (Must::Fail, Ended::Failed { .. }) | (Must::Die, Ended::Died { .. }) => true,
            (Must::FailWith(numbers), Ended::Failed { errno }) => numbers.contains(errno),
            (Must::Fail | Must::FailWith(_) | Must::Die, _) => false,
        };
        let must = format!("{:?}", self.must);
        (!as_it_must).then(|| Fault { row: self.row.to_owned(), what: self.what.clone(), must, ended })
    }

    fn make(&self) -> Ended {
        let broken = |error: nix::Error| Ended::NotTried { why: error.to_string() };
        let (out, into) = match pipe() {
            Ok(ends) => ends,
            Err(error) => return broken(error),
        };
        // SAFETY: the probe has one thread, so the child may run any code.
        match unsafe { fork() } {
            Err(error) => broken(error),
            Ok(ForkResult::Child) => {
                drop(out);
                let ended = match (self.run)() {
                    Ok(reached) => Ended::Succeeded { reached },
                    Err(errno) => Ended::Failed { errno },
                };
                let _ = File::from(into).write_all(&serde_json::to_vec(&ended).unwrap_or_default());
                std::process::exit(0)
            }
            Ok(ForkResult::Parent { child }) => {
                drop(into);
                let mut waited = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
                if poll(&mut waited, PollTimeout::from(TIME_MS)).unwrap_or(0) == 0 {
                    let _ = kill(child, Signal::SIGKILL);
                    let _ = waitpid(child, None);
                    return Ended::Hung;
                }
                let mut text = Vec::new();
                let _ = File::from(out).read_to_end(&mut text);
                match waitpid(child, None) {
                    Ok(WaitStatus::Signaled(_, signal, _)) => {
                        Ended::Died { signal: signal.as_str().to_owned() }
                    }
                    Ok(_) => serde_json::from_slice(&text)
                        .unwrap_or_else(|error| Ended::NotTried { why: error.to_string() }),
                    Err(error) => broken(error),
                }
            }
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Ended {
    /// It was possible.
    Succeeded {
        /// What was reached.
        reached: String,
    },
    /// It was refused.
    Failed {
        /// Number of the error.
        errno: i32,
    },
    /// The kernel ended whoever tried.
    Died {
        /// By this.
        signal: String,
    },
    /// There was no answer in time.
    Hung,
    /// The probe itself could not.
    NotTried {
        /// Why.
        why: String,
    },
}

/// An attempt that went otherwise than it must.
#[derive(Serialize)]
pub(crate) struct Fault {
    row: String,
    what: String,
    must: String,
    ended: Ended,
}
