//! Requests to other servers within a time, and the signed ones to the sandbox bridge: first to the replica that should have it, then to
//! the bridge's common address. What an answer means is for the caller to decide.

use crate::failure::Failure;
use crate::host::{now, random};
use crate::web::{JsUrl, Redirect, new_request};
use futures::future::{Either, select};
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, SignatureError, sign_request, verify_answer};
use protocol::trace::{TRACE_HEADER, TraceParent};
use serde::Serialize;
use std::time::Duration;
use worker::wasm_bindgen::JsValue;
use worker::{AbortController, Delay, Fetch, Method};

/// One command, to be sent to any replica.
#[derive(Debug)]
pub struct Ask {
    method: Method,
    /// Path at the bridge.
    pub path: String,
    body: String,
    timeout_ms: u64,
    /// The replica that should get it.
    replica: Option<String>,
    /// The span that asks.
    trace: Option<TraceParent>,
}

impl Ask {
    /// A command with its body.
    pub fn new<T: Serialize>(
        path: String,
        body: &T,
        timeout_ms: u64,
        replica: Option<String>,
    ) -> Result<Self, Failure> {
        let body = serde_json::to_string(body).map_err(|error| Failure::Bug(error.to_string()))?;
        Ok(Self { method: Method::Put, path, body, timeout_ms, replica, trace: None })
    }

    /// A question that changes nothing, to whichever replica answers.
    #[must_use]
    pub fn look(path: String, timeout_ms: u64) -> Self {
        Self { method: Method::Get, path, body: String::new(), timeout_ms, replica: None, trace: None }
    }

    /// The same, as part of a trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// A server's whole answer.
#[derive(Debug)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// All of it.
    pub body: Vec<u8>,
    /// How long the header `retry-after` asks to wait, where it says seconds.
    pub retry_after_ms: Option<u64>,
    /// Header [`ANSWER_HEADER`].
    signature: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// This deployment lacks a setting; says which.
    Misconfigured(String),
    /// The bridge cannot be reached.
    Silent(String),
}

/// Where the bridge is, and how it knows us.
#[derive(Debug)]
pub struct Bridge {
    /// Its common address.
    pub url: String,
    /// Shared with it; `None` where it is missing or too short.
    pub keys: Option<BridgeKeys>,
}

impl Bridge {
    /// The first answer that is one; a replica that is away, or has lost the runner, is passed over.
    pub async fn send(&self, ask: &Ask) -> Result<Answered, Unanswered> {
        if self.url.is_empty() {
            let reason = "BRIDGE_URL is not set; set it to the address of the sandbox bridge".to_owned();
            return Err(Unanswered::Misconfigured(reason));
        }
        let replica = ask.replica.as_ref().filter(|replica| **replica != self.url);
        if let Some(replica) = replica
            && let Ok(answered) = self.send_once(replica, ask).await
            && !matches!(answered.status, 404 | 421 | 502..=504)
        {
            return Ok(answered);
        }
        self.send_once(&self.url, ask).await
    }

    /// Asks one replica and no other.
    pub async fn look_at(&self, replica: &str, ask: &Ask) -> Result<Answered, Unanswered> {
        self.send_once(replica, ask).await
    }

    async fn send_once(&self, base: &str, ask: &Ask) -> Result<Answered, Unanswered> {
        let misconfigured = |reason: &str| Unanswered::Misconfigured(reason.to_owned());
        let Some(keys) = &self.keys else {
            return Err(misconfigured(
                "BRIDGE_KEY is not set, or is shorter than 32 bytes; set the secret that the bridge has",
            ));
        };
        let Ok(url) = JsUrl::new(&format!("{}{}", base.trim_end_matches('/'), ask.path)) else {
            return Err(misconfigured(
                "BRIDGE_URL is not a URL; set it to the address of the sandbox bridge",
            ));
        };
        let (nonce, path) = (random(), url.pathname());
        let method = ask.method.clone();
        let signature =
            sign_request(keys, Audience::Bridge, method.as_ref(), &path, ask.body.as_bytes(), nonce, now());
        let body = Some(ask.body.as_str()).filter(|_| method != Method::Get);
        let mut headers = vec![("authorization", signature)];
        headers.extend(ask.trace.map(|trace| (TRACE_HEADER, trace.to_string())));
        let answered = exchange(method, &url.href(), &headers, body, ask.timeout_ms)
            .await
            .map_err(|error| Unanswered::Silent(format!("it does not answer: {error}")))?;
        let signature = answered.signature.as_deref();
        verify_answer(keys, Audience::Bridge, nonce, signature, answered.status, &answered.body, now())
            .map_err(|error| Unanswered::Silent(unproven(answered.status, &error)))?;
        Ok(answered)
    }
}

/// An answer without the bridge's own signature says nothing about what was asked for: it is that of something in front of the bridge,
/// of an impostor, or of a bridge with another key.
fn unproven(status: u16, error: &SignatureError) -> String {
    let remedy = "BRIDGE_KEY must be the same at the edge and at the bridge, and BRIDGE_URL lead to it";
    format!("its answer ({status}) is not signed by it: {error}; {remedy}")
}

/// Sends one request and reads the whole answer, within a time.
pub async fn exchange(
    method: Method,
    url: &str,
    headers: &[(&str, String)],
    body: Option<&str>,
    timeout_ms: u64,
) -> worker::Result<Answered> {
    let mut list = vec![("content-type", "application/json")];
    list.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = body.map(JsValue::from_str);
    let request = new_request(method.as_ref(), url, &list, Redirect::Follow, body.as_ref())?;
    let abort = AbortController::default();
    let signal = abort.signal();
    let answer = std::pin::pin!(async {
        let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
        let status = response.status_code();
        let retry_after = response.headers().get("retry-after").ok().flatten();
        let retry_after_ms =
            retry_after.and_then(|seconds| seconds.parse::<u64>().ok()).map(|s| s.saturating_mul(1000));
        let signature = response.headers().get(ANSWER_HEADER).ok().flatten();
        Ok(Answered { status, body: response.bytes().await?, retry_after_ms, signature })
    });
    // A timer of our own, because it ends with the answer; `AbortSignal::timeout` would keep the object from sleeping until its time.
    let timer = Delay::from(Duration::from_millis(timeout_ms));
    match select(answer, timer).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => {
            abort.abort();
            Err(worker::Error::RustError(format!("no answer within {} s", timeout_ms / 1000)))
        }
    }
}
