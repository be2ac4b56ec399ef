//! `bench`: the figures of the product, measured on the running stack with optimised binaries.
//!
//! Everything runs on this machine, so all times are of one clock. A figure that is not measured is absent, never guessed. A target
//! that is missed is said in the table; the command fails only when something could not be measured.

mod acknowledgement;
mod identity;
mod memory;
mod metrics;
mod native;
mod object;
mod overhead;
mod report;
mod routing;
mod sandbox;
mod simulator;
mod sizes;
mod snapshots;
mod starts;
mod statistics;
mod streaming;
mod turn;

use crate::progress::Progress;
use crate::setup::{NativeProfile, Optimise, Setup};
use anyhow::{bail, ensure};
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

/// All figures, with what each is about and the names in its JSON object; a figure without names is a number. Other tools read them,
/// so that a name never changes its meaning.
const FIGURES: &[(&str, &str, &[&str])] = &[
    ("B1", "durable ingest, Rust ÷ plain JS", &[]),
    ("B2", "events per second ingested by one session", &[]),
    ("B3", "bytes to a viewer ÷ the text", &[]),
    ("B4", "broadcast to 1,000 sockets", &["broadcast_p99_ratio", "joins_s"]),
    ("B5", "reconnect after 10,000 missed events", &[]),
    (
        "B6",
        "own overhead, warm",
        &["prompt_to_agent_ms", "prompt_to_agent_p99_ms", "first_delta_ms", "agent_to_viewer_ms"],
    ),
    ("B7", "cold start and size of the Worker", &["first_request_ratio", "wasm_gzip_kb", "script_start_ms"]),
    ("B8", "warm claim", &["claim_p50_ms", "claim_p99_ms", "double_claims"]),
    ("B9", "local sandbox: create to first command", &["first_exec_p50_ms", "twenty_last_ms"]),
    ("B10", "restore and snapshot", &["restore_ratio", "snapshot_ms"]),
    ("B11", "simulator seeds in 120 s", &[]),
    ("B12", "bridge memory per session", &["idle_kb", "streaming_kb"]),
    ("B13", "size of the web client and the extension", &["session_js_kb", "extension_zip_kb"]),
    (
        "STARTS",
        "from a prompt to an agent that works on it",
        &[
            "warm_p50_ms",
            "warm_p95_ms",
            "image_p50_ms",
            "image_p95_ms",
            "snapshot_p50_ms",
            "snapshot_p95_ms",
            "cold_p50_ms",
            "cold_p95_ms",
            "warm_ratio",
            "snapshot_ratio",
            "cold_ratio",
            "modal_warm_p50_ms",
            "modal_warm_p95_ms",
            "modal_image_p50_ms",
            "modal_image_p95_ms",
            "modal_snapshot_p50_ms",
            "modal_snapshot_p95_ms",
            "modal_cold_p50_ms",
            "modal_cold_p95_ms",
            "modal_warm_ratio",
            "modal_snapshot_ratio",
            "modal_cold_ratio",
        ],
    ),
    (
        "METRICS",
        "metrics of a million sessions",
        &["adoption_ms", "adoption_of_some_ms", "page_ms", "scrape_ms"],
    ),
    ("IDENTITY", "processor time of knowing who asks", &["cpu_ms", "cpu_error_ms", "floor_ms"]),
    ("STREAMING", "the session page while an agent writes", &["input_p95_ms", "input_worst_ms", "fps"]),
    (
        "SLACK",
        "acknowledgement of Slack's events while everything upstream hangs",
        &["ack_p50_ms", "ack_p99_ms"],
    ),
    (
        "ROUTING",
        "messages of Slack and their repositories, without a model",
        &[
            "tuning_accuracy_percent",
            "tuning_sure_errors_percent",
            "tuning_bins",
            "held_out_accuracy_percent",
            "held_out_sure_errors_percent",
            "held_out_bins",
        ],
    ),
];

/// The figures that are asked for, in the order of the list.
fn choose(names: &[String]) -> anyhow::Result<Vec<(&'static str, &'static str)>> {
    let mut wanted = BTreeSet::new();
    for name in names {
        let name = name.to_uppercase();
        if let Some((_, group)) = GROUPS.iter().find(|(known, _)| *known == name) {
            wanted.extend(group.iter().copied());
        } else if let Some((known, ..)) = FIGURES.iter().find(|(known, ..)| *known == name) {
            wanted.insert(*known);
        } else {
            let known: Vec<&str> = FIGURES.iter().map(|(name, ..)| *name).collect();
            bail!("there is no figure {name:?}; choose among: session, {}", known.join(", "));
        }
    }
    let figures = FIGURES.iter().filter(|(name, ..)| wanted.is_empty() || wanted.contains(name));
    Ok(figures.map(|(name, about, _)| (*name, *about)).collect())
}

/// Measures.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let chosen = choose(&arguments.names)?;
    if let [("ROUTING", _)] = chosen.as_slice() {
        print(&chosen, BTreeMap::from([("ROUTING", routing::measure()?)]), arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
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
        if figures.contains_key(name) {
            continue;
        }
        match measure((name, about), &setup, &progress).await? {
            Some(figure) => {
                figures.insert(name, figure);
            }
            None => eprintln!("– {name} {about}: not measured yet"),
        }
    }
    print(&chosen, figures, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// One figure that no other is measured with.
async fn measure(
    (name, about): (&str, &str),
    setup: &Setup,
    progress: &Progress,
) -> anyhow::Result<Option<Figure>> {
    let whole = |profile| {
        edge(setup)?;
        setup.native(profile)?;
        setup.web()
    };
    Ok(Some(match name {
        "B6" => {
            whole(NativeProfile::Native)?;
            progress.wait("B6", overhead::measure(progress)).await?
        }
        "B9" => sandbox::measure(setup, progress)?,
        "B10" => snapshots::measure(progress)?,
        "B11" => simulator::measure(progress)?,
        "B12" => memory::measure(setup, progress)?,
        "B13" => {
            setup.web()?;
            let (page, package) = (sizes::session_js_kb()?, sizes::extension_zip_kb()?);
            let value = json!({"session_js_kb": page, "extension_zip_kb": package});
            let rows = vec![Row::new(about, readable(&value))];
            Figure { value, rows }
        }
        "METRICS" => metrics::measure(progress)?,
        "STREAMING" => {
            setup.web()?;
            streaming::measure()?
        }
        "ROUTING" => routing::measure()?,
        "STARTS" => {
            whole(NativeProfile::Native)?;
            progress.wait("starts", starts::measure(progress)).await?
        }
        "IDENTITY" => {
            whole(NativeProfile::Native)?;
            progress.wait("identity", identity::measure()).await?
        }
        "SLACK" => {
            // The bridge takes no part.
            whole(NativeProfile::Dev)?;
            progress.wait("slack", acknowledgement::measure()).await?
        }
        _ => return Ok(None),
    }))
}

/// The Worker as deployed, unless the caller has built it already.
fn edge(setup: &Setup) -> anyhow::Result<()> {
    if std::env::var_os("FARHAND_EDGE_PREBUILT").is_some_and(|value| value == "1") {
        return Ok(());
    }
    setup.edge(Optimise::Yes)
}

fn print(
    chosen: &[(&'static str, &'static str)],
    mut figures: BTreeMap<&'static str, Figure>,
    json: bool,
) -> anyhow::Result<()> {
    let mut metrics = Map::new();
    let mut rows = Vec::new();
    for (name, _) in chosen {
        if let Some(figure) = figures.remove(name) {
            let value = named(name, figure.value)?;
            // What has no number of its own is a word.
            let is_word = !name.ends_with(|end: char| end.is_ascii_digit());
            metrics.insert(if is_word { name.to_lowercase() } else { (*name).to_owned() }, value);
            rows.push((*name, figure.rows));
        }
    }
    if json {
        eprint!("{}", report::table(&rows));
        println!("{}", json!({"metrics": metrics}));
    } else {
        print!("{}", report::table(&rows));
    }
    Ok(())
}

/// A figure with its names and no others.
fn named(figure: &str, value: Value) -> anyhow::Result<Value> {
    let names = FIGURES.iter().find(|(known, ..)| *known == figure).map_or(&[][..], |(.., names)| names);
    let Value::Object(mut fields) = value else {
        ensure!(names.is_empty(), "{figure} is {value}, where {} belong", names.join(", "));
        return Ok(value);
    };
    fields.retain(|name, _| names.contains(&name.as_str()));
    if let Some(name) = names.iter().find(|name| !fields.contains_key(**name)) {
        bail!("{figure} was measured without {name}");
    }
    Ok(Value::Object(fields))
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
        assert_eq!(names(&["starts"]).unwrap(), ["STARTS"]);
        assert!(names(&["B99"]).is_err());
    }

    #[test]
    fn the_names_in_json_are_those_that_other_tools_read() {
        let names = |wanted: &str| {
            FIGURES.iter().find(|(name, ..)| *name == wanted).map(|(.., names)| names.join(" ")).unwrap()
        };
        for number in ["B1", "B2", "B3", "B5", "B11"] {
            assert_eq!(names(number), "", "{number} is a number");
        }
        assert_eq!(names("B4"), "broadcast_p99_ratio joins_s");
        assert_eq!(
            names("B6"),
            "prompt_to_agent_ms prompt_to_agent_p99_ms first_delta_ms agent_to_viewer_ms"
        );
        assert_eq!(names("B7"), "first_request_ratio wasm_gzip_kb script_start_ms");
        assert_eq!(names("B8"), "claim_p50_ms claim_p99_ms double_claims");
        assert_eq!(names("B9"), "first_exec_p50_ms twenty_last_ms");
        assert_eq!(names("B10"), "restore_ratio snapshot_ms");
        assert_eq!(names("B12"), "idle_kb streaming_kb");
        assert_eq!(names("SLACK"), "ack_p50_ms ack_p99_ms");
        assert_eq!(names("B13"), "session_js_kb extension_zip_kb");
    }

    #[test]
    fn a_figure_has_its_names_and_no_others() {
        let value = json!({"restore_ratio": 0.01, "snapshot_ms": 1, "cp_ms": 2});
        assert_eq!(named("B10", value).unwrap(), json!({"restore_ratio": 0.01, "snapshot_ms": 1}));
        assert!(named("B10", json!({"restore_ratio": 0.01})).is_err());
        assert!(named("B10", json!(1)).is_err());
        assert!(named("B13", json!({"session_js_kb": 80})).is_err());
        assert_eq!(named("B2", json!(30_000)).unwrap(), json!(30_000));
    }
}
