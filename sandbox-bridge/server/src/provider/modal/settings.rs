//! What the Modal provider is started with, and where things lie inside its sandboxes. Checked by `config`, made by `main` and tests.

use super::names::is_name;
use crate::config::Secret;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Where Modal's control plane is unless something else is said.
pub const SERVER_URL: &str = "https://api.modal.com";
/// What sandboxes are made from unless something else is said: Debian slim with git, ripgrep, Node, Python and OpenCode.
pub const BASE_IMAGE: [&str; 3] = [
    "FROM node:22-bookworm-slim",
    "RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git openssh-client procps python3 python3-venv ripgrep && rm -rf /var/lib/apt/lists/*",
    "RUN npm install --global opencode-ai@1.18.33",
];

/// Settings of the Modal provider.
#[derive(Clone, Debug)]
pub struct ModalConfig {
    /// Modal app that everything belongs to.
    pub app: String,
    /// What sandboxes of a session without snapshot start from.
    pub base_image: BaseImage,
    /// Where sandboxes reach this bridge.
    pub gateway_url: Url,
    /// Folder of this machine with what must be known after a restart.
    pub state_dir: PathBuf,
    /// The runner that sandboxes get: a static program.
    pub runner: PathBuf,
    /// After so long a snapshot or an image is gone.
    pub snapshot_life: Duration,
    /// How many sandboxes may be made in a second.
    pub creations_per_second: u32,
    /// Commands that sandboxes do not have.
    pub blocked_commands: Vec<String>,
    /// Certificate authorities (PEM) that sandboxes are to trust beside their image's own.
    pub ca_bundle: Option<PathBuf>,
    /// Where things lie inside.
    pub inside: Inside,
}

impl ModalConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(gateway_url: Url, state_dir: PathBuf, runner: PathBuf) -> Self {
        Self {
            app: "farhand".to_owned(),
            base_image: BaseImage::default(),
            gateway_url,
            state_dir,
            runner,
            snapshot_life: Duration::from_secs(30 * 24 * 3600),
            creations_per_second: 4,
            blocked_commands: Vec::new(),
            ca_bundle: None,
            inside: Inside::default(),
        }
    }
}

/// What opens Modal.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Control plane.
    pub server_url: Url,
    /// `ak-…`.
    pub token_id: Secret,
    /// `as-…`.
    pub token_secret: Secret,
    /// Modal environment; empty for the workspace's default.
    pub environment: String,
}

/// What a fresh sandbox starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseImage {
    /// An image that Modal has already, `im-…`.
    Built(String),
    /// Dockerfile commands, one layer each; Modal builds them once and remembers.
    Dockerfile(Vec<String>),
}

impl Default for BaseImage {
    fn default() -> Self {
        Self::Dockerfile(BASE_IMAGE.map(str::to_owned).to_vec())
    }
}

impl BaseImage {
    /// An image id, or the name of an image at a registry.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.starts_with("im-") {
            return Self::Built(text.to_owned());
        }
        Self::Dockerfile(vec![format!("FROM {text}")])
    }
}

/// Where things lie inside a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// What is run as the sandbox's runner; `{runner}` is its path.
    pub command: Vec<String>,
    /// The same where an image is built: it waits until it is ended.
    pub build_command: Vec<String>,
    /// Where the bridge is reached inside.
    pub listen: String,
}

impl Default for Inside {
    fn default() -> Self {
        Self {
            command: ["{runner}", "run"].map(str::to_owned).to_vec(),
            build_command: ["{runner}", "rest"].map(str::to_owned).to_vec(),
            listen: "127.0.0.1:3128".to_owned(),
        }
    }
}

/// A setting of the provider that does not work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not a name for Modal.
    #[error(
        "{0:?} is no name for a Modal app; use letters, digits, dots, dashes and underscores, at most 64"
    )]
    App(String),
    /// Not a URL to connect to.
    #[error("the Modal server {0} cannot be used: {1}")]
    Server(Url, String),
    /// The runner cannot be read.
    #[error("the runner {path} cannot be read")]
    Runner {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The state directory cannot be used.
    #[error("{path} cannot be used for the state of the Modal provider")]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Modal cannot be reached, or refuses the credentials.
    #[error("the sandboxes that run at Modal could not be listed")]
    Modal(#[from] super::ModalError),
}

pub(super) fn check(config: &ModalConfig) -> Result<(), SettingsError> {
    if !is_name(&config.app) {
        return Err(SettingsError::App(config.app.clone()));
    }
    Ok(())
}
