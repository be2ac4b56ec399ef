//! The Web API: the methods that Farhand calls, with Slack's refusals in Slack's words.

use super::{BOT, Script, State, TEAM, Workspace, text};
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Blocks of a message, and characters of its text (docs.slack.dev, "Blocks", "chat.postMessage").
const BLOCKS_MAX: usize = 50;
const TEXT_CHARS_MAX: usize = 40_000;

type Outcome = Result<Value, &'static str>;

pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    http: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = read_fields(&headers, query.as_deref().unwrap_or_default(), &body);
    let script = take_script(&mut state.lock(), &name);
    state.lock().calls.push(json!({"method": name, "http": http.as_str(), "fields": fields}));
    if script.wait_ms > 0 {
        tokio::time::sleep(Duration::from_millis(script.wait_ms)).await;
    }
    if script.held {
        hold(&state).await;
    }
    if script.status >= 400 {
        let mut response =
            StatusCode::from_u16(script.status).unwrap_or(StatusCode::BAD_GATEWAY).into_response();
        if let Some(value) = script.retry_after.and_then(|seconds| seconds.to_string().parse().ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        return response;
    }
    if let Some(error) = script.error {
        let needed = script.needed.unwrap_or_default();
        return axum::Json(json!({"ok": false, "error": error, "needed": needed, "provided": "chat:write"}))
            .into_response();
    }
    let outcome = {
        let mut workspace = state.lock();
        match name.as_str() {
            // The application proves who it is by its own secret.
            "oauth.v2.access" => workspace.tokens.exchange(&fields, &application(&headers, &fields)),
            _ => match check_token(&workspace, &headers, &fields) {
                Ok(()) => carry_out(&mut workspace, &name, &fields),
                Err(error) => Err(error),
            },
        }
    };
    if script.lost {
        let cut = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by a script");
        return Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(cut)])));
    }
    axum::Json(match outcome {
        Ok(Value::Object(mut fields)) => {
            fields.insert("ok".to_owned(), Value::Bool(true));
            Value::Object(fields)
        }
        Ok(_) => json!({"ok": true}),
        Err(error) => json!({"ok": false, "error": error}),
    })
    .into_response()
}

fn take_script(workspace: &mut Workspace, name: &str) -> Script {
    let Some(place) =
        workspace.scripts.iter().position(|script| script.method.is_empty() || script.method == name)
    else {
        return Script::default();
    };
    let Some(script) = workspace.scripts.get_mut(place) else { return Script::default() };
    script.times -= 1;
    let taken = script.clone();
    if taken.times == 0 {
        workspace.scripts.remove(place);
    }
    taken
}

/// JSON, a form, or a query: the SDK of Slack sends forms whose nested fields are JSON.
fn read_fields(headers: &HeaderMap, query: &str, body: &[u8]) -> Value {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") && !body.is_empty() {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    let mut fields = Map::new();
    for pair in query.split('&').chain(form.split('&')) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = decode(value);
        let nested = matches!(name, "blocks" | "metadata");
        let value =
            if nested { serde_json::from_str(&value).unwrap_or_default() } else { Value::String(value) };
        fields.insert(decode(name), value);
    }
    Value::Object(fields)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|byte| char::from(byte).to_digit(16)).unwrap_or_default();
                bytes.push(u8::try_from(digit() * 16 + digit()).unwrap_or_default());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Id and secret of the application: of HTTP's Basic, as the SDK sends them, or of the form.
fn application(headers: &HeaderMap, fields: &Value) -> (String, String) {
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
    match basic.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((id, secret)) => (id.to_owned(), secret.to_owned()),
        None => (text(fields, "client_id").to_owned(), text(fields, "client_secret").to_owned()),
    }
}

fn check_token(workspace: &Workspace, headers: &HeaderMap, fields: &Value) -> Result<(), &'static str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_else(|| text(fields, "token"));
    workspace.tokens.check(token)
}

/// Waits for the control's word. Whoever gives up waiting is no longer held.
async fn hold(state: &State) {
    struct Held<'a>(&'a State);
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.lock().held -= 1;
        }
    }
    let mut gate = state.gate.subscribe();
    state.lock().held += 1;
    let _held = Held(state);
    // It fails only when the workspace is gone, and with it whoever waits.
    let _ = gate.changed().await;
}

fn carry_out(workspace: &mut Workspace, name: &str, fields: &Value) -> Outcome {
    match name {
        "auth.test" => {
            Ok(json!({"team_id": TEAM, "team": "Acme", "user_id": BOT, "user": "farhand", "bot_id": "B0BOT"}))
        }
        "chat.postMessage" => post(workspace, fields, None),
        "chat.postEphemeral" => {
            let user = text(fields, "user").to_owned();
            let posted = post(workspace, fields, Some(&user))?;
            Ok(json!({"message_ts": posted.get("ts")}))
        }
        "chat.update" => update(workspace, fields),
        "conversations.replies" => replies(workspace, fields),
        "conversations.info" => {
            let channel = workspace.channels.get(text(fields, "channel")).ok_or("channel_not_found")?;
            Ok(json!({ "channel": channel }))
        }
        "files.info" => {
            let file = workspace.files.get(text(fields, "file")).ok_or("file_not_found")?;
            Ok(json!({ "file": file.info }))
        }
        "users.info" => {
            Ok(json!({"user": workspace.users.get(text(fields, "user")).ok_or("user_not_found")?}))
        }
        _ => Err("unknown_method"),
    }
}

fn check_message(fields: &Value) -> Result<(), &'static str> {
    let blocks = fields.get("blocks").and_then(Value::as_array).map_or(0, Vec::len);
    if text(fields, "text").is_empty() && blocks == 0 {
        return Err("no_text");
    }
    if text(fields, "text").chars().count() > TEXT_CHARS_MAX {
        return Err("msg_too_long");
    }
    if blocks > BLOCKS_MAX { Err("invalid_blocks") } else { Ok(()) }
}

fn post(workspace: &mut Workspace, fields: &Value, ephemeral_for: Option<&str>) -> Outcome {
    let channel = text(fields, "channel").to_owned();
    let is_person = workspace.users.contains_key(&channel) || channel.starts_with('D');
    if is_archived(workspace, &channel) {
        return Err("is_archived");
    }
    if !workspace.channels.contains_key(&channel) && !is_person {
        return Err("channel_not_found");
    }
    check_message(fields)?;
    let ts = workspace.next_ts();
    let mut message = json!({
        "type": "message", "channel": channel, "ts": ts, "user": BOT, "bot_id": "B0BOT", "text": text(fields, "text"),
        "blocks": fields.get("blocks"), "metadata": fields.get("metadata"), "versions": 1,
    });
    if let Some(known) = message.as_object_mut() {
        for (name, value) in
            [("thread_ts", text(fields, "thread_ts")), ("ephemeral_for", ephemeral_for.unwrap_or_default())]
        {
            if !value.is_empty() {
                known.insert(name.to_owned(), Value::from(value));
            }
        }
    }
    workspace.messages.push(message.clone());
    Ok(json!({"channel": channel, "ts": ts, "message": message}))
}

fn is_archived(workspace: &Workspace, channel: &str) -> bool {
    let known = workspace.channels.get(channel);
    known.and_then(|known| known.get("is_archived")).and_then(Value::as_bool).unwrap_or_default()
}

fn update(workspace: &mut Workspace, fields: &Value) -> Outcome {
    check_message(fields)?;
    let (channel, ts) = (text(fields, "channel"), text(fields, "ts"));
    if is_archived(workspace, channel) {
        return Err("is_inactive");
    }
    let found = workspace
        .messages
        .iter_mut()
        .find(|known| text(known, "channel") == channel && text(known, "ts") == ts);
    let message = found.and_then(Value::as_object_mut).ok_or("message_not_found")?;
    for name in ["text", "blocks"] {
        message.insert(name.to_owned(), fields.get(name).cloned().unwrap_or_default());
    }
    let versions = message.get("versions").and_then(Value::as_u64).unwrap_or_default();
    message.insert("versions".to_owned(), Value::from(versions + 1));
    Ok(json!({"channel": channel, "ts": ts}))
}

fn replies(workspace: &Workspace, fields: &Value) -> Outcome {
    let (channel, thread) = (text(fields, "channel"), text(fields, "ts"));
    if !workspace.channels.contains_key(channel) && !channel.starts_with('D') {
        return Err("channel_not_found");
    }
    let shows_metadata = matches!(fields.get("include_all_metadata"), Some(Value::Bool(true)))
        || text(fields, "include_all_metadata") == "true";
    let is_of_thread = |message: &&Value| {
        text(message, "channel") == channel
            && (text(message, "ts") == thread || text(message, "thread_ts") == thread)
            && message.get("ephemeral_for").is_none()
    };
    let strip = |message: &Value| {
        let mut message = message.clone();
        if let Some(known) = message.as_object_mut()
            && !shows_metadata
        {
            known.remove("metadata");
        }
        message
    };
    let messages: Vec<Value> = workspace.messages.iter().filter(is_of_thread).map(strip).collect();
    if messages.is_empty() {
        return Err("thread_not_found");
    }
    Ok(json!({"messages": messages, "has_more": false}))
}
