//! Calls to the object of the session's repository: one asks for a warm sandbox, the other gives it back.
//!
//! A repeat gives the same answer there. Without such an object, or without an answer, the session makes a sandbox of its own.

use super::failure::Failure;
use super::shell::Shell;
use crate::core::WorkOutcome;
use futures::future::{Either, select};
use platform::web::{Redirect, new_request};
use protocol::id::ReservationId;
use repository::call::{BINDING, Call, ClaimAnswer, ClaimCall, ReleaseCall, object_name};
use serde::Serialize;
use std::time::Duration;
use worker::Delay;
use worker::wasm_bindgen::JsValue;

/// A prompt waits for it.
const CLAIM_MS_MAX: u64 = 2_000;
const RELEASE_MS_MAX: u64 = 10_000;

impl Shell {
    /// Asks for a warm sandbox.
    pub(super) async fn claim_sandbox(
        &self,
        generation: u64,
        reservation: Option<&ReservationId>,
    ) -> WorkOutcome {
        let session_id = match self.with_session(|session| session.info.id.clone()) {
            Ok(session_id) => session_id,
            Err(failure) => return self.failed(failure),
        };
        let call = ClaimCall { session_id, generation, reservation: reservation.cloned() };
        let answer = match self.ask_repository(Call::Claim, &call, CLAIM_MS_MAX).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return WorkOutcome::NoWarmSandbox { image_id: None, failure: None },
            Err(outcome) => return outcome,
        };
        match protocol::read_json::<ClaimAnswer>(&answer) {
            Ok(ClaimAnswer::Claimed { sandbox_id, bridge_url, image_id }) => {
                WorkOutcome::SandboxClaimed { sandbox_id, bridge_url, image_id }
            }
            Ok(ClaimAnswer::None { image_id, reason, has_failed }) => {
                WorkOutcome::NoWarmSandbox { image_id, failure: has_failed.then_some(reason) }
            }
            Err(error) => WorkOutcome::Failed { reason: error.to_string() },
        }
    }

    /// Gives back what was claimed under this generation and older ones.
    pub(super) async fn release_claim(&self, generation: u64) -> WorkOutcome {
        let session_id = match self.with_session(|session| session.info.id.clone()) {
            Ok(session_id) => session_id,
            Err(failure) => return self.failed(failure),
        };
        let call = ReleaseCall { session_id, generation };
        match self.ask_repository(Call::Release, &call, RELEASE_MS_MAX).await {
            Ok(_) => WorkOutcome::Done,
            Err(outcome) => outcome,
        }
    }

    /// The answer's body; none where there is no such object or it has nothing to say of this repository.
    async fn ask_repository<T: Serialize>(
        &self,
        call: Call,
        body: &T,
        timeout_ms: u64,
    ) -> Result<Option<Vec<u8>>, WorkOutcome> {
        let delayed = |reason: String| WorkOutcome::Delayed { reason };
        let Ok(namespace) = self.env.durable_object(BINDING) else { return Ok(None) };
        let name = self
            .with_session(|session| object_name(&session.info.repository))
            .map_err(|failure| self.failed(failure))?;
        let body =
            serde_json::to_string(body).map_err(|error| self.failed(Failure::Bug(error.to_string())))?;
        let answer = std::pin::pin!(async {
            let headers = [("content-type", "application/json")];
            let body = JsValue::from_str(&body);
            let request = new_request(call.method(), &call.url(), &headers, Redirect::Follow, Some(&body))?;
            let mut response = namespace.get_by_name(&name)?.fetch_with_request(request).await?;
            Ok::<_, worker::Error>((response.status_code(), response.bytes().await?))
        });
        let (status, body) = match select(answer, Delay::from(Duration::from_millis(timeout_ms))).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(error), _)) => return Err(delayed(error.to_string())),
            Either::Right(((), _)) => return Err(delayed("the repository does not answer".to_owned())),
        };
        let reason = format!("the repository answered with status {status}");
        match status {
            200..300 => Ok(Some(body)),
            404 => Ok(None),
            429 | 500.. => Err(delayed(reason)),
            _ => Err(WorkOutcome::Failed { reason }),
        }
    }
}
