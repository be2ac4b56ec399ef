//! `identity`: processor time that the Worker spends on knowing who asks: the signed cookie is verified, and looked up as often as it is
//! not known to be current.
//!
//! `cpu_ms` is what workerd uses for a request that needs a signed-in user (`/api/me`) less what it uses for one that does not
//! (`/api/health`): the mean of many short interleaved rounds, with its standard error, so that what else the machine does meets both
//! kinds. `floor_ms` is the same difference between two halves that both ask `/api/health`: what this way of measuring tells of nothing.
//! workerd's own clock stands still while a request is worked on, so the operating system's is read.

use super::object::processor_ms_of_children;
use super::report::{Figure, Row};
use super::statistics::{Mean, rounded};
use crate::setup::NativeProfile;
use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Agent, Binaries, Client, Options, Stack};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rounds that count.
const ROUNDS: u32 = 100;
/// Rounds before them, in which workerd compiles what it runs often.
const WARM_UP: u32 = 10;
/// Requests in each third of a round.
const REQUESTS: u32 = 40;
/// Requests in a minute, a little below what the Worker takes from one caller (`workers/edge/src/rate.rs`).
const REQUESTS_MINUTE: u32 = 5_500;

/// Measures.
pub(super) async fn measure() -> anyhow::Result<Figure> {
    let mut options = Options::new("bench-identity");
    options.agent = Agent::Scripted;
    options.github_sign_in = true;
    options.binaries = Binaries::of_profile(NativeProfile::Native.folder());
    let stack = Stack::start(options).await?;
    let client = stack.sign_in_at_code_host("ada").await?;
    let (mut costs, mut nothing) = (Vec::new(), Vec::new());
    let mut pace = Pace::default();
    for round in 0..WARM_UP + ROUNDS {
        pace.wait_for(3 * REQUESTS).await?;
        let without = spend(&stack, &client, "/api/health").await?;
        let with = spend(&stack, &client, "/api/me").await?;
        let again = spend(&stack, &client, "/api/health").await?;
        if round >= WARM_UP {
            // Between the two, so that a machine that grows slower or faster favours neither.
            costs.push(with - f64::midpoint(without, again));
            nothing.push(again - without);
        }
    }
    let (cost, floor) = (Mean::of(&costs)?, Mean::of(&nothing)?);
    let row = Row::new("identity of a request, processor time", cost.text("ms"))
        .target("≤ 0.5 ms", cost.mean + 2.0 * cost.error <= 0.5);
    let value = json!({
        "cpu_ms": rounded(cost.mean), "cpu_error_ms": rounded(cost.error), "floor_ms": rounded(floor.mean),
    });
    Ok(Figure { value, rows: vec![row, Row::new("nothing, measured alike", floor.text("ms"))] })
}

/// Keeps below the limit of requests, whose minutes are those of the clock.
#[derive(Default)]
struct Pace {
    minute: u64,
    sent: u32,
}

impl Pace {
    async fn wait_for(&mut self, requests: u32) -> anyhow::Result<()> {
        let mut now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        if now.as_secs() / 60 == self.minute && self.sent + requests > REQUESTS_MINUTE {
            let next = Duration::from_secs((self.minute + 1) * 60);
            tokio::time::sleep(next.saturating_sub(now)).await;
            now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        }
        if now.as_secs() / 60 != self.minute {
            *self = Self { minute: now.as_secs() / 60, sent: 0 };
        }
        self.sent += requests;
        Ok(())
    }
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
