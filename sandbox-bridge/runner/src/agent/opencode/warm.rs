//! Pays OpenCode's slow first prompt before a person waits for it: a session of its own asks a model that this module is.
//!
//! OpenCode loads most of its parts with the first prompt. The model answers one fixed word on loopback; the session is deleted
//! afterwards. Failing changes nothing. Used by `opencode`.

use super::client::Client;
use super::config::{Model, WARM_MODEL, WARM_PROVIDER};
use super::loopback;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const WARM_UP_MAX: Duration = Duration::from_secs(20);
const ANSWER: &str = concat!(
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
                    let _ = complete(socket).await;
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
    client
        .prompt(
            &session,
            &super::prompt::message_id(),
            &model,
            None,
            &[super::prompt::text_part("Answer with one word.")],
        )
        .await?;
    sleep(Duration::from_millis(500)).await;
    while client.is_busy(&session).await? {
        sleep(Duration::from_millis(100)).await;
    }
    client.delete_session(&session).await
}

async fn complete(mut socket: TcpStream) -> io::Result<()> {
    loopback::read_request(&mut socket).await?;
    loopback::answer(&mut socket, "200 OK", "text/event-stream", ANSWER).await
}
