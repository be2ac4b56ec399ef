//! Pays OpenCode's slow first prompt before a person waits for it: a session of its own asks a model that this module is.
//!
//! OpenCode loads most of its parts with the first prompt. The model answers one fixed word on loopback; the session is deleted
//! afterwards. Failing changes nothing. Used by `opencode`.

use super::client::Client;
use super::config::{Model, WARM_MODEL, WARM_PROVIDER};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const WARM_UP_MAX: Duration = Duration::from_secs(20);
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
const ANSWER: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    r#"data: {"id":"warm","object":"chat.completion.chunk","created":0,"model":"warm","choices":[{"index":0,"delta":{"role":"assistant","content":"ok"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"warm","object":"chat.completion.chunk","created":0,"model":"warm","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);

/// The model, listening.
pub(super) struct WarmModel {
    listener: TcpListener,
    pub(super) port: u16,
}

impl WarmModel {
    /// Listens on loopback.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Warms OpenCode up, beside everything else.
    pub(super) fn run(self, client: Client) {
        tokio::spawn(async move {
            let serving = async {
                while let Ok((socket, _)) = self.listener.accept().await {
                    // A caller that goes away is none of our business.
                    let _ = answer(socket).await;
                }
            };
            tokio::select! {
                () = serving => {}
                _ = timeout(WARM_UP_MAX, ask(&client)) => {}
            }
        });
    }
}

async fn ask(client: &Client) -> Result<(), super::client::ClientError> {
    let session = client.create_session("Warm-up").await?;
    let model = Model { provider: WARM_PROVIDER.to_owned(), name: WARM_MODEL.to_owned() };
    client.prompt(&session, &super::prompt::message_id(), &model, &["Answer with one word."]).await?;
    sleep(Duration::from_millis(500)).await;
    while client.is_busy(&session).await? {
        sleep(Duration::from_millis(100)).await;
    }
    client.delete_session(&session).await
}

async fn answer(mut socket: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while !is_whole(&request) && request.len() < REQUEST_BYTES_MAX {
        let length = socket.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        request.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    socket.write_all(ANSWER.as_bytes()).await?;
    socket.shutdown().await
}

/// Whether head and body have arrived. Without a length the end of the body shows by its closing chunk.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(request.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) => request.len() >= end + 4 + length,
        None => request.ends_with(b"0\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_last_byte() {
        assert!(!is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"));
        assert!(is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
        assert!(!is_whole(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"));
        assert!(is_whole(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"));
    }
}
