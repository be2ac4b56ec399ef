//! `test`: everything that CI runs, section by section. Every section runs, also when one before it failed.
//!
//! Ends with `N passed, N failed` alone on the last line of standard output.

mod count;
mod modal;
mod sections;

use crate::progress::Progress;
use crate::setup::{NativeProfile, Optimise, Setup};
use anyhow::bail;
use clap::Args;
use count::Count;
use sections::SECTIONS;
use std::process::ExitCode;
use std::time::Instant;

/// `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this section; `list` names them.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// Runs the sections.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    let wanted = arguments.only.as_deref();
    match wanted {
        Some("list") => {
            println!("{}", names.join("\n"));
            return Ok(ExitCode::SUCCESS);
        }
        Some(name) if !names.contains(&name) => {
            bail!("there is no section {name:?}; choose one of: {}", names.join(", "))
        }
        Some(_) | None => {}
    }
    let progress = Progress::new();
    let setup = Setup::new(progress);
    let mut total = Count::default();
    let whole = wanted.is_none();
    let chosen = || SECTIONS.iter().filter(|section| wanted.is_none_or(|name| name == section.name));
    let run = Run { setup, whole };
    if let Err(error) = run.prepare(chosen().any(|section| section.needs_stack)) {
        // Sections that need none of it still tell something.
        eprintln!("✗ set-up: {error:#}");
        total.failed += 1;
    }
    for section in chosen() {
        let started = Instant::now();
        eprintln!("· {} …", section.name);
        let (count, trouble) = match (section.run)(&run).await {
            Ok(outcome) => (outcome.count, outcome.trouble),
            Err(error) => (Count { passed: 0, failed: 1 }, Some(format!("{error:#}"))),
        };
        let mark = if count.failed == 0 { "✓" } else { "✗" };
        eprintln!(
            "{mark} {}: {} passed, {} failed, {:.1} s",
            section.name,
            count.passed,
            count.failed,
            started.elapsed().as_secs_f64()
        );
        if let Some(trouble) = trouble {
            eprintln!("{trouble}\n");
        }
        total.add(count);
    }
    eprintln!("{:.0} s in all", progress.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 && total.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the sections share.
struct Run {
    setup: Setup,
    /// All sections run, so that everything native is built at once; one alone builds only what it needs.
    whole: bool,
}

impl Run {
    fn prepare(&self, needs_stack: bool) -> anyhow::Result<()> {
        let setup = &self.setup;
        setup.prerequisites()?;
        setup.node_modules()?;
        if !needs_stack {
            return Ok(());
        }
        setup.edge(Optimise::No)?;
        setup.web()?;
        if self.whole {
            return setup.tests();
        }
        setup.native(NativeProfile::Dev)?;
        setup.jail_probe()
    }
}
