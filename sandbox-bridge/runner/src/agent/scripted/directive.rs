//! The language of the scripted agent: one directive per line of the prompt, other lines are prose. Pure.

use protocol::timeline::{PlanStep, PlanStepState};
use std::time::Duration;

/// What a line tells the agent to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Say { text: String },
    Stream { count: u32, delay: Duration },
    Think { text: String },
    Write { path: String, content: String },
    Append { path: String, content: String },
    Run { command: String },
    Read { path: String },
    Plan { steps: Vec<PlanStep> },
    Wait { time: Duration },
    Fail { reason: String },
    Exit { code: i32 },
    Hang,
    Output { bytes: usize },
    Digest,
    Means,
    Attachments,
}

/// What an agent says that was told nothing.
pub(super) const HELP: &str = "Nothing to do: this is the scripted agent. It follows lines of the prompt that begin with `say TEXT`, \
    `stream COUNT DELAY_MS`, `think TEXT`, `write PATH CONTENT`, `append PATH CONTENT`, `run COMMAND`, `read PATH`, \
    `plan STEP; STEP`, `wait MS`, `fail REASON`, `exit CODE`, `hang`, `output BYTES`, `digest` (says what it was told of the earlier conversation), `means` (says what it may still spend), `attachments` (says what came along with the prompts). Prompts that \
    steer it are added to the end of its script.";

/// The directives of a prompt, in order.
pub(super) fn parse_prompt(prompt: &str) -> Vec<Directive> {
    prompt.lines().filter_map(|line| parse_line(line.trim_end_matches('\r'))).collect()
}

fn parse_line(line: &str) -> Option<Directive> {
    let line = line.trim_start();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let two = |rest: &str| {
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        (first.to_owned(), second.to_owned())
    };
    let file = |rest: &str| {
        let (path, content) = two(rest);
        (!path.is_empty()).then(|| (path, unescape(&content)))
    };
    let milliseconds = |text: &str| text.trim().parse().ok().map(Duration::from_millis);
    let text = (!rest.is_empty()).then(|| rest.to_owned());
    Some(match word {
        "say" => Directive::Say { text: unescape(&text?) },
        "stream" => {
            let (count, delay) = two(rest);
            Directive::Stream { count: count.parse().ok()?, delay: milliseconds(&delay)? }
        }
        "think" => Directive::Think { text: unescape(&text?) },
        "write" => file(rest).map(|(path, content)| Directive::Write { path, content })?,
        "append" => file(rest).map(|(path, content)| Directive::Append { path, content })?,
        "run" => Directive::Run { command: text? },
        "read" => Directive::Read { path: text? },
        "plan" => Directive::Plan { steps: parse_plan(rest) },
        "wait" => Directive::Wait { time: milliseconds(rest)? },
        "fail" => Directive::Fail { reason: text? },
        "exit" => Directive::Exit { code: rest.trim().parse().ok()? },
        "hang" if rest.is_empty() => Directive::Hang,
        "digest" if rest.is_empty() => Directive::Digest,
        "means" if rest.is_empty() => Directive::Means,
        "attachments" if rest.is_empty() => Directive::Attachments,
        "output" => Directive::Output { bytes: rest.trim().parse().ok()? },
        _ => return None,
    })
}

/// `A; B; C`: the first step runs, the others wait.
fn parse_plan(text: &str) -> Vec<PlanStep> {
    let steps = text.split(';').map(str::trim).filter(|step| !step.is_empty());
    steps
        .enumerate()
        .map(|(index, text)| PlanStep {
            text: text.to_owned(),
            state: if index == 0 { PlanStepState::Running } else { PlanStepState::Pending },
        })
        .collect()
}

/// `\n`, `\t` and `\\`; everything else stays.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some('\\') => result.push('\\'),
            Some(other) => result.extend(['\\', other]),
            None => result.push('\\'),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_between_prose() {
        let prompt = "Fix the greeting\n  say Hi there\nstream 3 10\nwrite src/a.txt one\\ntwo\\\\n\nrun echo hi; exit 3\n\
            plan A; B ;\nwait 5\nexit 9\nhang\noutput 100\ndigest\nsaying nothing";
        let expected = [
            Directive::Say { text: "Hi there".into() },
            Directive::Stream { count: 3, delay: Duration::from_millis(10) },
            Directive::Write { path: "src/a.txt".into(), content: "one\ntwo\\n".into() },
            Directive::Run { command: "echo hi; exit 3".into() },
            Directive::Plan {
                steps: vec![
                    PlanStep { text: "A".into(), state: PlanStepState::Running },
                    PlanStep { text: "B".into(), state: PlanStepState::Pending },
                ],
            },
            Directive::Wait { time: Duration::from_millis(5) },
            Directive::Exit { code: 9 },
            Directive::Hang,
            Directive::Output { bytes: 100 },
            Directive::Digest,
        ];
        assert_eq!(parse_prompt(prompt), expected);
    }

    #[test]
    fn half_a_directive_is_prose() {
        assert_eq!(parse_prompt("say\nstream x 1\nwait soon\nwrite\nhang on\ndigest it\nrunning"), []);
    }
}
