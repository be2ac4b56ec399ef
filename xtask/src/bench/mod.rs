//! `bench`: the figures of the product, measured on the running stack with optimised binaries.
//!
//! Everything runs on this machine, so all times are of one clock. A figure that is not measured is absent, never guessed. A target
//! that is missed is said in the table; the command fails only when something could not be measured.

mod object;
mod overhead;
mod report;
mod sandbox;
mod simulator;
mod sizes;
mod snapshots;
mod statistics;

use crate::progress::Progress;
use crate::setup::{NativeProfile, Optimise, Setup};
use anyhow::bail;
use clap::Args;
use report::{Figure, Row};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Which figures, such as `B6`, or a group: `session`; all where absent.
    names: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Figures that belong together.
const GROUPS: &[(&str, &[&str])] = &[("SESSION", &["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B11"])];

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

/// The figures that are asked for, in the order of the list.
fn choose(names: &[String]) -> anyhow::Result<Vec<(&'static str, &'static str)>> {
    let mut wanted = BTreeSet::new();
    for name in names {
        let name = name.to_uppercase();
        if let Some((_, group)) = GROUPS.iter().find(|(known, _)| *known == name) {
            wanted.extend(group.iter().copied());
        } else if let Some((known, _)) = FIGURES.iter().find(|(known, _)| *known == name) {
            wanted.insert(*known);
        } else {
            let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
            bail!("there is no figure {name:?}; choose among: session, {}", known.join(", "));
        }
    }
    Ok(FIGURES.iter().copied().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)).collect())
}

/// Measures.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let chosen = choose(&arguments.names)?;
    let progress = Progress::new();
    let setup = Setup::new(progress);
    setup.prerequisites()?;
    setup.node_modules()?;
    let of_objects: Vec<&'static str> =
        chosen.iter().map(|(name, _)| *name).filter(|name| object::NAMES.contains(name)).collect();
    let mut figures: BTreeMap<&'static str, Figure> = BTreeMap::new();
    if !of_objects.is_empty() {
        edge(&setup)?;
        eprintln!("  {}", conditions());
        figures.extend(object::measure(&of_objects)?);
    }
    for (name, about) in &chosen {
        match *name {
            "B6" => {
                edge(&setup)?;
                setup.native(NativeProfile::Native)?;
                setup.web()?;
                figures.insert("B6", progress.wait("B6", overhead::measure(&progress)).await?);
            }
            "B9" => {
                figures.insert("B9", sandbox::measure(&setup, &progress)?);
            }
            "B10" => {
                figures.insert("B10", snapshots::measure(&progress)?);
            }
            "B11" => {
                figures.insert("B11", simulator::measure(&progress)?);
            }
            "B13" => {
                setup.web()?;
                let value = json!({"session_js_kb": sizes::session_js_kb()?});
                let rows = vec![Row::new(*about, readable(&value))];
                figures.insert("B13", Figure { value, rows });
            }
            name if figures.contains_key(name) => {}
            _ => eprintln!("– {name} {about}: not measured yet"),
        }
    }
    print(&chosen, figures, arguments.json);
    Ok(ExitCode::SUCCESS)
}

/// The Worker as deployed, unless the caller has built it already.
fn edge(setup: &Setup) -> anyhow::Result<()> {
    if std::env::var_os("FARHAND_EDGE_PREBUILT").is_some_and(|value| value == "1") {
        return Ok(());
    }
    setup.edge(Optimise::Yes)
}

fn print(chosen: &[(&'static str, &'static str)], mut figures: BTreeMap<&'static str, Figure>, json: bool) {
    let mut metrics = Map::new();
    let mut rows = Vec::new();
    for (name, _) in chosen {
        if let Some(figure) = figures.remove(name) {
            metrics.insert((*name).to_owned(), figure.value);
            rows.push((*name, figure.rows));
        }
    }
    if json {
        eprint!("{}", report::table(&rows));
        println!("{}", json!({"metrics": metrics}));
    } else {
        print!("{}", report::table(&rows));
    }
}

/// What else the machine does, so that a figure can be judged.
fn conditions() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "median [lowest–highest] of interleaved rounds after one that warms up; processors: {processors}, load: {load}"
    )
}

fn readable(value: &Value) -> String {
    match value.as_object() {
        Some(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
        }
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_groups_choose_figures_in_order() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            choose(&wanted).map(|chosen| chosen.iter().map(|(name, _)| *name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["b7", "B1"]).unwrap(), ["B1", "B7"]);
        assert_eq!(
            names(&["session", "b8"]).unwrap(),
            ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B11"]
        );
        assert_eq!(names(&[]).unwrap().len(), FIGURES.len());
        assert!(names(&["B99"]).is_err());
    }
}
