//! `soak`: many sessions at once while processes die and wires break. Everything must be built (`cargo xtask build`).

use clap::Parser;
use end_to_end::soak::{Soak, Until, Weather};
use stack::Binaries;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Runs many sessions with faults, and checks what must hold in the end.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long people come to sessions.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How many sessions.
    #[arg(long, default_value_t = 200)]
    sessions: usize,
    /// How many of them are worked on at a time.
    #[arg(long, default_value_t = 6)]
    working: usize,
    /// What is asked for and what breaks; one that nobody has seen where absent, and printed in any case.
    #[arg(long)]
    seed: Option<u64>,
    /// Break nothing: for measurements.
    #[arg(long)]
    calm: bool,
    /// Print the figures as one JSON object on one line.
    #[arg(long)]
    json: bool,
    /// Folder of the cargo profile whose binaries are run.
    #[arg(long, default_value = "debug")]
    profile: String,
    /// Keep the run's folder below `target/runs`: repositories, logs.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()) | 1)
    });
    eprintln!("seed {seed:#x}");
    stack::raise_file_limit()?;
    let soak = Soak {
        seed,
        sessions: arguments.sessions.max(1),
        working: arguments.working.clamp(1, arguments.sessions.max(1)),
        until: Until::Elapsed(Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0)),
        weather: if arguments.calm { Weather::Calm } else { Weather::Rough },
        binaries: Binaries::of_profile(&arguments.profile),
        keep: arguments.keep,
    };
    let figures = soak.run().await?;
    if arguments.json {
        println!("{figures}");
    } else {
        println!("{figures:#}");
    }
    Ok(())
}
