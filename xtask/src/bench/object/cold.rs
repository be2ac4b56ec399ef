//! B7: the first request to an object that nobody has in memory, in a Worker that is up; the size of the Wasm module; the start of the
//! Worker's script.

use super::server::Server;
use super::session::{Session, status};
use super::viewer::Viewer;
use super::{Pair, Side, script_start};
use crate::bench::report::{Figure, Row};
use crate::bench::sizes;
use crate::bench::statistics::{Spread, rounded};
use anyhow::Context as _;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Objects of each side; half of them are asked by HTTP, half by WebSocket.
const OBJECTS: usize = 60;
const BATCHES: usize = 4;

/// Addresses of the objects, as they are below the server's.
async fn prepare(server: &Server) -> anyhow::Result<Pair<Vec<String>>> {
    let mut objects: Pair<Vec<String>> = Pair::default();
    // One more, which warms the isolate up.
    for index in 0..=OBJECTS {
        for side in Side::pair(index) {
            let mut session = Session::start(server, side).await?;
            for _ in 0..BATCHES {
                let batch = session.runner.work();
                session.send(&batch).await?;
            }
            let path = session.object.strip_prefix(server.url(side)).context("another server")?;
            objects.of(side).push(path.to_owned());
        }
    }
    Ok(objects)
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

struct Times {
    request: Pair<Vec<f64>>,
    connect: Pair<Vec<f64>>,
}

/// Touches each object once, in a server that has just started.
async fn touch(server: &Server, objects: Pair<Vec<String>>) -> anyhow::Result<Times> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).tcp_nodelay(true).build()?;
    let mut times = Times { request: Pair::default(), connect: Pair::default() };
    for (index, (rust, plain)) in objects.rust.iter().zip(&objects.plain).enumerate() {
        for side in Side::pair(index / 2) {
            let path = match side {
                Side::Rust => rust,
                Side::Plain => plain,
            };
            let object = format!("{}{path}", server.url(side));
            let started = Instant::now();
            if index == 0 {
                status(&http, &object).await?;
            } else if index % 2 == 0 {
                status(&http, &object).await?;
                times.request.of(side).push(ms(started));
            } else {
                let mut viewer = Viewer::connect(&object, 0).await?;
                viewer.subscribe(None).await?;
                viewer.until("snapshot").await?;
                times.connect.of(side).push(ms(started));
                viewer.close().await?;
            }
        }
    }
    Ok(times)
}

/// B7.
pub(super) async fn measure(state: &Path, folder: &Path) -> anyhow::Result<Figure> {
    let server = Server::start(state).await?;
    let objects = prepare(&server).await?;
    server.stop().await?;
    let server = Server::start(state).await?;
    let times = touch(&server, objects).await?;
    server.stop().await?;

    let ratio = Spread::of_ratios(&times.request.rust, &times.request.plain)?;
    let pair = |times: &Pair<Vec<f64>>, what: &str| {
        let row = Row::new(what, Spread::of(&times.rust)?.text(1, "ms"));
        anyhow::Ok(
            row.plain(Spread::of(&times.plain)?.text(1, "ms"))
                .ratio(&Spread::of_ratios(&times.rust, &times.plain)?),
        )
    };
    let request = pair(&times.request, "first request to a cold object")?;
    let wasm = sizes::wasm_gzip_kb()?.as_f64().context("no size")?;
    let start = script_start::measure(folder).await?;
    let rows = vec![
        request.target("ratio ≤ 1.5", ratio.median <= 1.5),
        pair(&times.connect, "first connect and snapshot of a cold object")?,
        Row::new("Wasm, gzip", format!("{wasm:.1} kB")).target("≤ 400 kB", wasm <= 400.0),
        Row::new("start of the Worker's script", start.text(0, "ms"))
            .target("≤ 100 ms", start.median <= 100.0),
    ];
    let value = json!({
        "first_request_ratio": rounded(ratio.median),
        "wasm_gzip_kb": wasm,
        "script_start_ms": rounded(start.median),
    });
    Ok(Figure { value, rows })
}
