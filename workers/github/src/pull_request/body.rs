//! A pull request's title and text, written out of what the session knows.
//!
//! The text is for people at the code host. What the agent and the participants wrote is foreign text there: it can notify nobody,
//! close nothing, hide nothing and load nothing. Our part stands between two marks; what people wrote around it is never touched.

use crate::text::{close_code_block, cut, neutralise, one_line};

/// Longest title, as GitHub shows it in one line.
pub(super) const TITLE_BYTES_MAX: usize = 100;
/// The agent's summary in a body.
const SUMMARY_BYTES_MAX: usize = 16 * 1024;
/// One prompt in a body.
const PROMPT_BYTES_MAX: usize = 2 * 1024;
/// Prompts in a body; the oldest and the newest are the ones that explain the change.
const PROMPTS_MAX: usize = 10;
/// Commands in a body that checked the change.
const CHECKS_MAX: usize = 10;
/// One of them.
const COMMAND_BYTES_MAX: usize = 200;
/// Flagged files that are listed.
const FLAGGED_MAX: usize = 20;
/// One name of a file.
const PATH_BYTES_MAX: usize = 300;
/// People in the trailers.
const AUTHORS_MAX: usize = 20;
/// Our part. GitHub refuses bodies of more than 65,536 characters; the rest is for what people write.
pub(super) const PART_BYTES_MAX: usize = 40 * 1024;
/// What people wrote may be as long as leaves room for our part.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Our part begins here …
const BEGIN: &str = "<!-- farhand:begin -->";
/// … and ends here; trailers follow, because git reads them at the end only.
const END: &str = "<!-- farhand:end -->";
const TRAILER: &str = "Co-authored-by:";

/// What a body is written from.
#[derive(Clone, Debug, Default)]
pub struct Body<'a> {
    /// The agent's last text, Markdown; may be empty.
    pub summary: &'a str,
    /// All prompts, in order.
    pub prompts: &'a [BodyPrompt<'a>],
    /// Commands that checked the change, in order.
    pub checks: &'a [BodyCheck<'a>],
    /// Files that may run with secrets later, or decide who reviews.
    pub flagged: &'a [String],
    /// Of the branch against the default branch.
    pub files_changed: u32,
    /// Added lines.
    pub additions: u32,
    /// Removed lines.
    pub deletions: u32,
    /// To open the session in a browser, where the deployment knows its own address.
    pub session_url: Option<&'a str>,
    /// Whose prompt it is, where somebody else's token opens it.
    pub on_behalf_of: Option<&'a str>,
    /// Name and address of everybody whose prompts went into it, but the one whose commits they are first.
    pub co_authors: &'a [(&'a str, &'a str)],
}

/// A prompt as the body shows it.
#[derive(Clone, Copy, Debug)]
pub struct BodyPrompt<'a> {
    /// Name of its author.
    pub author: &'a str,
    /// As written.
    pub text: &'a str,
}

/// A command of the agent that checked the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyCheck<'a> {
    /// As it was run.
    pub command: &'a str,
    /// Whether it succeeded, the last time.
    pub passed: bool,
}

/// One line out of what somebody wrote: a prompt, or the subject of a commit. Also good as a session's title.
#[must_use]
pub fn render_title(text: &str) -> String {
    let line = neutralise(&one_line(text.trim_start().lines().next().unwrap_or_default()));
    if line.is_empty() {
        return "Changes by Farhand".to_owned();
    }
    let cut = cut(&line, TITLE_BYTES_MAX);
    match cut.strip_suffix('…').and_then(|kept| kept.rsplit_once(' ')) {
        // A word is given up whole, unless that would cost half of the title.
        Some((words, _)) if words.len() > TITLE_BYTES_MAX / 2 => {
            format!("{}…", words.trim_end_matches([',', ';', ':', ' ']))
        }
        Some(_) | None => cut.into_owned(),
    }
}

/// Our part of the text, with its marks and the trailers behind it.
#[must_use]
pub fn render_part(body: &Body<'_>) -> String {
    let mut summary = cut(&neutralise(body.summary.trim()), SUMMARY_BYTES_MAX).into_owned();
    close_code_block(&mut summary);
    let files = counted(body.files_changed, "file");
    let end = format!("{files} changed, +{} −{}\n\n{}", body.additions, body.deletions, made_with(body));
    let others = [render_flagged(body.flagged), render_checks(body.checks), end].join("\n\n");
    let prompts = render_prompts(body.prompts);
    let prompts = cut(&prompts, PART_BYTES_MAX.saturating_sub(summary.len() + others.len() + 400));
    let sections = [summary.as_str(), &prompts, others.trim()];
    let text: Vec<&str> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    let mut part = format!("{BEGIN}\n{}\n{END}", text.join("\n\n").replace("\n\n\n\n", "\n\n"));
    let trailers = render_trailers(body.co_authors);
    if !trailers.is_empty() {
        part.push_str("\n\n");
        part.push_str(&trailers);
    }
    part
}

fn made_with(body: &Body<'_>) -> String {
    let mut text = match body.session_url {
        Some(url) => {
            format!("Made with Farhand in [this session]({}).", url.replace([' ', '(', ')', '<', '>'], ""))
        }
        None => "Made with Farhand.".to_owned(),
    };
    if let Some(author) = body.on_behalf_of {
        text.push_str(&format!(" Opened for **{}**, whose prompt it is.", name(author)));
    }
    text
}

fn render_flagged(paths: &[String]) -> String {
    if paths.is_empty() {
        return String::new();
    }
    let mut text =
        "> [!WARNING]\n> These files may run with secrets later, or decide who reviews. Look at them first:"
            .to_owned();
    for path in paths.iter().take(FLAGGED_MAX) {
        text.push_str(&format!("\n> - {}", code(path, PATH_BYTES_MAX)));
    }
    if let Some(more) = paths.len().checked_sub(FLAGGED_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("\n> - and {} more", u32::try_from(more).unwrap_or(u32::MAX)));
    }
    text
}

fn render_checks(checks: &[BodyCheck<'_>]) -> String {
    let omitted = checks.len().saturating_sub(CHECKS_MAX);
    let lines = checks.iter().skip(omitted).map(|check| {
        let outcome = if check.passed { "passed" } else { "**failed**" };
        format!("- {} {outcome}", code(check.command, COMMAND_BYTES_MAX))
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { String::new() } else { format!("Checked with:\n{}", lines.join("\n")) }
}

fn render_trailers(co_authors: &[(&str, &str)]) -> String {
    // Only what names and addresses are made of: neither a mention nor the beginning of a comment.
    let line = |(name, email): &(&str, &str)| {
        let name: String = one_line(name).chars().filter(|c| !matches!(c, '<' | '>' | '@')).collect();
        let is_address = |c: &char| c.is_alphanumeric() || ".+_%@-'".contains(*c);
        let (mailbox, domain) = email.split_once('@')?;
        let is_whole = email.chars().all(|c| is_address(&c)) && !mailbox.is_empty() && !domain.contains('@');
        is_whole.then(|| format!("{TRAILER} {} <{}>", cut(name.trim(), TITLE_BYTES_MAX), cut(email, 254)))
    };
    co_authors.iter().filter_map(line).take(AUTHORS_MAX).collect::<Vec<_>>().join("\n")
}

fn render_prompts(prompts: &[BodyPrompt<'_>]) -> String {
    let omitted = prompts.len().saturating_sub(PROMPTS_MAX);
    let mut text = String::new();
    for (index, prompt) in prompts.iter().enumerate() {
        // The first prompt and the newest ones stay.
        if omitted > 0 && (1..=omitted).contains(&index) {
            if index == 1 {
                text.push_str(&format!(
                    "\n\n… {} left out …",
                    counted(u32::try_from(omitted).unwrap_or(u32::MAX), "prompt")
                ));
            }
            continue;
        }
        text.push_str(&format!("\n\n**{}** asked:\n", name(prompt.author)));
        for line in cut(&neutralise(prompt.text.trim()), PROMPT_BYTES_MAX).lines() {
            text.push_str(&format!("\n> {line}"));
        }
    }
    text.trim_start().to_owned()
}

/// A person's name between other Markdown.
fn name(text: &str) -> String {
    cut(&neutralise(&one_line(text)), TITLE_BYTES_MAX).replace(['*', '_', '`', '[', ']'], "")
}

/// Foreign text as code, in which nothing is Markdown.
fn code(text: &str, bytes_max: usize) -> String {
    let text = neutralise(&one_line(text)).replace('`', "'");
    format!("`{}`", cut(&text, bytes_max))
}

fn counted(number: u32, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The whole text of a new pull request: the repository's template, as its authors wrote it, and our part behind it.
#[must_use]
pub fn compose(template: &str, part: &str) -> String {
    let template = cut(template.trim_end(), BODY_BYTES_MAX - PART_BYTES_MAX);
    if template.is_empty() { part.to_owned() } else { format!("{template}\n\n{part}") }
}

/// The text of a pull request that is there, with our part brought up to date; what people wrote around it stays.
#[must_use]
pub fn merge(body: &str, part: &str) -> String {
    // GitHub's own editor sends the line ends of the web.
    let body = body.replace("\r\n", "\n");
    let found = body.find(BEGIN).and_then(|begin| {
        let end = begin + body.get(begin..)?.find(END)? + END.len();
        Some((body.get(..begin)?, body.get(end..)?))
    });
    let Some((before, after)) = found else {
        // A single mark that is left of an earlier part means nothing.
        let kept = body.replace(BEGIN, "").replace(END, "");
        return compose(kept.trim_end(), part);
    };
    // Trailers of the earlier part.
    let mut rest = after;
    loop {
        let line = rest.trim_start_matches('\n');
        if !line.starts_with(TRAILER) {
            break;
        }
        rest = line.find('\n').and_then(|end| line.get(end..)).unwrap_or_default();
    }
    let after = if rest.trim().is_empty() { "" } else { rest };
    let room = BODY_BYTES_MAX.saturating_sub(part.len());
    let before = cut(before, room);
    let after = cut(after, room.saturating_sub(before.len()));
    match after.is_empty() {
        true => format!("{before}{part}"),
        // Trailers count at the end only; behind them people's own words would be none.
        false => format!("{before}{part}\n\n{}", after.trim_start_matches('\n')),
    }
}

#[cfg(test)]
mod tests;
