//! The stream to a sandbox's supervisor: a command that joins its standard streams to the supervisor's socket.
//!
//! So commands, ports, signals and terminals are the same as on this machine. When the stream is dropped the command's input ends,
//! and with it whatever was run through it.

use super::ModalError;
use super::definition::CONTROL;
use super::exec::{Exec, ExecFile, ExecOrder};
use super::router::CommandRouter;
use crate::provider::exec::SandboxStream;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What is under way in each direction.
const PIPE_BYTES: usize = 64 * 1024;

/// Opens a stream; `runner` is the runner's path inside.
pub(super) async fn supervisor(
    router: Arc<CommandRouter>,
    runner: &str,
) -> Result<SandboxStream, ModalError> {
    let arguments = [runner, "connect", CONTROL].map(str::to_owned).to_vec();
    let order = ExecOrder { arguments, folder: Some("/".to_owned()), ..ExecOrder::default() };
    let exec = Exec::start(router, order).await?;
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let (mut output, mut input) = (exec.output(ExecFile::Stdout), exec.input());
    let inwards = async move {
        let mut buffer = BytesMut::with_capacity(PIPE_BYTES);
        while let Ok(1..) = reader.read_buf(&mut buffer).await {
            if let Err(error) = input.write(buffer.split().freeze()).await {
                tracing::debug!(%error, "a supervisor takes nothing any more");
                return;
            }
            buffer.reserve(PIPE_BYTES);
        }
        if let Err(error) = input.close(Bytes::new()).await {
            // It has ended, which is what its end of input is for.
            tracing::trace!(%error, "a supervisor's connection had ended");
        }
    };
    let outwards = async move {
        loop {
            match output.next().await {
                Ok(Some(piece)) => {
                    if writer.write_all(&piece).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "a supervisor's connection broke");
                    break;
                }
            }
        }
        let _ = writer.shutdown().await;
    };
    tokio::spawn(async move { tokio::join!(inwards, outwards) });
    Ok(Box::new(ours))
}
