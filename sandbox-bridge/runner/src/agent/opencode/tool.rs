//! OpenCode's tool calls in the protocol's words. Pure; used by `view`.

use super::wire::Part;
use crate::output::{MadeFile, ToolCall};
use protocol::timeline::{LineCount, PlanStep, PlanStepState, ToolState};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;

/// Inputs that make a good title, best first.
const TITLE_KEYS: [&str; 8] =
    ["command", "filePath", "path", "pattern", "url", "query", "description", "name"];

/// The call and its output so far.
pub(super) fn translate(part: &Part, workspace: &Path) -> (ToolCall, String) {
    let state = &part.state;
    let empty = state.input.is_null() || state.input.as_object().is_some_and(serde_json::Map::is_empty);
    let input = if empty { String::new() } else { state.input.to_string() };
    let call =
        ToolCall { name: part.tool.clone(), title: title_of(part, workspace), input, state: state_of(part) };
    let live = state.metadata.get("output").and_then(Value::as_str);
    // The shell's own output is in the metadata; the answer adds remarks for the model to it.
    let output = live.or(state.output.as_deref()).unwrap_or_default();
    (call, output.to_owned())
}

fn title_of(part: &Part, workspace: &Path) -> String {
    let input = |key| part.state.input.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let told = part.state.title.as_deref().filter(|title| !title.is_empty());
    let title = match part.tool.as_str() {
        "bash" => input("command").or(told),
        _ => told.or_else(|| TITLE_KEYS.into_iter().find_map(input)),
    };
    let title = title.unwrap_or_default();
    let inside = Path::new(title).strip_prefix(workspace).ok().and_then(Path::to_str);
    inside.unwrap_or(title).to_owned()
}

fn state_of(part: &Part) -> ToolState {
    let state = &part.state;
    let duration_ms = match (state.time.start, state.time.end) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates")]
        (Some(start), Some(end)) => (end - start).max(0.0) as u64,
        (_, _) => 0,
    };
    match state.status.as_str() {
        "completed" => {
            let exit_code = state.metadata.get("exit").and_then(Value::as_i64);
            ToolState::Completed {
                duration_ms,
                exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
                edit: edit_of(part),
            }
        }
        "error" => ToolState::Failed {
            duration_ms,
            message: state.error.clone().unwrap_or_else(|| "it failed".to_owned()),
        },
        _ => ToolState::Running,
    }
}

fn edit_of(part: &Part) -> Option<LineCount> {
    let state = &part.state;
    if let Some(diff) = state.metadata.get("filediff") {
        let count = |key| diff.get(key).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
        return Some(LineCount { additions: count("additions")?, deletions: count("deletions")? });
    }
    let new = part.tool == "write" && state.metadata.get("exists") == Some(&Value::Bool(false));
    let content = state.input.get("content").and_then(Value::as_str).filter(|_| new)?;
    Some(LineCount { additions: u32::try_from(content.lines().count()).ok()?, deletions: 0 })
}

/// Pictures and other files that a call answered with.
pub(super) fn files_of(part: &Part, title: &str) -> Vec<MadeFile> {
    if part.state.status != "completed" {
        return Vec::new();
    }
    let attachments = part.state.attachments.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |attachment: &Value| {
        let text = |key| attachment.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        // What has another address was never in the workspace.
        let (_, data) = text("url")?.strip_prefix("data:")?.split_once(";base64,")?;
        let name = text("filename").unwrap_or(title);
        let name = Path::new(name).file_name().and_then(OsStr::to_str).unwrap_or(name);
        Some(MadeFile { name: name.to_owned(), data: data.to_owned() })
    };
    attachments.iter().filter_map(read).collect()
}

/// The plan that a call of the todo tool sets.
pub(super) fn plan_of(part: &Part) -> Option<Vec<PlanStep>> {
    if part.tool != "todowrite" || part.state.status != "completed" {
        return None;
    }
    let todos = part.state.input.get("todos")?.as_array()?;
    let text = |todo: &Value, key| todo.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let state = |todo: &Value| match text(todo, "status").as_str() {
        "pending" => PlanStepState::Pending,
        "in_progress" => PlanStepState::Running,
        "completed" => PlanStepState::Done,
        "cancelled" => PlanStepState::Cancelled,
        _ => PlanStepState::Unknown,
    };
    Some(todos.iter().map(|todo| PlanStep { text: text(todo, "content"), state: state(todo) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(tool: &str, state: Value) -> Part {
        serde_json::from_value(
            json!({ "id": "prt_1", "messageID": "msg_1", "type": "tool", "tool": tool, "state": state }),
        )
        .unwrap()
    }

    #[test]
    fn a_shell_command_shows_command_output_and_exit_code() {
        let state = json!({ "status": "completed", "input": { "command": "make", "description": "Build" }, "title": "Build",
            "output": "ok\n(remark)", "metadata": { "output": "ok\n", "exit": 2 }, "time": { "start": 10, "end": 35 } });
        let (call, output) = translate(&part("bash", state), Path::new("/workspace"));
        assert_eq!((call.title.as_str(), output.as_str()), ("make", "ok\n"));
        assert_eq!(call.state, ToolState::Completed { duration_ms: 25, exit_code: Some(2), edit: None });
    }

    #[test]
    fn a_command_that_was_aborted_has_no_exit_code() {
        let state = json!({ "status": "completed", "input": {}, "metadata": { "exit": null }, "time": {} });
        let (call, _) = translate(&part("bash", state), Path::new("/workspace"));
        assert_eq!(call.state, ToolState::Completed { duration_ms: 0, exit_code: None, edit: None });
    }

    #[test]
    fn a_new_file_counts_its_lines_and_its_path_is_short() {
        let state = json!({ "status": "completed", "input": { "filePath": "/workspace/a/b.txt", "content": "1\n2\n" },
            "metadata": { "exists": false }, "time": { "start": 1, "end": 2 } });
        let (call, _) = translate(&part("write", state), Path::new("/workspace"));
        assert_eq!(call.title, "a/b.txt");
        let edit = Some(LineCount { additions: 2, deletions: 0 });
        assert_eq!(call.state, ToolState::Completed { duration_ms: 1, exit_code: None, edit });
    }

    #[test]
    fn an_edit_brings_its_counts_and_an_error_its_message() {
        let state = json!({ "status": "completed", "input": {}, "metadata": { "filediff": { "additions": 3, "deletions": 1 } } });
        let (call, _) = translate(&part("edit", state), Path::new("/w"));
        let edit = Some(LineCount { additions: 3, deletions: 1 });
        assert_eq!(call.state, ToolState::Completed { duration_ms: 0, exit_code: None, edit });
        let (call, _) = translate(
            &part("read", json!({ "status": "error", "error": "File not found" })),
            Path::new("/w"),
        );
        assert_eq!(call.state, ToolState::Failed { duration_ms: 0, message: "File not found".into() });
    }

    #[test]
    fn what_a_call_answered_with_is_named_by_its_file() {
        let file = |name: &str, data: &str| MadeFile { name: name.into(), data: data.into() };
        let attachments = json!([
            { "id": "prt_2", "type": "file", "mime": "image/png", "url": "data:image/png;base64,iVBORw0KGgo=" },
            { "mime": "image/png", "filename": "/tmp/out/shot.png", "url": "data:image/png;base64,AAAA" },
            { "mime": "image/png", "url": "https://elsewhere.example/a.png" },
            { "mime": "text/plain", "url": "data:,plain" },
            7,
        ]);
        let answered = |status: &str, attachments: &Value| {
            part("read", json!({ "status": status, "attachments": attachments }))
        };
        assert_eq!(
            files_of(&answered("completed", &attachments), "docs/logo.png"),
            [file("logo.png", "iVBORw0KGgo="), file("shot.png", "AAAA")]
        );
        assert_eq!(files_of(&answered("running", &attachments), "a"), []);
        assert_eq!(files_of(&answered("completed", &json!({ "of": "a newer kind" })), "a"), []);
    }

    #[test]
    fn todos_are_a_plan() {
        let todos =
            json!([{ "content": "A", "status": "in_progress" }, { "content": "B", "status": "new kind" }]);
        let part = part("todowrite", json!({ "status": "completed", "input": { "todos": todos } }));
        let step = |text: &str, state| PlanStep { text: text.into(), state };
        assert_eq!(
            plan_of(&part),
            Some(vec![step("A", PlanStepState::Running), step("B", PlanStepState::Unknown)])
        );
    }
}
