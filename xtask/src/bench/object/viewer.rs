//! A client's WebSocket at one object: raw frames with the time they were read, acknowledged as the wire asks.

use super::load::now;
use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use protocol::client::SOCKET_PROTOCOL;
use protocol::limit::VIEWER_ACK_BYTES;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
const FRAME_BYTES_MAX: usize = 256 << 20;
static TICKETS: AtomicU64 = AtomicU64::new(0);

/// What a frame says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(rename = "type")]
    pub(super) kind: String,
    seq: Option<u64>,
    #[serde(default)]
    events: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    seq: u64,
    #[serde(rename = "event")]
    _event: IgnoredAny,
}

impl Head {
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).with_context(|| format!("not a frame: {text:.200}"))
    }

    /// Numbers of the first and last event in it.
    pub(super) fn events(&self) -> Option<(u64, u64)> {
        match (self.kind.as_str(), self.events.as_slice()) {
            ("event", _) => self.seq.map(|seq| (seq, seq)),
            ("events", [first, .., last]) => Some((first.seq, last.seq)),
            ("events", [only]) => Some((only.seq, only.seq)),
            _ => None,
        }
    }
}

/// One frame.
pub(super) struct Frame {
    pub(super) text: Utf8Bytes,
    pub(super) read_at: Instant,
}

impl Frame {
    /// Its type, which both sides write first; the rest is not looked at, because the load must cost little.
    pub(super) fn kind(&self) -> &str {
        let rest = self.text.as_str().strip_prefix("{\"type\":\"").unwrap_or_default();
        rest.split('"').next().unwrap_or_default()
    }

    /// Number of the newest event that a snapshot has.
    fn snapshot_seq(&self) -> Option<u64> {
        let rest = self.text.as_str().strip_prefix("{\"type\":\"snapshot\",\"seq\":")?;
        rest.split(',').next()?.parse().ok()
    }
}

/// A socket of one user.
pub(super) struct Viewer {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    unacked_bytes: usize,
    seq: u64,
    /// Bytes of payload read so far.
    pub(super) bytes: usize,
}

impl Viewer {
    /// Connects as user `number`; subscribes nothing yet.
    pub(super) async fn connect(object: &str, number: usize) -> anyhow::Result<Self> {
        let mut request = format!("{object}/socket").replacen("http", "ws", 1).into_client_request()?;
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
        let call = json!({
            "user": {
                "id": format!("usr_{number}"),
                "login": format!("user-{number}"),
                "name": format!("User Number {number}"),
                "email": format!("user-{number}@farhand.example"),
            },
            "ticketId": format!("ticket-{}-{ticket}", std::process::id()),
            "ticketExpiresAt": now().plus_ms(60_000),
        });
        let headers = request.headers_mut();
        headers.insert("x-farhand-socket", HeaderValue::from_str(&call.to_string())?);
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(SOCKET_PROTOCOL));
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let (stream, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), true).await?;
        Ok(Self { stream, unacked_bytes: 0, seq: 0, bytes: 0 })
    }

    pub(super) async fn subscribe(&mut self, since: Option<u64>) -> anyhow::Result<()> {
        let frame = match since {
            Some(since) => json!({"type": "subscribe", "since": since}),
            None => json!({"type": "subscribe"}),
        };
        Ok(self.stream.send(Message::text(frame.to_string())).await?)
    }

    /// The next frame, whatever it is, or an error when none comes in time.
    pub(super) async fn next(&mut self) -> anyhow::Result<Frame> {
        tokio::time::timeout(FRAME_TIMEOUT, self.wait()).await.context("no frame came")?
    }

    /// The next frame, however long it takes.
    pub(super) async fn wait(&mut self) -> anyhow::Result<Frame> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame = Frame { text, read_at: Instant::now() };
                    self.take(&frame).await?;
                    return Ok(frame);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => bail!("the session closed the socket: {frame:?}"),
                Some(Err(error)) => return Err(error.into()),
                None => bail!("the session closed the socket"),
            }
        }
    }

    async fn take(&mut self, frame: &Frame) -> anyhow::Result<()> {
        self.bytes += frame.text.len();
        self.unacked_bytes += frame.text.len();
        if self.unacked_bytes < VIEWER_ACK_BYTES {
            return Ok(());
        }
        let seq = match frame.kind() {
            "snapshot" => frame.snapshot_seq(),
            "event" | "events" => Head::read(&frame.text)?.events().map(|(_, last)| last),
            _ => None,
        };
        self.seq = seq.unwrap_or(self.seq);
        if self.seq > 0 {
            self.unacked_bytes = 0;
            let ack = json!({"type": "ack", "seq": self.seq});
            self.stream.send(Message::text(ack.to_string())).await?;
        }
        Ok(())
    }

    /// Reads until a frame of this kind.
    pub(super) async fn until(&mut self, kind: &str) -> anyhow::Result<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind() == kind {
                return Ok(frame);
            }
        }
    }

    /// Says goodbye and waits until the session has heard it.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.stream.close(None).await?;
        while let Ok(Some(Ok(_))) = tokio::time::timeout(FRAME_TIMEOUT, self.stream.next()).await {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn frames_say_which_events_they_have() {
        let events = |text: &str| Head::read(text).unwrap().events();
        assert_eq!(events(r#"{"type":"event","seq":7,"at":1,"event":{"type":"x"}}"#), Some((7, 7)));
        let several =
            r#"{"type":"events","events":[{"seq":7,"at":1,"event":{}},{"seq":8,"at":1,"event":{}}]}"#;
        assert_eq!(events(several), Some((7, 8)));
        assert_eq!(events(r#"{"type":"caught_up","seq":8}"#), None);
    }
}
