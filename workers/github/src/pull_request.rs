//! Pull requests: open one, find the one already open, and write title and body out of what the session knows.
//!
//! The text is for people at the code host. What the agent and the participants wrote is foreign text there: it can notify nobody,
//! close nothing, hide nothing and load nothing.

use crate::error::{Error, parse};
use crate::request::{Method, Request, percent_encode, repository_path};
use crate::text::{close_code_block, cut, neutralise, one_line};
use protocol::id::RepositoryId;
use serde::{Deserialize, Serialize};

/// Longest title, as GitHub shows it in one line.
const TITLE_BYTES_MAX: usize = 100;
/// The agent's summary in a body.
const SUMMARY_BYTES_MAX: usize = 16 * 1024;
/// One prompt in a body.
const PROMPT_BYTES_MAX: usize = 2 * 1024;
/// Prompts in a body; the oldest and the newest are the ones that explain the change.
const PROMPTS_MAX: usize = 10;
/// GitHub refuses bodies of more than 65,536 characters.
const BODY_BYTES_MAX: usize = 60 * 1024;

/// A pull request to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewPullRequest {
    /// One line, see [`render_title`].
    pub title: String,
    /// Markdown, see [`render_body`].
    pub body: String,
    /// The session's branch.
    pub head: String,
    /// The repository's default branch.
    pub base: String,
}

/// A pull request at the code host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// At the code host.
    pub number: u64,
    /// To open it in a browser.
    pub url: String,
    /// As it is there.
    pub title: String,
    /// Into which branch.
    pub base: String,
}

/// What came of asking for a new pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was opened.
    New(PullRequest),
    /// The branch has one already: [`find_request`] tells which. So it is after an answer that was lost.
    AlreadyOpen,
}

#[derive(Deserialize)]
struct Wire {
    number: u64,
    html_url: String,
    title: String,
    base: WireBranch,
}

#[derive(Deserialize)]
struct WireBranch {
    #[serde(rename = "ref")]
    name: String,
}

impl Wire {
    fn read(self) -> PullRequest {
        PullRequest { number: self.number, url: self.html_url, title: self.title, base: self.base.name }
    }
}

/// Asks to open a pull request. Answer: [`parse_created`].
#[must_use]
pub fn create_request(repository: &RepositoryId, new: &NewPullRequest) -> Request {
    let body =
        serde_json::json!({ "title": new.title, "body": new.body, "head": new.head, "base": new.base });
    Request {
        method: Method::Post,
        path: format!("{}/pulls", repository_path(repository)),
        body: Some(body.to_string()),
    }
}

/// Reads the answer to [`create_request`].
pub fn parse_created(status: u16, body: &[u8]) -> Result<Created, Error> {
    match parse::<Wire>(status, body) {
        Ok(wire) => Ok(Created::New(wire.read())),
        Err(Error::Rejected { status: 422, message }) if message.contains("pull request already exists") => {
            Ok(Created::AlreadyOpen)
        }
        Err(error) => Err(error),
    }
}

/// Asks for the open pull request of a branch of this repository. Answer: [`parse_found`].
#[must_use]
pub fn find_request(repository: &RepositoryId, head: &str) -> Request {
    let head = percent_encode(&format!("{}:{head}", repository.owner()));
    Request::get(format!("{}/pulls?state=open&per_page=1&head={head}", repository_path(repository)))
}

/// Reads the answer to [`find_request`]; `None` when the branch has no open pull request.
pub fn parse_found(status: u16, body: &[u8]) -> Result<Option<PullRequest>, Error> {
    let wires: Vec<Wire> = parse(status, body)?;
    Ok(wires.into_iter().next().map(Wire::read))
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

/// What a body is written from.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    /// The agent's last text, Markdown; may be empty.
    pub summary: &'a str,
    /// All prompts, in order.
    pub prompts: &'a [BodyPrompt<'a>],
    /// Of the branch against the default branch.
    pub files_changed: u32,
    /// Added lines.
    pub additions: u32,
    /// Removed lines.
    pub deletions: u32,
    /// To open the session in a browser, where the deployment knows its own address.
    pub session_url: Option<&'a str>,
}

/// A prompt as the body shows it.
#[derive(Clone, Copy, Debug)]
pub struct BodyPrompt<'a> {
    /// Name of its author.
    pub author: &'a str,
    /// As written.
    pub text: &'a str,
}

/// The pull request's text, Markdown.
#[must_use]
pub fn render_body(body: &Body<'_>) -> String {
    let mut summary = cut(&neutralise(body.summary.trim()), SUMMARY_BYTES_MAX).into_owned();
    close_code_block(&mut summary);
    let made_with = match body.session_url {
        Some(url) => {
            format!("Made with Farhand in [this session]({}).", url.replace([' ', '(', ')', '<', '>'], ""))
        }
        None => "Made with Farhand.".to_owned(),
    };
    let files = counted(body.files_changed, "file");
    let end = format!("{files} changed, +{} −{}\n\n{made_with}", body.additions, body.deletions);
    let prompts = render_prompts(body.prompts);
    let prompts = cut(&prompts, BODY_BYTES_MAX.saturating_sub(summary.len() + end.len() + 4));
    [summary.as_str(), &prompts, &end]
        .into_iter()
        .filter(|section| !section.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
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
        let author = cut(&neutralise(&one_line(prompt.author)), TITLE_BYTES_MAX)
            .replace(['*', '_', '`', '[', ']'], "");
        text.push_str(&format!("\n\n**{author}** asked:\n"));
        for line in cut(&neutralise(prompt.text.trim()), PROMPT_BYTES_MAX).lines() {
            text.push_str(&format!("\n> {line}"));
        }
    }
    text.trim_start().to_owned()
}

fn counted(number: u32, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
