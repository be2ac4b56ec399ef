//! Runs a command of the script with both its outputs streamed, and ends all its processes when the turn is stopped.

use crate::output::{FLUSH_EVERY, Output};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// How long a process that the command left behind may hold its output open.
const LINGER: Duration = Duration::from_millis(200);

/// The command's exit code; 128 and the signal where a signal ended it.
pub(super) async fn run(
    folder: &Path,
    command: &str,
    variables: impl Iterator<Item = (String, String)>,
    key: &str,
    output: &mut Output,
) -> io::Result<i32> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder).process_group(0).kill_on_drop(true);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FARHAND_")) {
        shell.env_remove(name);
    }
    shell.envs(variables).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group(shell.spawn()?);
    let (Some(mut stdout), Some(mut stderr)) = (group.0.stdout.take(), group.0.stderr.take()) else {
        return Err(io::Error::other("the command has no output"));
    };
    let (mut out, mut err) = (Stream::new(&mut stdout), Stream::new(&mut stderr));
    let mut tick = interval(FLUSH_EVERY);
    let status = loop {
        tokio::select! {
            text = out.next(), if out.open => output.append_tool_output(key, &text).await,
            text = err.next(), if err.open => output.append_tool_output(key, &text).await,
            _ = tick.tick(), if output.has_waiting() => output.flush().await,
            status = group.0.wait() => break status?,
        }
    };
    // What the command wrote last may still be in its pipes; a process that it left behind keeps them open.
    while out.open || err.open {
        let text = timeout(LINGER, async {
            tokio::select! {
                text = out.next(), if out.open => text,
                text = err.next(), if err.open => text,
            }
        });
        match text.await {
            Ok(text) => output.append_tool_output(key, &text).await,
            Err(_) => break,
        }
    }
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// The command with all that it started in its process group; dropped with the turn.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // The group may have ended by itself.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// One output as text, with characters kept whole across reads.
struct Stream<'a, R> {
    reader: &'a mut R,
    unread: Vec<u8>,
    open: bool,
}

impl<'a, R: AsyncRead + Unpin> Stream<'a, R> {
    fn new(reader: &'a mut R) -> Self {
        Self { reader, unread: Vec::new(), open: true }
    }

    async fn next(&mut self) -> String {
        let mut buffer = [0; 16 * 1024];
        let length = self.reader.read(&mut buffer).await.unwrap_or(0);
        self.open = length > 0;
        self.unread.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let whole = if self.open { whole_characters(&self.unread) } else { self.unread.len() };
        let rest = self.unread.split_off(whole);
        String::from_utf8_lossy(&std::mem::replace(&mut self.unread, rest)).into_owned()
    }
}

/// How many bytes do not end in the middle of a character.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_between_two_reads() {
        assert_eq!(whole_characters("aä".as_bytes()), 3);
        assert_eq!(whole_characters(&"aä".as_bytes()[..2]), 1);
        assert_eq!(whole_characters(&[b'a', 0xff, b'b']), 3);
    }
}
