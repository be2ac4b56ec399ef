//! Opens the session's pull request in its author's name, brings it up to date, and looks at it when nothing was heard of it.
//!
//! The way there may be cut anywhere: it finds what an earlier try has done. Where the author has no account at the code host, the GitHub
//! App does it and says for whom; where the author's token does not count any more, it waits for the author.

use super::failure::Failure;
use super::shell::Shell;
use super::token::user_token;
use crate::core::{Input, PullRequestOrder, WorkOutcome};
use crate::store::PullRequestText;
use github::Error;
use github::pull_request::body::{Body, BodyCheck, BodyPrompt, render_part, render_title};
use github::pull_request::flag::{ChangedFile, flag_files};
use github::pull_request::flow::Flow;
use github::pull_request::{Look, NewPullRequest, PullRequest};
use platform::code_host::{App, AppError, ask};
use platform::vault::store::NoToken;
use protocol::id::{RepositoryId, UserId};
use protocol::pull::PullRequestProgress;
use protocol::timeline::{DiffLineKind, FileDiff};

/// What the code host is asked with.
struct Hand {
    token: String,
    /// Whether it is the App's, because the author has none here.
    by_app: bool,
}

impl Shell {
    pub(super) async fn open_pull_request(&self, order: &PullRequestOrder) -> WorkOutcome {
        let repository = match self.with_session(|session| session.info.repository.clone()) {
            Ok(repository) => repository,
            Err(failure) => return self.failed(failure),
        };
        let hand = match self.hand_of(&order.author, &repository).await {
            Ok(hand) => hand,
            Err(outcome) => return outcome,
        };
        let (new, flagged) = match self.render_pull_request(order, hand.by_app) {
            Ok(rendered) => rendered,
            Err(failure) => return self.failed(failure),
        };
        match self.reach(&repository, &new, &hand.token).await {
            Ok(PullRequest { number, url, title, base, seen, .. }) => {
                let progress = PullRequestProgress {
                    state: seen.state,
                    head: seen.head,
                    updated_at: seen.updated_at,
                    checks: Vec::new(),
                    flagged,
                    by_app: hand.by_app,
                };
                WorkOutcome::PullRequestOpened { number, url, title, base, progress }
            }
            Err(Error::Unavailable { reason }) => WorkOutcome::Delayed { reason },
            Err(error) if error.is_unauthorized() && !hand.by_app => {
                WorkOutcome::SignInNeeded { reason: error.to_string() }
            }
            Err(error) => WorkOutcome::Rejected { reason: error.to_string() },
        }
    }

    /// The author's token, or the App's where the author has no account; or why there is neither.
    async fn hand_of(&self, author: &UserId, repository: &RepositoryId) -> Result<Hand, WorkOutcome> {
        let missing = match user_token(&self.env, author).await {
            Ok(token) => return Ok(Hand { token: token.reveal().to_owned(), by_app: false }),
            Err(NoToken::Unavailable(reason)) => return Err(WorkOutcome::Delayed { reason }),
            Err(NoToken::SignInAgain(reason)) => return Err(WorkOutcome::SignInNeeded { reason }),
            Err(NoToken::Missing(reason)) => reason,
        };
        self.hand_of_app(repository, missing).await
    }

    /// The App's token, because the author's is `missing`.
    async fn hand_of_app(&self, repository: &RepositoryId, missing: String) -> Result<Hand, WorkOutcome> {
        let failed = |error: AppError| match error {
            AppError::CodeHost(Error::Unavailable { reason }) => WorkOutcome::Delayed { reason },
            error @ (AppError::CodeHost(Error::Rejected { .. })
            | AppError::Misconfigured(_)
            | AppError::NotInstalled(_)) => {
                WorkOutcome::Rejected { reason: format!("{missing}; and as the App: {error}") }
            }
        };
        let Some(app) = App::read(&self.env).map_err(failed)? else {
            return Err(WorkOutcome::Failed { reason: missing });
        };
        let token = app.repository_token(&self.settings.github_api_url, repository).await.map_err(failed)?;
        Ok(Hand { token: token.reveal().to_owned(), by_app: true })
    }

    /// Title and our part of the text, and which files are flagged in it.
    fn render_pull_request(
        &self,
        order: &PullRequestOrder,
        by_app: bool,
    ) -> Result<(NewPullRequest, Vec<String>), Failure> {
        let info = self.with_session(|session| session.info.clone())?;
        let PullRequestText { summary, prompts, authors, commands, files } =
            self.store.load_pull_request_text()?;
        let session_url =
            self.settings.public_url.as_ref().map(|base| format!("{base}/sessions/{}", info.id));
        let flagged = flag(&files);
        let opener = authors.iter().find(|author| author.id == order.author);
        let others = authors.iter().filter(|author| author.id != order.author || by_app);
        let co_authors: Vec<(&str, &str)> =
            others.map(|author| (author.name.as_str(), author.email.as_str())).collect();
        let prompts: Vec<BodyPrompt<'_>> =
            prompts.iter().map(|(author, text)| BodyPrompt { author, text }).collect();
        let checks: Vec<BodyCheck<'_>> =
            commands.iter().map(|(command, passed)| BodyCheck { command, passed: *passed }).collect();
        let body = render_part(&Body {
            summary: &summary,
            prompts: &prompts,
            checks: &checks,
            flagged: &flagged,
            files_changed: order.change.files_changed,
            additions: order.change.additions,
            deletions: order.change.deletions,
            session_url: session_url.as_deref(),
            on_behalf_of: opener.filter(|_| by_app).map(|author| author.name.as_str()),
            co_authors: &co_authors,
        });
        let new = NewPullRequest {
            title: render_title(&info.title),
            body,
            head: order.change.branch.clone(),
            base: info.default_branch,
        };
        Ok((new, flagged))
    }

    async fn reach(
        &self,
        repository: &RepositoryId,
        new: &NewPullRequest,
        token: &str,
    ) -> Result<PullRequest, Error> {
        let mut flow = Flow::new(repository, new);
        loop {
            let (status, answer) = ask(&self.settings.github_api_url, &flow.request(), token).await?;
            if let Some(pull) = flow.take(status, &answer)? {
                return Ok(pull);
            }
        }
    }

    /// Asks the code host how the pull request is.
    pub(super) async fn look_at_pull_request(self: &std::rc::Rc<Self>, number: u64) -> WorkOutcome {
        let known =
            self.with_session(|session| (session.info.repository.clone(), session.pull.opener.clone()));
        let (repository, opener) = match known {
            Ok((repository, Some(opener))) => (repository, opener),
            Ok((_, None)) => return WorkOutcome::Done,
            Err(failure) => return self.failed(failure),
        };
        let hand = match self.hand_of(&opener, &repository).await {
            Ok(hand) => hand,
            // Nothing is done in anybody's name by looking.
            Err(WorkOutcome::SignInNeeded { reason }) => match self.hand_of_app(&repository, reason).await {
                Ok(hand) => hand,
                Err(outcome) => return outcome,
            },
            Err(outcome) => return outcome,
        };
        let mut look = Look::new(&repository, number);
        while let Some(request) = look.request() {
            let answer = ask(&self.settings.github_api_url, &request, &hand.token).await;
            match answer.and_then(|(status, answer)| look.take(status, &answer)) {
                Ok(()) => {}
                Err(Error::Unavailable { reason }) => return WorkOutcome::Delayed { reason },
                Err(error) => return WorkOutcome::Failed { reason: error.to_string() },
            }
        }
        match self.apply(Input::PullRequestReported(look.into_report())) {
            Ok(_) => WorkOutcome::Done,
            Err(failure) => self.failed(failure),
        }
    }
}

/// Files of the branch that deserve a look before anything else.
fn flag(files: &[FileDiff]) -> Vec<String> {
    let lines: Vec<Option<String>> = files
        .iter()
        .map(|file| {
            let changed = file.hunks.iter().flat_map(|hunk| &hunk.lines);
            let changed = changed.filter(|line| line.kind != DiffLineKind::Context);
            let text = changed.map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
            (!file.omitted).then_some(text)
        })
        .collect();
    let changed: Vec<ChangedFile<'_>> = files
        .iter()
        .zip(&lines)
        .map(|(file, lines)| ChangedFile {
            path: &file.path,
            previous_path: file.previous_path.as_deref(),
            lines: lines.as_deref(),
        })
        .collect();
    flag_files(&changed)
}
