//! A runner whose every word is the test's.

use futures::{SinkExt, StreamExt};
use protocol::id::{ItemId, SandboxId};
use protocol::runner::{
    BridgeMessage, RunnerConfiguration, RunnerEvent, RunnerEventRecord, RunnerMessage, WarmConfiguration,
};
use protocol::time::Timestamp;
use std::ops::RangeInclusive;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) struct FakeRunner {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl FakeRunner {
    pub(crate) async fn dial(address: &str, token: &str) -> Result<Self, Box<Error>> {
        let mut request = format!("ws://{address}/runner").into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let (socket, _) = connect_async(request).await.map_err(Box::new)?;
        Ok(Self { socket })
    }

    pub(crate) async fn hello(&mut self, sandbox_id: &SandboxId, generation: u64) {
        let hello = RunnerMessage::Hello {
            protocol_version: protocol::PROTOCOL_VERSION,
            runner_version: "0.0.0-test".to_owned(),
            sandbox_id: sandbox_id.clone(),
            generation,
            next_seq: 1,
        };
        self.say(&hello).await;
    }

    pub(crate) async fn say(&mut self, message: &RunnerMessage) {
        self.say_text(serde_json::to_string(message).unwrap()).await;
    }

    pub(crate) async fn say_text(&mut self, text: String) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    /// Events that may be held back, in one frame.
    pub(crate) async fn events(&mut self, seqs: RangeInclusive<u64>) {
        self.say(&RunnerMessage::Events { events: seqs.map(appended).collect() }).await;
    }

    /// Returns when the bridge has read everything that was said so far.
    pub(crate) async fn ping(&mut self) {
        self.socket.send(Message::Ping("x".into())).await.unwrap();
        crate::support::soon("a pong", async {
            while !matches!(self.socket.next().await, Some(Ok(Message::Pong(_)))) {}
        })
        .await;
    }

    /// The bridge's next message; `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<BridgeMessage> {
        crate::support::soon("a frame from the bridge", async {
            loop {
                match self.socket.next().await? {
                    Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                    Ok(Message::Ping(_) | Message::Pong(_)) => {}
                    Ok(_) | Err(_) => return None,
                }
            }
        })
        .await
    }

    pub(crate) async fn expect_prepare(&mut self) -> WarmConfiguration {
        match self.next().await {
            Some(BridgeMessage::Prepare { configuration }) => configuration,
            other => panic!("expected to prepare, got {other:?}"),
        }
    }

    /// Stays connected and answers pings, until the bridge says something.
    pub(crate) async fn linger(mut self) -> (Self, Option<BridgeMessage>) {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text).unwrap();
                    return (self, Some(message));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_) | Err(_)) | None => return (self, None),
            }
        }
    }

    pub(crate) async fn expect_welcome(&mut self) -> (u64, RunnerConfiguration) {
        match self.next().await {
            Some(BridgeMessage::Welcome { resume_from, configuration }) => (resume_from, configuration),
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    /// Reads until the bridge acknowledges `seq`.
    pub(crate) async fn expect_ack(&mut self, seq: u64) {
        loop {
            match self.next().await {
                Some(BridgeMessage::Ack { seq: acked }) if acked >= seq => return assert_eq!(acked, seq),
                Some(BridgeMessage::Ack { .. }) => {}
                other => panic!("expected an ack of {seq}, got {other:?}"),
            }
        }
    }
}

/// An event that may wait for company.
pub(crate) fn appended(seq: u64) -> RunnerEventRecord {
    let item_id = ItemId::parse("itm_1").unwrap();
    record(seq, RunnerEvent::ItemAppended { item_id, offset: seq, text: format!("text {seq} ") })
}

pub(crate) fn record(seq: u64, event: RunnerEvent) -> RunnerEventRecord {
    RunnerEventRecord { seq, at: Timestamp(seq), event }
}
