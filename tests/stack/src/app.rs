//! What a stack has whose people sign in at the code host: a GitHub App with its key, the secret of its webhooks, and the key that seals
//! users' tokens. Made once for a run, by the same Node that runs the Worker.

use crate::StackError;
use crate::options::Options;
use fakes::github::{App, CLIENT_ID, Github, Hook};
use fakes::token::random_hex;
use serde::{Deserialize, Serialize};
use std::process::Command;

/// Prints an RSA key, and a key for AES.
const MAKE_KEYS: &str = "const crypto = require('node:crypto');
const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048,
  publicKeyEncoding: { type: 'pkcs1', format: 'der' }, privateKeyEncoding: { type: 'pkcs1', format: 'pem' } });
const token_key = crypto.randomBytes(32).toString('base64');
console.log(JSON.stringify({ public_key: [...publicKey], private_key: privateKey, token_key }));";

/// The secrets of such a stack.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AppSecrets {
    public_key: Vec<u8>,
    private_key: String,
    token_key: String,
    #[serde(default = "webhook_secret")]
    webhook_secret: String,
}

fn webhook_secret() -> String {
    random_hex(24)
}

impl AppSecrets {
    pub(crate) fn make(options: &Options) -> Result<Self, StackError> {
        let node = &options.binaries.node;
        let output = Command::new(node).arg("-e").arg(MAKE_KEYS).output().map_err(StackError::file(node))?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| StackError::Configuration(format!("Node made no keys: {error}")))
    }

    pub(crate) fn app(&self) -> App {
        App { id: CLIENT_ID.to_owned(), public_key: self.public_key.clone() }
    }

    /// Installs the App for every repository of the stack, and has its webhooks sent to the Worker.
    pub(crate) fn install(&self, github: &Github, repositories: &[String], worker_url: &str) {
        for repository in repositories {
            github.install(repository);
        }
        let url = format!("{worker_url}/api/webhooks/github");
        github.send_to(Hook { url, secret: self.webhook_secret.clone() });
    }

    /// Secrets of the Worker.
    pub(crate) fn lines(&self, github: &Github) -> Vec<(&'static str, String)> {
        let (client_id, client_secret) = github.oauth_app();
        let keys = serde_json::json!({"current": "run", "keys": {"run": self.token_key}});
        vec![
            ("GITHUB_CLIENT_ID", client_id.clone()),
            ("GITHUB_CLIENT_SECRET", client_secret),
            ("GITHUB_APP_ID", client_id),
            ("GITHUB_APP_PRIVATE_KEY", self.private_key.clone()),
            ("GITHUB_WEBHOOK_SECRET", self.webhook_secret.clone()),
            ("TOKEN_KEYS", keys.to_string()),
        ]
    }

    /// What must be nowhere.
    pub(crate) fn canaries(&self) -> Vec<String> {
        // A line of the key is as much of it as anybody could leak by accident.
        let line = self.private_key.lines().find(|line| !line.starts_with('-')).unwrap_or_default();
        vec![line.to_owned(), self.token_key.clone(), self.webhook_secret.clone()]
    }
}
