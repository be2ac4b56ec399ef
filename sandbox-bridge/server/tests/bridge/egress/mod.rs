//! The proxy as a sandbox meets it: what gets out, what does not and why, and that secrets stay outside.

mod clients;
mod refusals;
mod secrets;
mod ways;
mod whole;

use crate::support::edge::FakeEdge;
use crate::support::origin::{Names, Origin, TestAuthority, trusting};
use crate::support::provider::Place;
use crate::support::{GatewaySettings, Stack, order, soon};
use axum::Router;
use axum::routing::any;
use rustls::pki_types::{CertificateDer, ServerName};
use sandbox_bridge::gateway::egress::authority::{Authority, read_certificates};
use sandbox_bridge::gateway::egress::{EgressSettings, RepositoryPolicy};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Name of the origins with TLS; `plain.example` is the one without.
const SECURE: &str = "secure.example";
const PLAIN: &str = "plain.example";

/// A sandbox, its bridge, and two origins that it may reach.
struct Scene {
    stack: Stack,
    place: Place,
    names: Names,
    secure: Origin,
    plain: Origin,
    authority: TestAuthority,
    /// What sandboxes trust.
    bundle: Vec<CertificateDer<'static>>,
    folder: TempDir,
}

/// What the test wants different from the usual.
#[derive(Default)]
struct Wishes {
    router: Option<Router>,
    /// With `{secure}`, `{plain}` and `{third}` for the ports.
    policy: &'static str,
    /// One more port of [`SECURE`].
    third_port: u16,
    doors_are_open: bool,
    edge: Option<FakeEdge>,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(Wishes::default()).await
    }

    async fn start_with(wishes: Wishes) -> Self {
        let router = wishes.router.unwrap_or_else(|| Router::new().fallback(any(async || "there")));
        let authority = TestAuthority::new();
        let secure =
            Origin::tls(&authority, &[SECURE, "other.example", "front.example"], router.clone()).await;
        let plain = Origin::plain(router).await;
        let names = Names::local(&[SECURE, PLAIN, "other.example", "front.example"]);
        let folder = TempDir::new().unwrap();
        let own = Authority::open(&folder.path().join("egress"), &[authority.der()]).unwrap();
        let bundle = read_certificates(own.bundle()).unwrap();
        let host = |name: &str, port: u16| format!("{name}:{port}").parse().unwrap();
        let egress = EgressSettings {
            private_hosts: vec![
                host(SECURE, secure.port),
                host(SECURE, wishes.third_port.max(1)),
                host("front.example", secure.port),
                host(PLAIN, plain.port),
            ],
            extra_authorities: vec![authority.der()],
            authority: Some(Arc::new(own)),
            resolver: Some(Arc::new(names.clone())),
            ..EgressSettings::default()
        };
        let mut repositories = std::collections::BTreeMap::new();
        if !wishes.policy.is_empty() {
            let ports = [("{secure}", secure.port), ("{plain}", plain.port), ("{third}", wishes.third_port)];
            let text = ports
                .iter()
                .fold(wishes.policy.to_owned(), |text, (name, port)| text.replace(name, &port.to_string()));
            let policy: RepositoryPolicy = serde_json::from_str(&text).unwrap();
            repositories.insert(order("1", 1).repository.id, policy);
        }
        let gateway = GatewaySettings {
            egress,
            repositories,
            doors_are_open: wishes.doors_are_open,
            ..GatewaySettings::default()
        };
        let edge = match wishes.edge {
            Some(edge) => edge,
            None => FakeEdge::start().await,
        };
        let stack = Stack::start_at(edge, gateway, Vec::new()).await;
        let sandbox = stack.create(&order("1", 1)).await;
        let place = stack.bridge.provider().place(&sandbox);
        Self { stack, place, names, secure, plain, authority, bundle, folder }
    }

    fn secure_authority(&self) -> String {
        format!("{SECURE}:{}", self.secure.port)
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(&self.place.url).await.unwrap()
    }

    /// Sends bytes; answers everything that comes back until the end.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.dial().await;
        // Who is refused in the middle may not read to the end.
        let _ = stream.write_all(bytes).await;
        everything(&mut stream).await
    }

    /// Asks for a tunnel; answers it with the head of the answer.
    async fn connect(&self, authority: &str) -> (String, TcpStream) {
        let mut stream = self.dial().await;
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        (head_of(&mut stream).await, stream)
    }

    /// A tunnel with TLS in it.
    async fn secure_connect(
        &self,
        authority: &str,
        name: &'static str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let (head, stream) = self.connect(authority).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let connector = TlsConnector::from(trusting(&self.bundle));
        soon("TLS", connector.connect(ServerName::try_from(name).unwrap(), stream)).await
    }

    /// One request inside of TLS; answers head and body.
    async fn secure_ask(&self, request: &str) -> String {
        let mut stream = self.secure_connect(&self.secure_authority(), SECURE).await.unwrap();
        ask(&mut stream, request).await
    }

    /// What the session was told so far, newest counts.
    fn reported(&self) -> Vec<(String, u16, String, u64)> {
        let reports = self.stack.edge.read(|session| session.egress.clone());
        let mut newest = std::collections::BTreeMap::new();
        for denial in reports.into_iter().flat_map(|(_, report)| report.denials) {
            newest.insert((denial.host, denial.port, denial.reason), denial.count);
        }
        newest.into_iter().map(|((host, port, reason), count)| (host, port, reason, count)).collect()
    }

    /// Waits until the session knows of a refusal.
    async fn until_reported(&self, reason: &str) {
        let all = |session: &crate::support::edge::Session| {
            session
                .egress
                .iter()
                .flat_map(|(_, report)| &report.denials)
                .any(|denial| denial.reason == reason)
        };
        self.stack.edge.until(reason, all).await;
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    everything(stream).await
}

async fn everything<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    // A connection may end with a reset.
    let _ = soon("the end of a connection", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn head_of<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("the head of an answer", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The code of a refusal, from its body.
fn reason(answer: &str) -> String {
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    body["error"].as_str().unwrap_or_default().to_owned()
}
