//! Serves one sandbox's door: HTTP/1 with a bound on heads, in bytes and in time. Providers call it with their listener.

use axum::Router;
use axum::extract::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Longest head of a request, and the most that is read ahead.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for the first head of a connection.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a further one: clients keep connections for later, and are surprised when these end early.
const NEXT_HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Serves connections until the future is dropped, and them with it. What a request became, such as a tunnel, goes on by itself.
pub async fn serve<L: Listener>(mut listener: L, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, _) = listener.accept() => {
                connections.spawn(serve_connection(stream, router.clone(), HEAD_TIMEOUT));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The settings of every HTTP connection from a sandbox.
pub(super) fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(NEXT_HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    builder
}

/// Serves one connection to its end.
pub(super) async fn serve_connection<S>(stream: S, router: Router, head_timeout: Duration)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(Notify::new());
    let heard = asked.clone();
    let service = router.map_request(move |request: hyper::Request<Incoming>| -> Request {
        heard.notify_one();
        request.map(axum::body::Body::new)
    });
    let connection =
        http().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).with_upgrades();
    tokio::pin!(connection);
    let first = tokio::time::timeout(head_timeout, async {
        tokio::select! {
            ended = &mut connection => Some(ended),
            () = asked.notified() => None,
        }
    });
    let outcome = match first.await {
        Err(_) => return,
        Ok(Some(ended)) => ended,
        Ok(None) => connection.await,
    };
    if let Err(error) = outcome {
        tracing::trace!(%error, "a sandbox's connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_slow_with_its_first_head_is_not_waited_for() {
        for said in ["", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            let (mut client, server) = tokio::io::duplex(1024);
            let begin = tokio::time::Instant::now();
            let serving = tokio::spawn(serve_connection(server, Router::new(), HEAD_TIMEOUT));
            client.write_all(said.as_bytes()).await.unwrap();
            assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
            assert_eq!(begin.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
            serving.await.unwrap();
        }
    }
}
