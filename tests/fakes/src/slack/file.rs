//! Files of messages: what `files.info` tells of them, and their contents for whoever has the bot's token.

use super::{State, text};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// As `files.info` gives it.
    pub(super) info: Value,
    /// By the name in the address.
    contents: BTreeMap<String, Vec<u8>>,
}

/// Takes a file: `{id, name, mimetype, data, width, height, thumbs: {"360": {data, width, height}}}`, data in base64. `more` overrides what is
/// told of it.
pub(super) fn upload(state: &Arc<State>, order: &Value) -> Value {
    let (id, name) = (text(order, "id").to_owned(), text(order, "name"));
    let url = |of: &str| format!("{}/files-pri/{id}/{of}", state.url);
    let decode = |value: &Value| STANDARD.decode(text(value, "data")).unwrap_or_default();
    let whole = decode(order);
    let mut info = Map::new();
    for (field, value) in [
        ("id", json!(id)),
        ("name", json!(name)),
        ("mimetype", order.get("mimetype").cloned().unwrap_or_default()),
        ("mode", json!("hosted")),
        ("size", json!(whole.len())),
        ("url_private", json!(url("whole"))),
        ("url_private_download", json!(url("whole"))),
        ("permalink", json!(format!("{}/files/{id}/{name}", state.url))),
        ("original_w", order.get("width").cloned().unwrap_or_default()),
        ("original_h", order.get("height").cloned().unwrap_or_default()),
    ] {
        info.insert(field.to_owned(), value);
    }
    let mut contents = BTreeMap::from([("whole".to_owned(), whole)]);
    for (edge, thumb) in order.get("thumbs").and_then(Value::as_object).into_iter().flatten() {
        contents.insert(edge.clone(), decode(thumb));
        info.insert(format!("thumb_{edge}"), json!(url(edge)));
        info.insert(format!("thumb_{edge}_w"), thumb.get("width").cloned().unwrap_or_default());
        info.insert(format!("thumb_{edge}_h"), thumb.get("height").cloned().unwrap_or_default());
    }
    info.extend(order.get("more").and_then(Value::as_object).cloned().unwrap_or_default());
    let info = Value::Object(info);
    state.lock().files.insert(id, File { info: info.clone(), contents });
    info
}

/// Slack sends who has no token to a page where people sign in.
pub(super) async fn serve(
    Shared(state): Shared<Arc<State>>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let mut workspace = state.lock();
    workspace.calls.push(json!({"method": "file", "http": "GET", "fields": {"file": id, "name": name}}));
    if workspace.tokens.check(token).is_err() {
        return Redirect::to(&format!("{}/?redir=/files-pri/{id}/{name}", state.url)).into_response();
    }
    match workspace.files.get(&id).and_then(|file| file.contents.get(&name)) {
        Some(content) => content.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
