//! Runs one command inside the sandbox of a build, with its output in the log, and says in words why it failed.
//!
//! Dropping the future kills the command. Called by `build`.

use super::log::BuildLog;
use crate::hub::Sandbox;
use crate::provider::exec::{ExecError, ExecEvent};
use crate::provider::{ProviderError, SandboxProvider};
use protocol::limit::BUILD_SOURCE_BYTES_MAX;
use protocol::supervisor::{ExecCommand, ExecExit};
use protocol::timeline::EgressDenial;
use std::fmt::Write as _;
use std::time::Duration;
use tracing::Instrument as _;

/// Output that is read of a command of the bridge's own.
const ANSWER_BYTES_MAX: usize = 8 * BUILD_SOURCE_BYTES_MAX;
/// How long the news of a sandbox's end may take after its commands are gone.
const EXIT_NEWS: Duration = Duration::from_secs(3);
/// What is told of the end of a failed command's output.
const LAST_LINES: usize = 8;
const LAST_BYTES: usize = 1500;
/// Refused places that are told.
const DENIALS_TOLD: usize = 5;
/// What a shell answers for a command that is not there (POSIX, Shell Command Language, 2.8.2).
const NOT_FOUND: i32 = 127;
/// What a shell answers for a command that was ended by SIGKILL: 128 and its number.
const KILLED: i32 = 137;

/// A sandbox of a build, and what comes out of it.
pub(super) struct Inside<'a, P> {
    pub(super) provider: &'a P,
    pub(super) sandbox: &'a Sandbox,
    pub(super) log: &'a BuildLog,
}

/// The reason why a command did not do what it should, for humans.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String);

impl<P: SandboxProvider> Inside<'_, P> {
    /// Runs a shell command of the recipe.
    pub(super) async fn shell(&self, command: &str) -> Result<(), Failed> {
        let before = self.sandbox.egress.denials();
        let exit = self.run(shell(command), &mut |bytes| self.log.output(bytes)).await?;
        if exit.code == Some(0) {
            return Ok(());
        }
        Err(Failed(self.explain(command, &exit, &before)))
    }

    /// Runs a command of the bridge's own; answers what it printed.
    pub(super) async fn runner(&self, what: &str, arguments: &[&str]) -> Result<Vec<u8>, Failed> {
        let arguments = ["runner", "build"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
        let command = ExecCommand { arguments, ..ExecCommand::default() };
        let mut printed = Vec::new();
        let span = tracing::info_span!("exec", what);
        let opened = self.provider.exec(&self.sandbox.record.sandbox_id, command).instrument(span.clone());
        let mut stream = opened.await.map_err(reach)?;
        let exit = loop {
            match stream.output.next().await {
                Ok(ExecEvent::Output(bytes)) if printed.len() + bytes.len() <= ANSWER_BYTES_MAX => {
                    printed.extend_from_slice(&bytes);
                }
                Ok(ExecEvent::Output(_)) => return Err(Failed(format!("{what} said too much"))),
                Ok(ExecEvent::ErrorOutput(bytes)) => self.log.output(bytes.to_vec()),
                Ok(ExecEvent::Exit(exit)) => break exit,
                Err(error) => return Err(self.gone(error).await),
            }
        };
        if exit.code == Some(0) {
            return Ok(printed);
        }
        Err(Failed(format!("{what} failed: {}", self.log.last_lines(LAST_LINES, LAST_BYTES))))
    }

    async fn run(
        &self,
        command: ExecCommand,
        write: &mut (impl FnMut(Vec<u8>) + Send),
    ) -> Result<ExecExit, Failed> {
        let span = tracing::info_span!("exec", what = "a command of the recipe");
        let opened = self.provider.exec(&self.sandbox.record.sandbox_id, command).instrument(span.clone());
        let mut stream = opened.await.map_err(reach)?;
        loop {
            match stream.output.next().await {
                Ok(ExecEvent::Output(bytes) | ExecEvent::ErrorOutput(bytes)) => write(bytes.to_vec()),
                Ok(ExecEvent::Exit(exit)) => return Ok(exit),
                Err(error) => return Err(self.gone(error).await),
            }
        }
    }

    /// The sandbox ended in the middle; its provider knows why.
    pub(super) async fn gone(&self, error: ExecError) -> Failed {
        let Some(reason) = self.sandbox.exit_reason(EXIT_NEWS).await else {
            return Failed(error.to_string());
        };
        let limits = self.sandbox.record.order.limits;
        let remedy = if reason.contains("memory") {
            format!("; give it more than {} by limits.memory_mib in the recipe", limits.memory_mib)
        } else if reason.contains("disk") || reason.contains("files") {
            format!("; give it more than {} by limits.disk_mib in the recipe", limits.disk_mib)
        } else {
            String::new()
        };
        Failed(format!("{reason}{remedy}"))
    }

    fn explain(&self, command: &str, exit: &ExecExit, before: &[EgressDenial]) -> String {
        let memory = self.sandbox.record.order.limits.memory_mib;
        let how = match (exit.code, exit.signal.as_deref()) {
            (Some(KILLED), _) | (None, Some("SIGKILL")) => format!(
                "was killed, most likely because it needed more than the {memory} MiB of memory; limits.memory_mib in the recipe gives it more"
            ),
            (Some(NOT_FOUND), _) => "ended with exit code 127: a command was not found. Let setup install it, or name a base_image or tools that have it in the recipe".to_owned(),
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by {signal}"),
            (None, None) => "ended in a way that is not known".to_owned(),
        };
        let mut text = format!("`{}` {how}", first_line(command));
        text.push_str(&denied(&self.sandbox.egress.denials(), before));
        let last = self.log.last_lines(LAST_LINES, LAST_BYTES);
        if !last.is_empty() {
            let _ = write!(text, ". Its last words:\n{last}");
        }
        text
    }
}

/// What was refused on the way out since `before`, in words; usually nothing.
fn denied(now: &[EgressDenial], before: &[EgressDenial]) -> String {
    let is_new = |denial: &&EgressDenial| !before.contains(denial);
    let places: Vec<String> = now
        .iter()
        .filter(is_new)
        .take(DENIALS_TOLD)
        .map(|denial| format!("{}:{} ({})", denial.host, denial.port, denial.reason))
        .collect();
    if places.is_empty() {
        return String::new();
    }
    format!(
        ". It was not let out to {}; the operator allows hosts by --allow-host or in FARHAND_REPOSITORY_POLICY",
        places.join(", ")
    )
}

/// How a shell runs a command of a recipe.
pub(super) fn shell(command: &str) -> ExecCommand {
    let arguments = ["/bin/sh", "-e", "-c", command].map(str::to_owned).to_vec();
    let variables = [("CI", "1")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    ExecCommand { arguments, variables, ..ExecCommand::default() }
}

/// What a log and a reason show of a command.
pub(super) fn first_line(command: &str) -> String {
    let line = command.trim().lines().next().unwrap_or_default();
    let mut text: String = line.chars().take(120).collect();
    if text.len() < command.trim().len() {
        text.push('…');
    }
    text
}

fn reach(error: ProviderError) -> Failed {
    Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_host_is_told_with_its_remedy_and_an_old_one_is_not() {
        let denial = |host: &str, count| EgressDenial {
            host: host.to_owned(),
            port: 443,
            reason: "host_not_allowed".to_owned(),
            count,
        };
        let before = [denial("a.example", 1)];
        assert_eq!(denied(&before, &before), "");
        let text = denied(&[denial("a.example", 1), denial("b.example", 2)], &before);
        assert!(text.contains("b.example:443 (host_not_allowed)") && text.contains("--allow-host"), "{text}");
        assert!(!text.contains("a.example"), "{text}");
    }

    #[test]
    fn a_long_command_is_shown_by_its_first_line() {
        assert_eq!(first_line(" npm ci \n"), "npm ci");
        assert_eq!(first_line("set -e\nmake"), "set -e…");
        assert_eq!(first_line(&"x".repeat(500)).chars().count(), 121);
    }
}
