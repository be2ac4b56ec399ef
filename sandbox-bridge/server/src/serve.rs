//! The running bridge: joins API, hub, gateway and provider, and takes them down in order.
//!
//! Decides nothing about sandboxes. Called by `main` with the local provider, and by the tests with one of their own.

use crate::api::Api;
use crate::backoff::Backoff;
use crate::config::Secrets;
use crate::edge::EdgeClient;
use crate::gateway::credential::Credentials;
use crate::gateway::egress::{Egress, EgressCounts, EgressError, EgressSettings};
use crate::gateway::spending::ModelCounts;
use crate::gateway::{Gateway, inside_router, tunnel};
use crate::hub::{Beyond, Hub};
use crate::image::Builds;
use crate::provider::{ProviderError, SandboxProvider, SandboxRecord};
use axum::Router;
use axum::serve::ListenerExt;
use futures::future::BoxFuture;
use protocol::id::SandboxId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Longest wait at the end for calls that are being answered.
const CALLS_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait at the end for the edge to take the last events.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait at the end for sandboxes to end.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait at the end for the last refusals to be read.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How often the end of a sandbox that nobody needs is tried.
const END_ATTEMPTS: u32 = 5;

/// What a bridge is started with.
#[derive(Debug)]
pub struct Settings {
    /// Where the signed API listens.
    pub listen: SocketAddr,
    /// Base URL at which the edge reaches it; where absent, the address it listens on.
    pub public_url: Option<Url>,
    /// Base URL of the Worker.
    pub edge_url: Url,
    /// Keys and credentials.
    pub secrets: Secrets,
    /// The way out of sandboxes.
    pub egress: EgressSettings,
    /// Where sandboxes that are not on this machine reach the gateway; none where there are no such.
    pub gateway: Option<std::net::TcpListener>,
}

/// What becomes of the sandboxes when the bridge ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandboxes {
    /// They run on; the next bridge finds them.
    RunOn,
    /// They end first.
    End,
}

/// Why a bridge did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; choose another with --listen, port 0 takes a free one")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The gateway's own listener cannot be used.
    #[error("cannot listen for sandboxes")]
    Gateway(#[source] std::io::Error),
    /// The TLS or proxy settings of the machine do not work.
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
    /// The settings of the way out do not work.
    #[error("the proxy of the sandboxes cannot be set up")]
    Egress(#[from] EgressError),
    /// There is no provider.
    #[error("the sandbox provider did not start")]
    Provider(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A bridge that runs.
pub struct Bridge<P> {
    /// Base URL of the signed API on this machine.
    pub url: String,
    api: Arc<Api<P>>,
    stopping: CancellationToken,
    server: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
}

/// Starts a bridge. `provider` is given the router that its sandboxes are to reach.
pub async fn start<P, E, F>(
    settings: Settings,
    provider: impl FnOnce(Router) -> F,
) -> Result<Bridge<P>, ServeError>
where
    P: SandboxProvider,
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<P, E>>,
{
    let Settings { listen, public_url, edge_url, secrets, egress: ways, gateway: outside } = settings;
    let failed = |source| ServeError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    let public_url =
        public_url.map_or_else(|| url.clone(), |url| url.as_str().trim_end_matches('/').to_owned());

    let edge = EdgeClient::new(&edge_url, secrets.keys.bridge.clone())?;
    let egress = Egress::new(&ways, secrets.repositories, &secrets.keys.stand_ins, edge.clone())?;
    let (hub, to_end) = Hub::new(edge.clone(), public_url);
    let credentials = Arc::new(Credentials::new(secrets.git_credentials, edge.clone()));
    let gateway = Gateway::new(
        hub.clone(),
        secrets.keys.gateways(),
        credentials,
        secrets.model_providers,
        egress.clone(),
        &ways.extra_authorities,
    )?;
    // Open before there is a provider: the runners of an earlier bridge's sandboxes dial at once, and wait until it is known
    // which there are.
    let outside = outside.map(|listener| {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(tokio::spawn(tunnel::serve(listener, gateway.clone())))
    });
    let outside = outside.transpose().map_err(ServeError::Gateway)?;
    let provider = Arc::new(
        provider(inside_router(gateway.clone()))
            .await
            .map_err(|error| ServeError::Provider(Box::new(error)))?,
    );
    hub.open(provider.list(), Box::new(Outside(Arc::clone(&provider))));
    tracing::info!(url, sandboxes = hub.count(), "bridge started");

    let builds = Builds::new(edge, gateway);
    let api = Api::new(hub.clone(), provider.clone(), egress, secrets.keys, builds);
    let stopping = CancellationToken::new();
    let router = api.clone().router();
    let stopped = stopping.clone().cancelled_owned();
    let server = tokio::spawn(async move {
        let listener = listener.tap_io(|stream| {
            // Without it a small answer may wait for the other side's acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
        });
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the API ended");
        }
    });
    let mut background = vec![tokio::spawn(end_unneeded(api.clone(), to_end))];
    background.extend(outside);
    if let Some(mut exits) = provider.exits() {
        background.push(tokio::spawn(async move {
            while let Some(exit) = exits.recv().await {
                hub.report_exit(exit);
            }
        }));
    }
    Ok(Bridge { url, api, stopping, server, background })
}

/// The provider, as the hub sees it.
struct Outside<P>(Arc<P>);

impl<P: SandboxProvider> Beyond for Outside<P> {
    fn look_up<'a>(
        &'a self,
        sandbox_id: &'a SandboxId,
    ) -> BoxFuture<'a, Result<Option<SandboxRecord>, ProviderError>> {
        Box::pin(self.0.look_up(sandbox_id))
    }

    fn attached(&self, sandbox_id: &SandboxId) {
        self.0.attached(sandbox_id);
    }

    fn folder(&self, sandbox_id: &SandboxId) -> Option<PathBuf> {
        self.0.folder(sandbox_id)
    }
}

impl<P: SandboxProvider> Bridge<P> {
    /// The provider, for what the API does not offer.
    #[must_use]
    pub fn provider(&self) -> &Arc<P> {
        &self.api.provider
    }

    /// What a sandbox has sent out and was refused, while it is here.
    #[must_use]
    pub fn egress(&self, sandbox_id: &SandboxId) -> Option<EgressCounts> {
        self.api.hub.find(sandbox_id).map(|sandbox| sandbox.egress.counts())
    }

    /// What a sandbox's model calls came to, while it is here.
    #[must_use]
    pub fn models(&self, sandbox_id: &SandboxId) -> Option<ModelCounts> {
        self.api.hub.find(sandbox_id).map(|sandbox| sandbox.models.counts())
    }

    /// Refuses new work, delivers what it has, and ends; never takes longer than ten seconds. Runners whose sandboxes run on dial
    /// the next bridge, which adopts them.
    pub async fn stop(mut self, sandboxes: Sandboxes) {
        self.api.abandon_builds();
        if tokio::time::timeout(CALLS_TIMEOUT, self.api.close()).await.is_err() {
            tracing::warn!("not all calls were answered; whoever made them asks again");
        }
        if tokio::time::timeout(DRAIN_TIMEOUT, self.api.hub.drain()).await.is_err() {
            tracing::warn!("not all events reached the edge; the runners still have them");
        }
        for task in &self.background {
            task.abort();
        }
        if sandboxes == Sandboxes::End {
            let all = self.api.provider.list();
            let ends = all.iter().map(|record| self.api.end(&record.sandbox_id));
            if tokio::time::timeout(TERMINATE_TIMEOUT, futures::future::join_all(ends)).await.is_err() {
                tracing::error!("not all sandboxes ended in time");
            }
        }
        self.stopping.cancel();
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut self.server).await.is_err() {
            self.server.abort();
        }
        tracing::info!("bridge stopped");
    }
}

async fn end_unneeded<P: SandboxProvider>(api: Arc<Api<P>>, mut to_end: mpsc::UnboundedReceiver<SandboxId>) {
    while let Some(sandbox_id) = to_end.recv().await {
        let api = api.clone();
        tokio::spawn(async move {
            let mut backoff = Backoff::new();
            for _ in 0..END_ATTEMPTS {
                if api.end(&sandbox_id).await.is_ok() {
                    return;
                }
                backoff.wait().await;
            }
            tracing::error!(sandbox = %sandbox_id, "a sandbox that nobody needs cannot be ended; it runs until its life is over");
        });
    }
}
