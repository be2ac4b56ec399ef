//! `bench`: the figures of the product, measured on the running stack with optimised binaries.
//!
//! Everything runs on this machine, so all times are of one clock. A figure that is not measured is absent, never guessed.

mod overhead;
mod sizes;
mod statistics;

use crate::progress::Progress;
use crate::setup::{NativeProfile, Optimise, Setup};
use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Which figures, such as `B6`; all where absent.
    names: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// All figures, with what each is about.
const FIGURES: &[(&str, &str)] = &[
    ("B1", "durable ingest, Rust ÷ plain JS"),
    ("B2", "events per second ingested by one session"),
    ("B3", "bytes to a viewer ÷ the text"),
    ("B4", "broadcast to 1,000 sockets"),
    ("B5", "reconnect after 10,000 missed events"),
    ("B6", "own overhead, warm"),
    ("B7", "cold start and size of the Worker"),
    ("B8", "warm claim"),
    ("B9", "local sandbox: create to first command"),
    ("B10", "restore and snapshot"),
    ("B11", "simulator seeds in 120 s"),
    ("B12", "bridge memory per session"),
    ("B13", "size of the web client and the extension"),
];

/// Measures.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let names: Vec<String> = arguments.names.iter().map(|name| name.to_uppercase()).collect();
    if let Some(unknown) = names.iter().find(|name| !FIGURES.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
        bail!("there is no figure {unknown:?}; choose among: {}", known.join(", "));
    }
    let progress = Progress::new();
    let setup = Setup::new(progress);
    setup.prerequisites()?;
    setup.node_modules()?;
    let mut metrics = Map::new();
    for (name, about) in FIGURES {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let measured = match *name {
            "B6" => {
                setup.edge(Optimise::Yes)?;
                setup.native(NativeProfile::Native)?;
                setup.web()?;
                Some(progress.wait("B6", overhead::measure(&progress)).await?)
            }
            "B7" => {
                setup.edge(Optimise::Yes)?;
                Some(json!({"wasm_gzip_kb": sizes::wasm_gzip_kb()?}))
            }
            "B13" => {
                setup.web()?;
                Some(json!({"session_js_kb": sizes::session_js_kb()?}))
            }
            _ => None,
        };
        match measured {
            Some(value) => {
                if !arguments.json {
                    println!("{name:<4} {about}: {}", readable(&value));
                }
                metrics.insert((*name).to_owned(), value);
            }
            None => eprintln!("– {name} {about}: not measured yet"),
        }
    }
    if arguments.json {
        println!("{}", json!({"metrics": metrics}));
    }
    Ok(ExitCode::SUCCESS)
}

fn readable(value: &Value) -> String {
    match value.as_object() {
        Some(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
        }
        None => value.to_string(),
    }
}
