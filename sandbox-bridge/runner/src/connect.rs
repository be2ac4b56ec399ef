//! Joins this process's standard streams to a Unix socket: how a bridge that can only run commands in a sandbox reaches its
//! supervisor there.
//!
//! Reads nothing of what passes. The end of its input is passed on, the end of the socket is its own. Called by `main`.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, stdin, stdout};
use tokio::net::UnixStream;

/// `runner connect PATH`.
pub(crate) fn main(path: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.and_then(|runtime| {
        let outcome = runtime.block_on(join(path));
        // The thread that waits for input must not keep the process.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runner connect: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How long a supervisor may take to be there: a new sandbox is just starting it.
const START_TIME: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(10);

async fn connect(path: &str) -> io::Result<UnixStream> {
    let begin = Instant::now();
    loop {
        match UnixStream::connect(path).await {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                    && begin.elapsed() < START_TIME =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn join(path: &str) -> io::Result<()> {
    let (mut reader, mut writer) = connect(path).await?.into_split();
    let up = tokio::spawn(async move {
        let _ = copy(&mut stdin(), &mut writer).await;
        // A caller that hung up is told on; the socket's other half stays until the supervisor ends it.
        let _ = writer.shutdown().await;
    });
    let mut output = stdout();
    let mut buffer = vec![0; 32 * 1024];
    let outcome = loop {
        match reader.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(count) => {
                output.write_all(buffer.get(..count).unwrap_or_default()).await?;
                // A terminal's reader waits for every byte.
                output.flush().await?;
            }
            Err(error) => break Err(error),
        }
    };
    up.abort();
    outcome
}
