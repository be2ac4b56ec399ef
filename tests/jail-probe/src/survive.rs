//! A33: leaves processes behind in every way that is meant to outlive a session, and returns. They end by themselves after a while.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, raise, signal, sigprocmask};
use nix::unistd::{ForkResult, fork, setsid};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// After this nothing of it is left, whatever the sandbox does.
const LIFE: Duration = Duration::from_secs(120);

/// Starts them all.
pub(crate) fn run() -> Result<(), String> {
    let ways: [fn(); 6] = [deaf, daemon, stopped, nameless, relay, group_leader];
    for way in ways {
        // SAFETY: the probe has one thread, so the child may run any code.
        match unsafe { fork() }.map_err(|error| error.to_string())? {
            ForkResult::Child => {
                way();
                std::process::exit(0)
            }
            ForkResult::Parent { .. } => {}
        }
    }
    println!("{} ways to stay were taken", ways.len());
    Ok(())
}

fn stay() {
    let end = Instant::now() + LIFE;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Heeds no signal that can be refused.
fn ignore_everything() {
    for number in Signal::iterator() {
        // SAFETY: installs no handler of ours.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
}

fn deaf() {
    ignore_everything();
    let _ = setsid();
    stay();
}

/// Forks twice with a session between, as daemons do.
fn daemon() {
    let _ = setsid();
    // SAFETY: as above.
    if let Ok(ForkResult::Child) = unsafe { fork() } {
        ignore_everything();
        let _ = std::env::set_current_dir("/");
        stay();
    }
}

fn stopped() {
    let _ = setsid();
    let _ = raise(Signal::SIGSTOP);
    stay();
}

/// Another program with an empty environment, so that nothing tells whose it is.
fn nameless() {
    let _ = setsid();
    let _ = Command::new("/bin/sleep").arg(LIFE.as_secs().to_string()).env_clear().arg0("kworker/0:1").exec();
}

/// Hands over to a successor all the time, so that no list of processes is ever right.
fn relay() {
    let _ = setsid();
    ignore_everything();
    let end = Instant::now() + LIFE;
    while Instant::now() < end {
        // SAFETY: as above.
        match unsafe { fork() } {
            Ok(ForkResult::Parent { .. }) => std::process::exit(0),
            Ok(ForkResult::Child) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A group of its own with a child in it.
fn group_leader() {
    let _ = nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0));
    // SAFETY: as above.
    let _ = unsafe { fork() };
    stay();
}
