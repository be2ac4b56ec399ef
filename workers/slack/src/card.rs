//! The messages of a thread: the live card, the result of a turn, the picker, the invitation to link an account.
//!
//! Each is the arguments of a call of the Web API without channel and thread. What comes from agents, repositories and people is escaped
//! and cut; the number of blocks follows from the code.

use crate::block::{
    RETRY, SECTION_CHARS_MAX, STOP, TEXT_CHARS_MAX, actions, button, context, link_button, menu, section,
};
use crate::text::{code, escape_within, link};
use serde_json::{Value, json};

/// Steps of the plan on the card.
const STEPS_MAX: usize = 8;
/// Files in the result.
const FILES_MAX: usize = 10;
const CHECKS_MAX: usize = 8;
const LINE_CHARS_MAX: usize = 200;
const SUMMARY_CHARS_MAX: usize = 2_800;

fn text<'a>(view: &'a Value, path: &str) -> &'a str {
    view.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(view: &Value, path: &str) -> u64 {
    view.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'a>(view: &'a Value, path: &str) -> &'a [Value] {
    view.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn message(notice: &str, blocks: Vec<Value>) -> Value {
    json!({"text": escape_within(notice, TEXT_CHARS_MAX), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// The card as it is before the session has said anything.
#[must_use]
pub fn render_start(repository: &str, session_url: &str) -> Value {
    let notice = format!("Starting work in {repository}");
    let blocks = vec![
        section(&format!(":hourglass_flowing_sand: Starting work in {}", code(repository, LINE_CHARS_MAX))),
        actions("work", vec![link_button("session", "Open session", session_url)]),
    ];
    message(&notice, blocks)
}

/// The card of a session that has told about itself.
#[must_use]
pub fn render_card(view: &Value, session_url: &str) -> Value {
    let repository = text(view, "/repository");
    let state = text(view, "/turn/state");
    let (icon, word) = match state {
        "running" => (":hammer_and_wrench:", "Working"),
        "completed" => (":white_check_mark:", "Done"),
        "stopped" => (":octagonal_sign:", "Stopped"),
        "failed" => (":x:", "Failed"),
        _ => (":hourglass_flowing_sand:", "Starting work"),
    };
    let title = escape_within(text(view, "/title"), LINE_CHARS_MAX);
    let mut blocks =
        vec![section(&format!("{icon} *{word}* in {}\n{title}", code(repository, LINE_CHARS_MAX)))];
    if let Some(plan) = render_plan(list(view, "/plan")) {
        blocks.push(section(&plan));
    }
    if let Some(pull) = render_pull(view) {
        blocks.push(section(&pull));
    }
    let facts = render_facts(view);
    if !facts.is_empty() {
        blocks.push(context(&facts));
    }
    blocks.push(actions("work", buttons(view, state, session_url)));
    message(&format!("{word} in {repository}"), blocks)
}

fn buttons(view: &Value, state: &str, session_url: &str) -> Vec<Value> {
    let turn = text(view, "/turn/id");
    let mut buttons = Vec::new();
    match state {
        "running" => buttons.push(button(STOP, "Stop", turn)),
        "failed" | "stopped" => buttons.push(button(RETRY, "Retry", turn)),
        _ => {}
    }
    let pull = text(view, "/pull/url");
    if pull.starts_with("https://") || pull.starts_with("http://") {
        buttons.push(link_button("pull", "Open pull request", pull));
    }
    buttons.push(link_button("session", "Open session", session_url));
    buttons
}

fn render_plan(plan: &[Value]) -> Option<String> {
    if plan.is_empty() {
        return None;
    }
    let is_done = |step: &&Value| text(step, "/state") == "done";
    let done = plan.iter().filter(is_done).count();
    let mut lines = vec![format!("*Plan* {done}/{}", plan.len())];
    // What is next is of interest, and what was just done.
    let first = done.saturating_sub(2).min(plan.len().saturating_sub(STEPS_MAX));
    for step in plan.iter().skip(first).take(STEPS_MAX) {
        let icon = match text(step, "/state") {
            "done" => ":white_check_mark:",
            "running" => ":arrow_forward:",
            _ => ":white_small_square:",
        };
        lines.push(format!("{icon} {}", escape_within(text(step, "/text"), LINE_CHARS_MAX)));
    }
    Some(lines.join("\n"))
}

fn render_pull(view: &Value) -> Option<String> {
    let number = number(view, "/pull/number");
    if number == 0 {
        return None;
    }
    let label = format!("#{number} {}", text(view, "/pull/title"));
    let state = escape_within(text(view, "/pull/state"), LINE_CHARS_MAX);
    Some(format!("*Pull request* {} ({state})", link(text(view, "/pull/url"), &label, LINE_CHARS_MAX)))
}

fn render_facts(view: &Value) -> String {
    let files = list(view, "/files");
    let sum = |name: &str| files.iter().map(|file| number(file, name)).sum::<u64>();
    let mut facts = Vec::new();
    if !files.is_empty() {
        let (additions, deletions) = (sum("/additions"), sum("/deletions"));
        facts.push(format!("{} files, +{additions} −{deletions}", files.len()));
    }
    let cost = view.pointer("/costUsd").and_then(Value::as_f64).unwrap_or_default();
    if cost > 0.0 {
        facts.push(format!("${cost:.2}"));
    }
    let queued = number(view, "/queued");
    if queued > 0 {
        facts.push(format!("{queued} waiting"));
    }
    facts.join(" · ")
}

/// What a turn came to, as a reply of its own, because Slack notifies of replies and not of changes.
#[must_use]
pub fn render_result(view: &Value) -> Value {
    let summary = text(view, "/turn/summary");
    let (head, notice) = match text(view, "/turn/state") {
        "failed" => {
            let reason = escape_within(text(view, "/turn/reason"), SUMMARY_CHARS_MAX);
            (format!(":x: It did not work: {reason}"), "It did not work".to_owned())
        }
        "stopped" => (":octagonal_sign: Stopped.".to_owned(), "Stopped".to_owned()),
        _ if summary.is_empty() => (":white_check_mark: Done.".to_owned(), "Done".to_owned()),
        _ => (escape_within(summary, SUMMARY_CHARS_MAX), summary.to_owned()),
    };
    let mut blocks = vec![section(&head)];
    if let Some(pull) = render_pull(view) {
        blocks.push(section(&pull));
    }
    if let Some(files) = render_files(list(view, "/files")) {
        blocks.push(section(&files));
    }
    if let Some(checks) = render_checks(list(view, "/checks")) {
        blocks.push(context(&checks));
    }
    message(&notice, blocks)
}

fn render_files(files: &[Value]) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = files
        .iter()
        .take(FILES_MAX)
        .map(|file| {
            let (additions, deletions) = (number(file, "/additions"), number(file, "/deletions"));
            format!("{} +{additions} −{deletions}", code(text(file, "/path"), LINE_CHARS_MAX))
        })
        .collect();
    if files.len() > FILES_MAX {
        lines.push(format!("and {} more", files.len() - FILES_MAX));
    }
    Some(escape_free(&lines.join("\n")))
}

fn render_checks(checks: &[Value]) -> Option<String> {
    if checks.is_empty() {
        return None;
    }
    let line = |check: &Value| {
        let icon =
            if check.pointer("/passed") == Some(&Value::Bool(true)) { ":white_check_mark:" } else { ":x:" };
        format!("{icon} {}", code(text(check, "/name"), LINE_CHARS_MAX))
    };
    Some(escape_free(&checks.iter().take(CHECKS_MAX).map(line).collect::<Vec<_>>().join("\n")))
}

/// Lines that are escaped already; whole ones only, as many as fit.
fn escape_free(lines: &str) -> String {
    let mut kept = String::new();
    for line in lines.lines() {
        if kept.chars().count() + line.chars().count() + 1 > SECTION_CHARS_MAX {
            break;
        }
        if !kept.is_empty() {
            kept.push('\n');
        }
        kept.push_str(line);
    }
    kept
}

/// A question of the agent.
#[must_use]
pub fn render_question(question: &str) -> Value {
    let shown = escape_within(question, SUMMARY_CHARS_MAX);
    let blocks = vec![section(&format!(":speech_balloon: {shown}")), context("Answer in this thread.")];
    message(question, blocks)
}

/// Which repository is meant? `ts` is of the message that is to be worked on.
#[must_use]
pub fn render_picker(reason: &str, repositories: &[String], ts: &str) -> Value {
    let mut blocks = vec![section(&escape_within(reason, SECTION_CHARS_MAX))];
    if !repositories.is_empty() {
        blocks.push(actions(&format!("for-{ts}"), vec![menu("Choose repository", repositories)]));
    }
    message(reason, blocks)
}

/// An invitation to say who one is here.
#[must_use]
pub fn render_link(url: &str) -> Value {
    let words = "I do not know yet who you are at Farhand. Link your account, and I begin with what you asked. \
        The link is yours alone and counts once, for ten minutes.";
    let blocks = vec![section(words), actions("link", vec![link_button("link", "Link my account", url)])];
    message(words, blocks)
}

/// Something that somebody has to know.
#[must_use]
pub fn render_notice(words: &str) -> Value {
    message(words, vec![section(&escape_within(words, SECTION_CHARS_MAX))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every text of a message, with the most characters that it may have.
    fn check(message: &Value) {
        let blocks = message["blocks"].as_array().unwrap();
        assert!(!blocks.is_empty() && blocks.len() <= 50);
        assert!(message["text"].as_str().unwrap().chars().count() <= TEXT_CHARS_MAX);
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "section" => {
                    let text = block["text"]["text"].as_str().unwrap();
                    assert!((1..=3000).contains(&text.chars().count()), "{text}");
                    assert_harmless(text);
                }
                "context" => {
                    for element in block["elements"].as_array().unwrap() {
                        assert_harmless(element["text"].as_str().unwrap());
                    }
                }
                "actions" => {
                    for element in block["elements"].as_array().unwrap() {
                        let label = element.get("text").or(element.get("placeholder")).unwrap();
                        assert!(label["text"].as_str().unwrap().chars().count() <= 75);
                    }
                }
                other => panic!("a block of the kind {other}"),
            }
        }
    }

    /// Links to web addresses are all that may stand between angle brackets.
    fn assert_harmless(text: &str) {
        for piece in text.split('<').skip(1) {
            assert!(piece.starts_with("http://") || piece.starts_with("https://"), "{text}");
        }
    }

    fn view(words: &str, count: usize) -> Value {
        let many = |make: &dyn Fn(usize) -> Value| Value::Array((0..count).map(make).collect());
        json!({
            "title": words, "repository": words, "queued": 2, "costUsd": 0.126,
            "turn": {"id": "trn_1", "state": "completed", "summary": words, "reason": words},
            "plan": many(&|i| json!({"text": words, "state": if i == 0 { "done" } else { "pending" }})),
            "files": many(&|_| json!({"path": words, "additions": 3, "deletions": 1})),
            "checks": many(&|i| json!({"name": words, "passed": i == 0})),
            "pull": {"number": 7, "url": "https://code.example/7", "title": words, "state": "open"},
        })
    }

    #[test]
    fn a_finished_turn_is_told_with_files_checks_and_pull_request() {
        let result = render_result(&view("Fixed it", 1)).to_string();
        for part in [
            "Fixed it",
            "`Fixed it` +3 −1",
            "<https://code.example/7|#7 Fixed it> (open)",
            ":white_check_mark: `Fixed it`",
        ] {
            assert!(result.contains(part), "{part}: {result}");
        }
    }

    #[test]
    fn the_card_has_the_buttons_of_its_state() {
        let labels = |state: &str| {
            let mut view = view("x", 1);
            view["turn"]["state"] = json!(state);
            let card = render_card(&view, "https://farhand.example/sessions/s");
            check(&card);
            let elements = card["blocks"].as_array().unwrap().last().unwrap()["elements"].clone();
            let labels = elements
                .as_array()
                .unwrap()
                .iter()
                .map(|element| element["text"]["text"].as_str().unwrap().to_owned());
            labels.collect::<Vec<_>>()
        };
        assert_eq!(labels("running"), ["Stop", "Open pull request", "Open session"]);
        assert_eq!(labels("failed"), ["Retry", "Open pull request", "Open session"]);
        assert_eq!(labels("completed"), ["Open pull request", "Open session"]);
    }

    #[test]
    fn a_plan_shows_what_is_next() {
        let plan: Vec<Value> = (0..20)
            .map(|i| json!({"text": format!("step {i}"), "state": if i < 10 { "done" } else { "pending" }}))
            .collect();
        let shown = render_plan(&plan).unwrap();
        assert!(
            shown.starts_with("*Plan* 10/20\n") && shown.contains("step 8") && shown.contains("step 15"),
            "{shown}"
        );
        assert!(!shown.contains("step 7\n") && !shown.contains("step 16"), "{shown}");
    }

    proptest! {
        #[test]
        fn a39_every_message_keeps_the_limits_and_cannot_ping(words in "[<>&!@#|`a é😀\n]{0,40}", times in 1usize..200, count in 0usize..60) {
            let words = format!("x{}<!channel>", words.repeat(times));
            let view = view(&words, count);
            for message in [
                render_card(&view, "https://farhand.example/s"),
                render_result(&view),
                render_question(&words),
                render_notice(&words),
                render_start(&words, "https://farhand.example/s"),
                render_picker(&words, &[words.clone(), "acme/shop".to_owned()], "1.0"),
                render_link("https://farhand.example/connect"),
            ] {
                check(&message);
            }
        }
    }
}
