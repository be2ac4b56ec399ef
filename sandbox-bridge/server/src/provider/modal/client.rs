//! Calls to Modal's control plane: one channel, who we are, retries, and the token.
//!
//! Knows nothing of sandboxes; `calls.rs` and `image.rs` say what is called. Credentials go to the configured server and nowhere
//! else, and are in no log and no `Debug`.

use super::ModalError;
use super::names::new_uuid;
use super::retry::{Attempts, CONTROL, Decision, RetryPolicy, evaluate_retry};
use super::settings::{Credentials, SettingsError};
use super::token::TokenCache;
use crate::config::is_loopback;
use modal_api::control::Client;
use modal_api::{AuthTokenGetRequest, PACKAGE_VERSION, metadata as names, status};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};
use url::Url;

/// Largest message either way, as in Modal's own clients.
pub(super) const MESSAGE_BYTES_MAX: usize = 100 << 20;
/// Longest wait for an answer that needs no work.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a token.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What may be under way to us before we have read it: a large message at once, few of them.
const WINDOW_BYTES: u32 = 4 << 20;
/// Different warnings that are remembered, so that each is logged once.
const WARNINGS_MAX: usize = 256;

/// A stub of the control plane.
pub(super) type Control = Client<Channel>;

/// The control plane of one Modal workspace. Clones share everything.
#[derive(Clone)]
pub struct ModalClient {
    inner: Arc<Inner>,
}

struct Inner {
    credentials: Credentials,
    host: AsciiMetadataValue,
    token_id: AsciiMetadataValue,
    token_secret: AsciiMetadataValue,
    channel: Channel,
    token: TokenCache,
    warned: Mutex<HashSet<String>>,
}

impl ModalClient {
    /// Prepares calls; connects with the first one. Must be called inside a runtime.
    pub fn new(credentials: Credentials) -> Result<Self, SettingsError> {
        let url = &credentials.server_url;
        let wrong = |why: &str| SettingsError::Server(url.clone(), why.to_owned());
        let channel = endpoint(url).map_err(|error| wrong(&error))?.connect_lazy();
        let host = url.host_str().ok_or_else(|| wrong("it has no host"))?;
        let secret = |text: &str| {
            let mut value: AsciiMetadataValue =
                text.parse().map_err(|_| wrong("the token has characters that no token has"))?;
            value.set_sensitive(true);
            Ok::<_, SettingsError>(value)
        };
        let inner = Inner {
            host: host.parse().map_err(|_| wrong("its host is no host name"))?,
            token_id: secret(credentials.token_id.reveal())?,
            token_secret: secret(credentials.token_secret.reveal())?,
            channel,
            token: TokenCache::default(),
            warned: Mutex::default(),
            credentials,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether the control plane is this machine, so that plain HTTP is in order for its command routers too.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(&self.inner.credentials.server_url)
    }

    /// The environment that names are looked up in.
    pub(super) fn environment(&self) -> &str {
        &self.inner.credentials.environment
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
        F: Fn(Control, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        let mut renewed = false;
        let mut tries = Tries::new();
        loop {
            let token = self.token().await?;
            let mut request = tries.request(message.clone(), timeout);
            self.identify(request.metadata_mut());
            insert_secret(request.metadata_mut(), names::AUTH_TOKEN, &token);
            let answer = within(timeout, call(self.control(), request)).await;
            let status = match answer {
                Ok(answer) => {
                    self.note_warning(answer.metadata());
                    return Ok(answer.into_inner());
                }
                Err(status) => status,
            };
            if status.code() == Code::Unauthenticated && !renewed {
                // It may have ended between its check and its use, or been withdrawn.
                renewed = true;
                self.inner.token.refuse(&token);
                continue;
            }
            tries.after(what, &status).await?;
        }
    }

    /// A call that is answered by a stream. Opened once; whoever reads it opens it again where it was.
    pub(super) async fn streaming<Q, A, F, R>(
        &self,
        what: &'static str,
        message: Q,
        call: F,
    ) -> Result<A, Status>
    where
        F: Fn(Control, Request<Q>) -> R,
        R: Future<Output = Result<Response<A>, Status>>,
    {
        let token = self.token().await.map_err(|error| Status::new(error.code, error.reason))?;
        let mut request = Request::new(message);
        self.identify(request.metadata_mut());
        insert_secret(request.metadata_mut(), names::AUTH_TOKEN, &token);
        let answer = within(CALL_TIMEOUT, call(self.control(), request)).await;
        if let Err(status) = &answer {
            tracing::debug!(what, code = ?status.code(), "a stream of Modal's did not open");
            if status.code() == Code::Unauthenticated {
                self.inner.token.refuse(&token);
            }
        }
        answer.map(Response::into_inner)
    }

    async fn token(&self) -> Result<String, ModalError> {
        self.inner.token.get(|| self.fetch_token()).await
    }

    /// The one call that goes without the token.
    async fn fetch_token(&self) -> Result<String, ModalError> {
        let mut tries = Tries::new();
        loop {
            let mut request = tries.request(AuthTokenGetRequest {}, TOKEN_TIMEOUT);
            self.identify(request.metadata_mut());
            match within(TOKEN_TIMEOUT, self.control().auth_token_get(request)).await {
                Ok(answer) => return Ok(answer.into_inner().token),
                Err(status) => tries.after("sign in", &status).await?,
            }
        }
    }

    fn control(&self) -> Control {
        Client::new(self.inner.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn identify(&self, metadata: &mut MetadataMap) {
        metadata.insert(names::CLIENT_TYPE_NAME, AsciiMetadataValue::from_static(names::CLIENT_TYPE));
        metadata.insert(names::CLIENT_VERSION, AsciiMetadataValue::from_static(PACKAGE_VERSION));
        metadata.insert(names::HOST, self.inner.host.clone());
        metadata.insert(names::TOKEN_ID, self.inner.token_id.clone());
        metadata.insert(names::TOKEN_SECRET, self.inner.token_secret.clone());
    }

    /// What Modal wants the operator to know, once.
    fn note_warning(&self, metadata: &MetadataMap) {
        let Some(text) = metadata.get(names::WARNING).and_then(|value| value.to_str().ok()) else { return };
        let mut warned = self.inner.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < WARNINGS_MAX && warned.insert(text.to_owned()) {
            let form = format!("w={}", text.replace('+', "%2B"));
            let decoded =
                url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, text)| text.into_owned());
            tracing::warn!(warning = decoded.unwrap_or_default(), "Modal warns");
        }
    }
}

/// The tries of one call, with the metadata that tells them apart.
pub(super) struct Tries {
    key: String,
    attempts: Attempts,
    begin: Instant,
    throttled_since: Option<Instant>,
}

impl Tries {
    pub(super) fn new() -> Self {
        let (attempts, begin) = (Attempts::default(), Instant::now());
        Self { key: new_uuid(), attempts, begin, throttled_since: None }
    }

    /// The next try.
    pub(super) fn request<Q>(&self, message: Q, timeout: Duration) -> Request<Q> {
        let mut request = Request::new(message);
        request.set_timeout(timeout);
        let Attempts { retries, throttled, .. } = self.attempts;
        let metadata = request.metadata_mut();
        let mut insert = |name: &'static str, text: String| {
            if let Ok(value) = text.parse::<AsciiMetadataValue>() {
                metadata.insert(name, value);
            }
        };
        insert(names::IDEMPOTENCY_KEY, self.key.clone());
        insert(names::RETRY_ATTEMPT, retries.to_string());
        insert(names::THROTTLE_RETRY_ATTEMPT, throttled.to_string());
        if retries > 0 {
            insert(names::RETRY_DELAY, format!("{:.3}", self.begin.elapsed().as_secs_f32()));
        }
        if let Some(since) = self.throttled_since {
            insert(names::THROTTLE_RETRY_DELAY, format!("{:.3}", since.elapsed().as_secs_f32()));
        }
        request
    }

    /// All that command routers are told of earlier tries.
    pub(super) fn count_throttling(&self, metadata: &mut MetadataMap) {
        if let Ok(value) = self.attempts.throttled.to_string().parse::<AsciiMetadataValue>() {
            metadata.insert(names::THROTTLE_RETRY_ATTEMPT, value);
        }
    }

    /// Waits for the next try, or gives the failure back.
    pub(super) async fn after(&mut self, what: &'static str, status: &Status) -> Result<(), ModalError> {
        self.after_with(&CONTROL, what, status).await
    }

    /// The same with other figures.
    pub(super) async fn after_with(
        &mut self,
        policy: &RetryPolicy,
        what: &'static str,
        status: &Status,
    ) -> Result<(), ModalError> {
        let retry_after = status::retry_after(status);
        match evaluate_retry(policy, self.attempts, status.code(), retry_after) {
            Decision::Again(wait, attempts) => {
                tracing::debug!(what, code = ?status.code(), reason = status.message(), ?wait, "Modal is asked again");
                if attempts.throttled > self.attempts.throttled {
                    self.throttled_since.get_or_insert_with(Instant::now);
                }
                self.attempts = attempts;
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Decision::GiveUp => Err(ModalError::new(what, status, retry_after)),
        }
    }
}

/// A channel's settings; the same for the control plane and for command routers.
pub(super) fn endpoint(url: &Url) -> Result<Endpoint, String> {
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(url)) {
        return Err("it must be https, or http on this machine".to_owned());
    }
    let endpoint = Endpoint::from_shared(url.to_string()).map_err(|error| error.to_string())?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(4 * WINDOW_BYTES)
        .tcp_nodelay(true);
    if url.scheme() == "http" {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().with_native_roots().with_webpki_roots();
    endpoint.tls_config(tls).map_err(|error| error.to_string())
}

/// Puts a value in that is not shown.
pub(super) fn insert_secret(metadata: &mut MetadataMap, name: &'static str, text: &str) {
    if let Ok(mut value) = text.parse::<AsciiMetadataValue>() {
        value.set_sensitive(true);
        metadata.insert(name, value);
    }
}

/// The answer, or the failure that says that there was none in time. The other side has the same deadline and a little less time.
pub(super) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout + Duration::from_secs(1), call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", timeout.as_secs()))),
    }
}
