//! What the demo model says around its tool calls. It always says that it is a demo model, and never that something worked that did not.

use super::conversation::ToolResult;
use super::grammar::Instruction;
use super::plan::{NOTES, Next, Outcome, Plan, changed};

/// Longest part of a command's output in the summary.
const OUTPUT_LINES_MAX: usize = 12;

/// A session's title: the beginning of its prompt.
pub(super) fn title(prompt: &str) -> String {
    let words: Vec<&str> =
        prompt.split_whitespace().filter(|word| !word.starts_with("```")).take(7).collect();
    let title: String = words.join(" ").chars().filter(|c| !matches!(c, '`' | '"' | '*')).take(50).collect();
    let title = title.trim_end_matches([',', '.', ':', ' ']).to_owned();
    if title.is_empty() { "Demo session".to_owned() } else { title }
}

/// The text of one step.
pub(super) fn text(plan: &Plan, next: &Next, is_first: bool) -> String {
    let mut text = String::new();
    if is_first {
        text.push_str(&introduction(plan));
    }
    match next {
        Next::Call { retry: true, .. } => {}
        Next::Call { index, .. } => {
            if let Some(instruction) = plan.reading.instructions.get(*index) {
                let lead = if is_first { "\n\nFirst" } else { "Next" };
                text.push_str(&format!("{lead}: {}.", intention(instruction)));
            }
        }
        Next::Done(outcomes) => {
            if is_first && !outcomes.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&summary(plan, outcomes));
        }
    }
    text
}

fn introduction(plan: &Plan) -> String {
    let who =
        "I am Farhand's **demo model**: I do not think, I follow the instructions in a prompt word by word.";
    let count = plan.reading.instructions.len();
    if plan.only_noted {
        return format!(
            "{who} I found none that I can follow here, so I only write the request down in `{NOTES}`."
        );
    }
    match count {
        0 => format!("{who} This prompt asks me to change nothing, so I leave everything as it is."),
        1 => format!("{who} I found one here."),
        count => format!("{who} I found {count} here."),
    }
}

fn code(text: &str) -> String {
    let short: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
    let cut = if short.len() < text.trim_end().len() { "…" } else { "" };
    if short.contains('`') { format!("`` {short}{cut} ``") } else { format!("`{short}{cut}`") }
}

fn intention(instruction: &Instruction) -> String {
    match instruction {
        Instruction::Write { path, .. } => format!("I write {}", code(path)),
        Instruction::Append { path, .. } => format!("I append to {}", code(path)),
        Instruction::Prepend { path, .. } => format!("I put a text at the beginning of {}", code(path)),
        Instruction::Replace { path, old, new, .. } => {
            let place = path.as_ref().map_or_else(|| "the file that has it".to_owned(), |path| code(path));
            if new.is_empty() {
                format!("I remove {} from {place}", code(old))
            } else {
                format!("I replace {} with {} in {place}", code(old), code(new))
            }
        }
        Instruction::Delete { path } => format!("I delete {}", code(path)),
        Instruction::Rename { from, to } => format!("I move {} to {}", code(from), code(to)),
        Instruction::Copy { from, to } => format!("I copy {} to {}", code(from), code(to)),
        Instruction::Run { command } => format!("I run {}", code(command)),
        Instruction::Read { path } => format!("I read {}", code(path)),
        Instruction::Say { .. } => "I answer".to_owned(),
    }
}

fn summary(plan: &Plan, outcomes: &[Outcome]) -> String {
    if let [Outcome { instruction: Instruction::Say { text }, .. }] = outcomes {
        return text.clone();
    }
    let mut text = if outcomes.is_empty() { String::new() } else { "That is done:\n".to_owned() };
    for outcome in outcomes {
        text.push_str(&format!("\n- {}", report(outcome)));
    }
    if !plan.reading.unclear.is_empty() && !plan.only_noted {
        text.push_str("\n\nI could not follow this, because I only take literal instructions:\n");
        for source in plan.reading.unclear.iter().take(5) {
            text.push_str(&format!("\n- “{}”", source.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    if plan.reading.asks_to_publish {
        text.push_str("\n\nCommit, push and pull request are made by Farhand when this turn ends.");
    }
    if plan.only_noted {
        text.push_str(
            "\n\nA real model would do more: start Farhand with `OPENAI_API_KEY` or `ANTHROPIC_API_KEY` set.",
        );
    }
    text
}

fn report(outcome: &Outcome) -> String {
    let last = outcome.results.last();
    let did = past(&outcome.instruction);
    let output = |result: &ToolResult| {
        let lines: Vec<&str> = result.output.lines().collect();
        let skipped = lines.len().saturating_sub(OUTPUT_LINES_MAX);
        let shown = lines.get(skipped..).unwrap_or_default().join("\n  ");
        if shown.trim().is_empty() { String::new() } else { format!("\n\n  ```text\n  {shown}\n  ```\n") }
    };
    match (&outcome.instruction, last) {
        (Instruction::Say { text }, _) => text.clone(),
        (Instruction::Run { .. }, Some(result)) => {
            let exit = exit_code(result).map_or_else(String::new, |code| format!(", exit code {code}"));
            format!("{did}{exit}{}", output(result))
        }
        (Instruction::Write { .. } | Instruction::Replace { .. }, Some(result)) if !changed(result) => {
            format!("**Not done**: {}{}", intention(&outcome.instruction), output(result))
        }
        (Instruction::Read { .. }, Some(_)) => did,
        (_, Some(result)) if !result.output.trim().is_empty() && result.name == "bash" => {
            let quiet = result.output.contains("(no output)");
            if quiet { did } else { format!("{did}{}", output(result)) }
        }
        (_, Some(_) | None) => did,
    }
}

fn past(instruction: &Instruction) -> String {
    match instruction {
        Instruction::Write { path, content } => format!("wrote {} ({} bytes)", code(path), content.len()),
        Instruction::Append { path, .. } => format!("appended to {}", code(path)),
        Instruction::Prepend { path, .. } => format!("put a text at the beginning of {}", code(path)),
        Instruction::Replace { old, new, .. } if new.is_empty() => format!("removed {}", code(old)),
        Instruction::Replace { old, new, .. } => format!("replaced {} with {}", code(old), code(new)),
        Instruction::Delete { path } => format!("deleted {}", code(path)),
        Instruction::Rename { from, to } => format!("moved {} to {}", code(from), code(to)),
        Instruction::Copy { from, to } => format!("copied {} to {}", code(from), code(to)),
        Instruction::Run { command } => format!("ran {}", code(command)),
        Instruction::Read { path } => format!("read {}", code(path)),
        Instruction::Say { text } => text.clone(),
    }
}

/// The exit code, where the agent passes it on.
fn exit_code(result: &ToolResult) -> Option<i32> {
    let lower = result.output.to_lowercase();
    let at = lower.rfind("exit code")?;
    let digits: String = lower
        .get(at + "exit code".len()..)?
        .trim_start_matches([':', ' ', '='])
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}
