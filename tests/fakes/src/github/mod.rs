//! The code host: GitHub's REST subset that Farhand uses, and git smart HTTP over real bare repositories.
//!
//! Repositories live in `root/owner/name.git`; pull requests beside them in `root/pulls.json`, so that a stopped stand-in goes on
//! where it was. Tokens are given by the caller. It never answers with data of a repository that the token may not see.

mod api;
mod git_http;
mod page;
mod pull;

use crate::server::{self, Server};
use crate::{FakesError, repository};
pub use pull::Pull;
use pull::Pulls;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many requests are remembered for assertions.
const RECORDED_MAX: usize = 10_000;

/// A person with an account at the code host.
#[derive(Clone)]
pub struct Account {
    /// Name at the code host.
    pub login: String,
    /// Full name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Opens everything that this person may see.
    pub token: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("login", &self.login).finish_non_exhaustive()
    }
}

/// What the stand-in is made of.
#[derive(Debug)]
pub struct GithubOptions {
    /// Where the repositories are.
    pub root: PathBuf,
    /// 0 means any free one.
    pub port: u16,
    /// Who can sign in.
    pub accounts: Vec<Account>,
    /// Token of the app: reads and writes every repository, is nobody's.
    pub app_token: String,
}

/// A request as the stand-in saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// In capitals.
    pub method: String,
    /// With query.
    pub path: String,
    /// Whose token it carried; `None` without a valid one.
    pub who: Option<String>,
    /// Of the answer.
    pub status: u16,
}

/// A running code host.
#[derive(Debug)]
pub struct Github {
    server: Server,
    state: Arc<State>,
}

/// Login that stands for the app in [`Recorded::who`] and as an author.
pub const APP_LOGIN: &str = "farhand[bot]";

pub(crate) struct State {
    root: PathBuf,
    url: String,
    accounts: Vec<Account>,
    app_token: String,
    pulls: Mutex<Pulls>,
    hidden: Mutex<BTreeSet<(String, String)>>,
    recorded: Mutex<Vec<Recorded>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("root", &self.root).field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whose token a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Person(Account),
    App,
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.login == other.login
    }
}

impl Eq for Account {}

impl Who {
    pub(crate) fn login(&self) -> &str {
        match self {
            Self::Person(account) => &account.login,
            Self::App => APP_LOGIN,
        }
    }
}

impl Github {
    /// Starts to answer.
    pub async fn start(options: GithubOptions) -> Result<Self, FakesError> {
        repository::prepare(&options.root)?;
        let pulls = Pulls::load(&options.root)?;
        let (listener, url) = server::listen(options.port).await?;
        let state = Arc::new(State {
            root: options.root,
            url: url.clone(),
            accounts: options.accounts,
            app_token: options.app_token,
            pulls: Mutex::new(pulls),
            hidden: Mutex::default(),
            recorded: Mutex::default(),
        });
        let router = api::router(Arc::clone(&state));
        Ok(Self { server: server::serve(listener, url, router), state })
    }

    /// Origin of web pages and clone URLs.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Base URL of the REST interface; with a path, as on GitHub Enterprise.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.server.url)
    }

    /// The repository's folder, for `git` itself.
    #[must_use]
    pub fn repository_directory(&self, owner: &str, name: &str) -> PathBuf {
        repository::directory(&self.state.root, owner, name)
    }

    /// Where all repositories are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.state.root
    }

    /// All pull requests of `owner/name`, oldest first.
    #[must_use]
    pub fn pulls(&self, repository: &str) -> Vec<Pull> {
        lock(&self.state.pulls).of(repository)
    }

    /// From here on this account does not see `owner/name`.
    pub fn hide(&self, login: &str, repository: &str) {
        lock(&self.state.hidden).insert((login.to_owned(), repository.to_owned()));
    }

    /// What was asked so far, oldest first; at most the first 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.state.recorded).clone()
    }

    /// Standard output of git, run in the repository's folder.
    pub async fn git(&self, repository: &str, arguments: &[&str]) -> Result<String, FakesError> {
        let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
        repository::git(&self.state.root, &self.repository_directory(owner, name), arguments).await
    }
}

impl State {
    fn who(&self, token: &str) -> Option<Who> {
        if token.is_empty() {
            return None;
        }
        if token == self.app_token {
            return Some(Who::App);
        }
        self.accounts.iter().find(|account| account.token == token).cloned().map(Who::Person)
    }

    /// The repository's folder if it exists and this token may see it.
    fn visible(&self, who: &Who, owner: &str, name: &str) -> Option<PathBuf> {
        if !repository::is_name(owner) || !repository::is_name(name) {
            return None;
        }
        let key = (who.login().to_owned(), format!("{owner}/{name}"));
        if lock(&self.hidden).contains(&key) {
            return None;
        }
        let directory = repository::directory(&self.root, owner, name);
        directory.join("HEAD").is_file().then_some(directory)
    }

    /// `(owner, name)` of every repository that this token may see, by name.
    fn visible_repositories(&self, who: &Who) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for owner in folders(&self.root) {
            for folder in folders(&self.root.join(&owner)) {
                if let Some(name) = folder.strip_suffix(".git")
                    && self.visible(who, &owner, name).is_some()
                {
                    found.push((owner.clone(), name.to_owned()));
                }
            }
        }
        found.sort();
        found
    }

    fn record(&self, recorded: Recorded) {
        let mut all = lock(&self.recorded);
        if all.len() < RECORDED_MAX {
            all.push(recorded);
        }
    }
}

/// The data stays usable when a thread that held it panicked: every change here is a single insertion.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folders(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
