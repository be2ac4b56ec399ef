//! The way out of a sandbox: a proxy on its own socket that lets only allowed hosts through.
//!
//! Who asks is known by the socket. A name is checked, then resolved, then its address is checked, and exactly that address is
//! connected to. Nothing is allowed by default. Connections to hosts with secrets, or that may only be read, are looked into; all
//! others are TLS from end to end. The gateway hands CONNECT and absolute-form requests over.

mod address;
pub mod authority;
mod exit;
mod forward;
pub mod host;
mod inspect;
mod opening;
pub mod policy;
pub mod reason;
mod request;
mod settings;
mod stand_in;
mod state;

pub use exit::{Resolver, SystemResolver};
pub use settings::{EgressError, EgressSettings, RepositoryPolicy};
pub(crate) use stand_in::StandIns;
pub use state::{EgressCounts, SandboxEgress};

use super::listen::HEAD_TIMEOUT;
use crate::edge::EdgeClient;
use crate::hub::Sandbox;
use authority::Authority;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::response::Response;
use exit::{Exit, Metered};
use forward::Line;
use host::Target;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use inspect::{Inspection, Scheme};
use opening::Opening;
use policy::{Permit, Policy, parse_target};
use protocol::id::RepositoryId;
use reason::{Reason, Refused};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Read ahead in each direction of a tunnel: one TLS record.
const TUNNEL_BYTES: usize = 16 * 1024;

/// The proxy of all sandboxes.
pub struct Egress {
    by_repository: BTreeMap<RepositoryId, Arc<Policy>>,
    otherwise: Arc<Policy>,
    exit: Exit,
    authority: Option<Arc<Authority>>,
    tls: TlsConnector,
    stand_ins: StandIns,
    edge: EdgeClient,
}

/// What a tunnel was opened for.
struct Tunnel {
    sandbox: Arc<Sandbox>,
    policy: Arc<Policy>,
    target: Target,
    permit: Permit,
    connected: Metered<TcpStream>,
}

impl Egress {
    /// What a repository's sandboxes may reach.
    pub(crate) fn policy(&self, repository: &RepositoryId) -> &Arc<Policy> {
        self.by_repository.get(repository).unwrap_or(&self.otherwise)
    }

    /// The stand-ins of a sandbox's secrets, as environment variables.
    pub(crate) fn stand_ins(&self, sandbox: &crate::provider::SandboxRecord) -> BTreeMap<String, String> {
        let secrets = &self.policy(&sandbox.order.repository.id).secrets;
        let stand_in = |name: &String| (name.clone(), self.stand_ins.of(&sandbox.sandbox_id, name));
        secrets.iter().map(|secret| stand_in(&secret.name)).collect()
    }

    /// Hosts that a provider's own network may let a sandbox reach directly.
    pub(crate) fn direct_hosts(&self, sandbox: &crate::provider::SandboxRecord) -> Vec<String> {
        self.policy(&sandbox.order.repository.id).direct_hosts()
    }

    /// Answers a request to a proxy: CONNECT, or a plain one with a whole URL.
    pub(super) async fn handle(self: &Arc<Self>, sandbox: Arc<Sandbox>, request: Request) -> Response {
        let outcome = if request.method() == Method::CONNECT {
            self.open_tunnel(sandbox.clone(), request).await
        } else {
            self.pass_plain(&sandbox, request).await
        };
        outcome.unwrap_or_else(|refused| self.refuse(&sandbox, &refused))
    }

    /// Counts and reports a refusal; answers what the client hears.
    fn refuse(&self, sandbox: &Sandbox, refused: &Refused) -> Response {
        sandbox.egress.refuse(refused, &sandbox.current_record(), &self.edge);
        refused.response()
    }

    async fn connect(
        &self,
        sandbox: &Sandbox,
        target: &Target,
        permit: Permit,
    ) -> Result<Metered<TcpStream>, Refused> {
        // The name service is everybody's.
        let _one = sandbox.egress.connecting.acquire().await;
        let counters = sandbox.egress.counters.clone();
        let stream = self.exit.connect(target, permit, counters.clone()).await?;
        counters.add_connection();
        Ok(stream)
    }

    async fn pass_plain(&self, sandbox: &Sandbox, request: Request) -> Result<Response, Refused> {
        let (mut parts, body) = request.into_parts();
        let target = request::absolute_target(&parts)?;
        let permit = self.policy(&sandbox.record.order.repository.id).evaluate(&target)?;
        let refused = |reason| Refused::at(&target, reason);
        request::prepare(&mut parts, &target, 80, permit, &[]).map_err(refused)?;
        parts.uri = parts.uri.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()));
        let stream = self.connect(sandbox, &target, permit).await?;
        let mut line = Line::open(stream).await.map_err(|_| refused(Reason::HostUnreachable))?;
        let answer = line.send(Request::from_parts(parts, body)).await;
        let answer = answer.map_err(|_| refused(Reason::HostUnreachable))?;
        forward::relay(answer, Vec::new()).map_err(refused)
    }

    async fn open_tunnel(
        self: &Arc<Self>,
        sandbox: Arc<Sandbox>,
        mut request: Request,
    ) -> Result<Response, Refused> {
        let authority = request.uri().authority().map(|authority| authority.as_str()).unwrap_or_default();
        let target = parse_target(authority, None)?;
        let policy = self.policy(&sandbox.record.order.repository.id).clone();
        let permit = policy.evaluate(&target)?;
        let connected = self.connect(&sandbox, &target, permit).await?;
        let tunnel = Tunnel { sandbox, policy, target, permit, connected };
        let upgrade = hyper::upgrade::on(&mut request);
        let egress = self.clone();
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                egress.run_tunnel(tunnel, upgraded).await;
            }
        });
        Ok(Response::new(Body::empty()))
    }

    async fn run_tunnel(self: &Arc<Self>, tunnel: Tunnel, upgraded: Upgraded) {
        let (opening, mut client) = match opening::read(TokioIo::new(upgraded), HEAD_TIMEOUT).await {
            Ok(Some(opened)) => opened,
            Ok(None) => return,
            Err((reason, _)) => return self.cut(&tunnel, reason),
        };
        let name = match opening {
            Opening::Http => return self.inspect(tunnel, Scheme::Plain, client).await,
            Opening::Tls { name } => name,
        };
        let reason = match name.map(|name| host::HostName::parse(&name)) {
            Some(Ok(name)) if name == tunnel.target.host => None,
            Some(_) => Some(Reason::TlsNameDiffers),
            None => Some(Reason::TlsNameMissing),
        };
        if let Some(reason) = reason {
            let _ = client.write_all(&opening::alert(reason)).await;
            let _ = client.shutdown().await;
            return self.cut(&tunnel, reason);
        }
        if !tunnel.permit.inspected {
            let mut connected = tunnel.connected;
            // Ends when both sides have ended, or one of them with an error, which is theirs to notice.
            let _ =
                copy_bidirectional_with_sizes(&mut client, &mut connected, TUNNEL_BYTES, TUNNEL_BYTES).await;
            return;
        }
        let leaf = self.authority.as_ref().map(|authority| authority.leaf(&tunnel.target.host));
        let Some(Ok(leaf)) = leaf else {
            tracing::error!(host = %tunnel.target.host, "there is no certificate for a host that is looked into");
            return;
        };
        let accepting = tokio::time::timeout(HEAD_TIMEOUT, TlsAcceptor::from(leaf).accept(client));
        match accepting.await {
            Ok(Ok(client)) => self.inspect(tunnel, Scheme::Tls, client).await,
            Ok(Err(error)) => {
                tracing::info!(sandbox = %tunnel.sandbox.record.sandbox_id, host = %tunnel.target.host, %error, "a client does not trust the bridge's certificate");
            }
            Err(_) => {}
        }
    }

    async fn inspect<S>(self: &Arc<Self>, tunnel: Tunnel, scheme: Scheme, client: S)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Tunnel { sandbox, policy, target, permit, connected } = tunnel;
        let inspection = Inspection {
            egress: self.clone(),
            sandbox,
            policy,
            target,
            permit,
            scheme,
            connected: Mutex::new(Some(connected)),
            line: Mutex::new(None),
        };
        inspection.serve(client).await;
    }

    /// Too late for an answer: the refusal is counted and reported, and the connection closed.
    fn cut(&self, tunnel: &Tunnel, reason: Reason) {
        let refused = Refused::at(&tunnel.target, reason);
        tunnel.sandbox.egress.refuse(&refused, &tunnel.sandbox.record, &self.edge);
    }
}
