//! `simulate`: runs seeds of the simulator, prints how many and what failed, and keeps what failed.

use clap::Parser;
use simulation::{Fault, Mutant, Order, Tally, run, shorten};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lines of a failing run that are printed.
const LINES_SHOWN: usize = 60;
/// Failing seeds whose trace is printed.
const TRACES_SHOWN: usize = 3;

/// Simulates sessions with everything around them, one seed after the other.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// Run for so long.
    #[arg(long, conflicts_with = "seeds")]
    seconds: Option<u64>,
    /// Run so many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// Begin with this seed; with one that nobody has seen where absent.
    #[arg(long)]
    from: Option<u64>,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Print all that happens.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Threads; every seed runs in one of them.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Kinds of faults that are left out.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Take a safeguard out of the session's shell.
    #[arg(long)]
    mutant: Option<String>,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Failing seeds are added to this file, and those in it run first; the crate's own where absent.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Keep no failing seeds, and run none that were kept.
    #[arg(long)]
    forget: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let order = order_of(&arguments)?;
    if let Some(seed) = arguments.seed {
        return Ok(replay(&Order { seed, ..order }, arguments.trace));
    }
    let keep = kept_in(&arguments);
    let kept = keep.as_deref().map(read_seeds).transpose()?.unwrap_or_default();
    let from = arguments.from.unwrap_or_else(unseen);
    let begin = Instant::now();
    let end = arguments.seconds.map(|seconds| begin + Duration::from_secs(seconds));
    let count = arguments.seeds.unwrap_or(if end.is_some() { u64::MAX } else { 1000 });
    let seeds = Seeds { kept: &kept, from, count, end, taken: AtomicU64::new(0) };
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| work(&seeds, &order, &total));
        }
    });
    let total = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = begin.elapsed().as_secs_f64();
    if let (Some(path), false) = (&keep, total.failing.is_empty()) {
        keep_seeds(path, total.failing.keys())?;
    }
    explain(&order, &total);
    print(&arguments, &total, from, seconds);
    Ok(if total.failing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn order_of(arguments: &Arguments) -> anyhow::Result<Order> {
    let mut order = Order::default();
    for name in &arguments.without {
        let fault = Fault::ALL.iter().find(|fault| fault.name() == name);
        let names = || Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ");
        order
            .without
            .push(*fault.ok_or_else(|| anyhow::anyhow!("no fault is called {name}; there are {}", names()))?);
    }
    if let Some(name) = &arguments.mutant {
        let found = Mutant::ALL.iter().find(|(_, known)| known == name);
        let names = || Mutant::ALL.map(|(_, name)| name).join(", ");
        let (mutant, _) =
            found.ok_or_else(|| anyhow::anyhow!("no mutant is called {name}; there are {}", names()))?;
        order.mutant = Some(*mutant);
    }
    Ok(order)
}

/// Which seed is next.
struct Seeds<'a> {
    kept: &'a [u64],
    from: u64,
    count: u64,
    end: Option<Instant>,
    taken: AtomicU64,
}

impl Seeds<'_> {
    fn next(&self) -> Option<u64> {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        let kept = usize::try_from(index).ok().and_then(|index| self.kept.get(index));
        let fresh = index.checked_sub(self.kept.len() as u64).filter(|fresh| *fresh < self.count);
        kept.copied().or_else(|| fresh.map(|fresh| self.from.wrapping_add(fresh)))
    }
}

fn work(seeds: &Seeds<'_>, order: &Order, total: &Mutex<Tally>) {
    let mut tally = Tally::default();
    while let Some(seed) = seeds.next() {
        tally.add(seed, run(&Order { seed, ..order.clone() }));
    }
    total.lock().unwrap_or_else(std::sync::PoisonError::into_inner).merge(tally);
}

fn replay(order: &Order, is_traced: bool) -> ExitCode {
    let outcome = run(&Order { is_traced, ..order.clone() });
    for line in &outcome.trace {
        println!("{line}");
    }
    match outcome.violation {
        Some(violation) => {
            println!("seed {} fails after {} steps: {violation}", order.seed, outcome.steps);
            ExitCode::FAILURE
        }
        None => {
            println!("seed {} holds: {} steps, {} faults", order.seed, outcome.steps, outcome.faults);
            ExitCode::SUCCESS
        }
    }
}

/// Where failing seeds are kept. Those of a mutant, or of a plan with something left out, are nobody's.
fn kept_in(arguments: &Arguments) -> Option<PathBuf> {
    if arguments.forget || arguments.mutant.is_some() || !arguments.without.is_empty() {
        return None;
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds.txt");
    arguments.keep.clone().or_else(|| own.exists().then_some(own))
}

/// A seed that depends on the moment.
fn unseen() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().wrapping_mul(1_000_000)
}

/// Prints the shortest trace that is found of each of the first failing seeds.
fn explain(order: &Order, total: &Tally) {
    for (seed, violation) in total.failing.iter().take(TRACES_SHOWN) {
        eprintln!("seed {seed} fails: {violation}");
        let shortest = shorten(&Order { seed: *seed, ..order.clone() });
        let outcome = run(&Order { is_traced: true, ..shortest.clone() });
        let names: Vec<_> = shortest.without.iter().map(|fault| fault.name()).collect();
        let skipped = outcome.trace.len().saturating_sub(LINES_SHOWN);
        for line in outcome.trace.iter().skip(skipped) {
            eprintln!("  {line}");
        }
        eprintln!("  again: simulate --seed {seed} --trace --without {}", names.join(","));
    }
}

fn print(arguments: &Arguments, total: &Tally, from: u64, seconds: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for humans")]
    let rate = total.seeds as f64 / seconds;
    let failing: Vec<_> = total.failing.keys().collect();
    let virtual_hours = total.virtual_ms / 3_600_000;
    if arguments.json {
        let answer = serde_json::json!({
            "seeds": total.seeds,
            "from": from,
            "seconds": seconds,
            "seeds_per_second": rate,
            "steps": total.steps,
            "faults": total.faults,
            "events": total.events,
            "virtual_hours": virtual_hours,
            "rest_seconds_max": total.rest_ms_max / 1000,
            "seen": total.seen,
            "failing": failing,
        });
        println!("{answer}");
    } else {
        println!(
            "{} seeds from {from} in {seconds:.1} s ({rate:.0} per second): {} steps, {} faults, {} events, \
             {virtual_hours} virtual hours; failing: {failing:?}",
            total.seeds, total.steps, total.faults, total.events,
        );
    }
}

/// Seeds that failed once, one in each line; `#` begins a remark.
fn read_seeds(path: &Path) -> anyhow::Result<Vec<u64>> {
    Ok(simulation::parse_seeds(&std::fs::read_to_string(path)?)?)
}

fn keep_seeds<'a>(path: &Path, failing: impl Iterator<Item = &'a u64>) -> anyhow::Result<()> {
    let known: BTreeSet<u64> = read_seeds(path)?.into_iter().collect();
    let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
    for seed in failing.filter(|seed| !known.contains(seed)) {
        writeln!(file, "{seed}")?;
    }
    Ok(())
}
