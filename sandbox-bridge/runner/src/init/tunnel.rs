//! The way to a bridge that is not on this machine: each connection goes through a WebSocket of its own, which TLS-terminating
//! proxies let pass as they do not a proxy's CONNECT.
//!
//! Bytes are binary messages, an empty one ends its direction; see the bridge's `gateway::tunnel`. Reads nothing of what passes.
//! Called by `mod.rs`.

use super::BUFFER_BYTES;
use futures::{SinkExt, StreamExt};
use std::env::VarError;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Opens the bridge for this sandbox.
const TOKEN: &str = "FARHAND_SANDBOX_TOKEN";
/// Below the bridge's address.
const PATH: &str = "/sandbox";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The bridge sends no larger message.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Where the bridge is, and what opens it.
#[derive(Clone)]
pub(super) struct Tunnel {
    url: Arc<str>,
    bearer: HeaderValue,
}

impl Tunnel {
    /// To the bridge at this URL, with the token from the environment.
    pub(super) fn new(
        bridge: &str,
        lookup: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> io::Result<Self> {
        let bridge = bridge.trim_end_matches('/');
        if !bridge.starts_with("https://") && !bridge.starts_with("http://") {
            return Err(io::Error::other(format!("--bridge {bridge} is neither https:// nor http://")));
        }
        let token = lookup(TOKEN).map_err(|error| io::Error::other(format!("{TOKEN}: {error}")))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(io::Error::other)?;
        // The only maker of TLS keys in this program; an error would say that it is set already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { url: format!("{}{PATH}", bridge.replacen("http", "ws", 1)).into(), bearer })
    }

    /// Passes on what comes until both sides have ended, or one of them breaks.
    pub(super) async fn pass(&self, outer: TcpStream) {
        if let Err(error) = self.try_pass(outer).await {
            eprintln!("runner init: the way to the bridge: {error}");
        }
    }

    async fn try_pass(&self, outer: TcpStream) -> io::Result<()> {
        let mut request = (&*self.url).into_client_request().map_err(io::Error::other)?;
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let connecting = connect_async_with_config(request, Some(limits), true);
        let (socket, _) =
            tokio::time::timeout(CONNECT_TIMEOUT, connecting).await?.map_err(io::Error::other)?;
        let (mut sink, mut stream) = socket.split();
        let (mut reader, mut writer) = outer.into_split();
        let up = async {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let count = reader.read(&mut buffer).await?;
                let piece = buffer.get(..count).unwrap_or_default().to_vec();
                sink.send(Message::Binary(piece.into())).await.map_err(io::Error::other)?;
                if count == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        let down = async {
            while let Some(message) = stream.next().await {
                match message.map_err(io::Error::other)? {
                    Message::Binary(piece) if piece.is_empty() => break,
                    Message::Binary(piece) => writer.write_all(&piece).await?,
                    Message::Close(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                    Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            }
            writer.shutdown().await
        };
        // Whatever is cut on one side ends the other.
        match tokio::try_join!(up, down) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Ok(((), ())) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_needs_an_address_and_a_token() {
        let with = |url: &str, token: Option<&str>| {
            let token = token.map(str::to_owned).ok_or(VarError::NotPresent);
            Tunnel::new(url, |_| token.clone())
                .map(|tunnel| tunnel.url.to_string())
                .map_err(|e| e.to_string())
        };
        assert_eq!(with("https://b.example/", Some("t")).unwrap(), "wss://b.example/sandbox");
        assert_eq!(with("http://127.0.0.1:1", Some("t")).unwrap(), "ws://127.0.0.1:1/sandbox");
        assert!(with("b.example", Some("t")).unwrap_err().contains("--bridge"));
        assert!(with("https://b.example", None).unwrap_err().contains(TOKEN));
        assert!(with("https://b.example", Some("a\nb")).is_err());
    }
}
