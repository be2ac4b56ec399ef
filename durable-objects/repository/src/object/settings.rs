//! What the operator configured, as far as warm sandboxes need it. Read once per object.

use platform::bridge::Bridge;
use platform::operator::Operator;
use protocol::bridge::SandboxLimits;
use protocol::runner::AgentKind;
use worker::Env;

/// Variables and secrets of this deployment. A missing one is noticed where it is needed, with its name.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) agent: AgentKind,
    pub(super) models: Vec<String>,
    pub(super) bridge: Bridge,
    /// Where a recipe says nothing.
    pub(super) limits: SandboxLimits,
}

impl Settings {
    pub(super) fn read(env: &Env) -> Self {
        let operator = Operator(env);
        let mut limits = SandboxLimits::default();
        limits.life_ms = operator.milliseconds("SANDBOX_LIFE_MS", limits.life_ms);
        Self { agent: operator.agent(), models: operator.models(), bridge: operator.bridge(), limits }
    }
}
