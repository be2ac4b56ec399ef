//! How a pull request stands, as webhooks tell it and as it is seen by looking: state, checks, reviews.

use super::{get_request, parse_pull_request};
use crate::error::{Error, parse};
use crate::request::{Request, percent_encode, repository_path};
use crate::text::cut;
use crate::value::{list, moment, number, owned, text};
use protocol::id::RepositoryId;
use protocol::pull::{Check, CheckState, PullReport, Review, Verdict};
use serde_json::Value;

/// Longest text that is passed on; the session cuts it further.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// A check run, as GitHub Apps make them.
pub(crate) fn read_run(run: &Value) -> Check {
    let state = match (text(run, "status"), text(run, "conclusion")) {
        ("completed", "success") => CheckState::Passed,
        ("completed", "neutral" | "skipped" | "cancelled" | "stale") => CheckState::Skipped,
        ("completed", _) => CheckState::Failed,
        _ => CheckState::Pending,
    };
    let updated_at = moment(run, "completed_at").max(moment(run, "started_at"));
    Check {
        name: owned(run, "name"),
        state,
        url: owned(run, "html_url"),
        commit: owned(run, "head_sha"),
        updated_at,
    }
}

/// A commit status, the older kind of check.
pub(crate) fn read_status(status: &Value, commit: &str) -> Check {
    let state = match text(status, "state") {
        "success" => CheckState::Passed,
        "pending" => CheckState::Pending,
        _ => CheckState::Failed,
    };
    Check {
        name: owned(status, "context"),
        state,
        url: owned(status, "target_url"),
        commit: commit.to_owned(),
        updated_at: moment(status, "updated_at"),
    }
}

/// A review as such; none for the empty shell around comments, which come by themselves, and for one that is not sent yet.
pub(crate) fn read_review(review: &Value) -> Option<Review> {
    let verdict = match text(review, "state").to_ascii_lowercase().as_str() {
        "approved" => Verdict::Approved,
        "changes_requested" => Verdict::ChangesRequested,
        "dismissed" => Verdict::Dismissed,
        "commented" => Verdict::Comment,
        _ => return None,
    };
    if verdict == Verdict::Comment && text(review, "body").trim().is_empty() {
        return None;
    }
    // What is dismissed has the time of its submission still; it is a later word all the same.
    let updated_at = moment(review, "submitted_at").plus_ms(u64::from(verdict == Verdict::Dismissed));
    Some(Review { verdict, updated_at, ..said(review, "review") })
}

/// A comment on a line, or on the pull request as a whole.
pub(crate) fn read_comment(comment: &Value, kind: &str) -> Review {
    let path = Some(owned(comment, "path")).filter(|path| !path.is_empty());
    let line = number(comment, "line").and_then(|line| u32::try_from(line).ok());
    Review { path, line, updated_at: moment(comment, "updated_at"), ..said(comment, kind) }
}

fn said(value: &Value, kind: &str) -> Review {
    Review {
        id: format!("{kind}-{}", number(value, "id").unwrap_or_default()),
        author: owned(value, "user.login"),
        verdict: Verdict::Comment,
        text: cut(text(value, "body"), TEXT_BYTES_MAX).into_owned(),
        path: None,
        line: None,
        url: owned(value, "html_url"),
        updated_at: protocol::time::Timestamp(0),
    }
}

/// A report with nothing in it yet.
#[must_use]
pub fn report_of(number: u64) -> PullReport {
    PullReport { number, seen: None, checks: Vec::new(), reviews: Vec::new() }
}

/// Looking at a pull request: four questions, the answers to which are one report. What the token may not read is left out.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    repository: &'a RepositoryId,
    report: PullReport,
    asked: usize,
}

impl<'a> Look<'a> {
    /// At this pull request.
    #[must_use]
    pub fn new(repository: &'a RepositoryId, number: u64) -> Self {
        Self { repository, report: report_of(number), asked: 0 }
    }

    /// What to ask next; none when everything is known.
    #[must_use]
    pub fn request(&self) -> Option<Request> {
        let path = repository_path(self.repository);
        let head = self.report.seen.as_ref().map(|seen| percent_encode(&seen.head)).unwrap_or_default();
        match self.asked {
            0 => Some(get_request(self.repository, self.report.number)),
            1 => Some(Request::get(format!("{path}/commits/{head}/check-runs?per_page=100"))),
            2 => Some(Request::get(format!("{path}/commits/{head}/status?per_page=100"))),
            3 => Some(Request::get(format!("{path}/pulls/{}/reviews?per_page=100", self.report.number))),
            _ => None,
        }
    }

    /// Takes the answer to [`Self::request`].
    pub fn take(&mut self, status: u16, answer: &[u8]) -> Result<(), Error> {
        let asked = self.asked;
        self.asked += 1;
        match asked {
            0 => self.report.seen = Some(parse_pull_request(status, answer)?.seen),
            1 => {
                let runs = unless_refused(parse::<Value>(status, answer))?;
                self.report.checks.extend(list(&runs, "check_runs").iter().map(read_run));
            }
            2 => {
                let all = unless_refused(parse::<Value>(status, answer))?;
                let statuses = list(&all, "statuses").iter();
                self.report.checks.extend(statuses.map(|status| read_status(status, text(&all, "sha"))));
            }
            _ => {
                let reviews = unless_refused(parse::<Value>(status, answer))?;
                self.report.reviews.extend(list(&reviews, "").iter().filter_map(read_review));
            }
        }
        Ok(())
    }

    /// What was seen.
    #[must_use]
    pub fn into_report(self) -> PullReport {
        self.report
    }
}

/// What the token may not read is as if it were not there.
fn unless_refused(answer: Result<Value, Error>) -> Result<Value, Error> {
    match answer {
        Err(Error::Rejected { .. }) => Ok(Value::Null),
        other => other,
    }
}
