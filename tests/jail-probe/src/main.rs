//! The jail probe: run inside a sandbox as the agent would, it tries everything that an agent must not be able to do.
//!
//! `jail-probe try FACTS` prints one JSON report; its `faults` are the attempts that went otherwise than they must, so of a tight
//! sandbox it is empty. `jail-probe survive` leaves processes behind that do not want to end, `jail-probe bomb KIND …` uses up a
//! resource within bounds of its own. It changes nothing outside `/tmp` and `/workspace`. Called by the tests of the local provider.

mod attempt;
mod bomb;
mod facts;
mod files;
mod network;
mod privileges;
mod processes;
mod secrets;
mod survive;
mod system;
mod system_calls;

use attempt::{Attempt, Fault};
use facts::Facts;
use serde::Serialize;
use std::process::ExitCode;

/// What the probe found.
#[derive(Serialize)]
struct Report {
    /// How many attempts were made.
    tried: usize,
    /// What went otherwise than it must.
    faults: Vec<Fault>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["try", facts] => try_everything(facts),
        ["list"] => Facts::none().map(|facts| {
            for attempt in attempts(&facts) {
                println!("{} {}", attempt.row, attempt.what);
            }
        }),
        ["survive"] => survive::run(),
        ["bomb", kind, rest @ ..] => bomb::run(kind, rest),
        _ => Err("jail-probe try FACTS | list | survive | bomb KIND [AMOUNT]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jail-probe: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole table; rows are those of the project's list of attacks.
fn attempts(facts: &Facts) -> Vec<Attempt> {
    let mut all = secrets::attempts(facts);
    all.extend(network::attempts(facts));
    all.extend(system_calls::attempts());
    all.extend(processes::attempts(facts));
    all.extend(files::attempts(facts));
    all.extend(privileges::attempts());
    all
}

fn try_everything(facts: &str) -> Result<(), String> {
    let facts = Facts::decode(facts)?;
    let attempts = attempts(&facts);
    let faults = attempts.iter().filter_map(Attempt::fault).collect();
    let report = Report { tried: attempts.len(), faults };
    println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?);
    Ok(())
}
