//! Opens the session's pull request in its author's name, or adopts the one that is there: an answer may have been lost.

use super::bridge::exchange;
use super::failure::Failure;
use super::shell::Shell;
use super::token::token_source;
use crate::core::{PullRequestOrder, WorkOutcome};
use github::pull_request::{
    Body, BodyPrompt, Created, NewPullRequest, PullRequest, create_request, find_request, parse_created,
    parse_found, render_body, render_title,
};
use github::{Error, Request};
use protocol::id::RepositoryId;
use worker::Method;

/// The code host's answer to one request.
const GITHUB_MS_MAX: u64 = 30_000;

impl Shell {
    pub(super) async fn open_pull_request(&self, order: &PullRequestOrder) -> WorkOutcome {
        let (repository, new) = match self.render_pull_request(order) {
            Ok(rendered) => rendered,
            Err(failure) => return WorkOutcome::Failed { reason: failure.into_body().message },
        };
        let token = match token_source(&self.env).and_then(|source| source.token(&order.author)) {
            Ok(token) => token,
            Err(reason) => return WorkOutcome::Failed { reason },
        };
        match self.create_or_find(&repository, &new, token.reveal()).await {
            Ok(PullRequest { number, url, title, base }) => {
                WorkOutcome::PullRequestOpened { number, url, title, base }
            }
            Err(Error::Unavailable { reason }) => WorkOutcome::Delayed { reason },
            Err(error) if error.is_unauthorized() => {
                WorkOutcome::Rejected { reason: format!("{error}; the author must sign in again") }
            }
            Err(error) => WorkOutcome::Rejected { reason: error.to_string() },
        }
    }

    fn render_pull_request(
        &self,
        order: &PullRequestOrder,
    ) -> Result<(RepositoryId, NewPullRequest), Failure> {
        let info = self.with_session(|session| session.info.clone())?;
        let text = self.store.load_pull_request_text()?;
        let session_url =
            self.settings.public_url.as_ref().map(|base| format!("{base}/sessions/{}", info.id));
        let prompts: Vec<BodyPrompt<'_>> =
            text.prompts.iter().map(|(author, text)| BodyPrompt { author, text }).collect();
        let body = render_body(&Body {
            summary: &text.summary,
            prompts: &prompts,
            files_changed: order.change.files_changed,
            additions: order.change.additions,
            deletions: order.change.deletions,
            session_url: session_url.as_deref(),
        });
        let new = NewPullRequest {
            title: render_title(&info.title),
            body,
            head: order.change.branch.clone(),
            base: info.default_branch,
        };
        Ok((info.repository, new))
    }

    async fn create_or_find(
        &self,
        repository: &RepositoryId,
        new: &NewPullRequest,
        token: &str,
    ) -> Result<PullRequest, Error> {
        let (status, body) = self.ask_code_host(&create_request(repository, new), token).await?;
        match parse_created(status, &body)? {
            Created::New(pull_request) => Ok(pull_request),
            Created::AlreadyOpen => {
                let (status, body) = self.ask_code_host(&find_request(repository, &new.head), token).await?;
                // Closed between the two requests: the next try opens it again.
                parse_found(status, &body)?
                    .ok_or_else(|| Error::no_answer("the pull request was there and is not"))
            }
        }
    }

    async fn ask_code_host(&self, request: &Request, token: &str) -> Result<(u16, Vec<u8>), Error> {
        let method = match request.method {
            github::Method::Get => Method::Get,
            github::Method::Post => Method::Post,
        };
        let url = request.url(&self.settings.github_api_url);
        exchange(method, &url, &github::headers(token), request.body.as_deref(), GITHUB_MS_MAX)
            .await
            .map_err(|error| Error::no_answer(error.to_string()))
    }
}
