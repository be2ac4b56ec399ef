//! The process inside a sandbox: `runner init` is its first process, `runner run` works for one session, `runner build` and
//! `runner rest` are what an image is built with, `runner connect` joins its own standard streams to a socket.
//!
//! `run` dials the bridge, sets the workspace up, starts the agent and works on one turn after the other. It holds no credential
//! of a code host or a model provider. The provider starts it.

mod agent;
mod attachment;
mod build;
mod connect;
mod desk;
mod environment;
mod gate;
mod git;
mod init;
mod ledger;
mod left;
mod link;
mod log;
mod memory;
mod output;
mod random;
mod spool;
mod steer;
mod turn;
mod warm;
mod worker;

use std::process::ExitCode;

const USAGE: &str = "usage: runner run | runner rest | runner build … | runner init [--listen ADDRESS] [--socket PATH | --bridge URL] [--control PATH] [-- COMMAND…] | runner connect PATH | runner version";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((mode, rest)) if mode == "init" => init::main(rest),
        Some((mode, [])) if mode == "run" => worker::main(),
        Some((mode, rest)) if mode == "build" => build::main(rest),
        Some((mode, [])) if mode == "rest" => build::rest(),
        Some((mode, [path])) if mode == "connect" => connect::main(path),
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
