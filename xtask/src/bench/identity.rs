//! `identity`: processor time that the Worker spends on knowing who asks: the signed cookie is verified, and looked up as often as it is
//! not known to be current.
//!
//! `cpu_ms` is what workerd uses for a request that needs a signed-in user (`/api/me`) less what it uses for one that does not
//! (`/api/health`), the median of interleaved rounds; `cpu_worst_ms` that of the worst round. workerd's own clock stands still while a
//! request is worked on, so the operating system's is read.

use super::object::processor_ms_of_children;
use super::report::{Figure, Row};
use super::statistics::{percentile, rounded};
use crate::setup::NativeProfile;
use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Agent, Binaries, Client, Options, Stack};

/// Rounds that count, after one that warms up.
const ROUNDS: usize = 12;
/// Requests of each kind in a round: enough for a clock of hundredths of a second.
const REQUESTS: u32 = 400;

/// Measures.
pub(super) async fn measure() -> anyhow::Result<Figure> {
    let mut options = Options::new("bench-identity");
    options.agent = Agent::Scripted;
    options.github_sign_in = true;
    options.binaries = Binaries::of_profile(NativeProfile::Native.folder());
    let stack = Stack::start(options).await?;
    let client = stack.sign_in_at_code_host("ada").await?;
    let mut differences = Vec::new();
    for round in 0..=ROUNDS {
        let without = spend(&stack, &client, "/api/health").await?;
        let with = spend(&stack, &client, "/api/me").await?;
        if round > 0 {
            differences.push((with - without).max(0.0));
        }
    }
    let at = |share| percentile(&differences, share).context("nothing was measured");
    let (median, worst) = (at(0.5)?, at(1.0)?);
    let row = Row::new(
        "identity of a request, processor time",
        format!("p50 {median:.2}, worst round {worst:.2} ms"),
    )
    .target("≤ 0.5 ms", median <= 0.5);
    let value = json!({"cpu_ms": rounded(median), "cpu_worst_ms": rounded(worst)});
    Ok(Figure { value, rows: vec![row] })
}

/// Processor time of one request, in ms.
async fn spend(stack: &Stack, client: &Client, path: &str) -> anyhow::Result<f64> {
    let used = || stack.worker_pid().and_then(processor_ms_of_children).context("the system does not say");
    let before = used()?;
    for _ in 0..REQUESTS {
        client.request::<Value>(Method::GET, path, None::<&()>).await?;
    }
    Ok((used()? - before) / f64::from(REQUESTS))
}
