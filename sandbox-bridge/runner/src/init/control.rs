//! The control socket: the bridge's orders to this sandbox, one connection each. See [`protocol::supervisor`].
//!
//! The launcher opened it where nobody in the sandbox can reach it, and PID 1 has it as an open file; where there is no launcher it
//! is made here. Called by `mod.rs`.

use super::children::Children;
use super::freeze::Stillness;
use super::wire::{FrameReader, write_json};
use super::{dial, exec, stats};
use protocol::supervisor::{CONNECTIONS_MAX, FrameKind, RefusalReason, SupervisorAnswer, SupervisorOrder};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Number of the listening socket among the files of PID 1.
pub(super) const DESCRIPTOR: &str = "FARHAND_CONTROL_FD";
/// Longest wait for the order on a new connection.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused one may take to read the answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// What all connections share.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) children: Children,
    pub(super) stillness: Stillness,
    free: Arc<Semaphore>,
}

/// Why an order is not carried out.
pub(super) struct Refusal(pub(super) RefusalReason, pub(super) String);

/// Takes over the socket that the launcher left, if there is one. Must run before anything is started, which would inherit it.
pub(super) fn inherited() -> io::Result<Option<UnixListener>> {
    let Some(number) = std::env::var(DESCRIPTOR).ok().and_then(|text| text.parse::<RawFd>().ok()) else {
        return Ok(None);
    };
    // SAFETY: the launcher opened this file for us alone, and nothing else in this process knows its number.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    let listener = StdListener::from(file);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener).map(Some)
}

/// Makes the socket itself, where there is no launcher. Whoever has this account can reach it then, which gives nobody more than the
/// account has.
pub(super) fn open(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Control {
    pub(super) fn new(children: Children) -> Self {
        let stillness = Stillness::new();
        Self { children, stillness, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    /// Serves one connection in a task of its own.
    pub(super) fn serve(&self, connection: UnixStream) {
        let control = self.clone();
        tokio::spawn(async move {
            match control.free.clone().try_acquire_owned() {
                Ok(_permit) => control.converse(connection).await,
                Err(_) => {
                    let text = format!("{CONNECTIONS_MAX} commands and connections are open already");
                    let (_, mut writer) = connection.into_split();
                    let answer = refuse(&mut writer, Refusal(RefusalReason::Busy, text));
                    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, answer).await;
                }
            }
        });
    }

    /// An error here is the end of the connection, which the bridge sees.
    async fn converse(&self, connection: UnixStream) {
        let (reader, mut writer) = connection.into_split();
        let mut reader = FrameReader::new(reader);
        let Ok(Ok(Some((FrameKind::Head, text)))) = tokio::time::timeout(ORDER_TIMEOUT, reader.next()).await
        else {
            return;
        };
        let order = match serde_json::from_slice(&text) {
            Ok(order) => order,
            Err(error) => {
                let refusal =
                    Refusal(RefusalReason::Rejected, format!("the order is not understood: {error}"));
                let _ = refuse(&mut writer, refusal).await;
                return;
            }
        };
        drop(text);
        let outcome = match order {
            SupervisorOrder::Exec { command } => exec::serve(self, command, reader, &mut writer).await,
            SupervisorOrder::Dial { port } => dial::serve(port, reader, &mut writer).await,
            SupervisorOrder::Freeze => self.freeze(reader.into_inner(), &mut writer).await,
            SupervisorOrder::Stats => {
                let stats = stats::read(self.children.count());
                answer(&mut writer, &SupervisorAnswer::Stats { stats }).await.map_err(|_| None)
            }
            SupervisorOrder::Unknown => {
                let text = "this supervisor is older than the bridge; make a new sandbox".to_owned();
                Err(Some(Refusal(RefusalReason::Unsupported, text)))
            }
        };
        if let Err(Some(refusal)) = outcome {
            let _ = refuse(&mut writer, refusal).await;
        }
    }

    /// Everything stands still until the bridge hangs up, also when it dies.
    async fn freeze(
        &self,
        mut reader: impl AsyncRead + Unpin,
        writer: &mut OwnedWriteHalf,
    ) -> Result<(), Option<Refusal>> {
        let (_still, processes) = self.stillness.begin().await.map_err(Some)?;
        answer(writer, &SupervisorAnswer::Frozen { processes }).await.map_err(|_| None)?;
        // Nothing more is expected; whatever comes ends it too.
        let _ = reader.read(&mut [0; 1]).await;
        Ok(())
    }
}

pub(super) async fn answer(writer: &mut OwnedWriteHalf, answer: &SupervisorAnswer) -> io::Result<()> {
    write_json(writer, FrameKind::Head, answer).await
}

async fn refuse(writer: &mut OwnedWriteHalf, Refusal(reason, message): Refusal) -> io::Result<()> {
    answer(writer, &SupervisorAnswer::Refused { reason, message }).await
}
