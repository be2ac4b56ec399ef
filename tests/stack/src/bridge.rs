//! Starts `sandbox-bridge serve`.

use crate::identity::Secrets;
use crate::modal::Modal;
use crate::options::{Model, Options};
use crate::process::{End, Process};
use crate::{StackError, root};
use fakes::github::Github;
use fakes::model::DemoModel;
use serde::Deserialize;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Sandboxes are ended and overlays unmounted in this time.
const END_PATIENCE: Duration = Duration::from_secs(15);

/// What the bridge needs to know of the rest.
pub(crate) struct Surroundings<'a> {
    pub(crate) options: &'a Options,
    pub(crate) secrets: &'a Secrets,
    pub(crate) github: &'a Github,
    pub(crate) model: Option<&'a DemoModel>,
    pub(crate) modal: Option<&'a Modal>,
    pub(crate) edge_url: &'a str,
    /// Where the edge reaches it, when that is not where it listens.
    pub(crate) public_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Listening {
    listening: String,
}

/// Starts the bridge on a port (0 for any); answers its base URL.
pub(crate) fn start(around: &Surroundings<'_>, port: u16) -> Result<(Process, String), StackError> {
    let options = around.options;
    let state = options.directory.join("sandboxes");
    std::fs::create_dir_all(&state).map_err(StackError::file(&state))?;
    let mut command = Command::new(&options.binaries.bridge);
    command
        .arg("serve")
        .arg(format!("--listen=127.0.0.1:{port}"))
        .arg(format!("--edge-url={}", around.edge_url))
        .args(["--state".as_ref(), state.as_os_str()])
        .args(["--runner".as_ref(), options.binaries.runner.as_os_str()])
        .args(["--opencode".as_ref(), options.binaries.opencode.as_os_str()])
        .current_dir(root())
        .env("FARHAND_BRIDGE_KEY", &around.secrets.bridge_key)
        .env("FARHAND_MODEL_PROVIDERS", providers(around).to_string());
    if !options.github_sign_in {
        let credentials = json!({around.github.url(): around.secrets.app_token});
        command.env("FARHAND_GIT_CREDENTIALS", credentials.to_string());
    }
    // The keys of the user's shell are not the bridge's business.
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"] {
        command.env_remove(name);
    }
    if let Some(modal) = around.modal {
        modal.configure(&mut command);
    }
    if let Some(url) = around.public_url {
        command.arg(format!("--public-url={url}"));
    }
    if options.weak_sandbox {
        command.arg("--weak-sandbox");
    }
    if options.sandboxes_die_with_bridge {
        command.arg("--sandboxes-die-with-bridge");
    }
    let log = options.directory.join("logs/bridge.log");
    let (process, line) = Process::spawn_and_hear(
        "the sandbox bridge",
        &mut command,
        &log,
        End::Gently(END_PATIENCE),
        START_TIMEOUT,
    )?;
    match serde_json::from_str::<Listening>(&line) {
        Ok(Listening { listening }) => Ok((process, listening)),
        Err(_) => Err(process.failed(&format!("said {:?} and not where it listens", line.trim()))),
    }
}

fn providers(around: &Surroundings<'_>) -> Value {
    let mut all = serde_json::Map::new();
    if let Some(model) = around.model {
        let demo =
            json!({"base_url": model.base_url(), "api_key": around.secrets.model_key, "kind": "openai"});
        all.insert("demo".to_owned(), demo);
    }
    if let Model::Real { providers, .. } = &around.options.model {
        for provider in providers {
            let value =
                json!({"base_url": provider.base_url, "api_key": provider.api_key, "kind": provider.kind});
            all.insert(provider.name.clone(), value);
        }
    }
    Value::Object(all)
}
