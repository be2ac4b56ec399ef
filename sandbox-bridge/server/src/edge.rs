//! The bridge's words to the edge: signed POSTs over kept-alive connections, one attempt per call.
//!
//! Whoever calls decides whether to try again; [`EdgeError::may_pass`] says whether that can help. Used by the hub.

use crate::clock;
use crate::config::{Secret, is_loopback};
use crate::trace;
use bytes::Bytes;
use protocol::bridge::{EgressReport, EventsAck, RunnerAttached, SandboxEnded};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::{BuildId, RepositoryId, SandboxId, SessionId};
use protocol::repository::{BuildEnded, BuildLogAck, BuildLogPiece, WarmReport};
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, SignatureError, sign_request, verify_answer};
use protocol::time::Timestamp;
use protocol::trace::TRACE_HEADER;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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

    /// Whether the repository has no use for a warm sandbox or a build.
    #[must_use]
    pub fn is_final_for_warm(&self) -> bool {
        matches!(self, Self::Refused(body) if matches!(body.code.http_status(), 404 | 409))
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

/// A token of the GitHub App, as the edge hands it out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppCredential {
    /// Opens the repository that it was asked for.
    pub token: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where git may send it.
    pub origin: String,
}

/// Speaks to one edge.
#[derive(Clone, Debug)]
pub struct EdgeClient {
    base: Url,
    keys: BridgeKeys,
    http: reqwest::Client,
}

impl EdgeClient {
    /// Longest wait for one answer.
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
    /// Longest answer that is read.
    const ANSWER_BYTES_MAX: usize = 64 * 1024;

    /// A client of the edge at `base`.
    pub fn new(base: &Url, keys: BridgeKeys) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Self::ANSWER_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        Ok(Self { base: base.clone(), keys, http: builder.build()? })
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

    /// Says how a warm sandbox is.
    pub async fn warm(
        &self,
        repository: &RepositoryId,
        sandbox: &SandboxId,
        body: &WarmReport,
    ) -> Result<(), EdgeError> {
        let place = format!("repositories/{repository}/sandboxes/{sandbox}");
        let _: serde_json::Value = self.post_to(&place, encode(body)?).await?;
        Ok(())
    }

    /// Hands over a piece of a build's log.
    pub async fn build_log(
        &self,
        repository: &RepositoryId,
        build: &BuildId,
        body: &BuildLogPiece,
    ) -> Result<BuildLogAck, EdgeError> {
        self.post_to(&format!("repositories/{repository}/builds/{build}/log"), encode(body)?).await
    }

    /// Reports the end of a build.
    pub async fn build_ended(
        &self,
        repository: &RepositoryId,
        build: &BuildId,
        body: &BuildEnded,
    ) -> Result<(), EdgeError> {
        let place = format!("repositories/{repository}/builds/{build}/ended");
        let _: serde_json::Value = self.post_to(&place, encode(body)?).await?;
        Ok(())
    }

    /// Asks for a token of the GitHub App that opens one repository.
    pub async fn credential(&self, repository: &RepositoryId) -> Result<AppCredential, EdgeError> {
        self.post_to(&format!("repositories/{repository}/credential"), Bytes::from_static(b"{}")).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        session: &SessionId,
        what: &str,
        body: Bytes,
    ) -> Result<T, EdgeError> {
        self.post_to(&format!("sessions/{session}/{what}"), body).await
    }

    async fn post_to<T: DeserializeOwned>(&self, what: &str, body: Bytes) -> Result<T, EdgeError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/bridge/{what}", self.base.path().trim_end_matches('/')));
        let nonce = clock::random().map_err(|error| EdgeError::Unreachable(error.to_string()))?;
        let signature =
            sign_request(&self.keys, Audience::Edge, "POST", url.path(), &body, nonce, clock::now());
        let mut request = self.http.post(url).header(AUTHORIZATION, signature);
        if let Some(parent) = trace::current() {
            request = request.header(TRACE_HEADER, parent.to_string());
        }
        let response =
            request.header(CONTENT_TYPE, "application/json").body(body).send().await.map_err(unreachable)?;
        let status = response.status();
        let signature =
            response.headers().get(ANSWER_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = read_limited(response).await?;
        let now = clock::now();
        verify_answer(&self.keys, Audience::Edge, nonce, signature.as_deref(), status.as_u16(), &text, now)
            .map_err(|error| unproven(status, &text, error))?;
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

/// An answer without the edge's own signature: of something in front of it, of an impostor, or of an edge with another key.
fn unproven(status: reqwest::StatusCode, text: &[u8], error: SignatureError) -> EdgeError {
    let said = serde_json::from_slice::<ErrorBody>(text).ok();
    if said.is_some_and(|said| said.code == ErrorCode::SignatureInvalid) {
        let message = "it does not accept our signature; FARHAND_BRIDGE_KEY must be the Worker's BRIDGE_KEY, and the clocks must agree";
        return EdgeError::Unreachable(message.to_owned());
    }
    EdgeError::Unreachable(format!("its answer ({status}) is not signed by it: {error}"))
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
