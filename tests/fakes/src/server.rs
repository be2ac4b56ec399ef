//! A loopback HTTP server that ends with its owner.

use crate::FakesError;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Ends the server when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    _stop: oneshot::Sender<()>,
}

/// Binds the port first, so that the router can know its own address.
pub(crate) async fn listen(port: u16) -> Result<(TcpListener, String), FakesError> {
    let failed = |source| FakesError::Listen { port, source };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    Ok((listener, url))
}

/// Serves until the answer is dropped.
pub(crate) fn serve(listener: TcpListener, url: String, router: Router) -> Server {
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            _ = stopped => {}
        }
    });
    Server { url, _stop: stop }
}
