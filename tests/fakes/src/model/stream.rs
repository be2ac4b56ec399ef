//! OpenAI's answer formats: server-sent chunks, and one whole object.

use super::{MODEL, Reply};
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Words in one chunk.
const WORDS: usize = 3;
/// Characters of a tool call's arguments in one chunk.
const ARGUMENT_CHARACTERS: usize = 400;

fn created() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

fn usage(reply: &Reply, prompt_tokens: u64) -> Value {
    let written = reply.text.len() + reply.call.as_ref().map_or(0, |call| call.arguments.to_string().len());
    let completion = (written / 4) as u64 + 1;
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}

fn finish_reason(reply: &Reply) -> &'static str {
    if reply.call.is_some() { "tool_calls" } else { "stop" }
}

/// The answer to a request without `stream`.
pub(super) fn whole(reply: &Reply, prompt_tokens: u64) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.text});
    if let (Some(call), Some(fields)) = (&reply.call, message.as_object_mut()) {
        let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
        fields.insert(
            "tool_calls".to_owned(),
            json!([{"id": reply.call_id, "type": "function", "function": function}]),
        );
    }
    json!({
        "id": "chatcmpl-demo",
        "object": "chat.completion",
        "created": created(),
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(reply)}],
        "usage": usage(reply, prompt_tokens),
    })
}

/// Every chunk of a streamed answer, and how long to wait before it.
pub(super) fn chunks(reply: &Reply, prompt_tokens: u64, delay: Duration) -> Vec<(Duration, String)> {
    let created = created();
    let frame = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": created, "model": MODEL, "choices": choices,
        });
        if let (Some(usage), Some(fields)) = (usage, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), usage);
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value| frame(json!([{"index": 0, "delta": delta, "finish_reason": null}]), None);
    let mut all = vec![(Duration::ZERO, delta(json!({"role": "assistant", "content": ""})))];
    for piece in pieces(&reply.text) {
        all.push((delay, delta(json!({"content": piece}))));
    }
    if let Some(call) = &reply.call {
        let head = json!([{"index": 0, "id": reply.call_id, "type": "function", "function": {"name": call.name, "arguments": ""}}]);
        all.push((Duration::ZERO, delta(json!({"tool_calls": head}))));
        let arguments: Vec<char> = call.arguments.to_string().chars().collect();
        for slice in arguments.chunks(ARGUMENT_CHARACTERS) {
            let slice: String = slice.iter().collect();
            let part = json!([{"index": 0, "function": {"arguments": slice}}]);
            all.push((Duration::ZERO, delta(json!({"tool_calls": part}))));
        }
    }
    let end = json!([{"index": 0, "delta": {}, "finish_reason": finish_reason(reply)}]);
    all.push((Duration::ZERO, frame(end, None)));
    all.push((Duration::ZERO, frame(json!([]), Some(usage(reply, prompt_tokens)))));
    all.push((Duration::ZERO, "data: [DONE]\n\n".to_owned()));
    all
}

/// A few words each; together exactly the text.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut open = String::new();
    let mut words = 0;
    for part in text.split_inclusive(char::is_whitespace) {
        open.push_str(part);
        words += 1;
        if words == WORDS {
            pieces.push(std::mem::take(&mut open));
            words = 0;
        }
    }
    if !open.is_empty() {
        pieces.push(open);
    }
    pieces
}

/// The streamed answer.
pub(super) fn respond(reply: Reply, prompt_tokens: u64, delay: Duration) -> Response {
    let chunks = chunks(&reply, prompt_tokens, delay);
    let stream = futures::stream::iter(chunks).then(async |(delay, chunk)| {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Ok::<_, Infallible>(Bytes::from(chunk))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(stream)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::Call;

    #[test]
    fn the_chunks_together_are_the_answer() {
        let arguments = json!({"filePath": "/w/a.txt", "content": "ä".repeat(1000)});
        let reply = Reply {
            text: "I write a file.\n\n- one two three four".to_owned(),
            call: Some(Call { name: "write", arguments: arguments.clone() }),
            call_id: "call_1".to_owned(),
        };
        let chunks = chunks(&reply, 7, Duration::ZERO);
        let (mut text, mut called) = (String::new(), String::new());
        let mut reasons = Vec::new();
        for (_, chunk) in &chunks[..chunks.len() - 1] {
            let value: Value =
                serde_json::from_str(chunk.strip_prefix("data: ").unwrap().trim_end()).unwrap();
            let choice = &value["choices"][0];
            text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            called.push_str(
                choice["delta"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap_or_default(),
            );
            reasons.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
        assert_eq!(text, reply.text);
        assert_eq!(serde_json::from_str::<Value>(&called).unwrap(), arguments);
        assert_eq!(reasons, ["tool_calls"]);
        assert_eq!(chunks.last().unwrap().1, "data: [DONE]\n\n");
        assert!(chunks[chunks.len() - 2].1.contains("\"prompt_tokens\":7"));
    }
}
