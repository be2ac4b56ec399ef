//! The repository of a sandbox that has no session yet: cloned and tidied for an image, brought to the newest commit in a warm
//! sandbox, and made a session's by giving it its branch.
//!
//! Nobody has worked here before the branch is there, so what stands in the way of a checkout is left of a build and is overwritten.
//! Called by `worker` and `build`.

use super::{FETCH_TRIED_FOR, GitError, Workspace, WorkspaceError, push};
use std::io::{self, Write};

/// Where git looks for what is not to be committed, beside `.gitignore`.
const EXCLUDE: &str = ".git/info/exclude";

impl Workspace {
    /// Makes the clone that an image is built in, with exactly this commit checked out.
    pub(crate) async fn clone_for_build(&self, commit: &str) -> Result<(), WorkspaceError> {
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("{commit:?} is not the name of a commit");
            return Err(GitError::Refused { command: "checkout".to_owned(), message }.into());
        }
        self.open(&self.default_branch).await?;
        self.fetch().await?;
        self.check_out(commit).await?;
        Ok(())
    }

    /// Leaves a workspace that any session can start from: tracked files are those of the commit, and what a build has left beside
    /// them is kept out of commits. Answers the latter.
    pub(crate) async fn tidy(&self) -> Result<Vec<String>, WorkspaceError> {
        self.remove_stale_locks();
        self.git.run(&["reset", "--quiet", "--hard"]).await?;
        let listing = self.git.run(&["status", "--porcelain=v1", "-z", "--untracked-files=normal"]).await?;
        let left: Vec<String> =
            listing.split('\0').filter_map(|entry| entry.strip_prefix("?? ")).map(str::to_owned).collect();
        if left.is_empty() {
            return Ok(left);
        }
        self.keep_out(&left, "Left by the build of the image.").map_err(WorkspaceError::Folder)?;
        Ok(left)
    }

    /// Keeps these out of commits, unless they are already.
    pub(super) fn keep_out(&self, names: &[impl AsRef<str>], why: &str) -> io::Result<()> {
        let path = self.folder.join(EXCLUDE);
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        // A name with a line break cannot be written there.
        let names = names.iter().map(AsRef::as_ref).filter(|name| !name.contains('\n'));
        let lines = names.map(|name| format!("/{}", escaped(name)));
        let new: Vec<String> = lines.filter(|line| known.lines().all(|known| known != line)).collect();
        if new.is_empty() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        writeln!(file, "# {why}\n{}", new.join("\n"))
    }

    /// Makes the restored clone this sandbox's own; to be called before [`Self::sync`].
    pub(crate) async fn adopt(&self) -> Result<(), WorkspaceError> {
        self.remove_stale_locks();
        Ok(self.configure().await?)
    }

    /// Brings a workspace in which nobody has worked to the newest commit of the default branch, and answers that.
    pub(crate) async fn sync(&self) -> Result<String, WorkspaceError> {
        self.fetch().await?;
        let newest = self.remote_default().await?;
        self.check_out(&newest).await?;
        Ok(self.head().await?)
    }

    /// Makes the session's branch: where it exists at the code host, from there. Nobody has worked here.
    /// Answers the commit that it begins at.
    pub(crate) async fn take_branch(&self) -> Result<String, WorkspaceError> {
        self.check_names().await?;
        let refspec = format!("+refs/heads/{0}:refs/remotes/origin/{0}", self.branch);
        let fetch = ["fetch", "--quiet", "--no-tags", "origin", &refspec];
        // Most sessions are new, and their branch is not there.
        if let Err(error) = push::retried(FETCH_TRIED_FOR, || self.git.run_remote(&fetch)).await
            && !error.to_string().contains(push::NO_BRANCH)
        {
            return Err(error.into());
        }
        self.start_branch().await?;
        Ok(self.head().await?)
    }

    async fn check_out(&self, commit: &str) -> Result<(), GitError> {
        self.git.run(&["checkout", "--quiet", "--force", "--detach", commit, "--"]).await.map(drop)
    }
}

/// A file's name as a pattern that matches it alone; see gitignore(5).
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') || (character == ' ' && text.len() + 1 == name.len()) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}
