//! The one WebSocket to the bridge: dials, says hello, sends events, takes commands, and begins again after every failure.
//!
//! It keeps nothing that a new connection would miss: events are in the spool, commands are repeated by the bridge. Ends only
//! when the bridge retires the sandbox. Started by `worker`.

mod conversation;

use crate::desk::Desk;
use crate::environment::Environment;
use crate::log;
use crate::random;
use crate::spool::Spool;
use crate::warm::WarmStates;
use conversation::Conversation;
use protocol::limit::RUNNER_FRAME_BYTES_MAX;
use protocol::runner::{RunnerConfiguration, RunnerMessage, WarmConfiguration};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

const CONNECT_MS_MAX: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LONGEST: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a connection ended.
pub(crate) enum Ending {
    /// The sandbox is no longer the session's.
    Retired { reason: String },
    /// Anything that a new connection may cure.
    Lost { reason: String },
}

/// What the link works with.
pub(crate) struct Link {
    pub(crate) environment: Environment,
    /// What the runner says of itself. One connection at a time takes it.
    pub(crate) lines: tokio::sync::Mutex<mpsc::Receiver<RunnerMessage>>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) desk: Arc<Desk>,
    /// Filled by the first welcome.
    pub(crate) configuration: watch::Sender<Option<RunnerConfiguration>>,
    /// Filled by a first answer that is no welcome.
    pub(crate) preparation: watch::Sender<Option<WarmConfiguration>>,
    /// What is said of the sandbox until it is welcomed.
    pub(crate) warm: watch::Receiver<WarmStates>,
}

impl Link {
    /// Keeps a connection until the sandbox is retired; returns why.
    pub(crate) async fn run(self) -> String {
        let (answers, mut pending) = mpsc::unbounded_channel::<RunnerMessage>();
        let mut failures = 0;
        loop {
            let ending = match self.connect().await {
                Ok(socket) => {
                    let conversation = Conversation { link: &self, answers: &answers, pending: &mut pending };
                    conversation.hold(socket, &mut failures).await
                }
                Err(error) => Ending::Lost { reason: format!("the bridge cannot be reached: {error}") },
            };
            match ending {
                Ending::Retired { reason } => return reason,
                Ending::Lost { reason } => {
                    log::warn(format!("{reason}; dialling again"));
                    tokio::time::sleep(random::backoff(BACKOFF_FIRST, BACKOFF_LONGEST, failures)).await;
                    failures += 1;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Socket, tungstenite::Error> {
        let url = format!("{}/runner", self.environment.bridge_url.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.environment.token))?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(RUNNER_FRAME_BYTES_MAX))
            .max_frame_size(Some(RUNNER_FRAME_BYTES_MAX));
        let connecting = connect_async_with_config(request, Some(limits), true);
        let timed_out = |_| Error::Io(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let (socket, _) = tokio::time::timeout(CONNECT_MS_MAX, connecting).await.map_err(timed_out)??;
        Ok(socket)
    }
}
