//! The code host: GitHub's REST subset that Farhand uses, and git smart HTTP over real bare repositories.
//!
//! Repositories live in `root/owner/name.git`; pull requests beside them in `root/pulls.json`, so that a stopped stand-in goes on
//! where it was. Tokens are given by the caller. It never answers with data of a repository that the token may not see.

mod api;
mod app;
mod fault;
mod git_http;
mod hook;
mod oauth;
mod page;
mod pull;
mod pulls;
mod shape;

use crate::server::{self, Server};
use crate::{FakesError, repository};
pub use app::App;
pub use fault::{Cut, Fault};
pub use hook::{Delivered, Fate, Hook};
use hook::{Hooks, Outgoing};
pub use oauth::CLIENT_ID;
pub use pull::{Pull, Run, Said};
use pull::{Pulls, Run as CheckRun};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

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
    /// The App that may prove itself; without one there are no installation tokens.
    pub app: Option<App>,
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
    app: Option<App>,
    /// Repositories that the App is installed for.
    installed: Mutex<BTreeSet<String>>,
    /// Installation tokens that were handed out.
    tokens: Mutex<BTreeMap<String, app::Opened>>,
    runs: Mutex<Vec<(String, CheckRun)>>,
    faults: Mutex<Vec<Fault>>,
    hooks: Mutex<Hooks>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    ids: AtomicU64,
    pulls: Mutex<Pulls>,
    hidden: Mutex<BTreeSet<(String, String)>>,
    recorded: Mutex<Vec<Recorded>>,
    oauth: Mutex<oauth::OAuth>,
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
    /// The App by its fixed token, which opens everything.
    App,
    /// The App by a token of one repository.
    Installation(String),
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
            Self::App | Self::Installation(_) => APP_LOGIN,
        }
    }
}

impl Github {
    /// Starts to answer.
    pub async fn start(options: GithubOptions) -> Result<Self, FakesError> {
        repository::prepare(&options.root)?;
        let pulls = Pulls::load(&options.root)?;
        let (listener, url) = server::listen(options.port).await?;
        let (outgoing, deliveries) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            root: options.root,
            url: url.clone(),
            accounts: options.accounts,
            app_token: options.app_token,
            app: options.app,
            installed: Mutex::default(),
            tokens: Mutex::default(),
            runs: Mutex::default(),
            faults: Mutex::default(),
            hooks: Mutex::default(),
            outgoing,
            ids: AtomicU64::new(1),
            pulls: Mutex::new(pulls),
            hidden: Mutex::default(),
            recorded: Mutex::default(),
            oauth: Mutex::new(oauth::OAuth::new()),
        });
        hook::start(&state, deliveries);
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

    /// Installs the App for `owner/name`.
    pub fn install(&self, repository: &str) {
        lock(&self.state.installed).insert(repository.to_owned());
    }

    /// Takes the App away from `owner/name`; its tokens end.
    pub fn uninstall(&self, repository: &str) {
        lock(&self.state.installed).remove(repository);
        lock(&self.state.tokens).retain(|_, opened| opened.repository != repository);
    }

    /// Sends webhooks from here on.
    pub fn send_to(&self, hook: Hook) {
        lock(&self.state.hooks).to = Some(hook);
    }

    /// What becomes of the next deliveries; those after them arrive.
    pub fn script(&self, fates: impl IntoIterator<Item = Fate>) {
        lock(&self.state.hooks).fates.extend(fates);
    }

    /// Deliveries so far, oldest first.
    #[must_use]
    pub fn delivered(&self) -> Vec<Delivered> {
        lock(&self.state.hooks).delivered.clone()
    }

    /// Cuts calls.
    pub fn break_calls(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state.faults).extend(faults);
    }

    /// What was asked so far, oldest first; at most the first 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.state.recorded).clone()
    }

    /// Puts one file on a branch, which begins at the default branch where it is new; answers the commit.
    pub async fn commit(
        &self,
        repository: &str,
        branch: &str,
        file: &str,
        content: &str,
    ) -> Result<String, FakesError> {
        let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
        let directory = self.repository_directory(owner, name);
        repository::commit(&self.state.root, &directory, branch, file, content).await
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
        if let Some(opened) = lock(&self.tokens).get(token) {
            let is_alive = opened.ends_at > pull::clock_ms();
            return is_alive.then(|| Who::Installation(opened.repository.clone()));
        }
        let signed_in = lock(&self.oauth).owner(token).map(str::to_owned);
        let is_owner =
            |account: &&Account| account.token == token || signed_in.as_ref() == Some(&account.login);
        self.accounts.iter().find(is_owner).cloned().map(Who::Person)
    }

    /// A number that nothing else here has.
    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The same for the same name.
    fn repository_id(&self, full_name: &str) -> u64 {
        full_name.bytes().fold(7, |id, byte| (id * 31 + u64::from(byte)) % 1_000_003)
    }

    /// The repository's folder if it exists and this token may see it.
    fn visible(&self, who: &Who, owner: &str, name: &str) -> Option<PathBuf> {
        if !repository::is_name(owner) || !repository::is_name(name) {
            return None;
        }
        if matches!(who, Who::Installation(only) if *only != format!("{owner}/{name}")) {
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
