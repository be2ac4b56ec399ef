//! Credentials: the account's pair, the tokens of clients, and those of command routers. Tokens look like JWTs, because callers read
//! when they end; that they are genuine is known from a list.

use super::clock::Clock;
use crate::token::random_hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use modal_api::metadata;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Calls about sandboxes.
    Client,
    /// The command router of one task.
    Task(String),
}

/// The account and all tokens.
pub(super) struct Tokens {
    pub(super) token_id: String,
    pub(super) token_secret: String,
    issued: Mutex<HashMap<String, (Scope, Duration)>>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            token_id: format!("ak-{}", random_hex(11)),
            token_secret: format!("as-{}", random_hex(11)),
            issued: Mutex::default(),
        }
    }

    pub(super) fn issue(&self, scope: Scope, life: Duration, clock: &Clock) -> String {
        let ends = clock.machine_now() + life;
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = part(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = part(&format!(r#"{{"exp":{},"jti":"{}"}}"#, ends.as_secs(), random_hex(8)));
        let token = format!("{header}.{claims}.{}", part(&random_hex(16)));
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.insert(token.clone(), (scope, ends));
        token
    }

    /// Makes every token that was issued worthless.
    pub(super) fn revoke(&self) {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The account's pair, which every call to the control plane carries.
    pub(super) fn check_account(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let is =
            |name: &str, value: &str| metadata.get(name).and_then(|text| text.to_str().ok()) == Some(value);
        if is(metadata::TOKEN_ID, &self.token_id) && is(metadata::TOKEN_SECRET, &self.token_secret) {
            return Ok(());
        }
        Err(Status::unauthenticated("Token ID or secret is not valid"))
    }

    /// The client's token, which calls about sandboxes carry beside the account's pair.
    pub(super) fn check_client(&self, metadata: &MetadataMap, clock: &Clock) -> Result<(), Status> {
        let token = metadata.get(metadata::AUTH_TOKEN).and_then(|text| text.to_str().ok());
        let Some(token) = token else {
            return Err(Status::unauthenticated("x-modal-auth-token is missing"));
        };
        match self.scope(token, clock) {
            Some(Scope::Client) => Ok(()),
            Some(Scope::Task(_)) | None => Err(Status::unauthenticated("x-modal-auth-token is not valid")),
        }
    }

    /// The bearer token, which opens one task's command router.
    pub(super) fn check_task(
        &self,
        metadata: &MetadataMap,
        clock: &Clock,
        task_id: &str,
    ) -> Result<(), Status> {
        let bearer = metadata
            .get(metadata::AUTHORIZATION)
            .and_then(|text| text.to_str().ok())
            .and_then(|text| text.strip_prefix("Bearer "));
        match bearer.and_then(|token| self.scope(token, clock)) {
            Some(Scope::Task(owner)) if owner == task_id => Ok(()),
            Some(Scope::Task(_)) => Err(Status::permission_denied("token belongs to another task")),
            Some(Scope::Client) | None => Err(Status::unauthenticated("token is not valid")),
        }
    }

    fn scope(&self, token: &str, clock: &Clock) -> Option<Scope> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get(token).filter(|(_, ends)| clock.machine_now() < *ends).map(|(scope, _)| scope.clone())
    }
}
