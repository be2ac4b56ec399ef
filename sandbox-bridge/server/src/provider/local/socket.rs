//! The bridge's door of one sandbox: a listener that only this sandbox can reach, serving the bridge's inside routes.
//!
//! Whoever comes through it is this sandbox; each request carries that as an extension.

use crate::gateway::listen;
use crate::launcher::Account;
use crate::provider::{OnlyThisSandbox, SocketSandbox};
use axum::{Extension, Router};
use protocol::id::SandboxId;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// The socket's name in its directory.
pub(crate) const SOCKET_NAME: &str = "bridge.sock";
/// One sandbox cannot take all descriptors of the bridge.
const CONNECTIONS_MAX: usize = 256;

/// A listener that ends with this value; connections end with the sandbox.
pub(crate) struct Door(JoinHandle<()>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Binds `bridge.sock` in `directory`, in place of an older one, for the account alone.
pub(crate) fn open_unix(
    directory: &Path,
    owner: Option<Account>,
    id: &SandboxId,
    inside: &Router,
) -> io::Result<Door> {
    let path = directory.join(SOCKET_NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Addresses of sockets are short; the way over the open directory always fits.
    let handle = File::open(directory)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET_NAME}", handle.as_raw_fd()))?;
    if let Some(account) = owner {
        std::os::unix::fs::lchown(&path, Some(account.uid), Some(account.gid))?;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(serve(Limited::new(listener), id, &inside.clone().layer(Extension(OnlyThisSandbox))))
}

/// A loopback port for a sandbox without a network of its own; `port` again after the bridge was away.
pub(crate) fn open_loopback(port: Option<u16>, id: &SandboxId, inside: &Router) -> io::Result<(Door, u16)> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port.unwrap_or(0)))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((serve(Limited::new(TcpListener::from_std(listener)?), id, inside), port))
}

fn serve<L: Accept>(listener: Limited<L>, id: &SandboxId, inside: &Router) -> Door {
    let router = inside.clone().layer(Extension(SocketSandbox(id.clone())));
    Door(tokio::spawn(listen::serve(listener, router)))
}

trait Accept: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    fn accept_one(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for UnixListener {
    type Stream = UnixStream;
    async fn accept_one(&mut self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    async fn accept_one(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Accepts no more connections at a time than one sandbox may have.
struct Limited<L> {
    listener: L,
    free: Arc<Semaphore>,
}

impl<L> Limited<L> {
    fn new(listener: L) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl<L: Accept> axum::serve::Listener for Limited<L> {
    type Io = Connection<L::Stream>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        loop {
            let permit = self.free.clone().acquire_owned().await.ok();
            match self.listener.accept_one().await {
                Ok(stream) => return (Connection { stream, _permit: permit }, ()),
                // Out of descriptors, most likely: some have to be closed first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Connection<S> {
    stream: S,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
