//! Calls of OpenCode's HTTP API, each with a time limit. Knows paths and shapes, decides nothing. Used by `opencode`.

use super::config::Model;
use super::stream::EventStream;
use super::wire::{DurableEvent, Message, Part};
use protocol::effort::Effort;
use reqwest_plain::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const USER: &str = "opencode";
const ANSWER_MAX: Duration = Duration::from_secs(30);
const HEALTH_MAX: Duration = Duration::from_secs(1);
const HEALTH_TRIES: u32 = 30;
/// A number that no event reaches: asks for nothing of that session.
const NOTHING_AFTER: u64 = (1 << 53) - 1;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No answer, or not one that can be read.
    #[error("OpenCode does not answer")]
    Http(#[from] reqwest_plain::Error),
    /// An answer that says no.
    #[error("OpenCode answered {status} to {path}: {body}")]
    Status { status: u16, path: String, body: String },
    /// The event stream broke or fell silent.
    #[error("OpenCode's event stream {0}")]
    Stream(&'static str),
    /// It runs and does nothing.
    #[error("OpenCode does not react any more")]
    Silent,
}

/// Where an OpenCode server is and how to speak to it.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest_plain::Client,
    base: String,
    password: String,
    folder: String,
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Session {
    id: String,
}

/// A message with its pieces.
#[derive(Deserialize)]
pub(super) struct WholeMessage {
    pub(super) info: Message,
    #[serde(default)]
    pub(super) parts: Vec<Part>,
}

impl Client {
    pub(super) fn new(port: u16, password: &str, folder: &Path) -> Result<Self, ClientError> {
        let http = reqwest_plain::Client::builder().no_proxy().tcp_nodelay(true).build()?;
        let folder = folder.display().to_string();
        Ok(Self { http, base: format!("http://127.0.0.1:{port}"), password: password.to_owned(), folder })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare_request(method, path).query(&[("directory", &self.folder)])
    }

    /// Without the workspace: naming it makes OpenCode look at the repository, which may not be there yet.
    fn bare_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).basic_auth(USER, Some(&self.password))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let path = response.url().path().to_owned();
        let body: String = response.text().await.unwrap_or_default().chars().take(500).collect();
        Err(ClientError::Status { status: status.as_u16(), path, body })
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, ClientError> {
        let request = self.request(method, path).timeout(ANSWER_MAX);
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Waits for the first healthy answer; gives the version.
    pub(super) async fn wait_until_healthy(&self) -> Result<String, ClientError> {
        let mut tries = 0;
        loop {
            let answer =
                self.send(self.bare_request(Method::GET, "/global/health").timeout(HEALTH_MAX)).await;
            match answer {
                Ok(answer) => return Ok(answer.json::<Health>().await?.version),
                Err(error) if tries >= HEALTH_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens a session; its title is given, so that no model is asked for one.
    pub(super) async fn create_session(&self, title: &str) -> Result<String, ClientError> {
        let answer = self.call(Method::POST, "/session", Some(&json!({ "title": title }))).await?;
        Ok(answer.json::<Session>().await?.id)
    }

    /// Whether the session exists.
    pub(super) async fn has_session(&self, id: &str) -> Result<bool, ClientError> {
        match self.call(Method::GET, &format!("/session/{id}"), None).await {
            Ok(_) => Ok(true),
            Err(ClientError::Status { status: 400 | 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a session.
    pub(super) async fn delete_session(&self, id: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &format!("/session/{id}"), None).await.map(drop)
    }

    /// Ids of all sessions.
    pub(super) async fn sessions(&self) -> Result<BTreeSet<String>, ClientError> {
        let sessions: Vec<Session> = self.call(Method::GET, "/session", None).await?.json().await?;
        Ok(sessions.into_iter().map(|session| session.id).collect())
    }

    /// Whether the session is at work.
    pub(super) async fn is_busy(&self, id: &str) -> Result<bool, ClientError> {
        let statuses: Map<String, Value> =
            self.call(Method::GET, "/session/status", None).await?.json().await?;
        Ok(statuses.get(id).is_some_and(|status| status.get("type").and_then(Value::as_str) != Some("idle")))
    }

    /// Hands a prompt over, as pieces of [`super::prompt`]; its effects come as events. A session that is at work takes it up after the step
    /// that it is at.
    pub(super) async fn prompt(
        &self,
        id: &str,
        message_id: &str,
        model: &Model,
        effort: Option<Effort>,
        parts: &[Value],
    ) -> Result<(), ClientError> {
        let mut body = json!({
            "messageID": message_id,
            "model": { "providerID": model.provider, "modelID": model.name },
            "parts": parts,
        });
        if let (Some(effort), Some(fields)) = (effort, body.as_object_mut()) {
            fields.insert("variant".to_owned(), effort.word().into());
        }
        self.call(Method::POST, &format!("/session/{id}/prompt_async"), Some(&body)).await.map(drop)
    }

    /// Ends what the session is doing.
    pub(super) async fn abort(&self, id: &str) -> Result<(), ClientError> {
        self.call(Method::POST, &format!("/session/{id}/abort"), None).await.map(drop)
    }

    /// What waits for a human's answer, in all sessions.
    pub(super) async fn questions(&self) -> Result<Vec<Question>, ClientError> {
        #[derive(Deserialize)]
        struct Asked {
            id: String,
            permission: Option<String>,
        }
        let permissions: Vec<Asked> = self.call(Method::GET, "/permission", None).await?.json().await?;
        let questions: Vec<Asked> = self.call(Method::GET, "/question", None).await?.json().await?;
        let permissions = permissions
            .into_iter()
            .map(|asked| Question::Permission { id: asked.id, permission: asked.permission });
        Ok(permissions
            .chain(questions.into_iter().map(|asked| Question::Question { id: asked.id }))
            .collect())
    }

    /// Answers no.
    pub(super) async fn refuse(&self, question: &Question) -> Result<(), ClientError> {
        let (path, body) = match question {
            Question::Permission { id, .. } => {
                let message = "Not allowed in this sandbox.";
                (format!("/permission/{id}/reply"), Some(json!({ "reply": "reject", "message": message })))
            }
            Question::Question { id } => (format!("/question/{id}/reject"), None),
        };
        self.call(Method::POST, &path, body.as_ref()).await.map(drop)
    }

    /// The session's durable events after `last`; `others` are sessions whose events are not wanted.
    pub(super) async fn history(
        &self,
        id: &str,
        last: u64,
        others: &BTreeSet<String>,
    ) -> Result<Vec<DurableEvent>, ClientError> {
        let mut after: Map<String, Value> =
            others.iter().map(|other| (other.clone(), NOTHING_AFTER.into())).collect();
        after.insert(id.to_owned(), last.into());
        let answer = self.call(Method::POST, "/sync/history", Some(&Value::Object(after))).await?;
        Ok(answer.json().await?)
    }

    /// All messages of the session, oldest first.
    pub(super) async fn messages(&self, id: &str) -> Result<Vec<WholeMessage>, ClientError> {
        Ok(self.call(Method::GET, &format!("/session/{id}/message"), None).await?.json().await?)
    }

    /// The stream of all events, from its first frame on.
    pub(super) async fn events(&self) -> Result<EventStream, ClientError> {
        let request = self.request(Method::GET, "/global/event");
        let opening = async { EventStream::open(self.send(request).await?).await };
        tokio::time::timeout(ANSWER_MAX, opening).await.map_err(|_| ClientError::Stream("does not begin"))?
    }
}

/// Something that OpenCode asks a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// May it do this?
    Permission { id: String, permission: Option<String> },
    /// Which of these?
    Question { id: String },
}
