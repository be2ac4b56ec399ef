//! A sandbox's command router: the server on its machine that runs commands and saves files.
//!
//! Access is fetched when it is needed, renewed when it is refused, and goes to that server only. The connection is opened by the
//! first call and let go when nothing used it for a while. One per sandbox; `exec.rs` and the provider call through it.

use super::ModalError;
use super::client::{MESSAGE_BYTES_MAX, ModalClient, Tries, endpoint, insert_secret, within};
use super::retry::ROUTER;
use super::token::expiry;
use crate::config::is_loopback;
use modal_api::command_router::Client;
use modal_api::metadata as names;
use modal_api::{
    CommandRouterAccess, NetworkAccess, NetworkAccessType, TaskSetNetworkAccessRequest,
    TaskSnapshotFilesystemRequest,
};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use url::Url;

/// A stub of a command router.
pub(super) type Commands = Client<Channel>;

/// Longest wait for an answer that needs no work.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Saving a large repository takes minutes; a try that is cut is repeated with the same key.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(300);
/// A machine may need minutes until it has an image and answers.
const CONNECT_TOTAL: Duration = Duration::from_secs(300);
const CONNECT_PAUSE_FIRST: Duration = Duration::from_millis(250);
const CONNECT_PAUSE_LONGEST: Duration = Duration::from_secs(10);
/// An unused connection is let go after so long, as by Modal's own clients.
const IDLE: Duration = Duration::from_secs(30);
/// What may be under way from one command before it is read; this is what paces commands that write much.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// A refused token that is good for longer than this was refused by mistake.
const EXPIRY_MARGIN_SECS: u64 = 30;

/// The command router of one sandbox.
pub struct CommandRouter {
    client: ModalClient,
    modal_id: String,
    /// The task that the sandbox is.
    task_id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    access: Option<CommandRouterAccess>,
    channel: Option<Channel>,
    used_at: Option<Instant>,
}

/// What a call goes out with.
struct Link {
    commands: Commands,
    jwt: String,
}

impl CommandRouter {
    /// The router of a sandbox; `access` is what came with its creation.
    #[must_use]
    pub fn new(
        client: ModalClient,
        modal_id: String,
        task_id: String,
        access: Option<CommandRouterAccess>,
    ) -> Self {
        let state = Mutex::new(State { access, ..State::default() });
        Self { client, modal_id, task_id, state }
    }

    /// The task that the sandbox is.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// Saves the sandbox's files as an image that is gone after `life`. The same key again answers with the same image.
    pub async fn snapshot(&self, key: &str, life: Duration) -> Result<String, ModalError> {
        let request = TaskSnapshotFilesystemRequest {
            task_id: self.task_id.clone(),
            snapshot_id: key.to_owned(),
            ttl_seconds: Some(i64::try_from(life.as_secs().max(1)).unwrap_or(i64::MAX)),
        };
        let call = async |mut commands: Commands, request| commands.task_snapshot_filesystem(request).await;
        Ok(self.unary("save the sandbox", request, SNAPSHOT_TIMEOUT, call).await?.image_id)
    }

    /// Replaces what the sandbox may reach.
    pub async fn set_network(&self, allowed: NetworkAccess) -> Result<(), ModalError> {
        let network_access =
            NetworkAccess { network_access_type: NetworkAccessType::Allowlist.into(), ..allowed };
        let request = TaskSetNetworkAccessRequest {
            task_id: self.task_id.clone(),
            network_access: Some(network_access),
        };
        let call = async |mut commands: Commands, request| commands.task_set_network_access(request).await;
        self.unary("change the sandbox's network", request, CALL_TIMEOUT, call).await.map(drop)
    }

    /// Lets the connection go when nothing used it for a while.
    pub(super) fn release_idle(&self) {
        // Whoever holds it is using the connection.
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.used_at.is_some_and(|at| at.elapsed() >= IDLE) {
            state.channel = None;
        }
    }

    /// A call with one answer, made again where that may help; each try has this long.
    pub(super) async fn unary<Q, A, F, R>(
        &self,
        what: &'static str,
        message: Q,
        timeout: Duration,
        call: F,
    ) -> Result<A, ModalError>
    where
        Q: Clone,
        F: Fn(Commands, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        let mut tries = Tries::new();
        let mut renewed = false;
        loop {
            let status = match self.once(message.clone(), Some(timeout), &tries, &call).await? {
                Ok(answer) => return Ok(answer.into_inner()),
                Err((status, jwt)) if status.code() == Code::Unauthenticated && !renewed => {
                    renewed = true;
                    self.renew(&jwt).await;
                    continue;
                }
                Err((status, _)) => status,
            };
            tries.after_with(&ROUTER, what, &status).await?;
        }
    }

    /// One try of a call; the inner error is the router's answer, with the token that it was given.
    pub(super) async fn once<Q, A, F, R>(
        &self,
        message: Q,
        timeout: Option<Duration>,
        tries: &Tries,
        call: F,
    ) -> Result<Result<Response<A>, (Status, String)>, ModalError>
    where
        F: FnOnce(Commands, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        let Link { commands, jwt } = self.link().await?;
        let mut request = Request::new(message);
        tries.count_throttling(request.metadata_mut());
        insert_secret(request.metadata_mut(), names::AUTHORIZATION, &format!("Bearer {jwt}"));
        let answer = match timeout {
            Some(timeout) => {
                request.set_timeout(timeout);
                within(timeout, call(commands, request)).await
            }
            None => call(commands, request).await,
        };
        Ok(answer.map_err(|status| (status, jwt)))
    }

    /// The router refused this token: the next call gets another, unless it should have been good, which is tried once more.
    pub(super) async fn renew(&self, jwt: &str) {
        let is_good = expiry(jwt).is_some_and(|at| at > crate::clock::now().0 / 1000 + EXPIRY_MARGIN_SECS);
        let mut state = self.state.lock().await;
        if !is_good && state.access.as_ref().is_some_and(|access| access.jwt == jwt) {
            state.access = None;
        }
    }

    async fn link(&self) -> Result<Link, ModalError> {
        let mut state = self.state.lock().await;
        let access = match state.access.take() {
            Some(access) => access,
            None => self.client.router_access(&self.modal_id).await?,
        };
        let jwt = access.jwt.clone();
        let known = state.channel.clone();
        let channel = match known {
            Some(channel) => channel,
            None => self.connect(&access.url).await?,
        };
        *state =
            State { access: Some(access), channel: Some(channel.clone()), used_at: Some(Instant::now()) };
        let commands = Client::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Link { commands, jwt })
    }

    async fn connect(&self, url: &str) -> Result<Channel, ModalError> {
        const WHAT: &str = "reach the sandbox's machine";
        let wrong = |why: String| ModalError::reported(WHAT, Code::DataLoss, why);
        let parsed = Url::parse(url).map_err(|error| wrong(format!("{url} is no address: {error}")))?;
        if parsed.scheme() != "https" && !(self.client.is_local() && is_loopback(&parsed)) {
            return Err(wrong(format!("{url} is not https")));
        }
        let endpoint = endpoint(&parsed).map_err(wrong)?.initial_stream_window_size(STREAM_WINDOW_BYTES);
        let (begin, mut pause) = (Instant::now(), CONNECT_PAUSE_FIRST);
        loop {
            let error = match endpoint.connect().await {
                Ok(channel) => return Ok(channel),
                Err(error) => error,
            };
            // A sandbox that has ended has no machine that could answer.
            if self.client.poll_end(&self.modal_id).await?.is_some() {
                return Err(ModalError::reported(WHAT, Code::NotFound, "the sandbox has ended"));
            }
            if begin.elapsed() + pause > CONNECT_TOTAL {
                return Err(ModalError::reported(WHAT, Code::Unavailable, with_causes(&error)));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(CONNECT_PAUSE_LONGEST);
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
