//! The repository of the session: set up once, then one commit and push per turn, in the author's name.
//!
//! Only the session's branch is pushed, to the gateway and nowhere else, and never by force. What the agent does to remotes,
//! branches or hooks does not change that: when it left the branch, what it has checked out is what is pushed. Called by `worker`
//! and `turn`.

mod command;
mod diff;
mod identity;
mod patch;
mod push;
mod unclaimed;

use crate::environment::Environment;
use crate::left;
use crate::log;
use command::Git;
pub(crate) use command::{GitError, gateway_settings, settings_as_variables, tracked_files};
pub(crate) use identity::{Identity, commit_message};
use protocol::id::RepositoryId;
use protocol::runner::RunnerConfiguration;
use protocol::timeline::{Change, FileDiff};
use push::push;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a fetch is tried again while the gateway does not answer.
const FETCH_TRIED_FOR: Duration = Duration::from_secs(60);

/// The workspace's repository.
pub(crate) struct Workspace {
    git: Git,
    folder: PathBuf,
    url: String,
    branch: String,
    default_branch: String,
}

/// What a turn began with.
pub(crate) struct TurnStart {
    head: String,
    /// Whether an earlier try of the same prompt was lost, which may have pushed without anybody being told.
    is_repeat: bool,
}

impl TurnStart {
    /// The workspace was brought there after the turn had begun.
    pub(crate) fn begins_at(&mut self, head: String) {
        self.head = head;
    }
}

/// What a turn left.
#[derive(Debug)]
pub(crate) struct TurnResult {
    pub(crate) change: Option<Change>,
    pub(crate) files: Vec<FileDiff>,
}

/// The workspace cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// Something of git's.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The folder cannot be used.
    #[error("the workspace folder cannot be used")]
    Folder(#[source] std::io::Error),
    /// A name that git does not take for a branch.
    #[error("{0:?} cannot be the name of a branch; check the deployment's branch prefix")]
    BranchName(String),
    /// There is nothing to start from.
    #[error("the repository has no branch {0}; push a first commit to it, or set the right default branch")]
    DefaultBranch(String),
}

impl Workspace {
    /// The repository's place, before anything is there.
    pub(crate) fn new(environment: &Environment, configuration: &RunnerConfiguration) -> Self {
        let RunnerConfiguration { repository, default_branch, branch, .. } = configuration;
        Self { branch: branch.clone(), ..Self::unclaimed(environment, repository, default_branch) }
    }

    /// The same for a sandbox that has no session, and so no branch, yet.
    pub(crate) fn unclaimed(
        environment: &Environment,
        repository: &RepositoryId,
        default_branch: &str,
    ) -> Self {
        Self {
            git: Git::new(environment),
            folder: environment.workspace.clone(),
            url: format!("{}/git/{repository}.git", environment.bridge_url),
            branch: String::new(),
            default_branch: default_branch.to_owned(),
        }
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a repository is there already, from a snapshot or an earlier runner.
    pub(crate) fn is_restored(&self) -> bool {
        self.folder.join(".git/HEAD").exists()
    }

    /// Makes the session's branch the one that is checked out: from the code host where it exists there, else from the default
    /// branch. What a restored workspace has stays.
    pub(crate) async fn set_up(&self) -> Result<(), WorkspaceError> {
        self.check_names().await?;
        self.open(&self.branch).await?;
        self.fetch().await?;
        if self.git.resolve(&format!("refs/heads/{}", self.branch)).await?.is_none() {
            self.start_branch().await?;
        } else {
            self.catch_up().await?;
        }
        Ok(())
    }

    async fn check_names(&self) -> Result<(), WorkspaceError> {
        for name in [&self.branch, &self.default_branch] {
            if name.starts_with('-') || !self.is_branch_name(name).await? {
                return Err(WorkspaceError::BranchName(name.clone()));
            }
        }
        Ok(())
    }

    /// Makes the repository where there is none, and sets where it comes from.
    async fn open(&self, initial_branch: &str) -> Result<(), WorkspaceError> {
        if !self.is_restored() {
            std::fs::create_dir_all(&self.folder).map_err(WorkspaceError::Folder)?;
            self.git.run(&["init", "--quiet", "--initial-branch", initial_branch]).await?;
        }
        self.remove_stale_locks();
        Ok(self.configure().await?)
    }

    async fn configure(&self) -> Result<(), GitError> {
        self.git.run(&["config", "remote.origin.url", &self.url]).await?;
        self.git.run(&["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]).await?;
        Ok(())
    }

    async fn fetch(&self) -> Result<(), GitError> {
        push::retried(FETCH_TRIED_FOR, || self.git.run_remote(&["fetch", "--quiet", "--prune", "origin"]))
            .await
            .map(drop)
    }

    /// The tracking branch of the default branch, which is also what `origin` stands for.
    async fn remote_default(&self) -> Result<String, WorkspaceError> {
        let remote_default = format!("refs/remotes/origin/{}", self.default_branch);
        if self.git.resolve(&remote_default).await?.is_none() {
            return Err(WorkspaceError::DefaultBranch(self.default_branch.clone()));
        }
        self.git.run(&["symbolic-ref", "refs/remotes/origin/HEAD", &remote_default]).await?;
        Ok(remote_default)
    }

    /// Makes the session's branch where it is not checked out yet, so that nobody can have worked on it here: what is in the way
    /// is left of an image's build.
    async fn start_branch(&self) -> Result<(), WorkspaceError> {
        let remote_default = self.remote_default().await?;
        let remote = self.remote_branch();
        let start = if self.git.resolve(&remote).await?.is_some() { remote } else { remote_default };
        let checkout = ["checkout", "--quiet", "--force", "--no-track", "-B", &self.branch, &start, "--"];
        self.git.run(&checkout).await?;
        Ok(())
    }

    /// A restored workspace goes on from what was pushed after its snapshot, when nothing in it stands against that.
    async fn catch_up(&self) -> Result<(), GitError> {
        let remote = self.remote_branch();
        if self.git.resolve(&remote).await?.is_some()
            && self.git.succeeds(&["merge-base", "--is-ancestor", "HEAD", &remote]).await?
            && !self.git.succeeds(&["merge", "--quiet", "--ff-only", &remote]).await?
        {
            log::warn("the workspace has changes of its own and stays behind its branch");
        }
        Ok(())
    }

    async fn is_branch_name(&self, name: &str) -> Result<bool, GitError> {
        let full = format!("refs/heads/{name}");
        // Runs in a folder that exists in any case: the workspace may not.
        let checked = tokio::process::Command::new("git").args(["check-ref-format", &full]).status().await;
        Ok(checked.map_err(GitError::Start)?.success())
    }

    fn remote_branch(&self) -> String {
        format!("refs/remotes/origin/{}", self.branch)
    }

    /// A git process that was killed leaves its lock behind. Only called while nothing else uses the repository.
    fn remove_stale_locks(&self) {
        for name in ["index.lock", "HEAD.lock", "config.lock"] {
            // Usually there is none.
            let _ = std::fs::remove_file(self.folder.join(".git").join(name));
        }
    }

    /// Sets the identity for the agent's own commits and notes where the turn begins.
    pub(crate) async fn begin_turn(&self, who: &Identity, attempt: u32) -> Result<TurnStart, GitError> {
        self.git.run(&["config", "user.name", &who.name]).await?;
        self.git.run(&["config", "user.email", &who.email]).await?;
        let kept_out = self.keep_out(&[left::FOLDER], "For people, not for commits.");
        if let Err(error) = kept_out {
            log::warn(format!("what is left for people may be committed: {error}"));
        }
        Ok(TurnStart { head: self.head().await?, is_repeat: attempt > 1 })
    }

    async fn head(&self) -> Result<String, GitError> {
        let missing =
            || GitError::Refused { command: "rev-parse".into(), message: "there is no commit".into() };
        self.git.resolve("HEAD^{commit}").await?.ok_or_else(missing)
    }

    /// Commits what is left, pushes the branch, and tells what changed. An error means that the branch at the code host may lack
    /// commits of this turn.
    pub(crate) async fn end_turn(
        &self,
        start: Option<&TurnStart>,
        who: &Identity,
        message: &str,
    ) -> Result<TurnResult, GitError> {
        self.commit_rest(who, message).await?;
        let head = self.head().await?;
        let remote = self.git.resolve(&self.remote_branch()).await?;
        let to_push = match &remote {
            Some(remote) => *remote != head,
            None => self.has_own_commits(&head).await?,
        };
        if to_push {
            push(&self.git, &self.url, &self.branch, &head).await?;
            self.return_to_branch(&head).await?;
        }
        let moved = match start {
            Some(start) if remote.is_some() => {
                start.head != head || (start.is_repeat && self.has_own_commits(&head).await?)
            }
            Some(_) | None => false,
        };
        if !to_push && !moved {
            return Ok(TurnResult { change: None, files: Vec::new() });
        }
        let (total, files) = diff::of_branch(&self.git, &self.default_branch, &head).await?;
        let subject = self.git.run(&["log", "-1", "--format=%s", &head, "--"]).await?;
        let change = Change {
            branch: self.branch.clone(),
            commit: head,
            subject: subject.trim_end().to_owned(),
            files_changed: total.files,
            additions: total.additions,
            deletions: total.deletions,
        };
        Ok(TurnResult { change: Some(change), files })
    }

    async fn commit_rest(&self, who: &Identity, message: &str) -> Result<(), GitError> {
        let add = ["add", "--all", "--", "."];
        if let Err(error) = self.git.run(&add).await {
            // A git process of the agent that was stopped leaves a lock.
            if !error.to_string().contains(".lock") {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.remove_stale_locks();
            self.git.run(&add).await?;
        }
        if self.git.succeeds(&["diff", "--cached", "--quiet", "--ignore-submodules=none"]).await? {
            return Ok(());
        }
        self.git.commit(who, message).await
    }

    /// Whether there is anything that the default branch does not have.
    async fn has_own_commits(&self, head: &str) -> Result<bool, GitError> {
        let range = format!("refs/remotes/origin/{}..{head}", self.default_branch);
        Ok(self.git.run(&["rev-list", "--count", &range, "--"]).await?.trim() != "0")
    }

    /// The agent may have left the branch; the next turn begins on it.
    async fn return_to_branch(&self, head: &str) -> Result<(), GitError> {
        let branch = format!("refs/heads/{}", self.branch);
        if self.git.run(&["rev-parse", "--symbolic-full-name", "HEAD"]).await?.trim() != branch {
            self.git.run(&["checkout", "--quiet", "--no-track", "-B", &self.branch, head, "--"]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
