//! A signed-in person: the HTTP interface and a session's WebSocket, as the web client uses them.

use crate::StackError;
use fakes::token::random_hex;
use futures::{SinkExt as _, StreamExt as _};
use protocol::client::{
    ClientMessage, CreateSessionRequest, CreateSessionResponse, PromptAccepted, PromptRequest,
    RepositoryList, SOCKET_PROTOCOL, ServerMessage, SessionList, SessionStatus, SignInRequest,
    TICKET_PROTOCOL_PREFIX, TicketResponse,
};
use protocol::error::ErrorBody;
use protocol::id::{ArtifactId, PromptId, RepositoryId, SessionId};
use protocol::limit::VIEWER_ACK_BYTES;
use protocol::timeline::{Delivery, PromptOrigin, Seq, User};
use reqwest::Method;
use reqwest::cookie::{CookieStore as _, Jar};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message, http::HeaderValue};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A signed-in person.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    http: reqwest::Client,
    user: User,
    jar: Option<Arc<Jar>>,
}

/// A new id for a prompt.
#[must_use]
pub(crate) fn prompt_id() -> PromptId {
    let mut random = [0u8; 16];
    let digits = random_hex(16);
    for (slot, pair) in random.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *slot =
            std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    PromptId::from_random(random)
}

impl Client {
    pub(crate) async fn sign_in(url: &str, login: &str) -> Result<Self, StackError> {
        let http = reqwest::Client::builder().cookie_store(true).timeout(REQUEST_TIMEOUT).build()?;
        let body = serde_json::to_value(SignInRequest { login: login.to_owned() }).unwrap_or_default();
        let user = exchange(&http, url, Method::POST, "/api/sign-in", Some(body)).await?;
        Ok(Self { url: url.to_owned(), http, user, jar: None })
    }

    /// The way of a browser to the code host, where this account allows it, and back.
    pub(crate) async fn sign_in_at_code_host(url: &str, login: &str) -> Result<Self, StackError> {
        let jar = Arc::new(Jar::default());
        let http = reqwest::Client::builder()
            .cookie_provider(Arc::clone(&jar))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        let away = follow(&http, &format!("{url}/api/sign-in/github")).await?;
        let chosen =
            away.replacen("/login/oauth/authorize?", &format!("/login/oauth/authorize/as/{login}?"), 1);
        let back = follow(&http, &chosen).await?;
        let end = follow(&http, &back).await?;
        if end != "/" {
            return Err(StackError::Unexpected { request: format!("signing {login} in"), answer: end });
        }
        let user = exchange(&http, url, Method::GET, "/api/me", None).await?;
        Ok(Self { url: url.to_owned(), http, user, jar: Some(jar) })
    }

    /// Values of its cookies, for tests that look where none may be.
    #[must_use]
    pub fn cookies(&self) -> Vec<String> {
        let url = self.url.parse().ok();
        let header = url.and_then(|url| self.jar.as_ref()?.cookies(&url));
        let text = header.as_ref().and_then(|header| header.to_str().ok()).unwrap_or_default();
        text.split("; ").filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())).collect()
    }

    /// Who this is.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// A prompt of the HTTP API with a new id.
    #[must_use]
    pub fn prompt(text: &str) -> PromptRequest {
        PromptRequest {
            id: prompt_id(),
            text: text.to_owned(),
            model: None,
            effort: None,
            origin: PromptOrigin::Api,
            delivery: Delivery::Queue,
            attachments: Vec::new(),
            traceparent: None,
        }
    }

    /// Any request with a JSON body and answer.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, StackError> {
        let body = body.map(|body| serde_json::to_value(body).unwrap_or_default());
        exchange(&self.http, &self.url, method, path, body).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, StackError> {
        exchange(&self.http, &self.url, Method::GET, path, None).await
    }

    /// Starts a session, with its first prompt where there is one.
    pub async fn create_session(
        &self,
        repository: &str,
        prompt: Option<PromptRequest>,
    ) -> Result<SessionId, StackError> {
        let repository = RepositoryId::parse(repository).map_err(|error| StackError::Unexpected {
            request: "a session".to_owned(),
            answer: format!("{repository:?}: {error}"),
        })?;
        let body = CreateSessionRequest { repository, prompt, model: None, reservation: None };
        let answer: CreateSessionResponse = self.request(Method::POST, "/api/sessions", Some(&body)).await?;
        Ok(answer.session_id)
    }

    /// Submits a prompt over HTTP.
    pub async fn submit(
        &self,
        session: &SessionId,
        prompt: &PromptRequest,
    ) -> Result<PromptAccepted, StackError> {
        self.request(Method::POST, &format!("/api/sessions/{session}/message"), Some(prompt)).await
    }

    /// The session's state without its timeline.
    pub async fn status(&self, session: &SessionId) -> Result<SessionStatus, StackError> {
        self.get(&format!("/api/sessions/{session}/status")).await
    }

    /// The sessions that this person sees.
    pub async fn sessions(&self) -> Result<SessionList, StackError> {
        self.get("/api/sessions").await
    }

    /// The repositories that this person may work on.
    pub async fn repositories(&self) -> Result<RepositoryList, StackError> {
        self.get("/api/repositories").await
    }

    /// A tool's whole output.
    pub async fn artifact(&self, session: &SessionId, artifact: &ArtifactId) -> Result<String, StackError> {
        let path = format!("/api/sessions/{session}/artifacts/{artifact}");
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        let status = response.status();
        let text = response.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        Err(StackError::Unexpected {
            request: format!("GET {path}"),
            answer: format!("{status} {text:.300}"),
        })
    }

    /// A ticket for one WebSocket.
    pub async fn ticket(&self, session: &SessionId) -> Result<TicketResponse, StackError> {
        self.request(Method::POST, &format!("/api/sessions/{session}/ticket"), None::<&()>).await
    }

    /// Opens the session's WebSocket and subscribes; `since` asks for missed events only.
    pub async fn socket(&self, session: &SessionId, since: Option<Seq>) -> Result<SessionSocket, StackError> {
        let ticket = self.ticket(session).await?;
        let failed = |error: &dyn std::fmt::Display| StackError::Socket(error.to_string());
        let address = format!("{}/api/sessions/{session}/socket", self.url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().map_err(|error| failed(&error))?;
        let protocols = format!("{SOCKET_PROTOCOL}, {TICKET_PROTOCOL_PREFIX}{}", ticket.ticket);
        for (name, value) in [("sec-websocket-protocol", protocols.as_str()), ("origin", &self.url)] {
            let value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
            request.headers_mut().insert(name, value);
        }
        let config = tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(Some(64 << 20))
            .max_frame_size(Some(64 << 20));
        let (stream, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), true)
            .await
            .map_err(|error| failed(&error))?;
        let mut socket = SessionSocket { stream, waiting: VecDeque::new(), seq: 0, unacked_bytes: 0 };
        socket.send(&ClientMessage::Subscribe { since }).await?;
        Ok(socket)
    }
}

/// Where an answer sends the browser.
async fn follow(http: &reqwest::Client, url: &str) -> Result<String, StackError> {
    let response = http.get(url).send().await?;
    let to = response.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
    to.ok_or_else(|| StackError::Unexpected {
        request: "a step of signing in".to_owned(),
        answer: response.status().to_string(),
    })
}

async fn exchange<T: DeserializeOwned>(
    http: &reqwest::Client,
    url: &str,
    method: Method,
    path: &str,
    body: Option<serde_json::Value>,
) -> Result<T, StackError> {
    let name = format!("{method} {path}");
    let mut request = http.request(method, format!("{url}{path}")).header("origin", url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    let unexpected =
        || StackError::Unexpected { request: name.clone(), answer: format!("{status} {text:.300}") };
    if status.is_success() {
        return serde_json::from_str(&text).map_err(|_| unexpected());
    }
    match serde_json::from_str::<ErrorBody>(&text) {
        Ok(error) => Err(StackError::Refused(error)),
        Err(_) => Err(unexpected()),
    }
}

/// Silence after which a client asks whether the other side is there; connections that say nothing are cut on the way.
const PING_AFTER: Duration = Duration::from_secs(25);

/// A session's WebSocket. It hands out the events of a frame one by one, and tells the session what was read.
#[derive(Debug)]
pub struct SessionSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The rest of a frame of several events.
    waiting: VecDeque<ServerMessage>,
    /// Of the newest event read.
    seq: Seq,
    unacked_bytes: usize,
}

impl SessionSocket {
    /// Sends one frame.
    pub async fn send(&mut self, message: &ClientMessage) -> Result<(), StackError> {
        let text = serde_json::to_string(message).unwrap_or_default();
        self.send_text(&text).await
    }

    /// Sends any text, also one that is not a message.
    pub async fn send_text(&mut self, text: &str) -> Result<(), StackError> {
        self.stream.send(Message::text(text)).await.map_err(|error| StackError::Socket(error.to_string()))
    }

    /// The next message, or an error when none comes in time or the socket closes.
    pub async fn next(&mut self, timeout: Duration) -> Result<ServerMessage, StackError> {
        let waited = tokio::time::timeout(timeout, self.receive()).await;
        waited.unwrap_or_else(|_| {
            Err(StackError::Timeout {
                what: "a message of the session".to_owned(),
                seconds: timeout.as_secs(),
            })
        })
    }

    /// Takes a frame apart, and acknowledges it where that is due.
    async fn take(&mut self, text: &str) -> Result<Option<ServerMessage>, StackError> {
        let message = serde_json::from_str(text)
            .map_err(|error| StackError::Socket(format!("not a message ({error}): {text:.300}")))?;
        let message = match message {
            ServerMessage::Events { events } => {
                self.seq = events.last().map_or(self.seq, |event| event.seq);
                self.waiting.extend(events.into_iter().map(|record| ServerMessage::Event {
                    seq: record.seq,
                    at: record.at,
                    event: record.event,
                }));
                self.waiting.pop_front()
            }
            ServerMessage::Event { seq, .. } | ServerMessage::Snapshot { seq, .. } => {
                self.seq = seq;
                Some(message)
            }
            ServerMessage::CaughtUp { .. }
            | ServerMessage::Presence { .. }
            | ServerMessage::PresenceChanged { .. }
            | ServerMessage::Typing { .. }
            | ServerMessage::Lagging
            | ServerMessage::PromptAccepted { .. }
            | ServerMessage::Rejected { .. }
            | ServerMessage::Unknown => Some(message),
        };
        self.unacked_bytes += text.len();
        if self.unacked_bytes >= VIEWER_ACK_BYTES {
            self.unacked_bytes = 0;
            self.send(&ClientMessage::Ack { seq: self.seq }).await?;
        }
        Ok(message)
    }

    async fn receive(&mut self) -> Result<ServerMessage, StackError> {
        if let Some(message) = self.waiting.pop_front() {
            return Ok(message);
        }
        loop {
            let Ok(frame) = tokio::time::timeout(PING_AFTER, self.stream.next()).await else {
                self.send_text("ping").await?;
                continue;
            };
            match frame {
                Some(Ok(Message::Text(text))) if text.as_str().starts_with("pong") => {}
                Some(Ok(Message::Text(text))) => {
                    if let Some(message) = self.take(text.as_str()).await? {
                        return Ok(message);
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let text = frame.map_or_else(
                        || "closed".to_owned(),
                        |f| format!("closed with {} {}", f.code, f.reason),
                    );
                    return Err(StackError::Socket(text));
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(StackError::Socket(error.to_string())),
                None => return Err(StackError::Socket("closed".to_owned())),
            }
        }
    }

    /// Reads until `pick` answers something.
    pub async fn until<T>(
        &mut self,
        what: &str,
        timeout: Duration,
        mut pick: impl FnMut(&ServerMessage) -> Option<T>,
    ) -> Result<T, StackError> {
        let search = async {
            loop {
                let message = self.receive().await?;
                if let Some(found) = pick(&message) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(timeout, search).await.unwrap_or_else(|_| {
            Err(StackError::Timeout { what: what.to_owned(), seconds: timeout.as_secs() })
        })
    }
}
