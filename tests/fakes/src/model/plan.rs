//! From instructions to the agent's tools: which call comes next, given what the calls before it answered.

use super::conversation::ToolResult;
use super::grammar::command::quote;
use super::grammar::{self, Instruction, Reading};
use serde_json::{Value, json};

/// A call of one of the agent's tools.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) arguments: Value,
}

/// What the model will do about a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) reading: Reading,
    /// The prompt could not be read: it is only noted down.
    pub(crate) only_noted: bool,
}

/// An instruction and what its calls answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) instruction: Instruction,
    pub(crate) results: Vec<ToolResult>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    Call { index: usize, retry: bool, call: Call },
    Done(Vec<Outcome>),
}

/// Where a prompt is noted that has no instruction.
pub(crate) const NOTES: &str = "DEMO_NOTES.md";

impl Plan {
    pub(crate) fn new(prompt: &str) -> Self {
        let mut reading = grammar::read(prompt);
        let only_noted = reading.instructions.is_empty() && !reading.hands_off;
        if only_noted {
            let line: String =
                prompt.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
            reading.instructions.push(Instruction::Append {
                path: NOTES.to_owned(),
                content: format!("- Asked for: {line}\n"),
            });
        }
        Self { reading, only_noted }
    }

    /// Walks through the results, so that the same messages always lead to the same step.
    pub(crate) fn next(&self, directory: &str, results: &[ToolResult]) -> Next {
        let mut rest = results;
        let mut outcomes = Vec::new();
        for (index, instruction) in self.reading.instructions.iter().enumerate() {
            let mut used = 0;
            while let Some(call) = next_call(instruction, directory, rest.get(..used).unwrap_or_default()) {
                if used == rest.len() {
                    return Next::Call { index, retry: used > 0, call };
                }
                used += 1;
            }
            let (own, beyond) = rest.split_at(used);
            outcomes.push(Outcome { instruction: instruction.clone(), results: own.to_vec() });
            rest = beyond;
        }
        Next::Done(outcomes)
    }
}

fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") }
}

fn bash(command: String, description: &str) -> Call {
    Call { name: "bash", arguments: json!({"command": command, "description": description}) }
}

fn read(directory: &str, path: &str) -> Call {
    Call { name: "read", arguments: json!({"filePath": absolute(directory, path)}) }
}

/// Whether a tool that changes a file says that it did.
pub(crate) fn changed(result: &ToolResult) -> bool {
    result.output.to_lowercase().contains("successfully")
}

fn next_call(instruction: &Instruction, directory: &str, results: &[ToolResult]) -> Option<Call> {
    let once = |call: Call| results.is_empty().then_some(call);
    match instruction {
        Instruction::Write { path, content } => write(directory, path, content, results),
        Instruction::Append { path, content } => {
            once(bash(append(path, content), &format!("Append to {path}")))
        }
        Instruction::Prepend { path, content } => {
            once(bash(prepend(path, content), &format!("Prepend to {path}")))
        }
        Instruction::Replace { path: Some(path), old, new, all, line } => {
            edit(directory, path, &Edit { old, new, all: *all, line: *line }, results)
        }
        Instruction::Replace { path: None, old, new, all, line } => {
            let Some((found, beyond)) = results.split_first() else {
                return Some(bash(
                    format!("git grep -lF -e {}", quote(old)),
                    "Find the file that has the text",
                ));
            };
            let path = found
                .output
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && grammar::is_path(line))?;
            edit(directory, path, &Edit { old, new, all: *all, line: *line }, beyond)
        }
        Instruction::Delete { path } => {
            once(bash(format!("rm -r -- {}", quote(path)), &format!("Delete {path}")))
        }
        Instruction::Rename { from, to } => {
            once(bash(place("mv", from, to), &format!("Move {from} to {to}")))
        }
        Instruction::Copy { from, to } => {
            once(bash(place("cp -R", from, to), &format!("Copy {from} to {to}")))
        }
        Instruction::Run { command } => once(bash(command.clone(), "Run what the prompt names")),
        Instruction::Read { path } => once(read(directory, path)),
        Instruction::Say { .. } => None,
    }
}

fn write(directory: &str, path: &str, content: &str, results: &[ToolResult]) -> Option<Call> {
    let call = || Call {
        name: "write",
        arguments: json!({"filePath": absolute(directory, path), "content": content}),
    };
    match results {
        [] => Some(call()),
        // The agent wants a file read before it is overwritten.
        [first] if !changed(first) => Some(read(directory, path)),
        [first, _] if !changed(first) => Some(call()),
        [_, ..] => None,
    }
}

struct Edit<'a> {
    old: &'a str,
    new: &'a str,
    all: bool,
    line: bool,
}

fn edit(directory: &str, path: &str, edit: &Edit<'_>, results: &[ToolResult]) -> Option<Call> {
    let call = |old: &str, all: bool| Call {
        name: "edit",
        arguments: json!({"filePath": absolute(directory, path), "oldString": old, "newString": edit.new, "replaceAll": all}),
    };
    let with_line_end = format!("{}\n", edit.old);
    match results {
        [] => Some(read(directory, path)),
        [_] => Some(call(if edit.line && edit.new.is_empty() { &with_line_end } else { edit.old }, edit.all)),
        [_, first] if !changed(first) && edit.line => Some(call(edit.old, edit.all)),
        [_, first] if !changed(first) && first.output.to_lowercase().contains("multiple") => {
            Some(call(edit.old, true))
        }
        [_, _, ..] => None,
    }
}

fn append(path: &str, content: &str) -> String {
    let file = quote(path);
    let folder = parent(path).map_or_else(String::new, |parent| format!("mkdir -p {} && ", quote(parent)));
    let text = quote(content.trim_end_matches('\n'));
    // A last line without its end must not swallow the new one.
    format!(
        "{folder}if [ -s {file} ] && [ -n \"$(tail -c 1 {file})\" ]; then echo >> {file}; fi; printf '%s\\n' {text} >> {file}"
    )
}

fn prepend(path: &str, content: &str) -> String {
    let file = quote(path);
    let text = quote(content.trim_end_matches('\n'));
    format!("{{ printf '%s\\n' {text}; cat {file}; }} > {file}.new && mv {file}.new {file}")
}

fn parent(path: &str) -> Option<&str> {
    path.trim_end_matches('/').rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

fn place(tool: &str, from: &str, to: &str) -> String {
    let folder = if to.ends_with('/') { Some(to) } else { parent(to) };
    let make = folder.map_or_else(String::new, |folder| format!("mkdir -p {} && ", quote(folder)));
    format!("{make}{tool} -- {} {}", quote(from), quote(to))
}
