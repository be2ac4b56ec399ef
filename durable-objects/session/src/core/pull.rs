//! The session's one pull request: ordered when a turn has changed something, brought up to date by later ones, and followed until it is
//! merged or closed.
//!
//! Whose name it is opened in is settled by the first turn that changed something, and outlives a crash and prompts of others. What is
//! reported about it may come twice and in any order: the code host's own times decide.

use super::input::{PullRequestOrder, Timing, Work, WorkOutcome};
use super::limit::{CHECKS_MAX, LINE_BYTES_MAX, LOOK_DOUBLINGS_MAX, PULL_TEXT_BYTES_MAX, REVIEWS_KNOWN_MAX};
use super::outcome::cut;
use super::prompt::refuse;
use super::session::{PullRequestState, Session};
use super::step::Step;
use crate::core::Reply;
use protocol::error::ErrorCode;
use protocol::id::{TurnId, UserId};
use protocol::pull::{Check, CheckState, PullReport, PullRequestProgress, PullSeen, PullState, Review};
use protocol::time::Timestamp;
use protocol::timeline::{Artifact, ArtifactContent, Change, SessionEvent};
use serde::{Deserialize, Serialize};

protocol::objects!(Pull);

/// What the session remembers of its pull request, beside how far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Pull {
    /// In whose name it is opened; none before the first change.
    pub opener: Option<UserId>,
    /// As people see it, once it is open.
    pub artifact: Option<Artifact>,
    /// What was said about it and is known, with its time; the newest last.
    pub reviews: Vec<(String, Timestamp)>,
    /// What is to be done about it once its author has signed in again.
    pub waiting: Option<PullRequestOrder>,
    /// When something was last heard of it.
    pub heard_at: Timestamp,
    /// How often it was looked at since then.
    pub looks: u32,
    /// Rises with each change of the others.
    pub changes: u64,
}

impl Pull {
    fn progress(&self) -> Option<(u64, &PullRequestProgress)> {
        match &self.artifact.as_ref()?.content {
            ArtifactContent::PullRequest { number, progress, .. } => Some((*number, progress)),
            ArtifactContent::Branch { .. }
            | ArtifactContent::Diff { .. }
            | ArtifactContent::File { .. }
            | ArtifactContent::Unknown => None,
        }
    }
}

impl Session {
    /// When the code host is asked about the pull request, because it has said nothing, or was to hear from an author who has to sign in
    /// again: ever more rarely.
    pub(super) fn look_at(&self, timing: Timing) -> Option<Timestamp> {
        let is_open = self.pull_request == PullRequestState::Open
            && self.pull.progress().is_some_and(|(_, progress)| progress.state == PullState::Open);
        let is_followed =
            (is_open || self.pull.waiting.is_some()) && self.info.archived_at.is_none() && !self.deleted;
        let wait = timing.look_ms << self.pull.looks.min(LOOK_DOUBLINGS_MAX);
        is_followed.then(|| self.pull.heard_at.plus_ms(wait))
    }
}

impl Step<'_> {
    /// A turn has changed something. The order replaces one that has not been carried out.
    pub(super) fn order_pull_request(&mut self, turn_id: TurnId, author: UserId, change: Change) {
        let author = match self.session.pull_request {
            PullRequestState::None => {
                self.session.pull_request = PullRequestState::Ordered;
                self.change_pull(|pull| pull.opener = Some(author.clone()));
                author
            }
            // Nobody's later prompt changes in whose name it is opened.
            PullRequestState::Ordered => self.session.pull.opener.clone().unwrap_or(author),
            PullRequestState::Open => author,
        };
        self.enqueue(Work::OpenPullRequest(PullRequestOrder { turn_id, author, change }));
    }

    /// What came of the order.
    pub(super) fn take_pull_request(&mut self, order: &PullRequestOrder, outcome: WorkOutcome) {
        match outcome {
            WorkOutcome::PullRequestOpened { number, url, title, base, progress } => {
                let now = self.now();
                let (state, at) = (progress.state, progress.updated_at);
                let known = self.session.pull.artifact.clone();
                let content = match known.map(|artifact| artifact.content) {
                    // The same one: its opener stays, and what was told of it since.
                    Some(ArtifactContent::PullRequest { number: known, author, progress: kept, .. })
                        if known == number =>
                    {
                        let flagged = progress.flagged;
                        let progress = PullRequestProgress { flagged, ..kept };
                        ArtifactContent::PullRequest { number, url, title, author, base, progress }
                    }
                    Some(_) | None => {
                        let author = order.author.clone();
                        ArtifactContent::PullRequest { number, url, title, author, base, progress }
                    }
                };
                self.session.pull_request = PullRequestState::Open;
                self.change_pull(|pull| (pull.heard_at, pull.looks, pull.waiting) = (now, 0, None));
                self.note_pull(state, at);
                self.show_pull(order.turn_id.clone(), content);
            }
            WorkOutcome::SignInNeeded { reason } => self.await_author(order, &reason),
            WorkOutcome::Failed { reason } | WorkOutcome::Rejected { reason } => {
                let what = self.name_pull_work();
                if self.session.pull_request == PullRequestState::Ordered {
                    self.session.pull_request = PullRequestState::None;
                }
                if self.session.pull.waiting.is_some() {
                    self.change_pull(|pull| pull.waiting = None);
                }
                self.record(SessionEvent::EffectFailed { what: what.to_owned(), reason });
            }
            WorkOutcome::Done
            | WorkOutcome::SandboxCreated { .. }
            | WorkOutcome::SandboxClaimed { .. }
            | WorkOutcome::NoWarmSandbox { .. }
            | WorkOutcome::Delayed { .. } => {}
        }
    }

    fn name_pull_work(&self) -> &'static str {
        match self.session.pull_request {
            PullRequestState::Open => "updating the pull request",
            PullRequestState::None | PullRequestState::Ordered => "opening the pull request",
        }
    }

    /// Nobody else's token is used in its author's place. People are told once.
    fn await_author(&mut self, order: &PullRequestOrder, reason: &str) {
        let now = self.now();
        let is_known = self.session.pull.waiting.as_ref().is_some_and(|known| known.author == order.author);
        self.change_pull(|pull| {
            pull.waiting = Some(order.clone());
            if !is_known {
                (pull.heard_at, pull.looks) = (now, 0);
            }
        });
        if is_known {
            return;
        }
        let person = self.session.participants.get(&order.author);
        let name = person.map_or("its author", |person| person.user.name.as_str());
        let reason = format!("{reason}; it waits until {name} has signed in again");
        let what = self.name_pull_work().to_owned();
        self.record(SessionEvent::EffectFailed { what, reason });
    }

    /// Somebody is here again, and may have signed in again.
    pub(super) fn resume_pull_request(&mut self, author: &UserId) {
        let waiting = self.session.pull.waiting.clone().filter(|order| order.author == *author);
        if let Some(order) = waiting {
            self.enqueue(Work::OpenPullRequest(order));
        }
    }

    /// What the code host tells of the pull request.
    pub(super) fn take_pull_report(&mut self, report: PullReport) -> Reply {
        let Some(artifact) = self.session.pull.artifact.clone() else {
            return refuse(ErrorCode::NotFound, "this session has no pull request");
        };
        let ArtifactContent::PullRequest { number, url, mut title, author, base, mut progress } =
            artifact.content
        else {
            return Reply::Done;
        };
        if number != report.number {
            return refuse(ErrorCode::NotFound, "this session has another pull request");
        }
        let now = self.now();
        self.change_pull(|pull| (pull.heard_at, pull.looks) = (now, 0));
        let before = (title.clone(), progress.clone());
        if let Some(mut seen) = report.seen.filter(|seen| is_newer(seen, &progress)) {
            cut(&mut seen.title, LINE_BYTES_MAX);
            title = seen.title;
            (progress.state, progress.head, progress.updated_at) = (seen.state, seen.head, seen.updated_at);
        }
        for check in report.checks {
            take_check(&mut progress.checks, check);
        }
        let head = progress.head.clone();
        progress.checks.retain(|check| {
            head.is_empty() || check.commit == head || check.updated_at > progress.updated_at
        });
        self.note_pull(progress.state, progress.updated_at);
        if before.1.state != progress.state {
            self.record(SessionEvent::PullRequestChanged { number, state: progress.state });
        }
        if before != (title.clone(), progress.clone()) {
            let content = ArtifactContent::PullRequest { number, url, title, author, base, progress };
            self.show_pull(artifact.turn_id, content);
        }
        for review in report.reviews {
            self.take_review(number, review);
        }
        Reply::Done
    }

    fn take_review(&mut self, number: u64, mut review: Review) {
        let known = self.session.pull.reviews.iter().position(|(id, _)| *id == review.id);
        let is_old = |&place: &usize| {
            self.session.pull.reviews.get(place).is_some_and(|(_, at)| *at >= review.updated_at)
        };
        if known.as_ref().is_some_and(is_old) {
            return;
        }
        cut(&mut review.text, PULL_TEXT_BYTES_MAX);
        cut(&mut review.author, LINE_BYTES_MAX);
        if let Some(path) = &mut review.path {
            cut(path, LINE_BYTES_MAX);
        }
        let entry = (review.id.clone(), review.updated_at);
        self.change_pull(|pull| {
            if let Some(place) = known {
                pull.reviews.remove(place);
            }
            pull.reviews.push(entry);
            let surplus = pull.reviews.len().saturating_sub(REVIEWS_KNOWN_MAX);
            pull.reviews.drain(..surplus);
        });
        self.record(SessionEvent::ReviewAdded { number, review });
    }

    /// Nothing was heard for a while.
    pub(super) fn order_look(&mut self) {
        let now = self.now();
        self.change_pull(|pull| {
            pull.heard_at = now;
            pull.looks = (pull.looks + 1).min(LOOK_DOUBLINGS_MAX);
        });
        if let Some(order) = self.session.pull.waiting.clone() {
            return self.enqueue(Work::OpenPullRequest(order));
        }
        let Some((number, _)) = self.session.pull.progress() else { return };
        self.enqueue(Work::LookAtPullRequest { number });
    }

    fn show_pull(&mut self, turn_id: TurnId, content: ArtifactContent) {
        let known = self.session.pull.artifact.as_ref();
        if known.is_some_and(|known| known.content == content) {
            return;
        }
        if let Some(artifact) = self.record_artifact("pull_request", &turn_id, content) {
            self.change_pull(|pull| pull.artifact = Some(artifact));
        }
    }

    fn change_pull(&mut self, change: impl FnOnce(&mut super::Pull)) {
        let pull = &mut self.session.pull;
        change(pull);
        pull.changes += 1;
    }
}

/// What is merged stays so; otherwise the later word counts, and of two of the same moment the one that decides more.
fn is_newer(seen: &PullSeen, known: &PullRequestProgress) -> bool {
    known.state != PullState::Merged && (seen.updated_at, seen.state) >= (known.updated_at, known.state)
        || seen.state == PullState::Merged
}

/// The newest of each name.
fn take_check(checks: &mut Vec<Check>, mut check: Check) {
    cut(&mut check.name, LINE_BYTES_MAX);
    cut(&mut check.url, LINE_BYTES_MAX);
    let is_settled = |check: &Check| check.state != CheckState::Pending;
    let place = checks.partition_point(|known| known.name < check.name);
    if let Some(known) = checks.get_mut(place).filter(|known| known.name == check.name) {
        if (check.updated_at, is_settled(&check)) >= (known.updated_at, is_settled(known)) {
            *known = check;
        }
    } else if checks.len() < CHECKS_MAX {
        checks.insert(place, check);
    }
}
