//! Instructions that run something.

use super::Instruction;
use super::place::Context;
use super::token::{Kind, Token};
use super::words::is_path;

/// Runs whatever kind of tests the repository has.
pub(super) const RUN_TESTS: &str = "if [ -f test.sh ]; then sh test.sh; elif [ -f Makefile ]; then make test; \
elif [ -f package.json ]; then npm test; elif [ -f Cargo.toml ]; then cargo test; else python3 -m unittest; fi";

/// Where the purpose of a command begins: not a part of it.
const PURPOSES: &[&str] = &[
    " to see",
    " to check",
    " to verify",
    " to make sure",
    " to confirm",
    " to show",
    " to prove",
    " to test",
    " to ensure",
    " so that",
    " so we",
    " in the shell",
    " in the terminal",
    " in a terminal",
    " in the repository",
    " afterwards",
    " again",
    " once",
    " at the end",
    " and report",
    " and tell",
    " and show",
    " which ",
    " it should",
    ", it should",
    ", which",
];

fn run_command(command: impl Into<String>) -> Instruction {
    Instruction::Run { command: command.into() }
}

/// A word of `sh` for any text.
pub(crate) fn quote(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+' | ':' | ',' | '=')
    };
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A script that was named without its interpreter.
fn interpreted(command: &str) -> String {
    let script = command.split_whitespace().next().unwrap_or_default();
    if !is_path(script) || script.starts_with('/') || script.starts_with("./") {
        return command.to_owned();
    }
    match script.rsplit_once('.').map(|(_, extension)| extension) {
        Some("sh") => format!("sh {command}"),
        Some("py") => format!("python3 {command}"),
        Some("js" | "mjs" | "cjs") => format!("node {command}"),
        Some(_) | None => command.to_owned(),
    }
}

/// `run COMMAND`, `run the tests`.
pub(super) fn run(context: &Context<'_>, rest: &[Token]) -> Vec<Instruction> {
    let commands = named(rest);
    if !commands.is_empty() {
        // `run echo "hi" > a.txt`: a quote inside a command is a part of it.
        let quoted_part = rest
            .first()
            .is_some_and(|t| !t.word().is_empty() && !leads_to_command(&t.word()) && !ends_in_command(rest));
        if !quoted_part {
            return commands;
        }
    }
    let source = context.source(rest);
    let mut text = source.as_str();
    for lead in [
        "the following command:",
        "the following command",
        "the command:",
        "the command",
        "command",
        "the script",
        "the program",
        "the file",
        ":",
    ] {
        text = text.strip_prefix(lead).map_or(text, str::trim_start);
    }
    let lower = text.to_lowercase();
    let end = PURPOSES.iter().filter_map(|purpose| lower.find(purpose)).min().unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(text).trim_end_matches(['.', ',', ' ']);
    if text.is_empty() {
        return Vec::new();
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let about_tests = words.iter().any(|w| matches!(w.as_str(), "test" | "tests"));
    let only = [
        "the",
        "all",
        "its",
        "our",
        "unit",
        "test",
        "tests",
        "suite",
        "existing",
        "whole",
        "full",
        "every",
        "project's",
        "automated",
    ];
    if about_tests && words.iter().all(|w| only.contains(&w.as_str())) {
        return vec![run_command(RUN_TESTS)];
    }
    vec![run_command(interpreted(text))]
}

fn leads_to_command(word: &str) -> bool {
    [
        "the",
        "this",
        "these",
        "command",
        "commands",
        "following",
        "script",
        "shell",
        "both",
        "first",
        "with",
        "a",
    ]
    .contains(&word)
}

/// `run the test suite (…) with COMMAND`.
fn ends_in_command(rest: &[Token]) -> bool {
    rest.windows(2).any(|pair| {
        pair.first().is_some_and(|t| {
            matches!(t.word().as_str(), "with" | "using" | "via" | "command" | "tests" | "test" | "suite")
        }) && pair.get(1).is_some_and(|t| t.literal().is_some())
    })
}

/// The commands that a clause quotes.
pub(super) fn named(rest: &[Token]) -> Vec<Instruction> {
    let mut found = Vec::new();
    for token in rest {
        match &token.kind {
            Kind::Literal(text) => found.push(run_command(interpreted(text.trim().trim_start_matches("$ ")))),
            Kind::Block(text) => {
                let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("$ ")).collect();
                found.push(run_command(lines.join("\n").trim()));
            }
            Kind::Word(_) | Kind::Mark(_) | Kind::Break { .. } | Kind::Bullet => {}
        }
    }
    found.retain(|instruction| *instruction != run_command(""));
    found
}

/// `list the files`.
pub(super) fn list(rest: &[Token]) -> Vec<Instruction> {
    let about_files = rest
        .iter()
        .any(|t| matches!(t.word().as_str(), "file" | "files" | "folder" | "directory" | "everything"));
    if about_files || rest.is_empty() { vec![run_command("ls -la")] } else { Vec::new() }
}

/// `commit [everything] with the message M`.
pub(super) fn commit(rest: &[Token]) -> Vec<Instruction> {
    match rest.iter().find_map(Token::literal) {
        Some(message) => vec![run_command(format!("git add -A && git commit -m {}", quote(message)))],
        None => Vec::new(),
    }
}
