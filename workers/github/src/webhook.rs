//! What GitHub tells by webhooks ("Webhook events and payloads" of its documentation), as far as sessions follow their pull requests.
//!
//! Reads only; whether GitHub has signed the bytes is checked before, over the very bytes.

pub mod access;

use crate::pull_request::progress::{read_comment, read_review, read_run, read_status, report_of};
use crate::pull_request::read;
use crate::value::{list, number, owned, text};
use protocol::id::RepositoryId;
use protocol::pull::PullReport;
use serde_json::Value;

/// Header with what happened.
pub const EVENT_HEADER: &str = "x-github-event";
/// Header with the delivery's own id; the same when GitHub delivers it again.
pub const DELIVERY_HEADER: &str = "x-github-delivery";
/// Header with the HMAC-SHA256 of the body; the one with SHA-1 counts for nothing.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// The bytes of a signature header; `None` for what is none.
#[must_use]
pub fn parse_signature(header: &str) -> Option<Vec<u8>> {
    let digits = header.strip_prefix("sha256=").filter(|digits| digits.len() == 64)?;
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| {
            let text = std::str::from_utf8(pair).ok()?;
            let is_lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            u8::from_str_radix(text, 16).ok().filter(|_| is_lower)
        })
        .collect()
}

/// Which pull requests something is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Those with these numbers.
    Numbers(Vec<u64>),
    /// Those of these branches: GitHub does not say which.
    Branches(Vec<String>),
}

/// Something that happened at the code host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where.
    pub repository: RepositoryId,
    /// To what.
    pub target: Target,
    /// How it is; the number is that of each pull request it is about.
    pub report: PullReport,
}

/// Reads a payload. `None` for what no session follows; the error says what it lacks.
pub fn parse_event(kind: &str, body: &[u8]) -> Result<Option<Event>, String> {
    let mut report = report_of(0);
    let value: Value = match kind {
        "pull_request"
        | "pull_request_review"
        | "pull_request_review_comment"
        | "issue_comment"
        | "check_run"
        | "status" => protocol::read_json(body).map_err(|error| error.to_string())?,
        _ => return Ok(None),
    };
    let repository =
        RepositoryId::parse(text(&value, "repository.full_name")).map_err(|error| error.to_string())?;
    let is_deleted = text(&value, "action") == "deleted";
    let numbered = |path: &str| Target::Numbers(number(&value, path).into_iter().collect());
    let target = match kind {
        "pull_request" => {
            let pull = value.get("pull_request").and_then(read).ok_or("it has no pull request in it")?;
            report.seen = Some(pull.seen);
            Target::Numbers(vec![pull.number])
        }
        "pull_request_review" => {
            report.reviews.extend(value.get("review").and_then(read_review));
            numbered("pull_request.number")
        }
        // What was deleted is not taken back from those who have read it.
        "pull_request_review_comment" if !is_deleted => {
            report.reviews.extend(value.get("comment").map(|comment| read_comment(comment, "line")));
            numbered("pull_request.number")
        }
        "issue_comment" if !is_deleted && value.pointer("/issue/pull_request").is_some() => {
            report.reviews.extend(value.get("comment").map(|comment| read_comment(comment, "comment")));
            numbered("issue.number")
        }
        "check_run" => {
            report.checks.extend(value.get("check_run").map(read_run));
            let pulls = list(&value, "check_run.pull_requests").iter();
            let numbers: Vec<u64> = pulls.filter_map(|pull| number(pull, "number")).collect();
            let branch = owned(&value, "check_run.check_suite.head_branch");
            if numbers.is_empty() { Target::Branches(vec![branch]) } else { Target::Numbers(numbers) }
        }
        "status" => {
            report.checks.push(read_status(&value, text(&value, "sha")));
            Target::Branches(list(&value, "branches").iter().map(|branch| owned(branch, "name")).collect())
        }
        _ => return Ok(None),
    };
    let is_empty = report.seen.is_none() && report.checks.is_empty() && report.reviews.is_empty();
    Ok((!is_empty).then_some(Event { repository, target, report }))
}

#[cfg(test)]
mod tests;
