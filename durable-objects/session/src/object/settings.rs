//! What the operator configured, as far as a session needs it. Read once per object.

use crate::core::Timing;
use protocol::runner::AgentKind;
use protocol::sign::Key;
use worker::Env;

/// Variables and secrets of this deployment. A missing one is noticed where it is needed, with its name.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) agent: AgentKind,
    pub(super) models: Vec<String>,
    pub(super) branch_prefix: String,
    pub(super) bridge_url: String,
    pub(super) bridge_key: Option<Key>,
    pub(super) github_api_url: String,
    /// Where people reach this deployment, without a slash at the end.
    pub(super) public_url: Option<String>,
    /// How long sandboxes live and wait.
    pub(super) timing: Timing,
    pub(super) has_test_routes: bool,
}

impl Settings {
    pub(super) fn read(env: &Env) -> Self {
        let text = |name: &str| {
            let value = env.var(name).map(|value| value.to_string()).unwrap_or_default();
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let agent = match text("AGENT").as_deref() {
            Some("scripted") => AgentKind::Scripted,
            Some(_) | None => AgentKind::Opencode,
        };
        let milliseconds = |name: &str, default: u64| {
            text(name).and_then(|number| number.parse().ok()).filter(|ms| *ms >= 1000).unwrap_or(default)
        };
        let usual = Timing::default();
        let timing = Timing {
            life_ms: milliseconds("SANDBOX_LIFE_MS", usual.life_ms),
            idle_ms: milliseconds("SANDBOX_IDLE_MS", usual.idle_ms),
        };
        Self {
            agent,
            timing,
            models: text("MODELS").and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
            branch_prefix: text("BRANCH_PREFIX").unwrap_or_else(|| "farhand/".to_owned()),
            bridge_url: text("BRIDGE_URL").unwrap_or_default(),
            bridge_key: text("BRIDGE_KEY").and_then(|secret| Key::new(secret.as_bytes())),
            github_api_url: text("GITHUB_API_URL").unwrap_or_default(),
            public_url: text("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            has_test_routes: text("TEST_ROUTES").as_deref() == Some("1"),
        }
    }
}
