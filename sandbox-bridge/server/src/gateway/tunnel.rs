//! The door for sandboxes that are elsewhere: a WebSocket for each of their connections, opened with the sandbox's token.
//!
//! What comes through it is served like a socket that only this sandbox has, so runner, git, models and the proxy work as on this
//! machine; and it is a WebSocket because what terminates TLS in front lets those pass, but no CONNECT. Bytes are binary
//! messages, an empty one ends its direction. The other end is the runner's `init`; `serve` opens the listener.

use super::{Gateway, authenticate, inside_router, listen};
use crate::api::Failure;
use crate::hub::Sandbox;
use crate::provider::{OnlyThisSandbox, SocketSandbox};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::{SinkExt, StreamExt};
use protocol::error::{ErrorBody, ErrorCode};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Longest message of a sandbox; the runner sends half of it.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What is under way in each direction of a connection.
const PIPE_BYTES: usize = 16 * 1024;
/// A tunnel's own buffers; there are many of them.
const SOCKET_BUFFER_BYTES: usize = 8 * 1024;
/// How long the last bytes may take to be sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the route works with.
#[derive(Clone)]
struct Outside {
    gateway: Arc<Gateway>,
    /// The listener is gone, and its connections are to go with it.
    over: CancellationToken,
}

/// Serves the gateway's own address until the future is dropped, and every connection with it.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>) {
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let router = Router::new()
        .route("/sandbox", get(open))
        .route_layer(axum::middleware::from_fn_with_state(gateway.clone(), authenticate))
        .fallback(async || {
            Failure(ErrorBody::new(ErrorCode::NotFound, "sandboxes reach the bridge at /sandbox only"))
        })
        .with_state(Outside { gateway, over });
    listen::serve(listener, router).await;
}

async fn open(
    State(Outside { gateway, over }): State<Outside>,
    Extension(sandbox): Extension<Arc<Sandbox>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    // One sandbox cannot take all descriptors of the bridge.
    let Ok(place) = sandbox.tunnels.clone().try_acquire_owned() else {
        let text = "this sandbox has too many connections to the bridge; close some";
        return Failure(ErrorBody::new(ErrorCode::Unavailable, text)).into_response();
    };
    let router = inside_router(gateway)
        .layer(Extension(OnlyThisSandbox))
        .layer(Extension(SocketSandbox(sandbox.record.sandbox_id.clone())));
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(0);
    upgrade.on_upgrade(async move |socket| {
        let _place = place;
        let (inner, outer) = tokio::io::duplex(PIPE_BYTES);
        let serving = tokio::spawn(listen::serve_connection(inner, router, listen::HEAD_TIMEOUT));
        if let Some(Err(error)) = over.run_until_cancelled(pass(socket, outer)).await {
            tracing::trace!(sandbox = %sandbox.record.sandbox_id, %error, "a sandbox's connection broke");
        }
        // It has seen the end of its stream; what it became, such as a tunnel, ends with that too.
        drop(serving);
    })
}

/// Bytes one way, messages the other, until both directions have ended or one breaks.
async fn pass(socket: WebSocket, pipe: DuplexStream) -> io::Result<()> {
    let (mut sink, mut stream) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(pipe);
    let inwards = async {
        while let Some(message) = stream.next().await {
            match message.map_err(io::Error::other)? {
                Message::Binary(piece) if piece.is_empty() => break,
                Message::Binary(piece) => writer.write_all(&piece).await?,
                Message::Close(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
        writer.shutdown().await
    };
    let outwards = async {
        let mut buffer = vec![0; PIPE_BYTES];
        loop {
            let count = reader.read(&mut buffer).await?;
            let piece = buffer.get(..count).unwrap_or_default().to_vec();
            sink.send(Message::Binary(piece.into())).await.map_err(io::Error::other)?;
            if count == 0 {
                return io::Result::Ok(());
            }
        }
    };
    let outcome = tokio::try_join!(inwards, outwards);
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, sink.close()).await;
    outcome.map(drop)
}
