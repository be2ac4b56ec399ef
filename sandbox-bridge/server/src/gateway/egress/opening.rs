//! The first words of a client in its tunnel: TLS, and which host it names, or plain HTTP.
//!
//! Reads no more than the client's first message, bounded in bytes and time; what was read is played to whoever talks to the client
//! next. rustls parses the message.

use super::reason::Reason;
use rustls::server::Acceptor;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Longest first message; with post-quantum keys they have about two kilobytes.
const BYTES_MAX: usize = 32 * 1024;
/// Content type of a TLS handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// A fatal TLS alert before anything was agreed on (RFC 8446, section 6): the last byte says which.
const ALERT: [u8; 6] = [21, 3, 3, 0, 2, 2];
const ALERT_ACCESS_DENIED: u8 = 49;
const ALERT_UNRECOGNISED_NAME: u8 = 112;

/// What a client begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// TLS, for this host.
    Tls {
        /// As sent.
        name: Option<String>,
    },
    /// Something that begins like a request in plain text.
    Http,
}

/// Reads the client's first message. `None` when the client went away before it said anything.
pub(super) async fn read<S: AsyncRead + Unpin>(
    stream: S,
    timeout: Duration,
) -> Result<Option<(Opening, Replayed<S>)>, (Reason, S)> {
    let mut replayed = Replayed { said: Vec::new(), at: 0, stream };
    match tokio::time::timeout(timeout, listen(&mut replayed)).await {
        Ok(Ok(opening)) => Ok(opening.map(|opening| (opening, replayed))),
        Ok(Err(reason)) => Err((reason, replayed.stream)),
        Err(_) => Err((Reason::NotTls, replayed.stream)),
    }
}

async fn listen<S: AsyncRead + Unpin>(replayed: &mut Replayed<S>) -> Result<Option<Opening>, Reason> {
    let mut acceptor = Acceptor::default();
    let mut chunk = [0; 4096];
    loop {
        let count = replayed.stream.read(&mut chunk).await.unwrap_or(0);
        let read = chunk.get(..count).unwrap_or_default();
        if read.is_empty() {
            return if replayed.said.is_empty() { Ok(None) } else { Err(Reason::NotTls) };
        }
        replayed.said.extend_from_slice(read);
        match replayed.said.first() {
            Some(&TLS_HANDSHAKE) => {}
            // Methods are capital letters.
            Some(first) if first.is_ascii_uppercase() => return Ok(Some(Opening::Http)),
            Some(_) | None => return Err(Reason::NotTls),
        }
        let mut rest = read;
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest).map_err(|_| Reason::NotTls)?;
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return Ok(Some(Opening::Tls { name }));
                }
                Ok(None) => {}
                Err(_) => return Err(Reason::NotTls),
            }
        }
        if replayed.said.len() > BYTES_MAX {
            return Err(Reason::NotTls);
        }
    }
}

/// What a TLS client is told before its connection is closed.
pub(super) fn alert(reason: Reason) -> Vec<u8> {
    let last = if reason == Reason::TlsNameDiffers { ALERT_UNRECOGNISED_NAME } else { ALERT_ACCESS_DENIED };
    [ALERT.as_slice(), &[last]].concat()
}

/// A stream whose first bytes, already read, are read again.
#[derive(Debug)]
pub(super) struct Replayed<S> {
    said: Vec<u8>,
    at: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.said.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..count).unwrap_or_default());
        self.at += count;
        if self.at == self.said.len() {
            self.said = Vec::new();
            self.at = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;

    fn hello(name: &'static str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let mut client =
            ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    async fn opening(chunks: &[&[u8]]) -> Result<Option<(Opening, Vec<u8>)>, Reason> {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let listening = tokio::spawn(read(server, Duration::from_secs(5)));
        for chunk in chunks {
            // Refused clients find their connection closed.
            let _ = client.write_all(chunk).await;
            tokio::task::yield_now().await;
        }
        drop(client);
        let Some((opening, mut replayed)) = listening.await.unwrap().map_err(|(reason, _)| reason)? else {
            return Ok(None);
        };
        let mut all = Vec::new();
        replayed.read_to_end(&mut all).await.unwrap();
        Ok(Some((opening, all)))
    }

    #[tokio::test]
    async fn the_name_is_found_wherever_the_message_is_cut_and_nothing_is_lost() {
        let mut bytes = hello("a.example");
        bytes.extend(b"later");
        let expected = Opening::Tls { name: Some("a.example".to_owned()) };
        for cut in (1..bytes.len()).step_by(7) {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(opening(&[first, second]).await, Ok(Some((expected.clone(), bytes.clone()))), "{cut}");
        }
    }

    #[tokio::test]
    async fn what_is_neither_tls_nor_http_is_refused() {
        assert_eq!(opening(&[]).await, Ok(None));
        let address = opening(&[&hello("127.0.0.1")]).await.unwrap().unwrap();
        assert_eq!(address.0, Opening::Tls { name: None });
        assert_eq!(opening(&[b"GET / HTTP/1.1\r\n"]).await.unwrap().unwrap().0, Opening::Http);
        let cut = hello("a.example");
        let cut = cut.get(..60).unwrap();
        for bytes in
            [&b"\x00\x01"[..], b"\x80\x2e\x01\x03", b"ssh-2.0", b"\x16\x03\x01\xff\xff", b"\x16GET", cut]
        {
            assert_eq!(opening(&[bytes]).await.unwrap_err(), Reason::NotTls, "{bytes:?}");
        }
        let endless = [b"\x16\x03\x01\x40\x00".as_slice(), &[1, 0, 0xff, 0xff], &[0; 0x3ffc]].concat();
        assert_eq!(opening(&[&endless, &endless, &endless, &endless]).await.unwrap_err(), Reason::NotTls);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_not_waited_for() {
        let (_client, server) = tokio::io::duplex(64);
        let refused = read(server, Duration::from_secs(10)).await.err().unwrap();
        assert_eq!(refused.0, Reason::NotTls);
    }
}
