//! One line per step on standard error, with the time it took.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How a step ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It did something.
    Worked,
    /// There was nothing to do.
    Unchanged,
}

/// Prints steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    started: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), is_terminal: std::io::stderr().is_terminal() }
    }

    /// Since the command began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs a step and prints its line; a failed step prints its name before the error does.
    pub(crate) fn step<E>(&self, name: &str, work: impl FnOnce() -> Result<Done, E>) -> Result<(), E> {
        let started = self.begin(name);
        let result = work();
        self.end(name, started, result.as_ref().ok().copied());
        result.map(|_| ())
    }

    /// The same for a step that waits.
    pub(crate) async fn wait<T, E>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let started = self.begin(name);
        let result = work.await;
        self.end(name, started, result.as_ref().ok().map(|_| Done::Worked));
        result
    }

    fn begin(&self, name: &str) -> Instant {
        if self.is_terminal {
            eprint!("  {name} …");
            let _ = std::io::stderr().flush();
        }
        Instant::now()
    }

    fn end(&self, name: &str, started: Instant, done: Option<Done>) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
        let seconds = started.elapsed().as_secs_f64();
        match done {
            Some(Done::Worked) => eprintln!("✓ {name} {seconds:.1} s"),
            Some(Done::Unchanged) => eprintln!("✓ {name} (unchanged)"),
            None => eprintln!("✗ {name} {seconds:.1} s"),
        }
    }

    /// A line of its own.
    pub(crate) fn note(&self, text: &str) {
        eprintln!("{}{text}", if self.is_terminal { "\r\x1b[K" } else { "" });
    }
}
