//! Runs git: arguments as a list, settings and the gateway's token by environment only, hooks off, with a time limit.
//!
//! The token stands neither in the repository's configuration nor in any argument, and is sent to the bridge's URL alone. Used by
//! the other modules of `git`.

use super::identity::Identity;
use crate::environment::Environment;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const LOCAL_TIME_MAX: Duration = Duration::from_secs(120);
const NETWORK_TIME_MAX: Duration = Duration::from_secs(900);
const STDERR_BYTES_MAX: usize = 2000;

/// A git command that did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// git itself could not be run.
    #[error("git cannot be started; is it installed in the sandbox?")]
    Start(#[source] std::io::Error),
    /// It took too long.
    #[error("git {command} took longer than {} s", limit.as_secs())]
    TimedOut { command: String, limit: Duration },
    /// It said no.
    #[error("git {command} failed: {message}")]
    Refused { command: String, message: String },
}

/// Runs git in one folder.
#[derive(Clone)]
pub(crate) struct Git {
    folder: PathBuf,
    settings: Vec<(String, String)>,
}

/// Settings that also the agent's own git needs: the way to the gateway.
pub(crate) fn gateway_settings(environment: &Environment) -> Vec<(String, String)> {
    let header = format!("http.{}/.extraHeader", environment.bridge_url);
    let mut settings = vec![(header, format!("Authorization: Bearer {}", environment.token))];
    // Submodules name their repositories by the code host's own address.
    let code_host = environment.code_host.as_deref().unwrap_or_default();
    let host = code_host.split("//").nth(1).and_then(|rest| rest.split(['/', ':']).next());
    if let Some(host) = host {
        let gateway = format!("url.{}/git/.insteadOf", environment.bridge_url);
        for prefix in [code_host.to_owned(), format!("git@{host}:"), format!("ssh://git@{host}/")] {
            settings.push((gateway.clone(), prefix));
        }
    }
    settings
}

/// `settings` as environment variables that git reads.
pub(crate) fn settings_as_variables(settings: &[(String, String)]) -> Vec<(String, String)> {
    let pairs = settings.iter().enumerate().flat_map(|(index, (key, value))| {
        [
            (format!("GIT_CONFIG_KEY_{index}"), key.clone()),
            (format!("GIT_CONFIG_VALUE_{index}"), value.clone()),
        ]
    });
    std::iter::once(("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string())).chain(pairs).collect()
}

/// Paths of the files that a workspace's repository has.
pub(crate) async fn tracked_files(workspace: &Path) -> Result<Vec<String>, GitError> {
    let git = Git::with_settings(workspace.to_owned(), Vec::new());
    let files = git.run(&["ls-files", "-z"]).await?;
    Ok(files.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
}

impl Git {
    pub(super) fn new(environment: &Environment) -> Self {
        Self::with_settings(environment.workspace.clone(), gateway_settings(environment))
    }

    fn with_settings(folder: PathBuf, mut settings: Vec<(String, String)>) -> Self {
        let fixed = [
            ("commit.gpgSign", "false"),
            ("core.fsmonitor", "false"),
            ("core.hooksPath", "/dev/null"),
            ("core.quotePath", "false"),
            ("credential.helper", ""),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("protocol.ext.allow", "never"),
            ("protocol.file.allow", "user"),
            ("safe.directory", "*"),
            ("submodule.recurse", "false"),
        ];
        settings.extend(fixed.map(|(key, value)| (key.to_owned(), value.to_owned())));
        Self { folder, settings }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.folder).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("GIT_") || name_text.starts_with("FARHAND_") {
                command.env_remove(&name);
            }
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        command.envs(settings_as_variables(&self.settings));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What the command wrote to its output; an error when it did not succeed.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, GitError> {
        let output = self.output(self.command(arguments), arguments, LOCAL_TIME_MAX).await?;
        succeeded(arguments, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As [`Self::run`], for commands that speak to the gateway.
    pub(super) async fn run_remote(&self, arguments: &[&str]) -> Result<String, GitError> {
        let output = self.output(self.command(arguments), arguments, NETWORK_TIME_MAX).await?;
        succeeded(arguments, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether the command exits with 0; its other answers are not errors.
    pub(super) async fn succeeds(&self, arguments: &[&str]) -> Result<bool, GitError> {
        Ok(self.output(self.command(arguments), arguments, LOCAL_TIME_MAX).await?.status.success())
    }

    /// The object that a revision names.
    pub(super) async fn resolve(&self, revision: &str) -> Result<Option<String>, GitError> {
        let arguments = ["rev-parse", "--quiet", "--verify", "--end-of-options", revision];
        let output = self.output(self.command(&arguments), &arguments, LOCAL_TIME_MAX).await?;
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !name.is_empty()).then_some(name))
    }

    /// Commits the index with `message` in somebody's name.
    pub(super) async fn commit(&self, who: &Identity, message: &str) -> Result<(), GitError> {
        let arguments = ["commit", "--quiet", "--no-verify", "--cleanup=whitespace", "--file=-"];
        let mut command = self.command(&arguments);
        command.envs(who.variables()).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(GitError::Start)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(message.as_bytes()).await.map_err(GitError::Start)?;
        }
        let waiting = tokio::time::timeout(LOCAL_TIME_MAX, child.wait_with_output()).await;
        let output = waiting.map_err(|_| timed_out(&arguments, LOCAL_TIME_MAX))?.map_err(GitError::Start)?;
        succeeded(&arguments, &output)
    }

    /// Starts the command and hands it over, for output too long to be held.
    pub(super) fn spawn(&self, arguments: &[&str]) -> Result<tokio::process::Child, GitError> {
        self.command(arguments).stderr(Stdio::null()).spawn().map_err(GitError::Start)
    }

    async fn output(
        &self,
        mut command: Command,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<Output, GitError> {
        let waiting = tokio::time::timeout(limit, command.output()).await;
        waiting.map_err(|_| timed_out(arguments, limit))?.map_err(GitError::Start)
    }
}

fn timed_out(arguments: &[&str], limit: Duration) -> GitError {
    GitError::TimedOut { command: name(arguments), limit }
}

fn name(arguments: &[&str]) -> String {
    arguments.first().copied().unwrap_or_default().to_owned()
}

fn succeeded(arguments: &[&str], output: &Output) -> Result<(), GitError> {
    if output.status.success() {
        return Ok(());
    }
    // A refused push tells the reason on its output, everything else on its error stream.
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = text.trim();
    let start = text.ceil_char_boundary(text.len().saturating_sub(STDERR_BYTES_MAX));
    let message = match text.get(start..).unwrap_or_default() {
        "" => output.status.to_string(),
        text => text.to_owned(),
    };
    Err(GitError::Refused { command: name(arguments), message })
}
