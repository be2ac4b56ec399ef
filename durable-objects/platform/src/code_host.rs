//! Sends what `github` wants to ask the code host's API, and speaks there as the GitHub App.
//!
//! The App's private key is read for one use and kept nowhere; its tokens open one repository each. What an answer means is `github`'s
//! to say. Called by sessions and by the edge.

use crate::bridge::exchange;
use crate::crypto::sign_rs256;
use crate::host::now;
use github::app::{
    AppFacts, InstallationToken, app_request, installation_request, not_installed, parse_app,
    parse_installation, parse_token, signing_input, token_request,
};
use github::{Error, Request};
use protocol::id::RepositoryId;
use worker::{Env, Method};

/// The code host's answer to one request.
const ANSWER_MS_MAX: u64 = 30_000;
/// Variable or secret: the App's id, or its client id.
const APP_ID: &str = "GITHUB_APP_ID";
/// Secret: the App's private key in PEM, as GitHub hands it out.
const APP_PRIVATE_KEY: &str = "GITHUB_APP_PRIVATE_KEY";

/// Asks, in the name of whoever `token` belongs to; answers status and body.
pub async fn ask(api_url: &str, request: &Request, token: &str) -> Result<(u16, Vec<u8>), Error> {
    let method = match request.method {
        github::Method::Get => Method::Get,
        github::Method::Patch => Method::Patch,
        github::Method::Post => Method::Post,
    };
    let url = request.url(api_url);
    exchange(method, &url, &github::headers(token), request.body.as_deref(), ANSWER_MS_MAX)
        .await
        .map(|answered| (answered.status, answered.body))
        .map_err(|error| Error::no_answer(error.to_string()))
}

/// The GitHub App of this deployment. Not printable.
pub struct App {
    id: String,
    private_key: String,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why the App has no token for a repository.
#[derive(Debug)]
pub enum AppError {
    /// A setting is wrong; says which, and what to do.
    Misconfigured(String),
    /// It is not installed there; for people, with the remedy.
    NotInstalled(String),
    /// The code host said no, or nothing.
    CodeHost(Error),
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Misconfigured(text) | Self::NotInstalled(text) => f.write_str(text),
            Self::CodeHost(error) => error.fmt(f),
        }
    }
}

impl App {
    /// The App, where this deployment has one.
    pub fn read(env: &Env) -> Result<Option<Self>, AppError> {
        let text = |name: &str| {
            let value = env.var(name).map(|value| value.to_string()).unwrap_or_default();
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        match (text(APP_ID), text(APP_PRIVATE_KEY)) {
            (Some(id), Some(private_key)) => Ok(Some(Self { id, private_key })),
            (None, None) => Ok(None),
            (_, _) => {
                Err(AppError::Misconfigured(format!("set both {APP_ID} and {APP_PRIVATE_KEY}, or neither")))
            }
        }
    }

    /// A token that opens this repository and nothing else: content and pull requests, to read and write.
    pub async fn repository_token(
        &self,
        api_url: &str,
        repository: &RepositoryId,
    ) -> Result<InstallationToken, AppError> {
        let jwt = self.jwt().await?;
        let (status, body) =
            ask(api_url, &installation_request(repository), &jwt).await.map_err(AppError::CodeHost)?;
        let installation = parse_installation(status, &body).map_err(rejected)?;
        let installation = installation.ok_or_else(|| AppError::NotInstalled(not_installed(repository)))?;
        let (status, body) =
            ask(api_url, &token_request(installation, repository), &jwt).await.map_err(AppError::CodeHost)?;
        match parse_token(status, &body, repository) {
            Ok(token) => Ok(token),
            // 422: the installation does not have this repository, or the App lacks a permission.
            Err(Error::Rejected { status: 422, message }) => Err(AppError::NotInstalled(format!(
                "{}; the code host says: {message}",
                not_installed(repository)
            ))),
            Err(error) => Err(rejected(error)),
        }
    }

    /// What the code host knows of the App, which it must be able to prove to be.
    pub async fn facts(&self, api_url: &str) -> Result<AppFacts, AppError> {
        let jwt = self.jwt().await?;
        let (status, body) = ask(api_url, &app_request(), &jwt).await.map_err(AppError::CodeHost)?;
        parse_app(status, &body).map_err(rejected)
    }

    async fn jwt(&self) -> Result<String, AppError> {
        let input = signing_input(&self.id, now());
        let signature = sign_rs256(&self.private_key, input.as_bytes()).await.map_err(|error| {
            AppError::Misconfigured(format!(
                "{APP_PRIVATE_KEY} does not sign: {error}; set the PEM file that GitHub handed out"
            ))
        })?;
        Ok(format!("{input}.{signature}"))
    }
}

/// What the code host says about the App itself is the operator's to put right.
fn rejected(error: Error) -> AppError {
    if error.is_unauthorized() {
        let text =
            format!("the code host does not know the App: {error}; check {APP_ID} and {APP_PRIVATE_KEY}");
        return AppError::Misconfigured(text);
    }
    AppError::CodeHost(error)
}
