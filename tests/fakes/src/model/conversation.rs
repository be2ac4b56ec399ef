//! Reads the messages of a request: the prompt that counts, the working directory, and what the tools answered since.

use serde_json::Value;

/// What a tool was asked and what it answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolResult {
    pub(crate) name: String,
    pub(crate) output: String,
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Conversation {
    pub(crate) prompt: String,
    pub(crate) directory: String,
    /// Since the prompt, in order.
    pub(crate) results: Vec<ToolResult>,
}

impl Conversation {
    pub(crate) fn read(messages: &[Value]) -> Self {
        let role =
            |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
        let system: Vec<String> = messages
            .iter()
            .filter(|m| matches!(role(m).as_str(), "system" | "developer"))
            .map(text)
            .collect();
        // What the agent adds by itself (reminders, attached files) is no prompt, and neither is a digest of
        // earlier turns.
        let prompt_at = messages.iter().rposition(|message| {
            role(message) == "user" && !without_asides(&text(message)).trim().is_empty()
        });
        let prompt = prompt_at.and_then(|at| messages.get(at)).map(text).unwrap_or_default();
        let after = messages.get(prompt_at.map_or(0, |at| at + 1)..).unwrap_or_default();
        Self {
            prompt: without_asides(&prompt).trim().to_owned(),
            directory: directory(&system.join("\n")),
            results: results(after),
        }
    }
}

/// The text of a message: a string, or the text parts of a list.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> =
                parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
            texts.join("\n")
        }
        Some(_) | None => String::new(),
    }
}

/// What the participant wrote, without what the agent and the runner put around it.
fn without_asides(text: &str) -> String {
    let mut kept = text.to_owned();
    for mark in ["system-reminder", "conversation-digest"] {
        kept = without(&kept, &format!("<{mark}>"), &format!("</{mark}>"));
    }
    kept
}

fn without(text: &str, open: &str, close: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        kept.push_str(before);
        rest = after.split_once(close).map_or("", |(_, beyond)| beyond);
    }
    kept.push_str(rest);
    kept
}

/// The working directory that the agent's system prompt names; the root of relative paths.
fn directory(system: &str) -> String {
    let line = system.lines().find_map(|line| {
        let lower = line.to_lowercase();
        let at = lower.find("working directory:")?;
        line.get(at + "working directory:".len()..).map(|path| path.trim().trim_matches('`'))
    });
    line.filter(|path| path.starts_with('/')).unwrap_or(".").trim_end_matches('/').to_owned()
}

fn results(messages: &[Value]) -> Vec<ToolResult> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut found = Vec::new();
    for message in messages {
        let string = |field: &str| message.get(field).and_then(Value::as_str).unwrap_or_default();
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
            let name = call.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
            names.push((id.to_owned(), name.to_owned()));
        }
        if string("role") == "tool" {
            let id = string("tool_call_id");
            let name = names
                .iter()
                .rfind(|(known, _)| known == id)
                .map(|(_, name)| name.clone())
                .unwrap_or_default();
            found.push(ToolResult { name, output: text(message) });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_prompt_and_what_followed_count() {
        let messages = [
            json!({"role": "system", "content": "Rules.\n<env>\n  Working directory: /workspace/repo\n</env>"}),
            json!({"role": "user", "content": "first"}),
            json!({"role": "assistant", "content": "ok", "tool_calls": [{"id": "a", "function": {"name": "bash"}}]}),
            json!({"role": "tool", "tool_call_id": "a", "content": "old"}),
            json!({"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": "<system-reminder>x</system-reminder>"}]}),
            json!({"role": "assistant", "content": "", "tool_calls": [{"id": "b", "function": {"name": "write"}}]}),
            json!({"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "new"}]}),
            json!({"role": "user", "content": "<system-reminder>only for the agent</system-reminder>"}),
        ];
        let expected = Conversation {
            prompt: "second".to_owned(),
            directory: "/workspace/repo".to_owned(),
            results: vec![ToolResult { name: "write".to_owned(), output: "new".to_owned() }],
        };
        assert_eq!(Conversation::read(&messages), expected);
    }

    #[test]
    fn a_prompt_that_comes_while_the_agent_works_counts_and_a_digest_does_not() {
        let digest = "<conversation-digest>\nAda wrote: create a file\n</conversation-digest>";
        let mut messages = vec![
            json!({"role": "user", "content": [{"type": "text", "text": digest}, {"type": "text", "text": "first"}]}),
            json!({"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "bash"}}]}),
            json!({"role": "tool", "tool_call_id": "a", "content": "old"}),
        ];
        assert_eq!(Conversation::read(&messages).prompt, "first");
        messages.push(json!({"role": "user", "content": "rather this"}));
        let conversation = Conversation::read(&messages);
        assert_eq!((conversation.prompt.as_str(), conversation.results.len()), ("rather this", 0));
    }
}
