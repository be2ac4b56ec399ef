//! The process inside a sandbox: `runner init` is PID 1 of a local sandbox, `runner run` works for one session.
//!
//! `run` dials the bridge, sets the workspace up, starts the agent and works on one turn after the other. It holds no credential
//! of a code host or a model provider. The provider starts it.

mod agent;
mod desk;
mod environment;
mod git;
mod init;
mod ledger;
mod link;
mod output;
mod random;
mod spool;
mod steer;
mod turn;
mod worker;

use std::process::ExitCode;

const USAGE: &str =
    "usage: runner run | runner init [--listen ADDRESS] [--socket PATH] [-- COMMAND…] | runner version";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((mode, rest)) if mode == "init" => init::main(rest),
        Some((mode, [])) if mode == "run" => worker::main(),
        Some((mode, [])) if mode == "version" => {
            println!("runner {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(_) | None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
