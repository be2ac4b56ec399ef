//! The sender: events and clicks with Slack's signature, repeated as Slack repeats them, or as a script wants.

use super::{BOT, State, TEAM, text};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long Slack waits for an answer, and how often it tries again (docs.slack.dev, "The Events API").
const ANSWER_WAIT: Duration = Duration::from_secs(3);
const RETRIES: u64 = 3;

/// One delivery and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// HTTP status; 0 where there was no answer in time.
    pub status: u16,
    /// Until the answer.
    pub ms: u64,
}

fn sign(secret: &str, timestamp: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{timestamp}:{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}

async fn deliver(state: &State, path: &str, kind: &str, body: &str, retry: u64) -> Delivery {
    let (url, secret) = {
        let workspace = state.lock();
        (format!("{}/{path}", workspace.target), workspace.signing_secret.clone())
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut request = state
        .client
        .post(url)
        .timeout(ANSWER_WAIT)
        .header(CONTENT_TYPE, kind)
        .header("x-slack-request-timestamp", now)
        .header("x-slack-signature", sign(&secret, now, body))
        .body(body.to_owned());
    if retry > 0 {
        let reason = HeaderValue::from_static("http_timeout");
        request = request.header("x-slack-retry-num", retry).header("x-slack-retry-reason", reason);
    }
    let began = Instant::now();
    let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
    Delivery { status, ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) }
}

fn told(deliveries: &[Delivery]) -> Value {
    deliveries.iter().map(|one| json!({"status": one.status, "ms": one.ms})).collect()
}

/// Sends an event as often as it takes, or `times` times, all at once where `together` says so.
async fn send(state: &Arc<State>, event: &Value, order: &Value) -> Value {
    let body = event.to_string();
    let times = order.get("times").and_then(Value::as_u64).unwrap_or(1);
    let mut deliveries = Vec::new();
    if order.get("together").and_then(Value::as_bool).unwrap_or_default() {
        let all = (0..times).map(|retry| deliver(state, "events", "application/json", &body, retry));
        deliveries = futures::future::join_all(all).await;
        return told(&deliveries);
    }
    for retry in 0..times.max(1) + RETRIES {
        deliveries.push(deliver(state, "events", "application/json", &body, retry).await);
        let is_taken = deliveries.last().is_some_and(|last| last.status == 200);
        if retry + 1 >= times && is_taken {
            break;
        }
    }
    told(&deliveries)
}

/// A whole event, as it is.
pub(super) async fn send_event(state: &Arc<State>, order: &Value) -> Value {
    let event = order.get("event").cloned().unwrap_or_default();
    json!({ "deliveries": send(state, &event, order).await })
}

/// Somebody writes `text` into `channel`, in the thread `thread` where there is one; the bot is told as Slack tells it. `silent`: it is not.
pub(super) async fn write(state: &Arc<State>, order: &Value) -> Value {
    let (user, channel, written, thread) =
        (text(order, "user"), text(order, "channel"), text(order, "text"), text(order, "thread"));
    let ts = {
        let mut workspace = state.lock();
        let ts = workspace.next_ts();
        let mut message =
            json!({"type": "message", "channel": channel, "ts": ts, "user": user, "text": written});
        if let (Some(known), false) = (message.as_object_mut(), thread.is_empty()) {
            known.insert("thread_ts".to_owned(), Value::from(thread));
        }
        workspace.messages.push(message);
        ts
    };
    let files = files_of(state, order);
    if order.get("silent").and_then(Value::as_bool).unwrap_or_default() {
        return json!({ "ts": ts });
    }
    let event_id = format!("Ev{}", ts.replace('.', ""));
    let is_direct = channel.starts_with('D');
    let mentions = written.contains(&format!("<@{BOT}>"));
    let event = |kind: &str, id: &str| {
        let mut inner = json!({
            "type": kind, "user": user, "text": written, "ts": ts, "channel": channel, "event_ts": ts,
            "channel_type": if is_direct { "im" } else { "channel" }, "files": files,
        });
        if let (Some(known), false) = (inner.as_object_mut(), thread.is_empty()) {
            known.insert("thread_ts".to_owned(), Value::from(thread));
        }
        json!({
            "token": "unused", "team_id": TEAM, "api_app_id": "A0FARHAND", "type": "event_callback", "event_id": id,
            "event_time": 1, "event": inner, "authorizations": [{"team_id": TEAM, "user_id": BOT, "is_bot": true}],
        })
    };
    // A channel's message is told as one, and once more as a mention.
    let mut deliveries = send(state, &event("message", &event_id), order).await;
    if mentions && !is_direct {
        let more = send(state, &event("app_mention", &format!("{event_id}M")), order).await;
        if let (Some(known), Some(more)) = (deliveries.as_array_mut(), more.as_array()) {
            known.extend(more.iter().cloned());
        }
    }
    json!({"ts": ts, "eventId": event_id, "deliveries": deliveries})
}

/// What is told of the files that the order names by their ids.
fn files_of(state: &State, order: &Value) -> Value {
    let workspace = state.lock();
    let ids = order.get("files").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    ids.filter_map(|id| workspace.files.get(id)).map(|file| file.info.clone()).collect()
}

/// `user` clicks what has the action `action` in the message `ts` of `channel`; a menu's `value` is what was chosen.
pub(super) async fn click(state: &Arc<State>, order: &Value) -> Value {
    let (user, channel, ts, action) =
        (text(order, "user"), text(order, "channel"), text(order, "ts"), text(order, "action"));
    let (message, clicked) = {
        let workspace = state.lock();
        let message = workspace
            .messages
            .iter()
            .find(|known| text(known, "channel") == channel && text(known, "ts") == ts);
        let Some(message) = message.cloned() else { return json!({"error": "there is no such message"}) };
        let Some(clicked) = find_element(&message, action) else {
            return json!({"error": "there is no such element"});
        };
        (message, clicked)
    };
    let mut clicked = clicked;
    if let Some(known) = clicked.as_object_mut() {
        let at = state.lock().next_ts();
        known.insert("action_ts".to_owned(), Value::from(at));
        if let Some(value) = order.get("value") {
            known.insert("selected_option".to_owned(), json!({"value": value}));
        }
    }
    let payload = json!({
        "type": "block_actions", "team": {"id": TEAM}, "user": {"id": user}, "channel": {"id": channel}, "message": message,
        "container": {"type": "message", "message_ts": ts, "thread_ts": message.get("thread_ts")}, "actions": [clicked],
    });
    let encoded: String =
        payload
            .to_string()
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
    let times = order.get("times").and_then(Value::as_u64).unwrap_or(1);
    let mut deliveries = Vec::new();
    for _ in 0..times {
        let kind = "application/x-www-form-urlencoded";
        deliveries.push(deliver(state, "interactions", kind, &format!("payload={encoded}"), 0).await);
    }
    json!({ "deliveries": told(&deliveries) })
}

fn find_element(message: &Value, action: &str) -> Option<Value> {
    for block in message.get("blocks")?.as_array()? {
        for element in block.get("elements").and_then(Value::as_array).into_iter().flatten() {
            if text(element, "action_id") == action {
                let mut found = element.clone();
                found
                    .as_object_mut()?
                    .insert("block_id".to_owned(), block.get("block_id").cloned().unwrap_or_default());
                return Some(found);
            }
        }
    }
    None
}
