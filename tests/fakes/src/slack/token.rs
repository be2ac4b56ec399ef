//! The bot's tokens: one that lasts, or pairs that rotate (docs.slack.dev, "Using token rotation").
//!
//! A refresh token is good for one exchange. The token that it replaces goes on until its own end, which the control may order.

use super::text;
use serde_json::{Value, json};

/// The application, as whoever exchanges tokens has to name it.
const CLIENT_ID: &str = "0001.0002";
/// Its secret.
const CLIENT_SECRET: &str = "client-secret-of-the-stand-in";
/// Slack's own: twelve hours.
const LIFE_S: u64 = 43_200;

/// What opens the workspace.
#[derive(Debug)]
pub(super) struct Tokens {
    access: String,
    refresh: Option<String>,
    is_revoked: bool,
    has_ended: bool,
    exchanges: u64,
}

impl Tokens {
    /// A token that rotates has ended at the beginning.
    pub(super) fn new(access: String, refresh: Option<String>) -> Self {
        let has_ended = refresh.is_some();
        Self { access, refresh, is_revoked: false, has_ended, exchanges: 0 }
    }

    pub(super) fn revoke(&mut self) {
        self.is_revoked = true;
    }

    pub(super) fn restore(&mut self) {
        self.is_revoked = false;
    }

    pub(super) fn expire(&mut self) {
        self.has_ended = true;
    }

    pub(super) fn check(&self, token: &str) -> Result<(), &'static str> {
        match token {
            "" => Err("not_authed"),
            _ if self.is_revoked => Err("token_revoked"),
            _ if token != self.access => Err("invalid_auth"),
            _ if self.has_ended => Err("token_expired"),
            _ => Ok(()),
        }
    }

    /// `oauth.v2.access` with `grant_type=refresh_token`.
    pub(super) fn exchange(
        &mut self,
        fields: &Value,
        (client_id, client_secret): &(String, String),
    ) -> Result<Value, &'static str> {
        if text(fields, "grant_type") != "refresh_token" {
            return Err("invalid_grant_type");
        }
        if client_id != CLIENT_ID {
            return Err("invalid_client_id");
        }
        if client_secret != CLIENT_SECRET {
            return Err("bad_client_secret");
        }
        if self.is_revoked || self.refresh.as_deref() != Some(text(fields, "refresh_token")) {
            return Err("invalid_refresh_token");
        }
        self.exchanges += 1;
        self.access = format!("xoxe.xoxb-1-access-{}", self.exchanges);
        let refresh = format!("xoxe-1-refresh-{}", self.exchanges);
        self.refresh = Some(refresh.clone());
        self.has_ended = false;
        Ok(json!({
            "access_token": self.access, "expires_in": LIFE_S, "refresh_token": refresh, "token_type": "bot",
            "app_id": "A0FARHAND", "scope": "chat:write", "bot_user_id": super::BOT, "team": {"id": super::TEAM, "name": "Acme"},
        }))
    }
}
