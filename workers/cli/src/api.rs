//! Asks the deployment over HTTP. A refusal is the deployment's own words; silence is retried by nobody here.

use crate::Error;
use crate::settings::Settings;
use protocol::error::ErrorBody;
use protocol::id::SessionId;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A deployment answers within a second; the code host behind it within five.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The API of one deployment.
#[derive(Clone)]
pub(crate) struct Api {
    /// Where it is, and the key.
    pub(crate) settings: Settings,
    http: reqwest::Client,
}

impl Api {
    /// Of this deployment.
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            // The key is for this deployment only.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("farhand/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Local(format!("TLS cannot be set up: {error}")))?;
        Ok(Self { settings, http })
    }

    /// Asks.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.exchange(Method::GET, path, None::<&()>).await
    }

    /// Tells.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.exchange(Method::POST, path, Some(body)).await
    }

    /// Where people see a session.
    pub(crate) fn page(&self, session: &SessionId) -> String {
        format!("{}/sessions/{session}", self.settings.url)
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let url = format!("{}{path}", self.settings.url);
        let mut request = self.http.request(method, &url).bearer_auth(&self.settings.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let silent = |error: reqwest::Error| {
            Error::Unreachable(format!("{} does not answer: {error}", self.settings.url))
        };
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(silent)?;
        let foreign = || Error::Unreachable(format!("{url} answers {status}, but not as Farhand does"));
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| foreign());
        }
        Err(serde_json::from_slice::<ErrorBody>(&body).map_err(|_| foreign())?.into())
    }
}
