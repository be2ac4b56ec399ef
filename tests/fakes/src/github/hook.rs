//! Webhooks of the code host: signed, in order, and as a script says lost, repeated, or overtaken by the next.

use super::{State, lock};
use ring::hmac;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Where webhooks go.
#[derive(Clone)]
pub struct Hook {
    /// Receives the deliveries.
    pub url: String,
    /// Signs them.
    pub secret: String,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What becomes of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Sent,
    /// It does not.
    Lost,
    /// It arrives twice, under the same id.
    Repeated,
    /// It arrives after the next one.
    Overtaken,
}

/// A delivery as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its own id.
    pub id: String,
    /// Such as `pull_request`.
    pub event: String,
    /// Of the answer; 0 where there was none.
    pub status: u16,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    event: String,
    body: String,
}

#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) to: Option<Hook>,
    pub(super) fates: VecDeque<Fate>,
    pub(super) delivered: Vec<Delivered>,
}

/// Delivers one after the other, until the code host ends.
pub(super) fn start(state: &Arc<State>, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    let weak = Arc::downgrade(state);
    tokio::spawn(async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        let mut held: Option<Outgoing> = None;
        while let Some(delivery) = outgoing.recv().await {
            let Some(state) = weak.upgrade() else { return };
            let fate = lock(&state.hooks).fates.pop_front().unwrap_or(Fate::Sent);
            match fate {
                Fate::Lost => continue,
                Fate::Overtaken => {
                    held = Some(delivery);
                    continue;
                }
                Fate::Sent | Fate::Repeated => {}
            }
            let times = if fate == Fate::Repeated { 2 } else { 1 };
            send(&client, &state, &delivery, times).await;
            if let Some(late) = held.take() {
                send(&client, &state, &late, 1).await;
            }
        }
    });
}

async fn send(client: &reqwest::Client, state: &State, delivery: &Outgoing, times: usize) {
    let Some(hook) = lock(&state.hooks).to.clone() else { return };
    let id = crate::token::random_hex(16);
    let key = hmac::Key::new(hmac::HMAC_SHA256, hook.secret.as_bytes());
    let digest = hmac::sign(&key, delivery.body.as_bytes());
    let signature: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for _ in 0..times {
        let request = client
            .post(&hook.url)
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/stand-in")
            .header("x-github-event", &delivery.event)
            .header("x-github-delivery", &id)
            .header("x-hub-signature-256", format!("sha256={signature}"))
            .body(delivery.body.clone());
        let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
        lock(&state.hooks).delivered.push(Delivered {
            id: id.clone(),
            event: delivery.event.clone(),
            status,
        });
    }
}

impl State {
    /// Tells whoever listens.
    pub(super) fn tell(&self, event: &str, payload: &Value) {
        // Nobody takes it when the code host is ending.
        let _ = self.outgoing.send(Outgoing { event: event.to_owned(), body: payload.to_string() });
    }
}
