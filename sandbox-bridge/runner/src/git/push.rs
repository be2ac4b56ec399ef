//! Sends the session's branch to the code host through the gateway: never by force, again after failures that may pass.

use super::command::{Git, GitError};
use crate::log;
use crate::random;
use std::time::{Duration, Instant};

const PUSH_TRIED_FOR: Duration = Duration::from_secs(60);
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_LONGEST: Duration = Duration::from_secs(8);

/// What git says when trying again is of no use.
const FINAL: [&str; 10] = [
    "[rejected]",
    "[remote rejected]",
    "returned error: 400",
    "returned error: 403",
    "returned error: 404",
    "returned error: 413",
    "returned error: 422",
    NO_BRANCH,
    "not found",
    "does not appear to be a git repository",
];

/// What git says of a branch that the code host does not have.
pub(super) const NO_BRANCH: &str = "couldn't find remote ref";

/// What a code host says while another push to the same branch is under way, such as that of a runner that was killed.
const LOCKED: &str = "cannot lock ref";

/// Pushes `commit` to `branch`.
pub(super) async fn push(git: &Git, url: &str, branch: &str, commit: &str) -> Result<(), GitError> {
    let refspec = format!("{commit}:refs/heads/{branch}");
    let arguments = ["push", "--porcelain", "--no-verify", "--no-follow-tags", "--", url, &refspec];
    if let Err(error) = retried(PUSH_TRIED_FOR, || git.run_remote(&arguments)).await {
        return Err(explained(git, error, branch).await);
    }
    // Pushed by URL, because the agent can change what `origin` means; so the tracking branch is ours to set.
    git.run(&["update-ref", &format!("refs/remotes/origin/{branch}"), commit]).await?;
    Ok(())
}

/// A refused push in words; what others pushed is fetched, so that the agent can take it in.
async fn explained(git: &Git, error: GitError, branch: &str) -> GitError {
    let GitError::Refused { command, message } = error else { return error };
    if !message.contains("[rejected]") {
        return GitError::Refused { command, message };
    }
    // The fetch is a convenience for the next turn; the refusal is what matters.
    let _ = git.run_remote(&["fetch", "--quiet", "origin"]).await;
    let message = format!(
        "{branch} at the code host has commits that the workspace does not continue from (somebody else pushed, or the agent \
         rewrote history). Ask the agent to merge origin/{branch}; the work of this turn is committed in the workspace."
    );
    GitError::Refused { command, message }
}

/// Runs `command` until it succeeds, fails for good, or `time` is over.
pub(super) async fn retried<F, R>(time: Duration, command: F) -> Result<String, GitError>
where
    F: Fn() -> R,
    R: Future<Output = Result<String, GitError>>,
{
    let began = Instant::now();
    let mut failures = 0;
    loop {
        let error = match command().await {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        let may_pass = match &error {
            GitError::Refused { message, .. } => {
                message.contains(LOCKED) || !FINAL.iter().any(|sign| message.contains(sign))
            }
            GitError::Start(_) | GitError::TimedOut { .. } => false,
        };
        let pause = random::backoff(BACKOFF_FIRST, BACKOFF_LONGEST, failures) + BACKOFF_FIRST;
        if !may_pass || began.elapsed() + pause > time {
            return Err(error);
        }
        log::warn(format!("{error}; trying again"));
        tokio::time::sleep(pause).await;
        failures += 1;
    }
}
