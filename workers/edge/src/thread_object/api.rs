//! Calls of Slack's Web API with the bot's token, and of the model that routes. What an answer means is `slack`'s to say.

use super::shell::about;
use crate::code_host::ask;
use crate::slack_settings::{Router, SlackSettings};
use crate::slack_token;
use github::oauth::Secret;
use platform::bridge::exchange;
use platform::log::{self, About, Level};
use platform::web::{Redirect, new_request};
use serde_json::{Value, json};
use slack::api::{Answer, is_about_token, parse_answer};
use worker::{Env, Method};

/// Slack's answer to one call.
const ANSWER_MS_MAX: u64 = 12_000;
/// The model's; a person waits for it.
const MODEL_MS_MAX: u64 = 8_000;
/// Name of the metadata that our messages carry.
const METADATA: &str = "farhand";

/// Slack's Web API with the bot's token.
pub(super) struct Api<'a> {
    pub(super) env: &'a Env,
    pub(super) settings: &'a SlackSettings,
}

/// Why there is no file.
pub(super) enum NoFile {
    /// Not now.
    Later(String),
    /// It has more bytes than were asked for.
    TooLarge,
    /// Slack does not give it.
    Refused(String),
}

impl Api<'_> {
    /// A method that writes.
    pub(super) async fn write(&self, method: &str, body: &Value) -> Answer {
        self.send(Method::Post, method, Some(&body.to_string())).await
    }

    /// A method that reads; `query` is of ids and words that need no escapes.
    pub(super) async fn read(&self, method: &str, query: &str) -> Answer {
        self.send(Method::Get, &format!("{method}?{query}"), None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&str>) -> Answer {
        let mut rejected = None;
        loop {
            let token = match slack_token::find(self.env, self.settings, rejected.as_ref()).await {
                Ok(token) => token,
                Err(reason) => return Answer::Later { wait_ms: 0, reason },
            };
            match self.send_once(method.clone(), path, body, &token).await {
                // One that rotates may have ended before its time.
                Answer::Refused { code, .. }
                    if is_about_token(&code) && self.settings.rotation.is_some() && rejected.is_none() =>
                {
                    rejected = Some(token);
                }
                answer @ (Answer::Done(_) | Answer::Later { .. } | Answer::Refused { .. }) => return answer,
            }
        }
    }

    async fn send_once(&self, method: Method, path: &str, body: Option<&str>, token: &Secret) -> Answer {
        let headers = [
            ("authorization", format!("Bearer {}", token.reveal())),
            ("content-type", "application/json; charset=utf-8".to_owned()),
        ];
        let url = format!("{}/{path}", self.settings.api_url);
        match exchange(method, &url, &headers, body, ANSWER_MS_MAX).await {
            Ok(answered) => parse_answer(answered.status, answered.retry_after_ms, &answered.body),
            Err(error) => Answer::Later { wait_ms: 0, reason: format!("Slack does not answer: {error}") },
        }
    }

    /// A file's content. The caller has seen that `url` is Slack's; the token is sent nowhere else, whatever the answer points to.
    pub(super) async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, NoFile> {
        let token = slack_token::find(self.env, self.settings, None).await.map_err(NoFile::Later)?;
        let headers = [("authorization", format!("Bearer {}", token.reveal()))];
        let request = new_request("GET", url, &headers, Redirect::Answer, None)
            .map_err(|_| NoFile::Refused("its address cannot be read".to_owned()))?;
        let (status, content) = ask(request, bytes_max + 1).await.map_err(NoFile::Later)?;
        match status {
            200 if content.len() > bytes_max => Err(NoFile::TooLarge),
            200 => Ok(content),
            429 | 500.. => Err(NoFile::Later(format!("status {status}"))),
            // Who may not have it is sent to a page where people sign in.
            300..400 => Err(NoFile::Refused("Slack does not let the bot read it".to_owned())),
            _ => Err(NoFile::Refused(format!("Slack does not give it ({status})"))),
        }
    }
}

/// Marks a message as ours under this key.
pub(super) fn mark(mut message: Value, key: &str) -> Value {
    if let Some(fields) = message.as_object_mut() {
        fields.insert("metadata".to_owned(), json!({"event_type": METADATA, "event_payload": {"key": key}}));
    }
    message
}

/// The `ts` of the thread's message that carries this key.
pub(super) fn find_marked(answer: &Value, key: &str) -> Option<String> {
    let messages = answer.get("messages")?.as_array()?;
    let is_it = |message: &&Value| {
        message.pointer("/metadata/event_type").and_then(Value::as_str) == Some(METADATA)
            && message.pointer("/metadata/event_payload/key").and_then(Value::as_str) == Some(key)
    };
    messages.iter().find(is_it)?.get("ts")?.as_str().map(str::to_owned)
}

/// Asks the model; `None` where it does not answer well, which the log has.
pub(super) async fn ask_model(router: &Router, body: &Value) -> Option<Value> {
    let headers = [("authorization", format!("Bearer {}", router.key))];
    let url = format!("{}/chat/completions", router.url);
    match exchange(Method::Post, &url, &headers, Some(&body.to_string()), MODEL_MS_MAX).await {
        Ok(answered) if answered.status == 200 => serde_json::from_slice(&answered.body).ok(),
        Ok(answered) => {
            let message = format!("the routing model answers with status {}", answered.status);
            log::write(Level::Warn, &message, &About::default());
            None
        }
        Err(error) => {
            log::write(Level::Warn, "the routing model does not answer", &about(&error.to_string()));
            None
        }
    }
}
