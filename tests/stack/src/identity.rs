//! The people of a local stack, and the secrets of a run: made once, kept in the run's folder so that it can be started again.

use crate::StackError;
use crate::app::AppSecrets;
use crate::options::Options;
use fakes::github::Account;
use fakes::token;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A local user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What one signs in with.
    pub login: &'static str,
    /// Full name, as in a commit.
    pub name: &'static str,
    /// Address, as in a commit.
    pub email: &'static str,
}

/// Who can sign in, the first one is the demo's.
pub(crate) const PEOPLE: &[Person] = &[
    Person { login: "ada", name: "Ada Lovelace", email: "ada@acme.example" },
    Person { login: "grace", name: "Grace Hopper", email: "grace@acme.example" },
    Person { login: "alan", name: "Alan Turing", email: "alan@acme.example" },
];

/// The secrets of a run. Never printed, never an argument of a process.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) session_key: String,
    pub(crate) bridge_key: String,
    pub(crate) app_token: String,
    pub(crate) model_key: String,
    /// Where people sign in at the code host.
    #[serde(default)]
    pub(crate) app: Option<AppSecrets>,
    #[serde(default = "slack_secret")]
    pub(crate) slack_signing_secret: String,
    #[serde(default = "slack_token")]
    pub(crate) slack_token: String,
    user_tokens: Vec<String>,
}

fn slack_secret() -> String {
    token::random_hex(16)
}

fn slack_token() -> String {
    format!("xoxb-{}", token::random_hex(18))
}

impl Secrets {
    /// Those of the run's folder, or new ones.
    pub(crate) fn of_run(options: &Options) -> Result<Self, StackError> {
        let file = options.directory.join("secrets.json");
        if let Some(known) = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(known);
        }
        let secrets = Self {
            session_key: token::random_hex(32),
            bridge_key: token::random_hex(32),
            app_token: token::installation_token(),
            model_key: format!("sk-{}", token::random_hex(24)),
            app: options.github_sign_in.then(|| AppSecrets::make(options)).transpose()?,
            slack_signing_secret: slack_secret(),
            slack_token: slack_token(),
            user_tokens: PEOPLE.iter().map(|_| token::user_token()).collect(),
        };
        write_private(&file, &serde_json::to_vec(&secrets).unwrap_or_default())?;
        Ok(secrets)
    }

    pub(crate) fn accounts(&self) -> Vec<Account> {
        PEOPLE
            .iter()
            .zip(&self.user_tokens)
            .map(|(person, token)| Account {
                login: person.login.to_owned(),
                name: person.name.to_owned(),
                email: person.email.to_owned(),
                token: token.clone(),
            })
            .collect()
    }

    /// The Worker's secret `LOCAL_USERS`.
    pub(crate) fn local_users(&self) -> String {
        let users: Vec<serde_json::Value> = self
            .accounts()
            .iter()
            .map(|account| {
                serde_json::json!({
                    "id": format!("usr_{}", account.login),
                    "login": account.login,
                    "name": account.name,
                    "email": account.email,
                    "token": account.token,
                })
            })
            .collect();
        serde_json::Value::Array(users).to_string()
    }
}

/// Writes a file that only this user can read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), StackError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(StackError::file(path))
}
