//! What the provider tells a runner: environment variables, checked once at the start.
//!
//! Called by `worker`. The variables are not passed on to the agent, except where it needs one by another name.

use protocol::id::SandboxId;
use std::path::PathBuf;

/// A variable that is missing or wrong.
#[derive(Debug, thiserror::Error)]
#[error("{name} {problem}; the sandbox's provider has to set it")]
pub(crate) struct EnvironmentError {
    name: &'static str,
    problem: String,
}

/// The runner's settings.
#[derive(Clone)]
pub(crate) struct Environment {
    /// Base URL of the bridge as seen from here, without a slash at its end.
    pub(crate) bridge_url: String,
    /// What URLs of the session's code host begin with; such repositories are reached through the bridge.
    pub(crate) code_host: Option<String>,
    /// Opens the bridge for this sandbox.
    pub(crate) token: String,
    pub(crate) sandbox_id: SandboxId,
    pub(crate) generation: u64,
    /// Folder of the spool.
    pub(crate) spool: PathBuf,
    /// Folder of the repository.
    pub(crate) workspace: PathBuf,
    /// Binary of OpenCode; only needed by that agent.
    pub(crate) opencode: Option<PathBuf>,
    /// Part of every snapshot, so the agent's memory goes there.
    pub(crate) home: PathBuf,
}

impl Environment {
    /// Reads the process's own environment.
    pub(crate) fn read() -> Result<Self, EnvironmentError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&'static str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let optional = |name| lookup(name).filter(|value| !value.is_empty());
        let required =
            |name| optional(name).ok_or_else(|| EnvironmentError { name, problem: "is not set".into() });
        let wrong =
            |name, problem: &dyn std::fmt::Display| EnvironmentError { name, problem: problem.to_string() };

        let bridge_url = required("FARHAND_BRIDGE_URL")?.trim_end_matches('/').to_owned();
        if !bridge_url.starts_with("http://") {
            return Err(wrong(
                "FARHAND_BRIDGE_URL",
                &"is not an http:// URL; this runner is built without TLS",
            ));
        }
        let sandbox_id = SandboxId::parse(&required("FARHAND_SANDBOX_ID")?)
            .map_err(|error| wrong("FARHAND_SANDBOX_ID", &error))?;
        let generation = required("FARHAND_GENERATION")?
            .parse()
            .map_err(|_| wrong("FARHAND_GENERATION", &"is not a number"))?;
        Ok(Self {
            bridge_url,
            code_host: optional("FARHAND_CODE_HOST"),
            token: required("FARHAND_SANDBOX_TOKEN")?,
            sandbox_id,
            generation,
            spool: required("FARHAND_SPOOL")?.into(),
            workspace: required("FARHAND_WORKSPACE")?.into(),
            opencode: optional("FARHAND_OPENCODE").map(Into::into),
            home: required("HOME")?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &'static str) -> Option<String> {
        let value = match name {
            "FARHAND_BRIDGE_URL" => "http://127.0.0.1:3128/",
            "FARHAND_SANDBOX_ID" => "sbx_1",
            "FARHAND_GENERATION" => "3",
            "FARHAND_SANDBOX_TOKEN" => "token",
            "FARHAND_SPOOL" => "spool",
            "FARHAND_WORKSPACE" => "workspace",
            "HOME" => "home",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn a_complete_environment_is_read() {
        let environment = Environment::from_lookup(lookup).unwrap();
        assert_eq!(environment.bridge_url, "http://127.0.0.1:3128");
        assert_eq!(environment.generation, 3);
        assert_eq!(environment.opencode, None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let with = |broken: &'static str, value: Option<&'static str>| {
            let result = Environment::from_lookup(|name| {
                if name == broken { value.map(str::to_owned) } else { lookup(name) }
            });
            result.err().unwrap().to_string()
        };
        assert!(with("FARHAND_SANDBOX_TOKEN", None).starts_with("FARHAND_SANDBOX_TOKEN is not set"));
        assert!(with("FARHAND_SANDBOX_TOKEN", Some("")).starts_with("FARHAND_SANDBOX_TOKEN is not set"));
        assert!(with("FARHAND_GENERATION", Some("x")).starts_with("FARHAND_GENERATION is not a number"));
        assert!(with("FARHAND_SANDBOX_ID", Some("../x")).contains("sbx_"));
        assert!(with("FARHAND_BRIDGE_URL", Some("https://x")).contains("without TLS"));
    }
}
