//! Calls of Slack's Web API with the bot's token, and of the model that routes. What an answer means is `slack`'s to say.

use crate::slack_settings::{Router, SlackSettings};
use platform::bridge::exchange;
use serde_json::{Value, json};
use slack::api::{Answer, parse_answer};
use worker::Method;

/// Slack's answer to one call.
const ANSWER_MS_MAX: u64 = 12_000;
/// The model's; a person waits for it.
const MODEL_MS_MAX: u64 = 8_000;
/// Name of the metadata that our messages carry.
const METADATA: &str = "farhand";

/// A method that writes.
pub(super) async fn write(settings: &SlackSettings, method: &str, body: &Value) -> Answer {
    send(settings, Method::Post, method, Some(&body.to_string())).await
}

/// A method that reads; `query` is of ids and words that need no escapes.
pub(super) async fn read(settings: &SlackSettings, method: &str, query: &str) -> Answer {
    send(settings, Method::Get, &format!("{method}?{query}"), None).await
}

async fn send(settings: &SlackSettings, method: Method, path: &str, body: Option<&str>) -> Answer {
    let headers = [
        ("authorization", format!("Bearer {}", settings.bot_token)),
        ("content-type", "application/json; charset=utf-8".to_owned()),
    ];
    match exchange(method, &format!("{}/{path}", settings.api_url), &headers, body, ANSWER_MS_MAX).await {
        Ok(answered) => parse_answer(answered.status, answered.retry_after_ms, &answered.body),
        Err(error) => Answer::Later { wait_ms: 0, reason: format!("Slack does not answer: {error}") },
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
            worker::console_warn!("the routing model answers with status {}", answered.status);
            None
        }
        Err(error) => {
            worker::console_warn!("the routing model does not answer: {error}");
            None
        }
    }
}
