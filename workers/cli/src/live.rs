//! A session as it happens: every recorded fact once and in order, whatever becomes of the connection.
//!
//! A socket that breaks is opened again with a new ticket, since the last fact that was read; what was recorded meanwhile comes first. The
//! session is told what was read, and asked now and then whether it is still there (see [`protocol::client`]).

use crate::Error;
use crate::api::Api;
use futures::{SinkExt as _, StreamExt as _};
use protocol::client::{
    ClientMessage, SOCKET_PROTOCOL, ServerMessage, SessionSnapshot, TICKET_PROTOCOL_PREFIX, TicketResponse,
    close_code,
};
use protocol::error::ErrorCode;
use protocol::id::SessionId;
use protocol::limit::VIEWER_ACK_BYTES;
use protocol::timeline::{EventRecord, Seq};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Silence after which the other side is asked whether it is there; it must answer within the same again.
const PING_AFTER: Duration = Duration::from_secs(25);
/// How long the ways back in are waited for, one after the other; after the last one it is given up.
const PAUSES_MS: [u64; 9] = [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];

/// What a session tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// How it was a moment ago as a whole, where it begins or too much was missed.
    Snapshot(Box<SessionSnapshot>),
    /// What happened.
    Event(Box<EventRecord>),
    /// Everything that had happened was told.
    CaughtUp,
    /// A frame of this client was refused.
    Rejected(Error),
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection is of no use any more.
enum Broken {
    /// Come back.
    Away(String),
    /// Do not.
    Over(Error),
}

/// A session's socket.
pub(crate) struct Live {
    api: Api,
    session: SessionId,
    stream: Option<Stream>,
    /// Of the newest fact that was handed out; `None` before the snapshot.
    seq: Option<Seq>,
    waiting: VecDeque<Told>,
    unacked_bytes: usize,
    has_pinged: bool,
    failures: usize,
}

impl Live {
    /// Of this session; it connects when it is first asked.
    pub(crate) fn new(api: &Api, session: &SessionId) -> Self {
        Self {
            api: api.clone(),
            session: session.clone(),
            stream: None,
            seq: None,
            waiting: VecDeque::new(),
            unacked_bytes: 0,
            has_pinged: false,
            failures: 0,
        }
    }

    /// Sends a frame over the present connection; one that is lost is not sent again.
    pub(crate) async fn send(&mut self, message: &ClientMessage) -> Result<(), Error> {
        let text = serde_json::to_string(message).map_err(|error| Error::Local(error.to_string()))?;
        let Some(stream) = &mut self.stream else {
            return Err(Error::Unreachable("the session is not connected".to_owned()));
        };
        let sent = stream.send(Message::text(text)).await;
        sent.map_err(|error| Error::Unreachable(format!("the connection to the session broke: {error}")))
    }

    /// What the session tells next.
    pub(crate) async fn next(&mut self) -> Result<Told, Error> {
        loop {
            match self.waiting.pop_front() {
                // What was sent twice, around a reconnection, is told once.
                Some(Told::Event(record)) if self.seq.is_some_and(|seq| record.seq <= seq) => continue,
                Some(Told::Event(record)) => {
                    self.seq = Some(record.seq);
                    return Ok(Told::Event(record));
                }
                Some(told) => return Ok(told),
                None => {}
            }
            match self.receive().await {
                Ok(()) => {}
                Err(Broken::Over(error)) => return Err(error),
                Err(Broken::Away(why)) => {
                    self.stream = None;
                    self.failures += 1;
                    if self.failures >= PAUSES_MS.len() {
                        return Err(Error::Unreachable(format!(
                            "the connection to the session broke: {why}"
                        )));
                    }
                }
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Broken> {
        if self.stream.is_none() {
            let pause = PAUSES_MS.get(self.failures).copied().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.connect().await?;
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match tokio::time::timeout(PING_AFTER, stream.next()).await {
            Err(_) if self.has_pinged => Err(Broken::Away("it does not answer".to_owned())),
            Err(_) => {
                self.has_pinged = true;
                stream.send(Message::text("ping")).await.map_err(away)?;
                Ok(())
            }
            Ok(Some(Ok(Message::Text(text)))) => {
                self.has_pinged = false;
                self.take(text.as_str()).await
            }
            Ok(Some(Ok(Message::Close(frame)))) => {
                let code = frame.as_ref().map_or(0, |frame| u16::from(frame.code));
                let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                if code == close_code::SESSION_GONE {
                    return Err(Broken::Over(Error::Local("the session was removed".to_owned())));
                }
                Err(Broken::Away(format!("closed with {code} {reason}")))
            }
            Ok(Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {
                Ok(())
            }
            Ok(Some(Err(error))) => Err(away(error)),
            Ok(None) => Err(Broken::Away("it ended".to_owned())),
        }
    }

    /// Gets a ticket, opens a socket with it, and says where to go on.
    async fn connect(&mut self) -> Result<(), Broken> {
        let path = format!("/api/sessions/{}/ticket", self.session);
        let ticket: Result<TicketResponse, Error> = self.api.post(&path, &serde_json::json!({})).await;
        let ticket = ticket.map_err(|error| self.judge(error))?;
        let base = &self.api.settings.url;
        let url = format!("{}/api/sessions/{}/socket", base.replacen("http", "ws", 1), self.session);
        let over = |error: String| Broken::Over(Error::Local(error));
        let mut request = url.into_client_request().map_err(|error| over(error.to_string()))?;
        let protocols = format!("{SOCKET_PROTOCOL}, {TICKET_PROTOCOL_PREFIX}{}", ticket.ticket);
        let protocols = HeaderValue::from_str(&protocols).map_err(|error| over(error.to_string()))?;
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let (stream, _) = tokio_tungstenite::connect_async(request).await.map_err(away)?;
        self.stream = Some(stream);
        self.has_pinged = false;
        self.unacked_bytes = 0;
        self.subscribe().await
    }

    /// Whether asking for a ticket again may help.
    fn judge(&self, error: Error) -> Broken {
        if let Error::Refused(body) = &error
            && matches!(body.code, ErrorCode::Unavailable | ErrorCode::RateLimited)
        {
            return Broken::Away(body.message.clone());
        }
        // Before the first answer nobody knows whether the address is right.
        if let (Error::Unreachable(why), Some(_)) = (&error, self.seq) {
            return Broken::Away(why.clone());
        }
        Broken::Over(error)
    }

    async fn subscribe(&mut self) -> Result<(), Broken> {
        let since = self.seq;
        self.send(&ClientMessage::Subscribe { since }).await.map_err(|error| Broken::Away(error.to_string()))
    }

    /// Reads a frame, and says so where that is due.
    async fn take(&mut self, text: &str) -> Result<(), Broken> {
        if let Some(rest) = text.strip_prefix("pong") {
            // A quiet session says how far it is.
            if rest.trim().parse::<Seq>().is_ok_and(|seq| self.seq.is_some_and(|known| seq > known)) {
                self.subscribe().await?;
            }
            return Ok(());
        }
        let message =
            serde_json::from_str(text).map_err(|error| Broken::Away(format!("a frame is wrong: {error}")))?;
        let event = |record| Told::Event(Box::new(record));
        let mut read = None;
        match message {
            ServerMessage::Snapshot { seq, snapshot } => {
                (self.seq, read) = (Some(seq), Some(seq));
                self.waiting.push_back(Told::Snapshot(Box::new(snapshot)));
                // It may have been made for somebody else a moment ago; the answer ends with what happened since.
                self.subscribe().await?;
            }
            ServerMessage::Event { seq, at, event: fact } => {
                read = Some(seq);
                self.waiting.push_back(event(EventRecord { seq, at, event: fact }));
            }
            ServerMessage::Events { events } => {
                read = events.last().map(|record| record.seq);
                self.waiting.extend(events.into_iter().map(event));
            }
            ServerMessage::CaughtUp { .. } => {
                self.failures = 0;
                self.waiting.push_back(Told::CaughtUp);
            }
            ServerMessage::Lagging => self.subscribe().await?,
            ServerMessage::Rejected { error, .. } => self.waiting.push_back(Told::Rejected(error.into())),
            ServerMessage::Presence { .. }
            | ServerMessage::PresenceChanged { .. }
            | ServerMessage::Typing { .. }
            | ServerMessage::PromptAccepted { .. }
            | ServerMessage::Unknown => {}
        }
        self.unacked_bytes += text.len();
        if let Some(seq) = read.filter(|_| self.unacked_bytes >= VIEWER_ACK_BYTES) {
            self.unacked_bytes = 0;
            let ack = self.send(&ClientMessage::Ack { seq }).await;
            // What was read is handed out first; the next read finds the connection broken.
            drop(ack);
        }
        Ok(())
    }
}

fn away(error: tungstenite::Error) -> Broken {
    Broken::Away(error.to_string())
}
