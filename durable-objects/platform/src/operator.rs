//! Variables and secrets of a deployment, as objects read them. Decides nothing; a missing one is noticed where it is needed, with its
//! name. The objects' settings use it.

use crate::bridge::Bridge;
use protocol::runner::AgentKind;
use protocol::sign::BridgeKeys;
use worker::Env;

/// What a time may be at least: less is taken for a mistake.
const MS_MIN: u64 = 1000;

/// What the operator configured.
#[derive(Clone, Copy, Debug)]
pub struct Operator<'a>(pub &'a Env);

impl Operator<'_> {
    /// A variable or secret that is not empty.
    #[must_use]
    pub fn text(self, name: &str) -> Option<String> {
        let value = self.0.var(name).map(|value| value.to_string()).unwrap_or_default();
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A time, or what is usual.
    #[must_use]
    pub fn milliseconds(self, name: &str, usual: u64) -> u64 {
        let number = self.text(name).and_then(|number| number.parse().ok());
        number.filter(|ms| *ms >= MS_MIN).unwrap_or(usual)
    }

    /// Who works in sandboxes.
    #[must_use]
    pub fn agent(self) -> AgentKind {
        match self.text("AGENT").as_deref() {
            Some("scripted") => AgentKind::Scripted,
            Some(_) | None => AgentKind::Opencode,
        }
    }

    /// `provider/name` of each model, the default first.
    #[must_use]
    pub fn models(self) -> Vec<String> {
        self.text("MODELS").and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
    }

    /// Where the bridge is, and the key of both.
    #[must_use]
    pub fn bridge(self) -> Bridge {
        Bridge {
            url: self.text("BRIDGE_URL").unwrap_or_default(),
            keys: self.text("BRIDGE_KEY").and_then(|text| BridgeKeys::parse(&text)),
        }
    }
}
