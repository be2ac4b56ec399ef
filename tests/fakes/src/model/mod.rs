//! The demo model: an OpenAI-compatible server that follows literal instructions and says what it is.
//!
//! It keeps no state: the next step follows from the messages alone, so retries, parallel sessions and restarts work. It never pretends
//! to understand; see [`grammar`] for what it can read.

mod conversation;
pub mod grammar;
mod plan;
mod prose;
mod stream;

use crate::FakesError;
use crate::server::{self, Server};
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use conversation::Conversation;
use plan::Next;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the model calls itself.
pub const MODEL: &str = "demo-1";
/// How many requests are remembered for assertions.
const RECORDED_MAX: usize = 1_000;

/// What the demo model is made of.
pub struct ModelOptions {
    /// 0 means any free one.
    pub port: u16,
    /// Callers must send it as bearer.
    pub api_key: String,
    /// Time between two pieces of streamed text.
    pub piece_delay: Duration,
}

impl std::fmt::Debug for ModelOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelOptions").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A running demo model.
#[derive(Debug)]
pub struct DemoModel {
    server: Server,
    state: Arc<State>,
}

struct State {
    api_key: String,
    piece_delay: Duration,
    requests: Mutex<Vec<Value>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("piece_delay", &self.piece_delay).finish_non_exhaustive()
    }
}

impl DemoModel {
    /// Starts to answer.
    pub async fn start(options: ModelOptions) -> Result<Self, FakesError> {
        let (listener, url) = server::listen(options.port).await?;
        let state = Arc::new(State {
            api_key: options.api_key,
            piece_delay: options.piece_delay,
            requests: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(completions))
            .route("/v1/models", get(models))
            .fallback(async || failure(StatusCode::NOT_FOUND, "Unknown request URL", "not_found"))
            .layer(axum::extract::DefaultBodyLimit::max(64 * 1024 * 1024))
            .with_state(Arc::clone(&state));
        Ok(Self { server: server::serve(listener, url, router), state })
    }

    /// Base URL as OpenAI clients want it, with `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.server.url)
    }

    /// Bodies of the requests so far, oldest first; at most the first 1,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn failure(status: StatusCode, message: &str, code: &str) -> Response {
    let body =
        json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}});
    (status, Json(body)).into_response()
}

fn refused(state: &State, headers: &HeaderMap) -> Option<Response> {
    let key = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if !state.api_key.is_empty() && key == Some(state.api_key.as_str()) {
        return None;
    }
    Some(failure(StatusCode::UNAUTHORIZED, "Incorrect API key provided", "invalid_api_key"))
}

async fn models(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&state, &headers) {
        return refused;
    }
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "farhand"}]})).into_response()
}

async fn completions(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = refused(&state, &headers) {
        return refused;
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return failure(StatusCode::BAD_REQUEST, "The body is not JSON", "invalid_json");
    };
    if request.get("model").and_then(Value::as_str) != Some(MODEL) {
        return failure(
            StatusCode::NOT_FOUND,
            &format!("This server has one model, {MODEL}"),
            "model_not_found",
        );
    }
    let Some(messages) = request.get("messages").and_then(Value::as_array) else {
        return failure(StatusCode::BAD_REQUEST, "`messages` is missing", "missing_messages");
    };
    let reply = reply(&request, messages);
    {
        let mut requests = state.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() < RECORDED_MAX {
            requests.push(request.clone());
        }
    }
    let prompt_tokens = body.len() as u64 / 4;
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        return stream::respond(reply, prompt_tokens, state.piece_delay);
    }
    Json(stream::whole(&reply, prompt_tokens)).into_response()
}

/// What the model says and does next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) call: Option<plan::Call>,
    /// Differs from step to step, the same for the same messages.
    pub(crate) call_id: String,
}

fn reply(request: &Value, messages: &[Value]) -> Reply {
    let conversation = Conversation::read(messages);
    let has_tools = request.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
    let call_id = format!("call_{}_{}", messages.len(), conversation.results.len());
    if !has_tools {
        return Reply { text: prose::title(&conversation.prompt), call: None, call_id };
    }
    let plan = plan::Plan::new(&conversation.prompt);
    let next = plan.next(&conversation.directory, &conversation.results);
    let text = prose::text(&plan, &next, conversation.results.is_empty());
    let call = match next {
        Next::Call { call, .. } => Some(call),
        Next::Done(_) => None,
    };
    Reply { text, call, call_id }
}
