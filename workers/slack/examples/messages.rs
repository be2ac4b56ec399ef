//! Prints every kind of message as a JSON array, usual and hostile ones: Slack's own SDK says of each whether it is one.

use serde_json::{Value, json};
use slack::card::{
    render_card, render_link, render_notice, render_picker, render_question, render_result, render_start,
};

fn view(words: &str, count: usize, state: &str) -> Value {
    let many = |value: Value| Value::Array(vec![value; count]);
    json!({
        "title": words, "repository": words, "queued": 2, "costUsd": 0.12,
        "turn": {"id": "trn_1", "state": state, "summary": words, "reason": words},
        "plan": many(json!({"text": words, "state": "done"})),
        "files": many(json!({"path": words, "additions": 3, "deletions": 1})),
        "checks": many(json!({"name": words, "passed": true})),
        "pull": {"number": 7, "url": "https://code.example/7?a=1&b=2", "title": words, "state": "open"},
    })
}

fn main() {
    let mut messages = Vec::new();
    let long = "<!channel> <@U1> *bold* `code` & <https://evil.example|safe> 😀\n".repeat(400);
    for words in ["Fix the price", "<!channel>", long.as_str()] {
        for (count, state) in [(0, "running"), (1, "completed"), (60, "failed"), (300, "stopped")] {
            let view = view(words, count, state);
            messages.push(render_card(&view, "https://farhand.example/sessions/ses_1"));
            messages.push(render_result(&view));
        }
        let many: Vec<String> = (0..200).map(|number| format!("acme/repository-{number}")).collect();
        messages.push(render_picker(words, &many, "1.0"));
        messages.push(render_picker(words, &[], "1.0"));
        messages.push(render_question(words));
        messages.push(render_notice(words));
        messages.push(render_start(words, "https://farhand.example/sessions/ses_1"));
    }
    messages.push(render_link("https://farhand.example/connect/slack#code=x"));
    println!("{}", Value::Array(messages));
}
