//! A model of the OpenAI kind that follows a script: the prompt says `SCRIPT:<name>`, the step is the number of answers since.

use super::bridge::Known;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

pub(crate) async fn complete(
    State((known, _)): State<(Arc<Known>, watch::Receiver<bool>)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {}", super::TOKEN)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    known.model_requests.lock().unwrap().push(request.clone());
    let (script, step) = script_of(&request["messages"]);
    if script == "refused" {
        let error = json!({ "error": { "message": "the key is wrong", "type": "invalid_request_error" } });
        return (StatusCode::UNAUTHORIZED, axum::Json(error)).into_response();
    }
    let (deltas, finish) = answer(&script, step, &request);
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": request["model"],
            "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let mut chunks: Vec<String> = deltas
        .into_iter()
        .map(|delta| chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null))
        .collect();
    chunks.push(chunk(json!([{ "index": 0, "delta": {}, "finish_reason": finish }]), Value::Null));
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
        "prompt_tokens_details": { "cached_tokens": 40 } });
    chunks.push(chunk(json!([]), usage));
    chunks.push("data: [DONE]\n\n".to_owned());
    let pause = if script == "drip" { Duration::from_millis(100) } else { Duration::ZERO };
    let body = futures::stream::iter(chunks).then(move |chunk| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(chunk)
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

/// A model of Anthropic's kind that takes nothing.
pub(crate) async fn refuse(
    State((known, _)): State<(Arc<Known>, watch::Receiver<bool>)>,
    body: String,
) -> Response {
    known.model_requests.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    let error =
        json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "not today" } });
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

/// The newest script that a prompt names, and how many answers followed it.
fn script_of(messages: &Value) -> (String, usize) {
    let messages = messages.as_array().unwrap();
    let mut step = 0;
    for message in messages.iter().rev() {
        let text = message["content"].to_string();
        match message["role"].as_str() {
            Some("assistant") => step += 1,
            Some("user") if text.contains("SCRIPT:") => {
                let name = text.split("SCRIPT:").last().unwrap();
                return (name.chars().take_while(|c| c.is_alphanumeric()).collect(), step);
            }
            _ => {}
        }
    }
    (String::new(), step)
}

/// What OpenCode says is the folder that it works in.
fn working_folder(request: &Value) -> PathBuf {
    let text = request["messages"][0]["content"].as_str().unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Working directory: "));
    PathBuf::from(line.unwrap_or_else(|| panic!("no folder in {text}")))
}

fn answer(script: &str, step: usize, request: &Value) -> (Vec<Value>, &'static str) {
    let call = |index: usize, name: &str, arguments: Value| {
        json!({ "tool_calls": [{ "index": index, "id": format!("call_{script}_{step}_{index}"), "type": "function",
            "function": { "name": name, "arguments": arguments.to_string() } }] })
    };
    match (script, step) {
        ("change", 0) => {
            let todos = json!([{ "content": "Greet", "status": "in_progress", "priority": "high" }]);
            let command =
                "printf 'one\\n'; sleep 0.2; printf 'two\\n'; printf 'hello\\n' > greeting.txt; exit 3";
            let deltas = vec![
                json!({ "role": "assistant", "content": "" }),
                json!({ "reasoning_content": "I need " }),
                json!({ "reasoning_content": "a file." }),
                json!({ "content": "I will " }),
                json!({ "content": "write it." }),
                call(0, "bash", json!({ "command": command, "description": "Greet" })),
                call(1, "todowrite", json!({ "todos": todos })),
            ];
            (deltas, "tool_calls")
        }
        ("slow", 0) => {
            let arguments = json!({ "command": "echo started; sleep 60", "description": "Sleep" });
            (vec![json!({ "role": "assistant", "content": "" }), call(0, "bash", arguments)], "tool_calls")
        }
        ("waitforgo", 0) => {
            let arguments = json!({ "command": "echo started; until test -e go; do sleep 0.02; done", "description": "Wait" });
            (vec![json!({ "role": "assistant", "content": "" }), call(0, "bash", arguments)], "tool_calls")
        }
        ("drip", _) => {
            let drops = (0..10).map(|drop| json!({ "role": "assistant", "content": format!("drop{drop} ") }));
            (drops.collect(), "stop")
        }
        ("push", 0) => {
            let arguments = json!({ "command": "git push origin HEAD", "description": "Push" });
            (vec![json!({ "role": "assistant", "content": "" }), call(0, "bash", arguments)], "tool_calls")
        }
        ("readedit", 0) => {
            let path = working_folder(request).join("README.md");
            (
                vec![
                    json!({ "role": "assistant", "content": "" }),
                    call(0, "read", json!({ "filePath": path })),
                ],
                "tool_calls",
            )
        }
        ("readedit", 1) => {
            let path = working_folder(request).join("written.txt");
            let command = "cp newer.txt copied.txt";
            let deltas = vec![
                json!({ "role": "assistant", "content": "I have read it. " }),
                call(0, "write", json!({ "filePath": path, "content": "written\n" })),
                call(1, "bash", json!({ "command": command, "description": "Copy" })),
            ];
            (deltas, "tool_calls")
        }
        // A command without a program, of which OpenCode asks for no permission.
        ("truncate", 0) => {
            let arguments = json!({ "command": "> truncated.txt", "description": "Truncate" });
            (vec![json!({ "role": "assistant", "content": "" }), call(0, "bash", arguments)], "tool_calls")
        }
        ("recall", _) => (vec![json!({ "role": "assistant", "content": "I remember." })], "stop"),
        (_, _) => {
            let words = ["All ", "is ", "done ", "\u{e4}\u{1f600}."];
            (words.iter().map(|word| json!({ "role": "assistant", "content": word })).collect(), "stop")
        }
    }
}
