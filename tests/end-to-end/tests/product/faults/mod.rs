//! What happens when wires break and processes die: rows of the fault table, each on the whole product.
//!
//! Each test ends with [`check::settled`]: nothing that was acknowledged is lost or doubled, and nothing is left over.

mod agents;
mod bridge;
pub(crate) mod check;
mod events;
mod herd;
mod kills;
mod prompts;
mod pushes;
mod sandboxes;
mod viewers;
mod worker;

use crate::Observer;
use anyhow::{Context, bail};
use end_to_end::{Dice, PATIENCE};
use protocol::client::SessionStatus;
use protocol::id::SessionId;
use stack::{Agent, Client, Options, Sandbox, Stack, Wires};
use std::time::{Duration, Instant};

const REPOSITORY: &str = "acme/shop";
/// How often a state outside the session is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A stack with the scripted agent and a proxy in every wire.
async fn breakable(name: &str) -> anyhow::Result<Stack> {
    Ok(Stack::start(options(name)).await?)
}

fn options(name: &str) -> Options {
    Options { agent: Agent::Scripted, faults: true, copies_worker: true, ..Options::new(name) }
}

fn wires(stack: &Stack) -> anyhow::Result<&Wires> {
    stack.wires().context("the stack was started without proxies")
}

/// What `stream COUNT …` says.
fn words(count: usize) -> String {
    (0..count).map(|word| format!("word{word} ")).collect()
}

/// Waits for a state that nobody announces.
async fn eventually(what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            bail!("{what} did not happen within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Asks for a session's state until it is as wanted, without watching it.
async fn status_until(
    client: &Client,
    session: &SessionId,
    what: &str,
    wanted: impl Fn(&SessionStatus) -> bool,
) -> anyhow::Result<SessionStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = client.status(session).await?;
        if wanted(&status) {
            return Ok(status);
        }
        if Instant::now() > deadline {
            bail!("{what} did not happen within {} s: {status:#?}", PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The one sandbox that the session has.
fn only_sandbox(stack: &Stack, session: &SessionId) -> anyhow::Result<Sandbox> {
    let mut own = sandboxes_of(stack, session);
    match (own.pop(), own.pop()) {
        (Some(sandbox), None) => Ok(sandbox),
        (found, another) => bail!("not one sandbox, but {found:?} and {another:?}"),
    }
}

fn sandboxes_of(stack: &Stack, session: &SessionId) -> Vec<Sandbox> {
    stack.sandboxes().into_iter().filter(|sandbox| sandbox.session_id == session.as_str()).collect()
}

/// A second watcher that never was away, to compare others with.
async fn witness(client: &Client, session: &SessionId) -> anyhow::Result<Observer> {
    Observer::join_patiently(client, session).await
}
