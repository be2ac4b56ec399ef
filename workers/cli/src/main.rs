//! `farhand`: Farhand in a terminal. Results go to standard output, everything else to standard error.

use clap::Parser;
use cli::{Command, run};
use std::process::ExitCode;

/// Farhand in a terminal and in scripts.
#[derive(Parser)]
#[command(
    name = "farhand",
    version,
    after_help = "The deployment and the key for it are those of `farhand login`, or FARHAND_URL and FARHAND_KEY.\n\
        Exit codes: 0 done · 1 refused · 2 wrong usage · 3 no key that counts · 4 the deployment does not answer ·\n\
        5 the followed turn failed · 6 it was stopped."
)]
struct Farhand {
    #[command(subcommand)]
    command: Command,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Farhand { command } = Farhand::parse();
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farhand: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
