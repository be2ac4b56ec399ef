//! One session and another, through the Worker in workerd, the bridge, a sandbox, an agent, git and the code host.
//!
//! The binaries are built before (`cargo xtask test`). Each test has a stack of its own.

mod app;
mod attachments;
mod builds;
mod faults;
mod files;
mod hostile;
mod mistakes;
mod sandbox;
mod slack;
mod soak;
mod turns;
mod warm;

use end_to_end::Observer;
use protocol::id::SessionId;
use stack::{Agent, Client, Options, Stack};

/// A stack with the scripted agent.
async fn scripted(name: &str) -> anyhow::Result<Stack> {
    Ok(Stack::start(Options { agent: Agent::Scripted, copies_worker: true, ..Options::new(name) }).await?)
}

/// A session of this user with its first prompt, and somebody watching it.
async fn session(client: &Client, prompt: &str) -> anyhow::Result<(SessionId, Observer)> {
    let session = client.create_session("acme/shop", Some(Client::prompt(prompt))).await?;
    let observer = Observer::join(client, &session).await?;
    Ok((session, observer))
}
