//! Runs git on bare repositories of the stand-in's folder. The only place that starts `git`, except the HTTP backend.
//!
//! git sees a configuration of its own, so that neither the user's hooks nor the user's identity leak into a run.

use crate::FakesError;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// `root/owner/name.git`.
pub(crate) fn directory(root: &Path, owner: &str, name: &str) -> PathBuf {
    root.join(owner).join(format!("{name}.git"))
}

/// A part of a repository's name that cannot leave the folder.
pub(crate) fn is_name(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// git with nothing but our own configuration around it.
pub(crate) fn command(root: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", root)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", root.join("gitconfig"))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Makes the folder usable for [`command`].
pub(crate) fn prepare(root: &Path) -> Result<(), FakesError> {
    let config = "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n";
    let file = root.join("gitconfig");
    std::fs::create_dir_all(root)
        .and_then(|()| std::fs::write(&file, config))
        .map_err(|source| FakesError::File { path: file, source })
}

/// Runs git in a folder; answers its standard output without the last line end.
pub(crate) async fn git(root: &Path, directory: &Path, arguments: &[&str]) -> Result<String, FakesError> {
    let output = command(root)
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .await
        .map_err(FakesError::GitMissing)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
    } else {
        Err(FakesError::Git {
            command: arguments.first().copied().unwrap_or_default().to_owned(),
            message: last_lines(&output.stderr),
        })
    }
}

/// Puts one file on a branch, which begins at `HEAD` where it is new; answers the commit.
pub(crate) async fn commit(
    root: &Path,
    directory: &Path,
    branch: &str,
    file: &str,
    content: &str,
) -> Result<String, FakesError> {
    let from = match branch_commit(root, directory, branch).await {
        Some(commit) => commit,
        None => git(root, directory, &["rev-parse", "HEAD"]).await?,
    };
    let stream = format!(
        "commit refs/heads/{branch}\ncommitter Acme <shop@acme.example> 1795000000 +0000\ndata 6\nChange\nfrom {from}\n\
         M 100644 inline {file}\ndata {}\n{content}\n",
        content.len()
    );
    let mut child = command(root)
        .arg("-C")
        .arg(directory)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(FakesError::GitMissing)?;
    if let Some(mut input) = child.stdin.take() {
        // What git did not read it tells by its end.
        let _ = input.write_all(stream.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(FakesError::GitMissing)?;
    if !output.status.success() {
        return Err(FakesError::Git {
            command: "fast-import".to_owned(),
            message: last_lines(&output.stderr),
        });
    }
    let made = branch_commit(root, directory, branch).await;
    made.ok_or_else(|| FakesError::Git { command: "fast-import".to_owned(), message: "no commit".to_owned() })
}

/// The end of what git printed, for an error message.
pub(crate) fn last_lines(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join(" · ")
}

/// What a repository's `HEAD` points to.
pub(crate) async fn default_branch(root: &Path, directory: &Path) -> Result<String, FakesError> {
    git(root, directory, &["symbolic-ref", "--short", "HEAD"]).await
}

/// The commit that a branch points to.
pub(crate) async fn branch_commit(root: &Path, directory: &Path, branch: &str) -> Option<String> {
    let reference = format!("refs/heads/{branch}");
    git(root, directory, &["rev-parse", "--verify", "--quiet", &reference]).await.ok()
}
