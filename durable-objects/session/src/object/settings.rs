//! What the operator configured, as far as a session needs it. Read once per object.

use crate::core::Timing;
use platform::bridge::Bridge;
use platform::operator::Operator;
use protocol::runner::AgentKind;
use worker::Env;

/// Variables and secrets of this deployment. A missing one is noticed where it is needed, with its name.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) agent: AgentKind,
    pub(super) models: Vec<String>,
    pub(super) branch_prefix: String,
    pub(super) bridge: Bridge,
    pub(super) github_api_url: String,
    /// Where people reach this deployment, without a slash at the end.
    pub(super) public_url: Option<String>,
    /// How long sandboxes live and wait.
    pub(super) timing: Timing,
    pub(super) has_test_routes: bool,
}

impl Settings {
    pub(super) fn read(env: &Env) -> Self {
        let operator = Operator(env);
        let usual = Timing::default();
        let timing = Timing {
            life_ms: operator.milliseconds("SANDBOX_LIFE_MS", usual.life_ms),
            idle_ms: operator.milliseconds("SANDBOX_IDLE_MS", usual.idle_ms),
            look_ms: operator.milliseconds("PULL_REQUEST_LOOK_MS", usual.look_ms),
        };
        Self {
            agent: operator.agent(),
            timing,
            models: operator.models(),
            branch_prefix: operator.text("BRANCH_PREFIX").unwrap_or_else(|| "farhand/".to_owned()),
            bridge: operator.bridge(),
            github_api_url: operator.text("GITHUB_API_URL").unwrap_or_default(),
            public_url: operator.text("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            has_test_routes: operator.text("TEST_ROUTES").as_deref() == Some("1"),
        }
    }
}
