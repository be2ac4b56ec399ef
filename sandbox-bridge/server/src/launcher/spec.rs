//! What the provider tells the launcher, and what it hears back. Both are JSON, once per sandbox.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A numeric account that sandboxes run as on the host. Needs no entry in the host's user database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One sandbox. Paths are relative to the working directory unless they begin with `/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The sandbox's directory: has `upper`, `work`, `root`, `run`, `tmp`, `socket` and `witness`.
    pub directory: String,
    /// Whom the sandbox is on the host; never uid 0.
    pub account: Account,
    /// File systems of the snapshots it starts from, the newest first; none when `upper` holds everything itself.
    pub lowers: Vec<String>,
    /// More of the host that it may see.
    pub binds: Vec<Bind>,
    /// What PID 1 executes; paths are those inside.
    pub command: Vec<String>,
    /// The whole environment of PID 1.
    pub environment: BTreeMap<String, String>,
    /// Where PID 1 begins.
    pub working_directory: String,
    /// Limits that every process carries itself.
    pub limits: RunLimits,
    /// `tasks` and `cgroup.procs` files to join by, absolute.
    pub cgroups: Vec<String>,
    /// Socket that PID 1 listens on for the bridge's orders: made outside the sandbox's view, and handed over as an open file.
    pub control: Option<String>,
    /// Socket of the witness for a bridge that is about to make the sandbox stand still; beside the other one.
    pub guard: Option<String>,
    /// Files by which frozen control groups go on, absolute, and what to write there.
    pub thaw: Vec<(String, String)>,
    /// Size of `/dev/shm`.
    pub shared_memory_bytes: u64,
    /// What is kept of the output of PID 1.
    pub log_bytes_max: u64,
    /// Whether this is a sandbox or the question whether there could be one.
    pub purpose: Purpose,
    /// Whether there may be a sandbox without Landlock.
    pub landlock: Landlock,
}

/// What becomes of a sandbox where the kernel has no Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Landlock {
    /// It is refused.
    Required,
    /// It is held by its namespaces alone.
    IfThere,
}

/// Why the launcher was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Run the command.
    Boot,
    /// Build everything, try it, and end without running the command.
    Probe,
    /// Run the command as a plain process: no namespaces, no root of its own.
    Weak,
    /// Join the control groups and try whether they limit what the command names: `memory`, `pids`, `cpu`.
    Limits,
}

/// A piece of the host inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host; a directory or a file, no symbolic link.
    pub source: String,
    /// Inside, absolute.
    pub target: String,
    /// Whether it may be changed.
    pub access: BindAccess,
}

/// Whether a bind may be changed from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindAccess {
    /// No.
    ReadOnly,
    /// Yes.
    Writable,
}

/// Limits by `setrlimit`. `None` leaves what the bridge has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Private writable memory of one process.
    pub data_bytes: Option<u64>,
    /// Size of one file.
    pub file_bytes: Option<u64>,
    /// Processes and threads of the sandbox together; counted within its own user namespace (Linux 5.14).
    pub processes: Option<u64>,
}

/// Which step a refusal is about; the preflight has a remedy for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The spec itself, pipes, fork.
    Spec,
    /// Joining control groups.
    Cgroup,
    /// Becoming the account.
    Account,
    /// Making a user namespace and mapping into it.
    UserNamespace,
    /// The private root and its binds.
    Root,
    /// The overlay of the snapshots.
    Overlay,
    /// A `/proc` of its own.
    Proc,
    /// Bringing the loopback device up.
    Network,
    /// Giving privileges up.
    Privileges,
    /// Landlock.
    Landlock,
    /// The system call filter.
    Seccomp,
    /// Executing the command.
    Command,
}

/// Why a sandbox could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Where it stopped.
    pub step: Step,
    /// For humans: what was tried and what the kernel said.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(step: Step, message: String) -> Self {
        Self { step, message }
    }
}

/// Turns a system error into the refusal of a step.
pub(crate) trait Failed<T> {
    fn failed(self, step: Step, what: &str) -> Result<T, Refusal>;
}

impl<T, E: Into<std::io::Error>> Failed<T> for Result<T, E> {
    fn failed(self, step: Step, what: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::new(step, format!("could not {what}: {}", error.into())))
    }
}

/// Tells two processes with the same number apart, also across a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// PID 1, by the host's number.
    pub pid: i32,
    /// Field 22 of its `stat`.
    pub start_time: u64,
    /// The launcher that waits for it, by the host's number.
    pub witness_pid: i32,
    /// Field 22 of its `stat`.
    pub witness_start_time: u64,
    /// Of this run of the kernel.
    pub boot_id: String,
    /// Inode of the sandbox's process namespace; 0 for a sandbox without one.
    pub pid_namespace: u64,
}

/// The launcher's one line on standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LaunchReport {
    /// PID 1 executes the command.
    Started {
        /// Who it is.
        process: ProcessIdentity,
    },
    /// Everything that a sandbox needs works here.
    Probed {
        /// Version of Landlock that held, 0 for none.
        landlock_abi: i32,
    },
    /// The control groups were tried.
    Limited {
        /// Of `memory` and `pids` those that held.
        held: Vec<String>,
    },
    /// There is no sandbox, and nothing is left of the attempt.
    Refused {
        /// Why.
        refusal: Refusal,
    },
}
