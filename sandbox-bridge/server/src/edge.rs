//! The bridge's words to the edge: signed POSTs over kept-alive connections, one attempt per call.
//!
//! Whoever calls decides whether to try again; [`EdgeError::may_pass`] says whether that can help. Used by the hub.

use crate::clock;
use crate::config::is_loopback;
use bytes::Bytes;
use protocol::bridge::{EgressReport, EventsAck, RunnerAttached, SandboxEnded};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::SessionId;
use protocol::sign::{Audience, Key, sign_request};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

/// Why the edge did not take what it was told.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// It answered, and said no.
    #[error("the edge refused: {0}")]
    Refused(ErrorBody),
    /// It did not answer, or not in its own words.
    #[error("the edge cannot be reached: {0}")]
    Unreachable(String),
}

impl EdgeError {
    /// Whether the session, or its claim on this sandbox, is gone: the sandbox has nobody to work for.
    #[must_use]
    pub fn is_final_for_sandbox(&self) -> bool {
        matches!(
            self,
            Self::Refused(ErrorBody { code: ErrorCode::GenerationStale | ErrorCode::NotFound, .. })
        )
    }

    /// Whether the very same words can be accepted later: the edge is away, or our clocks or keys are being set right.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(body) => body.code.http_status() >= 500 || body.code == ErrorCode::SignatureInvalid,
        }
    }
}

/// Speaks to one edge.
#[derive(Clone, Debug)]
pub struct EdgeClient {
    base: Url,
    key: Key,
    http: reqwest::Client,
}

impl EdgeClient {
    /// Longest wait for one answer.
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
    /// Longest answer that is read.
    const ANSWER_BYTES_MAX: usize = 64 * 1024;

    /// A client of the edge at `base`.
    pub fn new(base: &Url, key: Key) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Self::ANSWER_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        Ok(Self { base: base.clone(), key, http: builder.build()? })
    }

    /// Announces a runner; the answer says where it resumes.
    pub async fn attached(&self, session: &SessionId, body: &RunnerAttached) -> Result<EventsAck, EdgeError> {
        self.post(session, "attached", encode(body)?).await
    }

    /// Hands over a batch, given as the JSON of a [`protocol::bridge::EventBatch`].
    pub async fn events(&self, session: &SessionId, batch: Bytes) -> Result<EventsAck, EdgeError> {
        self.post(session, "events", batch).await
    }

    /// Reports the unasked-for end of a sandbox.
    pub async fn ended(&self, session: &SessionId, body: &SandboxEnded) -> Result<(), EdgeError> {
        let _: serde_json::Value = self.post(session, "ended", encode(body)?).await?;
        Ok(())
    }

    /// Reports what a sandbox was not let out to.
    pub async fn egress(&self, session: &SessionId, body: &EgressReport) -> Result<(), EdgeError> {
        let _: serde_json::Value = self.post(session, "egress", encode(body)?).await?;
        Ok(())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        session: &SessionId,
        what: &str,
        body: Bytes,
    ) -> Result<T, EdgeError> {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}/api/bridge/sessions/{session}/{what}",
            self.base.path().trim_end_matches('/')
        ));
        let nonce = clock::random().map_err(|error| EdgeError::Unreachable(error.to_string()))?;
        let signature =
            sign_request(&self.key, Audience::Edge, "POST", url.path(), &body, nonce, clock::now());
        let response = self
            .http
            .post(url)
            .header(AUTHORIZATION, signature)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let text = read_limited(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&text)
                .map_err(|_| EdgeError::Unreachable(format!("its answer to {what} is not understood")));
        }
        Err(serde_json::from_slice::<ErrorBody>(&text)
            .ok()
            .filter(|body| body.code.http_status() == status.as_u16())
            .map_or_else(
                || EdgeError::Unreachable(format!("{status} without an error of its own")),
                EdgeError::Refused,
            ))
    }
}

async fn read_limited(mut response: reqwest::Response) -> Result<Vec<u8>, EdgeError> {
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        text.extend_from_slice(&chunk);
        if text.len() > EdgeClient::ANSWER_BYTES_MAX {
            return Err(EdgeError::Unreachable("its answer is too long".to_owned()));
        }
    }
    Ok(text)
}

fn encode(body: &impl Serialize) -> Result<Bytes, EdgeError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| EdgeError::Unreachable(error.to_string()))
}

/// The whole chain of causes: reqwest's own text says only that sending failed.
fn unreachable(error: reqwest::Error) -> EdgeError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    EdgeError::Unreachable(text)
}
