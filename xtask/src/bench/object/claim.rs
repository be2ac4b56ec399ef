//! B8: 64 sessions claim 16 warm sandboxes of one repository, as the Worker in front of the object sees it: within a fifth of a second,
//! and, for comparison, all at the same moment, where most of the time is the others' claims.

use super::Side;
use super::server::Server;
use super::session::unique;
use crate::bench::report::{Figure, Row};
use crate::bench::statistics::{percentile, rounded};
use anyhow::{Context as _, ensure};
use protocol::id::SessionId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const REPOSITORY: &str = "acme/bench";
const SANDBOXES: usize = 16;
const CLAIMANTS: usize = 64;
const ROUNDS: usize = 60;
const BURSTS: usize = 10;
/// Within which claimants come.
const SPREAD_MS: u64 = 200;
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// What one claimant saw.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claimed {
    ms: f64,
    status: u16,
    #[serde(default)]
    sandbox_id: Option<String>,
}

async fn post(http: &reqwest::Client, url: String, body: &Value) -> anyhow::Result<Value> {
    let response = http.post(&url).json(body).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{url}: {status} {text:.300}");
    Ok(serde_json::from_str(&text)?)
}

/// Waits until the pool is full.
async fn wait_until_ready(http: &reqwest::Client, object: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut seen = Value::Null;
    while Instant::now() < deadline {
        let response = http.get(format!("{object}/status")).send().await?.error_for_status()?;
        seen = serde_json::from_str(&response.text().await?)?;
        if seen.pointer("/pool/ready").and_then(Value::as_u64) == Some(SANDBOXES as u64) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    anyhow::bail!("the pool was not filled: {seen}")
}

/// What all rounds have seen.
#[derive(Default)]
struct Seen {
    owned: BTreeSet<String>,
    doubles: u32,
}

/// One round: how long each claimant waited.
async fn claim(
    http: &reqwest::Client,
    base: &str,
    spread_ms: u64,
    seen: &mut Seen,
) -> anyhow::Result<Vec<f64>> {
    wait_until_ready(http, &format!("{base}/repository/{REPOSITORY}")).await?;
    let sessions: Vec<SessionId> = (0..CLAIMANTS).map(|_| SessionId::from_random(unique())).collect();
    let answer = post(http, format!("{base}/claims/{REPOSITORY}/{spread_ms}"), &json!(sessions)).await?;
    let claims: Vec<Claimed> = serde_json::from_value(answer).context("not what claimants saw")?;
    ensure!(claims.iter().all(|claim| claim.status == 200), "a claim was refused: {claims:?}");
    let got: Vec<String> = claims.iter().filter_map(|claim| claim.sandbox_id.clone()).collect();
    ensure!(got.len() >= SANDBOXES, "{} of {SANDBOXES} ready sandboxes were handed out", got.len());
    for id in got {
        seen.doubles += u32::from(!seen.owned.insert(id));
    }
    Ok(claims.iter().map(|claim| claim.ms).collect())
}

/// B8.
pub(super) async fn measure(server: &Server) -> anyhow::Result<Figure> {
    let http = reqwest::Client::builder().timeout(TIMEOUT).tcp_nodelay(true).build()?;
    let base = server.url(Side::Rust);
    let object = format!("{base}/repository/{REPOSITORY}");
    let configuration = json!({
        "repository": {"id": REPOSITORY, "cloneUrl": "https://code.example/acme/bench.git", "defaultBranch": "main"},
        "settings": {"poolTarget": SANDBOXES},
    });
    post(&http, format!("{object}/configure"), &configuration).await?;
    let mut seen = Seen::default();
    let (mut times, mut bursts) = (Vec::new(), Vec::new());
    // The first round warms up.
    claim(&http, base, SPREAD_MS, &mut seen).await?;
    for _ in 0..ROUNDS {
        times.extend(claim(&http, base, SPREAD_MS, &mut seen).await?);
    }
    for _ in 0..BURSTS {
        bursts.extend(claim(&http, base, 0, &mut seen).await?);
    }
    let doubles = seen.doubles;
    let share = |times: &[f64], share| percentile(times, share).context("nobody claimed");
    let (p50, p99) = (share(&times, 0.5)?, share(&times, 0.99)?);
    let (burst_p50, burst_p99) = (share(&bursts, 0.5)?, share(&bursts, 0.99)?);
    let rows = vec![
        Row::new("64 claimants on 16 sandboxes, within 200 ms", format!("p50 {p50:.1} ms, p99 {p99:.1} ms"))
            .target("≤ 5 ms, ≤ 20 ms", p50 <= 5.0 && p99 <= 20.0),
        Row::new("all at the same moment", format!("p50 {burst_p50:.1} ms, p99 {burst_p99:.1} ms")),
        Row::new("double claims", doubles.to_string()).target("0", doubles == 0),
    ];
    let value = json!({"claim_p50_ms": rounded(p50), "claim_p99_ms": rounded(p99), "double_claims": doubles});
    Ok(Figure { value, rows })
}
