//! Model calls: `/model/{provider}/…` goes to that provider's base URL with the key added, and streams back as it comes.
//!
//! Only the calls that an agent needs are passed on, with the headers that they need, and while there is budget. Tokens are counted
//! from the answers. No header value and no body is ever logged.

use super::model_request::{self, ModelRequest};
use super::redact::forms;
use super::spending::{Amount, NoBudget, Reservation, SandboxModels};
use super::upstream::{relay, relay_read, select};
use super::usage::{BYTES_PER_TOKEN, ModelPrice, Tokens, UsageReader};
use super::{API_KEY_HEADER, Gateway};
use crate::config::{ModelApi, ModelProvider};
use crate::hub::Sandbox;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument as _, Span};
use url::Url;

/// Longest request; pictures are inside it.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a model is taken to write at most when the request does not say.
const OUTPUT_TOKENS_ASSUMED: u64 = 4096;
/// When a call that other calls leave no budget is worth another try.
const RETRY_AFTER_S: &str = "2";
/// What an agent's client sends that the provider needs.
const REQUEST_HEADERS: [HeaderName; 8] = [
    ACCEPT,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("x-client-request-id"),
];
/// What the provider answers that an agent's client needs.
const RESPONSE_HEADERS: [HeaderName; 9] = [
    CACHE_CONTROL,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    RETRY_AFTER,
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-should-retry"),
];

/// A call that goes no further, as the provider's clients read it.
struct Refused(StatusCode, String);

pub(super) async fn handle(
    State(gateway): State<Arc<Gateway>>,
    Extension(sandbox): Extension<Arc<Sandbox>>,
    Path((name, path)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(provider) = gateway.models.get(&name) else {
        let known: Vec<_> = gateway.models.keys().map(String::as_str).collect();
        let message = format!(
            "the bridge has no model provider {name:?}; configured are: {}; the operator adds one to FARHAND_MODEL_PROVIDERS",
            known.join(", ")
        );
        return error(ModelApi::Openai, StatusCode::NOT_FOUND, &message);
    };
    let span = tracing::info_span!(
        parent: &sandbox.turn.span(),
        "model call",
        otel.kind = "client",
        provider = name,
        http.response.status_code = tracing::field::Empty,
        tokens.input = tracing::field::Empty,
        tokens.output = tracing::field::Empty,
    );
    let answer = forward(&gateway, sandbox, provider, &path, request).instrument(span.clone()).await;
    let status = answer.as_ref().map_or_else(|refused| refused.0, Response::status);
    span.record("http.response.status_code", status.as_u16());
    answer.unwrap_or_else(|Refused(status, message)| error(provider.kind, status, &message))
}

async fn forward(
    gateway: &Gateway,
    sandbox: Arc<Sandbox>,
    provider: &ModelProvider,
    path: &str,
    request: Request,
) -> Result<Response, Refused> {
    let asked_at = Instant::now();
    if sandbox.session().is_none() {
        let message = "no model can be asked from here: this sandbox belongs to no session".to_owned();
        return Err(Refused(StatusCode::FORBIDDEN, message));
    }
    if !is_allowed(request.method(), path) {
        let message = format!("{} {path} does not go through this gateway", request.method());
        return Err(Refused(StatusCode::NOT_FOUND, message));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        let message = format!("the request is cut, or longer than {REQUEST_BYTES_MAX} bytes");
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, message));
    };
    let is_paid = matches!(path, "chat/completions" | "responses" | "messages");
    let request = if parts.method == Method::POST {
        let asks_usage = path == "chat/completions" && provider.stream_usage;
        model_request::parse(body, asks_usage)
            .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?
    } else {
        ModelRequest { model: String::new(), output_tokens_max: None, body }
    };
    let price = provider.price(&request.model);
    let reservation = if is_paid { reserve(gateway, &sandbox, &request, price)? } else { None };
    let mut headers = select(&parts.headers, &REQUEST_HEADERS);
    if !add_key(provider, &mut headers) {
        let message = "the bridge's key for this provider is not usable".to_owned();
        return Err(Refused(StatusCode::BAD_GATEWAY, message));
    }
    let url = upstream_url(&provider.base_url, path, parts.uri.query());
    let request_bytes = request.body.len();
    let sent = gateway.upstream.send(parts.method, url, headers, request.body.into()).await;
    let response = sent.map_err(|cause| {
        let cause = cause.without_url();
        tracing::warn!(sandbox = %sandbox.record.sandbox_id, error = ?cause, "model provider not reachable");
        let message = "the model provider cannot be reached from the bridge; try again";
        Refused(StatusCode::BAD_GATEWAY, message.to_owned())
    })?;
    if response.status().is_redirection() {
        let message = "the model provider redirects; its base_url at the bridge is wrong".to_owned();
        return Err(Refused(StatusCode::BAD_GATEWAY, message));
    }
    let secrets = gateway.egress.policy(&sandbox.record.order.repository.id).secrets.iter();
    let never_back = secrets.map(|secret| &secret.value).chain([&provider.api_key]);
    let never_back = never_back.flat_map(|secret| forms(secret.reveal())).collect();
    if !is_paid || !response.status().is_success() {
        return Ok(relay(response, &RESPONSE_HEADERS, never_back));
    }
    let kind =
        response.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let reader = UsageReader::new(kind.unwrap_or(false));
    let mut call = Call {
        span: Span::current(),
        sandbox,
        model: request.model,
        price,
        request_bytes,
        asked_at,
        first_at: None,
        reader,
        counted: Tokens::default(),
        reservation,
    };
    Ok(relay_read(response, &RESPONSE_HEADERS, never_back, move |chunk| call.read(chunk)))
}

/// What the call may cost, taken from what limits the sandbox, if anything does, until the call has ended.
fn reserve(
    gateway: &Gateway,
    sandbox: &Arc<Sandbox>,
    request: &ModelRequest,
    price: Option<ModelPrice>,
) -> Result<Option<Reservation>, Refused> {
    let policy = gateway.egress.policy(&sandbox.record.order.repository.id);
    let limits = sandbox.models.limits(policy.budget_micro_dollars);
    let counts_money = limits.budget.is_some()
        || limits.allowance.as_ref().is_some_and(|allowance| allowance.micro_dollars.is_some());
    if limits.budget.is_none() && limits.allowance.is_none() {
        return Ok(None);
    }
    if counts_money && price.is_none() {
        let model = &request.model;
        let message = format!(
            "this sandbox has a budget, and the bridge knows no price of the model {model:?}; the operator adds it to the provider's prices in FARHAND_MODEL_PROVIDERS"
        );
        return Err(Refused(StatusCode::FORBIDDEN, message));
    }
    let tokens = Tokens {
        input: request.body.len() as u64 / BYTES_PER_TOKEN,
        output: request.output_tokens_max.unwrap_or(OUTPUT_TOKENS_ASSUMED),
        ..Tokens::default()
    };
    let micro_dollars = price.map_or(0, |price| price.cost(tokens));
    let amount = Amount { micro_dollars, tokens: tokens.total() };
    let spent = match SandboxModels::reserve(sandbox, amount, &limits) {
        Ok(reservation) => return Ok(Some(reservation)),
        Err(NoBudget::Spent(spent)) => spent,
        Err(NoBudget::Reserved) => {
            let message = "the rest of this sandbox's budget for models may be needed by its calls that run; try again when one of them has ended";
            return Err(Refused(StatusCode::TOO_MANY_REQUESTS, message.to_owned()));
        }
        Err(NoBudget::Waits) => {
            let message = "the session is asking how much more may be spent; try again in a moment";
            return Err(Refused(StatusCode::TOO_MANY_REQUESTS, message.to_owned()));
        }
        Err(NoBudget::UsedUp(reason)) => {
            tracing::info!(sandbox = %sandbox.record.sandbox_id, "allowance used up");
            return Err(Refused(StatusCode::PAYMENT_REQUIRED, reason));
        }
    };
    let budget = limits.budget.unwrap_or_default();
    let dollars = |micro: u64| format!("${}.{:06}", micro / 1_000_000, micro % 1_000_000);
    tracing::info!(sandbox = %sandbox.record.sandbox_id, spent, budget, "budget used up");
    let message = format!(
        "this sandbox has used up its budget for models: {} of {}; the operator raises it with --sandbox-budget or budget_micro_dollars in FARHAND_REPOSITORY_POLICY",
        dollars(spent),
        dollars(budget)
    );
    Err(Refused(StatusCode::PAYMENT_REQUIRED, message))
}

/// A call whose answer streams by; what it cost is counted as soon as it is known, and at the latest when the answer ends.
struct Call {
    /// Ends with the answer.
    span: Span,
    sandbox: Arc<Sandbox>,
    model: String,
    price: Option<ModelPrice>,
    request_bytes: usize,
    asked_at: Instant,
    first_at: Option<Duration>,
    reader: UsageReader,
    counted: Tokens,
    reservation: Option<Reservation>,
}

impl Call {
    fn read(&mut self, chunk: &[u8]) {
        if self.first_at.is_none() {
            let first = self.asked_at.elapsed();
            self.first_at = Some(first);
            self.sandbox.models.add_call(first);
        }
        self.reader.read(chunk);
        if let Some(found) = self.reader.found() {
            self.sandbox.models.grow(self.counted, found, self.price);
            self.counted = found;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let tokens = self.reader.finish(self.request_bytes);
        self.sandbox.models.settle(self.counted, tokens, self.price, self.reservation.take());
        self.span.record("tokens.input", tokens.input).record("tokens.output", tokens.output);
        let _inside = self.span.enter();
        tracing::info!(
            sandbox = %self.sandbox.record.sandbox_id,
            model = self.model,
            input = tokens.input,
            cached_input = tokens.cached_input,
            cache_write = tokens.cache_write,
            output = tokens.output,
            first_token_ms = self.first_at.map(|first| first.as_millis()),
            is_estimated = !self.reader.is_final(),
            "model call"
        );
    }
}

fn is_allowed(method: &Method, path: &str) -> bool {
    match method.as_str() {
        "POST" => matches!(path, "chat/completions" | "responses" | "messages" | "messages/count_tokens"),
        "GET" => path == "models",
        _ => false,
    }
}

/// Puts the key on; false when it cannot be a header.
fn add_key(provider: &ModelProvider, headers: &mut HeaderMap) -> bool {
    let key = provider.api_key.reveal();
    let (name, value) = match provider.kind {
        ModelApi::Openai => (AUTHORIZATION, format!("Bearer {key}")),
        ModelApi::Anthropic => (HeaderName::from_static(API_KEY_HEADER), key.to_owned()),
    };
    let Ok(mut value) = HeaderValue::from_str(&value) else { return false };
    value.set_sensitive(true);
    headers.insert(name, value);
    true
}

fn upstream_url(base: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

/// An error of the gateway's own, in the form that the provider's clients read.
fn error(kind: ModelApi, status: StatusCode, message: &str) -> Response {
    let body = match kind {
        ModelApi::Openai => {
            json!({ "error": { "message": message, "type": "gateway_error", "code": status.as_u16() } })
        }
        ModelApi::Anthropic => {
            json!({ "type": "error", "error": { "type": "api_error", "message": message } })
        }
    };
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calls_of_agents_pass() {
        for (method, path, allowed) in [
            (Method::POST, "chat/completions", true),
            (Method::POST, "messages/count_tokens", true),
            (Method::GET, "models", true),
            (Method::GET, "chat/completions", false),
            (Method::POST, "files", false),
            (Method::DELETE, "models", false),
            (Method::POST, "chat/completions/../../organization", false),
        ] {
            assert_eq!(is_allowed(&method, path), allowed, "{method} {path}");
        }
    }

    #[test]
    fn the_path_is_added_to_the_base() {
        for base in ["https://api.example/v1", "https://api.example/v1/"] {
            let url = upstream_url(&Url::parse(base).unwrap(), "messages", Some("beta=true"));
            assert_eq!(url.as_str(), "https://api.example/v1/messages?beta=true");
        }
    }
}
