//! Requests that are looked into: those of a connection whose TLS ends at the bridge, and plain ones in a tunnel.
//!
//! Each is checked by itself, gets the secrets of its host, and goes out over a connection of its own to the checked address, with
//! TLS to the same host. Answers stream back without the secrets.

use super::Egress;
use super::exit::Metered;
use super::forward::{self, Line};
use super::host::Target;
use super::policy::{Permit, Policy};
use super::reason::{Reason, Refused};
use super::request::prepare;
use super::stand_in::Exchange;
use crate::gateway::listen;
use crate::gateway::redact::forms;
use crate::hub::Sandbox;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// How the two ends of a connection speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Plain,
    Tls,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Tls => 443,
        }
    }
}

/// One client's connection to one target.
pub(super) struct Inspection {
    pub(super) egress: Arc<Egress>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) policy: Arc<Policy>,
    pub(super) target: Target,
    pub(super) permit: Permit,
    pub(super) scheme: Scheme,
    /// To the target: made before the client was let in, then reused for one request after the other.
    pub(super) connected: Mutex<Option<Metered<TcpStream>>>,
    pub(super) line: Mutex<Option<Line>>,
}

impl Inspection {
    /// Answers the client until it goes away.
    pub(super) async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let own = Arc::new(self);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let own = own.clone();
            async move { Ok::<_, Infallible>(own.answer(request.map(Body::new)).await) }
        });
        if let Err(error) = listen::http().serve_connection(TokioIo::new(stream), service).await {
            tracing::trace!(%error, "an inspected connection broke");
        }
    }

    async fn answer(&self, request: Request) -> Response {
        match self.pass(request).await {
            Ok(response) => response,
            Err(refused) => self.egress.refuse(&self.sandbox, &refused),
        }
    }

    async fn pass(&self, request: Request) -> Result<Response, Refused> {
        let refused = |reason| Refused::at(&self.target, reason);
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(refused(Reason::RequestMalformed));
        }
        let exchanges = self.exchanges();
        let sent = prepare(&mut parts, &self.target, self.scheme.port(), self.permit, &exchanges);
        let mut never_back = sent.map_err(refused)?;
        never_back.extend(exchanges.iter().flat_map(|exchange| forms(exchange.secret.value.reveal())));
        parts.uri = parts.uri.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()));
        let request = Request::from_parts(parts, body);
        let response = self.send(request).await?;
        forward::relay(response, never_back).map_err(refused)
    }

    /// Over the connection that there is, or else over a new one.
    async fn send(&self, request: Request) -> Result<hyper::Response<Incoming>, Refused> {
        let unreachable = || Refused::at(&self.target, Reason::HostUnreachable);
        let mut line = self.line.lock().await;
        let mut request = request;
        if let Some(kept) = line.as_mut()
            && kept.is_open().await
        {
            match kept.send(request).await {
                Ok(response) => return Ok(response),
                Err(Some(unsent)) => request = *unsent,
                Err(None) => return Err(unreachable()),
            }
        }
        let made = line.insert(self.open_line().await?);
        made.send(request).await.map_err(|_| unreachable())
    }

    /// The secrets of this connection; none where they could be read on the way.
    fn exchanges(&self) -> Vec<Exchange<'_>> {
        if self.scheme == Scheme::Plain {
            return Vec::new();
        }
        let sandbox_id = &self.sandbox.record.sandbox_id;
        let secrets = self.policy.secrets_for(&self.target);
        let mut exchanges = Vec::new();
        for secret in secrets {
            let stand_ins = self.egress.stand_ins.all_of(sandbox_id, &secret.name);
            exchanges.extend(stand_ins.map(|stand_in| Exchange { stand_in, secret }));
        }
        exchanges
    }

    async fn open_line(&self) -> Result<Line, Refused> {
        let made = self.connected.lock().await.take();
        let stream = match made {
            Some(stream) => stream,
            None => self.egress.connect(&self.sandbox, &self.target, self.permit).await?,
        };
        let refused = |reason| Refused::at(&self.target, reason);
        if self.scheme == Scheme::Plain {
            return Line::open(stream).await.map_err(|_| refused(Reason::HostUnreachable));
        }
        let name = ServerName::try_from(self.target.host.to_string());
        let name = name.map_err(|_| refused(Reason::CertificateInvalid))?;
        let handshake = tokio::time::timeout(listen::HEAD_TIMEOUT, self.egress.tls.connect(name, stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::info!(host = %self.target.host, %error, "no TLS with an allowed host");
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                let untrusted = matches!(inner, Some(rustls::Error::InvalidCertificate(_)));
                return Err(refused(if untrusted {
                    Reason::CertificateInvalid
                } else {
                    Reason::HostUnreachable
                }));
            }
            Err(_) => return Err(refused(Reason::HostUnreachable)),
        };
        Line::open(stream).await.map_err(|_| refused(Reason::HostUnreachable))
    }
}
