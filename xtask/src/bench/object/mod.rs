//! B1–B5 and the cold starts of B7: the product's session object (Rust, Wasm) against one written in plain JavaScript
//! (`tests/bench/plain`), over the same calls and frames, in one workerd, turn about. B8: the repository's object, by itself.
//!
//! All store in SQLite on disk, and an answer or frame leaves only when its rows are written (workerd's output gate). In front of the
//! objects is the same small router; only B2 goes through the Worker's own signed route.

mod broadcast;
mod claim;
mod cold;
mod ingest;
mod load;
mod resume;
mod script_start;
mod server;
mod session;
mod slow;
mod stream;
mod viewer;

use super::report::Figure;
use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
pub(super) use server::processor_ms_of_children;
use server::{Place, Server, pin};
use std::path::{Path, PathBuf};

/// Whose object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Rust,
    Plain,
}

impl Side {
    /// Both, the first one in turns.
    fn pair(round: usize) -> [Self; 2] {
        if round.is_multiple_of(2) { [Self::Rust, Self::Plain] } else { [Self::Plain, Self::Rust] }
    }
}

/// The same figure of both sides.
#[derive(Clone, Debug, Default)]
struct Pair<T> {
    rust: T,
    plain: T,
}

impl<T> Pair<T> {
    fn of(&mut self, side: Side) -> &mut T {
        match side {
            Side::Rust => &mut self.rust,
            Side::Plain => &mut self.plain,
        }
    }
}

/// Figures that this module measures.
pub(super) const NAMES: &[&str] = &["B1", "B2", "B3", "B4", "B5", "B7", "B8"];

/// Measures those of `names`, on a thread of its own.
pub(super) fn measure(names: &[&'static str]) -> anyhow::Result<Vec<(&'static str, Figure)>> {
    let names = names.to_vec();
    let thread = std::thread::Builder::new().name("load".to_owned()).spawn(move || {
        allow_many_sockets()?;
        // Programs started from here must not inherit the load's processor, so it is chosen again where they start.
        pin(Pid::from_raw(0), Place::Load)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(measure_here(&names))
    });
    let outcome = thread.context("cannot start a thread")?.join();
    outcome.map_err(|_| anyhow::anyhow!("the load panicked"))?
}

async fn measure_here(names: &[&'static str]) -> anyhow::Result<Vec<(&'static str, Figure)>> {
    let state = State::new()?;
    let mut figures = Vec::new();
    let wanted = |name: &str| names.contains(&name);
    if ["B1", "B2", "B3", "B4", "B5", "B8"].into_iter().any(wanted) {
        let server = Server::start(&state.0.join("warm")).await?;
        for name in names {
            let figure = match *name {
                "B1" => ingest::compare(&server).await?,
                "B2" => ingest::measure(&server).await?,
                "B3" => stream::measure(&server).await?,
                "B4" => broadcast::measure(&server).await?,
                "B5" => resume::measure(&server).await?,
                "B8" => claim::measure(&server).await?,
                _ => continue,
            };
            eprintln!("✓ {name}");
            figures.push((*name, figure));
        }
        server.stop().await?;
    }
    if wanted("B7") {
        let figure = cold::measure(&state.0.join("cold"), &state.0.join("start")).await?;
        eprintln!("✓ B7");
        figures.push(("B7", figure));
    }
    Ok(figures)
}

/// A folder that ends with the measurement.
struct State(PathBuf);

impl State {
    fn new() -> anyhow::Result<Self> {
        let folder = stack::root().join("target/runs").join(format!("bench-{}", std::process::id()));
        for part in ["warm", "cold", "start"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        Ok(Self(folder))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        if let Err(error) = std::fs::remove_dir_all(path) {
            eprintln!("{} stays: {error}", path.display());
        }
    }
}

/// A thousand sockets on each side need more files than many systems allow at first.
fn allow_many_sockets() -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(16_384);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}
