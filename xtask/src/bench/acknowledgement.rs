//! `slack`: how long Slack waits for the acknowledgement of an event while everything upstream hangs: its Web API, the model that routes, the
//! code host and the bridge take every connection and answer nothing for ten seconds.
//!
//! The event comes from the stand-in on this machine, which signs it, so that the whole of it is our own time: signature, hand-over to the
//! thread's object, its commit and its alarm.

use super::report::{Figure, Row};
use super::statistics::percentile;
use crate::setup::NativeProfile;
use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use stack::{Agent, Binaries, Options, Stack};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Mentions, each in a thread of its own and told by two events.
const MENTIONS: usize = 250;
const WARM_UP: usize = 10;
const HANGS: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Measures.
pub(super) async fn measure() -> anyhow::Result<Figure> {
    let mut options = Options::new("bench-slack");
    options.agent = Agent::Scripted;
    options.binaries = Binaries::of_profile(NativeProfile::Dev.folder());
    let mut stack = Stack::start(options).await?;
    link(&stack).await?;
    let (url, asked) = hole().await?;
    let names = ["SLACK_API_URL", "SLACK_FILES_URL", "SLACK_ROUTER_URL", "GITHUB_API_URL", "BRIDGE_URL"];
    stack.set_variables(&names.map(|name| (name, url.as_str())))?;
    stack.restart_workerd().await?;
    let mut times = Vec::new();
    for number in 0..WARM_UP + MENTIONS {
        let told = write(&stack, &format!("fix number {number}")).await?;
        if number >= WARM_UP {
            times.extend(acknowledged(&told)?);
        }
    }
    let asked = asked.load(Ordering::Relaxed);
    ensure!(asked > 0, "nothing was asked upstream, so that nothing hung");
    report(&times, asked)
}

fn report(times: &[f64], asked: usize) -> anyhow::Result<Figure> {
    let at = |share| percentile(times, share).context("nothing was measured");
    let (p50, p99, worst) = (at(0.5)?, at(0.99)?, at(1.0)?);
    let count = times.len();
    let row = Row::new(
        format!("acknowledgement of {count} events, {asked} requests upstream hanging"),
        format!("p50 {p50:.0}, p99 {p99:.0}, worst {worst:.0} ms"),
    )
    .target("p99 ≤ 500 ms", p99 <= 500.0);
    Ok(Figure { value: json!({"ack_p50_ms": p50, "ack_p99_ms": p99}), rows: vec![row] })
}

/// Times of an event's deliveries. One that had to be repeated is no acknowledgement in time, and no figure.
fn acknowledged(told: &Value) -> anyhow::Result<Vec<f64>> {
    let deliveries = told.get("deliveries").and_then(Value::as_array).context("no deliveries")?;
    deliveries
        .iter()
        .map(|one| {
            ensure!(one.get("status") == Some(&json!(200)), "an event was not taken: {told}");
            one.get("ms").and_then(Value::as_f64).context("a delivery without its time")
        })
        .collect()
}

async fn write(stack: &Stack, text: &str) -> anyhow::Result<Value> {
    let order = json!({"user": "U0ADA", "channel": "C0GENERAL", "text": format!("<@U0BOT> {text}")});
    Ok(stack.slack().write(&order).await)
}

/// Makes the author somebody who is known, as people do it.
async fn link(stack: &Stack) -> anyhow::Result<()> {
    let ada = stack.sign_in("ada").await?;
    write(stack, "say hello").await?;
    let until = Instant::now() + PATIENCE;
    let code = loop {
        let messages = Value::from(stack.slack().messages()).to_string();
        if let Some((_, rest)) = messages.split_once("#code=") {
            break rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
                .collect::<String>();
        }
        if Instant::now() > until {
            bail!("nobody was invited to link an account; there was {messages}");
        }
        tokio::time::sleep(LOOK).await;
    };
    let body = json!({"code": code, "step": "confirm"});
    ada.request::<Value>(Method::POST, "/api/slack/links", Some(&body)).await?;
    Ok(())
}

/// A server that takes every connection and lets it hang; its address, and how many requests came.
async fn hole() -> anyhow::Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(hang(connection));
        }
    });
    Ok((url, asked))
}

/// Whoever gives up before is gone; that is theirs to decide.
async fn hang(mut connection: TcpStream) -> std::io::Result<()> {
    let mut start = [0; 1024];
    if connection.read(&mut start).await? == 0 {
        return Ok(());
    }
    tokio::time::sleep(HANGS).await;
    connection
        .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await
}
