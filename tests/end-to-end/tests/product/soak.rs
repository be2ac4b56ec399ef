//! The soak in short: a dozen sessions, and something breaks every few batches. `cargo xtask soak` is the long one.

use end_to_end::soak::{Soak, Until, Weather};
use stack::Binaries;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_sessions_survive_what_breaks_and_leave_nothing_behind() -> anyhow::Result<()> {
    let soak = Soak {
        seed: 0x50a4,
        sessions: 12,
        working: 4,
        until: Until::Rounds(2),
        weather: Weather::Rough,
        binaries: Binaries::of_profile("debug"),
        keep: false,
    };
    eprintln!("{}", soak.run().await?);
    Ok(())
}
