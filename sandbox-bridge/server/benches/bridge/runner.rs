//! A runner as the bridge sees it: its WebSocket, and when it works, events and the model call of its agent.

use anyhow::{Context as _, ensure};
use futures::{SinkExt, StreamExt};
use protocol::id::{ItemId, SandboxId};
use protocol::runner::{BridgeMessage, RunnerEvent, RunnerEventRecord, RunnerMessage};
use protocol::sign::{Audience, SandboxClaims, sign};
use protocol::time::Timestamp;
use sandbox_bridge::clock;
use sandbox_bridge::config::Keys;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// A frame of events as often as a runner flushes text.
const FRAME_EVERY: Duration = Duration::from_millis(50);
const EVENTS_IN_FRAME: u64 = 5;

/// One runner; ends with its value.
pub(super) struct Runner {
    socket_path: PathBuf,
    token: String,
    socket: Option<WebSocketStream<UnixStream>>,
    acked: Arc<AtomicU64>,
    model_bytes: Arc<AtomicU64>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Runner {
    /// Dials in and is welcomed; from then on it reads what comes.
    pub(super) async fn attach(
        socket_path: PathBuf,
        sandbox_id: SandboxId,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let keys = Keys::from_secret(secret).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let claims = SandboxClaims { sandbox_id: sandbox_id.clone() };
        let now = clock::now();
        let token = sign(&keys.gateway, Audience::Gateway, claims, now, now.plus_ms(600_000));
        let mut request = "ws://bridge/runner".into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
        let (mut socket, _) = client_async(request, UnixStream::connect(&socket_path).await?).await?;
        let hello = RunnerMessage::Hello {
            protocol_version: protocol::PROTOCOL_VERSION,
            runner_version: "0.0.0".to_owned(),
            sandbox_id,
            generation: 1,
            next_seq: 1,
        };
        socket.send(Message::Text(serde_json::to_string(&hello)?.into())).await?;
        let welcome = socket.next().await.context("the bridge hung up")??;
        let welcome: BridgeMessage = serde_json::from_str(welcome.to_text()?)?;
        ensure!(matches!(welcome, BridgeMessage::Welcome { .. }), "no welcome: {welcome:?}");
        let socket = Some(socket);
        let (acked, model_bytes) = (Arc::default(), Arc::default());
        Ok(Self { socket_path, token, socket, acked, model_bytes, tasks: JoinSet::new() })
    }

    /// Begins to send events and to read a model's answer.
    pub(super) async fn stream(&mut self) -> anyhow::Result<()> {
        let socket = self.socket.take().context("it streams already")?;
        let acked = Arc::clone(&self.acked);
        self.tasks.spawn(send_events(socket, acked));
        let mut model = UnixStream::connect(&self.socket_path).await?;
        let body = r#"{"model":"any","stream":true,"messages":[]}"#;
        let request = format!(
            "POST /model/bench/chat/completions HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        model.write_all(request.as_bytes()).await?;
        let bytes = Arc::clone(&self.model_bytes);
        self.tasks.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let count = model.read(&mut buffer).await?;
                ensure!(count > 0, "the model's answer ended");
                bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
        Ok(())
    }

    /// Whether events were acknowledged and the answer flowed all the time.
    pub(super) fn has_streamed(&self) -> anyhow::Result<()> {
        let (acked, bytes) = (self.acked.load(Ordering::Relaxed), self.model_bytes.load(Ordering::Relaxed));
        ensure!(self.tasks.len() == 2, "a stream broke");
        ensure!(acked > 100 && bytes > 8 * 1024, "only {acked} events and {bytes} bytes came through");
        Ok(())
    }
}

async fn send_events(mut socket: WebSocketStream<UnixStream>, acked: Arc<AtomicU64>) -> anyhow::Result<()> {
    let item_id = ItemId::parse("itm_1")?;
    let mut tick = tokio::time::interval(FRAME_EVERY);
    let (mut seq, mut offset) = (0, 0);
    loop {
        tokio::select! {
            frame = socket.next() => {
                let frame = frame.context("the bridge hung up")??;
                if let Message::Text(text) = frame
                    && let BridgeMessage::Ack { seq } = serde_json::from_str(&text)?
                {
                    acked.store(seq, Ordering::Relaxed);
                }
            }
            _ = tick.tick() => {
                let events = (0..EVENTS_IN_FRAME).map(|_| {
                    let text = "a few words of text ".to_owned();
                    seq += 1;
                    let event = RunnerEvent::ItemAppended { item_id: item_id.clone(), offset, text };
                    offset += 20;
                    RunnerEventRecord { seq, at: Timestamp(seq), event }
                });
                let frame = serde_json::to_string(&RunnerMessage::Events { events: events.collect() })?;
                socket.send(Message::Text(frame.into())).await?;
            }
        }
    }
}
