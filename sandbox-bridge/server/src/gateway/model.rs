//! Model calls: `/model/{provider}/…` goes to that provider's base URL with the key added, and streams back as it comes.
//!
//! Only the calls that an agent needs are passed on, with the headers that they need. No header value and no body is ever logged.

use super::upstream::{relay, select};
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
use url::Url;

/// Longest request; pictures are inside it.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
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
    if !is_allowed(request.method(), &path) {
        let message = format!("{} {path} does not go through this gateway", request.method());
        return error(provider.kind, StatusCode::NOT_FOUND, &message);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        let message = format!("the request is cut, or longer than {REQUEST_BYTES_MAX} bytes");
        return error(provider.kind, StatusCode::PAYLOAD_TOO_LARGE, &message);
    };
    let mut headers = select(&parts.headers, &REQUEST_HEADERS);
    if !add_key(provider, &mut headers) {
        return error(
            provider.kind,
            StatusCode::BAD_GATEWAY,
            "the bridge's key for this provider is not usable",
        );
    }
    let url = upstream_url(&provider.base_url, &path, parts.uri.query());
    match gateway.upstream.send(parts.method, url, headers, body.into()).await {
        Ok(response) if response.status().is_redirection() => error(
            provider.kind,
            StatusCode::BAD_GATEWAY,
            "the model provider redirects; its base_url at the bridge is wrong",
        ),
        Ok(response) => {
            tracing::debug!(sandbox = %sandbox.record.sandbox_id, provider = name, status = response.status().as_u16(), "model call");
            relay(response, &RESPONSE_HEADERS, vec![provider.api_key.reveal().to_owned()])
        }
        Err(cause) => {
            let cause = cause.without_url();
            tracing::warn!(sandbox = %sandbox.record.sandbox_id, provider = name, error = ?cause, "model provider not reachable");
            error(
                provider.kind,
                StatusCode::BAD_GATEWAY,
                "the model provider cannot be reached from the bridge; try again",
            )
        }
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
    (status, Json(body)).into_response()
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
