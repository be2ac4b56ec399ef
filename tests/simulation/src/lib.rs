//! The whole control plane of a session in one process: the session's real core over its real tables, and runner, bridge, provider,
//! code host and clients as state machines around it, with virtual time and one seed from which everything follows.
//!
//! [`run`] plays one seed: people prompt, edit, steer, stop and archive; agents work; messages are lost, repeated and late; the
//! object dies before and after each of its steps, sleeps, moves, and its clock jumps; sandboxes, bridges and connections break.
//! Then nothing goes wrong any more, and everything must come to rest. After every step this must hold, or the seed fails:
//!
//! | | what must hold | where it is looked at |
//! |---|---|---|
//! | I1 | every acked event is stored, exactly once, `(session, epoch, seq)` unique, cursor without gap | `observer`: numbers have no gap; what is acknowledged is stored and never goes back; at its end a turn shows what its runner said, each word once; an accepted prompt is where the answer said |
//! | I2 | what each viewer received, in order, is a prefix of the stored stream (no gap, no duplicate, no reorder) | `client`, `observer`: each event as it was stored; each snapshot and each client that is up to date equals the client that never disconnected |
//! | I3 | each prompt is terminal, or leased to the current epoch; at most one is running per session | `observer`: also that a turn is worked on once, a prompt is done once, and no snapshot is taken while an agent works |
//! | I4 | each outbox key took effect at most once at the stub, and exactly once when the run was allowed to settle | `rest`: pull request, index, artifacts; the outbox runs empty |
//! | I5 | no sandbox has two owners; no session has two live sandboxes of the same generation | `rest`, `observer`: words of another generation are refused and change nothing |
//! | I6 | nothing is orphaned: process, mount, cgroup, network namespace, temp directory, stub-provider sandbox | `rest`: no sandbox, claimed or created, and no snapshot that the session does not know; nothing at all of a deleted session |
//! | I7 | no canary secret appears in a log, event, artifact, snapshot, error body, sandbox env or sandbox file | not here: nothing in this process has a secret |
//! | I8 | liveness: within 60 s (virtual or real) after the last fault everything settles | `world`: bounded by the sum of the session's own watchdogs, which are longer than that |
//!
//! Names of faults, such as F07, are those of the same table. A [`Mutant`] is the session's shell without one of its safeguards;
//! each must make seeds fail.

mod agent;
mod bridge;
mod client;
mod coverage;
mod elsewhere;
mod faults;
mod happening;
mod mutant;
mod observer;
mod outbox;
mod plan;
mod provider;
mod random;
mod repository;
mod rest;
mod run;
mod runner;
mod scene;
mod shell;
mod tables;
mod trace;
mod viewers;
mod wire;
mod world;

pub use coverage::MILESTONES;
pub use mutant::Mutant;
pub use plan::{Fault, Occurrence};
pub use run::{Order, Outcome, Tally, parse_seeds, run, shorten};
