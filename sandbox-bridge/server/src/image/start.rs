//! Starts a repository's development server once, so that its caches are in the image: until a port of it answers, or for a while.
//!
//! Nothing of it is a condition for the image. Called by `build`.

use super::command::{Inside, shell};
use super::log::BuildLog;
use crate::provider::SandboxProvider;
use crate::provider::exec::ExecEvent;
use protocol::supervisor::ExecCommand;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long it may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often its ports are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long its first answer may take: it may compile for it.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(30);
/// A list of sockets.
const SOCKETS_BYTES_MAX: usize = 1024 * 1024;
/// Listening, in `/proc/net/tcp`; see proc_net_tcp in the kernel's documentation.
const LISTEN: &str = "0A";
const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Runs the command until it answers; the text is what to log of it.
pub(super) async fn try_start<P: SandboxProvider>(inside: &Inside<'_, P>, command: &str) -> String {
    let before = ports(inside).await;
    let running = run(inside, command, inside.log);
    let answering = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for port in ports(inside).await.difference(&before) {
                if answers(inside, *port).await {
                    return *port;
                }
            }
        }
    };
    tokio::select! {
        end = running => end,
        port = answering => format!("it answers at port {port}"),
        () = tokio::time::sleep(ANSWER_MAX) => format!("it did not answer within {} s", ANSWER_MAX.as_secs()),
    }
}

/// Until it ends by itself. Dropping this ends it.
async fn run<P: SandboxProvider>(inside: &Inside<'_, P>, command: &str, log: &BuildLog) -> String {
    let mut stream = match inside.provider.exec(&inside.sandbox.record.sandbox_id, shell(command)).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    loop {
        match stream.output.next().await {
            Ok(ExecEvent::Output(bytes) | ExecEvent::ErrorOutput(bytes)) => log.output(bytes.to_vec()),
            Ok(ExecEvent::Exit(exit)) => {
                return match exit.code {
                    Some(code) => format!("it ended with exit code {code}"),
                    None => format!("it was ended by {}", exit.signal.unwrap_or_default()),
                };
            }
            Err(error) => return error.to_string(),
        }
    }
}

/// The ports that something inside listens on.
async fn ports<P: SandboxProvider>(inside: &Inside<'_, P>) -> BTreeSet<u16> {
    let arguments = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned).to_vec();
    let command = ExecCommand { arguments, ..ExecCommand::default() };
    let Ok(stream) = inside.provider.exec(&inside.sandbox.record.sandbox_id, command).await else {
        return BTreeSet::new();
    };
    // Without version 6 of IP the second file is missing; what was printed counts.
    let listing = stream.collect(SOCKETS_BYTES_MAX).await.map(|(output, ..)| output).unwrap_or_default();
    parse_ports(&String::from_utf8_lossy(&listing))
}

fn parse_ports(listing: &str) -> BTreeSet<u16> {
    let port = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, port) = local.rsplit_once(':')?;
        (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok()).flatten()
    };
    listing.lines().filter_map(port).collect()
}

/// Whether a question to this port is answered with anything.
async fn answers<P: SandboxProvider>(inside: &Inside<'_, P>, port: u16) -> bool {
    let asking = async {
        let mut stream = inside.provider.dial(&inside.sandbox.record.sandbox_id, port).await.ok()?;
        stream.write_all(QUESTION).await.ok()?;
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.ok().map(drop)
    };
    matches!(tokio::time::timeout(FIRST_ANSWER_MAX, asking).await, Ok(Some(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_ports_are_read_and_others_are_not() {
        let listing = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
             0: 0100007F:0C38 00000000:0000 0A 00000000:00000000\n   \
             1: 0100007F:1F90 0100007F:C350 01 00000000:00000000\n  sl  local_address\n   \
             0: 00000000000000000000000000000000:1435 00000000000000000000000000000000:0000 0A 00000000\n";
        assert_eq!(parse_ports(listing), BTreeSet::from([3128, 5173]));
        assert_eq!(parse_ports("nonsense\n: :"), BTreeSet::new());
    }
}
