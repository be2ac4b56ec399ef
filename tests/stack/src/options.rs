//! What a stack is made of.

use crate::paths::Binaries;
use fakes::modal::ModalOptions;
use std::path::PathBuf;

/// Which agent works in the sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agent {
    /// OpenCode.
    #[default]
    Opencode,
    /// The deterministic one.
    Scripted,
}

impl Agent {
    /// As in the Worker's variable `AGENT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opencode => "opencode",
            Self::Scripted => "scripted",
        }
    }
}

/// A model provider with its key.
#[derive(Clone)]
pub struct Provider {
    /// What stands before the slash in a model's name.
    pub name: String,
    /// `openai` or `anthropic`.
    pub kind: String,
    /// With the version.
    pub base_url: String,
    /// Never reaches a sandbox.
    pub api_key: String,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// Which model answers.
#[derive(Clone, Debug, Default)]
pub enum Model {
    /// The stand-in, `demo/demo-1`.
    #[default]
    Demo,
    /// Real ones, `provider/name`, the default first.
    Real {
        /// With their keys.
        providers: Vec<Provider>,
        /// Offered to people.
        models: Vec<String>,
    },
}

impl Model {
    /// What the environment asks for: real models where there is a key, else the demo model.
    ///
    /// `variable` answers the value of an environment variable: `OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, each with `…_BASE_URL`, and
    /// `FARHAND_MODEL` for another default.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let known = [
            ("anthropic", "ANTHROPIC", "https://api.anthropic.com/v1", "claude-sonnet-4-5"),
            // One that takes `max_tokens`, which is what agents send in chat completions.
            ("openai", "OPENAI", "https://api.openai.com/v1", "gpt-4.1-mini"),
        ];
        let (mut providers, mut models) = (Vec::new(), Vec::new());
        for (name, prefix, base_url, model) in known {
            if let Some(api_key) = read(&format!("{prefix}_API_KEY")) {
                let base_url = read(&format!("{prefix}_BASE_URL")).unwrap_or_else(|| base_url.to_owned());
                let base_url = base_url.trim_end_matches('/').to_owned();
                providers.push(Provider { name: name.to_owned(), kind: name.to_owned(), base_url, api_key });
                models.push(format!("{name}/{model}"));
            }
        }
        if providers.is_empty() {
            return Self::Demo;
        }
        if let Some(wanted) = read("FARHAND_MODEL") {
            let provider = providers.first().map_or("", |provider| provider.name.as_str());
            let wanted = if wanted.contains('/') { wanted } else { format!("{provider}/{wanted}") };
            models.retain(|model| *model != wanted);
            models.insert(0, wanted);
        }
        Self::Real { providers, models }
    }
}

/// A repository that the stand-in for the code host has from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repository {
    /// `acme/shop`.
    Shop,
    /// A copy of somebody's own, by path or URL.
    Import {
        /// As given.
        origin: String,
    },
}

/// What a stack is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything of the run is in here.
    pub directory: PathBuf,
    /// Whether the folder stays when the stack ends; a kept one can be started again.
    pub keep: bool,
    /// Of the Worker; `None` means any free one.
    pub port: Option<u16>,
    /// Which agent works.
    pub agent: Agent,
    /// Which model answers.
    pub model: Model,
    /// What is there to work on.
    pub repositories: Vec<Repository>,
    /// Sandboxes run at the stand-in for Modal, which has these ways; otherwise the local provider runs them.
    pub modal: Option<ModalOptions>,
    /// Accept plain processes where namespaces are missing.
    pub weak_sandbox: bool,
    /// Whether sandboxes end with the bridge; tests of its restart say no.
    pub sandboxes_die_with_bridge: bool,
    /// Whether a fault proxy stands in every wire, see [`crate::Wires`].
    pub faults: bool,
    /// Whether workerd comes back by itself when it alone is killed, see [`crate::Stack::crash_workerd`].
    pub revives_workerd: bool,
    /// Whether workerd looks for garbage everywhere each time, so that its memory is what is in use: slower, for measurements.
    pub collects_all_garbage: bool,
    /// Whether the Worker and the web client are those of the start, also when they are built again meanwhile.
    pub copies_worker: bool,
    /// Whether repositories get images and warm sandboxes, which work beside the sessions.
    pub images: bool,
    /// Whether people sign in at the code host, which knows this stack as a GitHub App; the bridge then has no token of its own.
    pub github_sign_in: bool,
    /// More variables of the Worker, such as `SANDBOX_IDLE_MS`.
    pub variables: Vec<(String, String)>,
    /// What is run.
    pub binaries: Binaries,
}

impl Options {
    /// A stack with the demo repository, OpenCode and the demo model, in a folder of this name under `target/runs`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let unique = format!("{name}-{}-{}", std::process::id(), fakes::token::random_hex(3));
        Self {
            directory: crate::root().join("target/runs").join(unique),
            keep: false,
            port: None,
            agent: Agent::Opencode,
            model: Model::Demo,
            repositories: vec![Repository::Shop],
            modal: None,
            weak_sandbox: false,
            sandboxes_die_with_bridge: true,
            faults: false,
            revives_workerd: false,
            collects_all_garbage: false,
            copies_worker: false,
            images: false,
            github_sign_in: false,
            variables: Vec::new(),
            binaries: Binaries::of_profile("debug"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(set: &[(&str, &str)]) -> Vec<String> {
        let model = Model::from_environment(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        match model {
            Model::Demo => vec!["demo".to_owned()],
            Model::Real { providers, models } => {
                models.into_iter().chain(providers.into_iter().map(|provider| provider.base_url)).collect()
            }
        }
    }

    #[test]
    fn a_key_in_the_environment_brings_its_models() {
        assert_eq!(models(&[]), ["demo"]);
        assert_eq!(models(&[("OPENAI_API_KEY", " ")]), ["demo"]);
        assert_eq!(models(&[("OPENAI_API_KEY", "k")]), ["openai/gpt-4.1-mini", "https://api.openai.com/v1"]);
        assert_eq!(
            models(&[
                ("ANTHROPIC_API_KEY", "k"),
                ("ANTHROPIC_BASE_URL", "https://m.example/v1/"),
                ("FARHAND_MODEL", "x")
            ]),
            ["anthropic/x", "anthropic/claude-sonnet-4-5", "https://m.example/v1"]
        );
    }
}
