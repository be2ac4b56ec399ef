//! Pull requests: open one, find the one already open, change its text, see how it stands.

pub mod body;
pub mod flag;
pub mod flow;
pub(crate) mod progress;

pub use progress::{Look, report_of};

use crate::error::{Error, parse};
use crate::request::{Method, Request, percent_encode, repository_path};
use crate::value::{moment, number, owned, text};
use protocol::id::RepositoryId;
use protocol::pull::{PullSeen, PullState};
use serde_json::Value;

/// A pull request to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    /// One line, see [`body::render_title`].
    pub title: String,
    /// Markdown; see [`body::render_part`] for ours.
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
    /// Markdown, as it is there.
    pub body: String,
    /// Into which branch.
    pub base: String,
    /// How it stands.
    pub seen: PullSeen,
}

/// What came of asking for a new pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was opened.
    New(PullRequest),
    /// The branch has one already: [`find_request`] tells which. So it is after an answer that was lost.
    AlreadyOpen,
}

/// Reads what GitHub calls a pull request; `None` where it is none.
pub(crate) fn read(value: &Value) -> Option<PullRequest> {
    let state = match (text(value, "state"), text(value, "merged_at")) {
        ("open", _) => PullState::Open,
        (_, "") => PullState::Closed,
        (_, _) => PullState::Merged,
    };
    let title = owned(value, "title");
    let (head, updated_at) = (owned(value, "head.sha"), moment(value, "updated_at"));
    Some(PullRequest {
        number: number(value, "number")?,
        url: Some(owned(value, "html_url")).filter(|url| !url.is_empty())?,
        title: title.clone(),
        body: owned(value, "body"),
        base: owned(value, "base.ref"),
        seen: PullSeen { state, title, head, updated_at },
    })
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
    match parse_pull_request(status, body) {
        Ok(pull) => Ok(Created::New(pull)),
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
    let found: Value = parse(status, body)?;
    found.as_array().ok_or_else(|| unreadable("list of pull requests"))?.first().map(known).transpose()
}

/// Asks for one pull request. Answer: [`parse_pull_request`].
#[must_use]
pub fn get_request(repository: &RepositoryId, number: u64) -> Request {
    Request::get(format!("{}/pulls/{number}", repository_path(repository)))
}

/// Asks to give a pull request another text. Answer: [`parse_pull_request`].
#[must_use]
pub fn update_request(repository: &RepositoryId, number: u64, body: &str) -> Request {
    Request {
        method: Method::Patch,
        path: format!("{}/pulls/{number}", repository_path(repository)),
        body: Some(serde_json::json!({ "body": body }).to_string()),
    }
}

/// Reads a pull request.
pub fn parse_pull_request(status: u16, body: &[u8]) -> Result<PullRequest, Error> {
    known(&parse(status, body)?)
}

/// Asks how many pull requests anybody has created in a repository between two moments (RFC 3339), both included. Answer: [`parse_count`].
#[must_use]
pub fn count_request(repository: &RepositoryId, since: &str, until: &str) -> Request {
    let query = percent_encode(&format!("repo:{repository} is:pr created:{since}..{until}"));
    Request::get(format!("/search/issues?per_page=1&q={query}"))
}

/// Reads the answer to [`count_request`]; `None` where the code host gave up before it had counted all of them.
pub fn parse_count(status: u16, body: &[u8]) -> Result<Option<u64>, Error> {
    let found: Value = parse(status, body)?;
    let total = number(&found, "total_count").ok_or_else(|| unreadable("count of pull requests"))?;
    let is_whole = found.get("incomplete_results").and_then(Value::as_bool) == Some(false);
    Ok(is_whole.then_some(total))
}

fn known(value: &Value) -> Result<PullRequest, Error> {
    read(value).ok_or_else(|| unreadable("pull request"))
}

fn unreadable(what: &str) -> Error {
    Error::Unavailable { reason: format!("its answer is not a {what}, as this API version defines it") }
}

#[cfg(test)]
mod tests;
