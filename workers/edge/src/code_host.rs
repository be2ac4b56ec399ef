//! Sends what `github` wants to ask, within a bounded time and size, and turns its errors into the caller's.

use crate::answer::log;
use futures::StreamExt as _;
use futures::future::{Either, select};
use github::oauth::Secret;
use github::repository::{GIT_ANSWER_BYTES, Repository, RepositoryPage, git_probe, is_git_answer};
use platform::web::{JsUrl, Redirect, new_request};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::RepositoryId;
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{AbortController, Delay, Fetch, Method, Request, Response};

/// How long the code host may take for one answer.
const ANSWER_MS_MAX: u64 = 5_000;
/// A page of a hundred repositories has about half of this.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Pages of repositories that are asked for; nobody scrolls further.
const PAGES_MAX: u32 = 10;

/// A code host in the name of one of its users.
pub(crate) struct CodeHost<'a> {
    /// Root of its API.
    pub(crate) api_url: &'a str,
    /// The user's.
    pub(crate) token: Secret,
}

impl CodeHost<'_> {
    /// Looks a repository up and makes sure that this user can push to it and git can clone it now.
    pub(crate) async fn check_repository(&self, id: &RepositoryId) -> Result<Repository, ErrorBody> {
        let repository = self.check_access(id).await?;
        self.check_git(&repository).await.map_err(|reason| {
            log("repository check", &format!("{id}: {reason}"));
            let message = format!("the code host knows {id}, but git cannot clone it now: {reason}; check the address and try again");
            ErrorBody::new(ErrorCode::RepositoryUnreachable, message)
        })?;
        Ok(repository)
    }

    /// Looks a repository up and makes sure that this user can push to it.
    pub(crate) async fn check_access(&self, id: &RepositoryId) -> Result<Repository, ErrorBody> {
        let repository = self.find_repository(id).await.map_err(|e| unreachable(id, &e))?;
        if repository.archived || !repository.can_push {
            let why = if repository.archived { "is archived" } else { "is read-only for you" };
            let message =
                format!("{id} {why} at the code host; sessions need a repository that you can push to");
            return Err(ErrorBody::new(ErrorCode::Forbidden, message));
        }
        Ok(repository)
    }

    /// A repository as the user sees it.
    pub(crate) async fn find_repository(&self, id: &RepositoryId) -> Result<Repository, github::Error> {
        let (status, body) = self.send(&github::repository::get_request(id)).await?;
        github::repository::parse_repository(status, &body)
    }

    /// All repositories that the user may work on, by name.
    pub(crate) async fn repositories(&self) -> Result<Vec<Repository>, ErrorBody> {
        let mut repositories = Vec::new();
        for page in 1..=PAGES_MAX {
            let answer = self.send(&github::repository::list_request(page)).await;
            let answer = answer.and_then(|(status, body)| github::repository::parse_list(status, &body));
            let RepositoryPage { repositories: found, is_last } = answer.map_err(|error| {
                log("listing repositories", &error);
                let code =
                    if error.is_unauthorized() { ErrorCode::Forbidden } else { ErrorCode::Unavailable };
                ErrorBody::new(code, format!("{error}; {}", remedy(&error)))
            })?;
            repositories.extend(found);
            if is_last {
                break;
            }
        }
        repositories.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(repositories)
    }

    /// Sends a request; status and body of the answer.
    pub(crate) async fn send(&self, request: &github::Request) -> Result<(u16, Vec<u8>), github::Error> {
        let method = Method::from(request.method.as_str().to_owned());
        let headers = github::headers(self.token.reveal());
        let built =
            build(&request.url(self.api_url), method, &headers, Redirect::Follow, request.body.as_deref());
        let built = built.map_err(|error| github::Error::no_answer(error.to_string()))?;
        ask(built, ANSWER_BYTES_MAX).await.map_err(github::Error::no_answer)
    }

    /// Asks git at the repository's own address. Never follows a redirect: the token is for this address only.
    async fn check_git(&self, repository: &Repository) -> Result<(), String> {
        check_transport(&repository.clone_url)?;
        let probe = git_probe(&repository.clone_url, self.token.reveal());
        let request = build(&probe.url, Method::Get, &probe.headers, Redirect::Answer, None)
            .map_err(|_| "its clone URL is not one".to_owned())?;
        let (status, start) = ask(request, GIT_ANSWER_BYTES).await?;
        if is_git_answer(status, &start) {
            Ok(())
        } else {
            Err(format!("its git server answers with status {status}"))
        }
    }
}

fn build(
    url: &str,
    method: Method,
    headers: &[(&'static str, String)],
    redirect: Redirect,
    body: Option<&str>,
) -> worker::Result<Request> {
    new_request(method.as_ref(), url, headers, redirect, body.map(JsValue::from_str).as_ref())
}

/// Sends a request and reads the status and the first bytes of the body, all within [`ANSWER_MS_MAX`]; or says why not.
pub(crate) async fn ask(request: Request, bytes: usize) -> Result<(u16, Vec<u8>), String> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let work = async {
        let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
        let start = read_start(&mut response, bytes).await?;
        Ok::<_, worker::Error>((response.status_code(), start))
    };
    match select(pin!(work), Delay::from(Duration::from_millis(ANSWER_MS_MAX))).await {
        Either::Left((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(error), _)) => {
            log("asking another server", &error);
            Err("it does not answer".to_owned())
        }
        Either::Right(((), _)) => {
            controller.abort();
            Err(format!("it does not answer within {} s", ANSWER_MS_MAX / 1000))
        }
    }
}

/// Reads the first bytes of a body, at least `bytes` of them where there are that many; an oversized rest is not read.
async fn read_start(response: &mut Response, bytes: usize) -> worker::Result<Vec<u8>> {
    let mut start = Vec::new();
    if matches!(response.body(), worker::ResponseBody::Empty) {
        return Ok(start);
    }
    let mut stream = response.stream()?;
    while start.len() < bytes
        && let Some(piece) = stream.next().await
    {
        start.extend_from_slice(&piece?);
    }
    Ok(start)
}

/// A token travels encrypted, or stays on this machine.
fn check_transport(clone_url: &str) -> Result<(), String> {
    let url = JsUrl::new(clone_url).map_err(|_| "its clone URL is not one".to_owned())?;
    match url.protocol().as_str() {
        "https:" => Ok(()),
        "http:" if identity::local::is_loopback(&url.hostname()) => Ok(()),
        _ => Err("its clone URL is not https".to_owned()),
    }
}

fn unreachable(id: &RepositoryId, error: &github::Error) -> ErrorBody {
    if error.is_not_found() {
        let message = format!(
            "the code host knows no repository {id} that you may see; check its name and your access"
        );
        return ErrorBody::new(ErrorCode::RepositoryUnknown, message);
    }
    log("repository check", &format!("{id}: {error}"));
    ErrorBody::new(
        ErrorCode::RepositoryUnreachable,
        format!("{id} cannot be looked up: {error}; {}", remedy(error)),
    )
}

fn remedy(error: &github::Error) -> &'static str {
    match error {
        github::Error::Rejected { status: 401, .. } => {
            "your token there is not valid any more: sign in again, or renew it in LOCAL_USERS"
        }
        github::Error::Rejected { .. } => "check your access there",
        github::Error::Unavailable { .. } => "try again later, and check GITHUB_API_URL",
    }
}
